"""At start: make the index say what the files say, and find how the chain of headers goes on.

What each combination of files means (a receipt counts only if it is the hub's, which `edge/uplink`
verified before it was kept):

==========  ======  =======  ==============================================================
``.tge``    head    receipt  state
==========  ======  =======  ==============================================================
whole       no      no       RECEIVED
whole       yes     no       SEALED: sent again, as the same bytes
any         any     yes      CONFIRMED: purged again (the crash came between the two)
damaged     any     no       HELD, and the file is kept
missing     yes     no       HELD: a body that the hub has not confirmed is gone
missing     yes     yes      PURGED
==========  ======  =======  ==============================================================

An original of a merged parcel that is whole is no item any more (`merge`). A record in a segment
that was not taken first becomes a ``.tge`` file: the key to open it is gone, so it is sent as it is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from os import stat_result

from edge.spool.files import SpoolFiles
from edge.spool.item import ChainTip, SpoolItem
from edge.spool.journal import Journal
from edge.spool.merge import Merged, finish, judge
from edge.spool.note import item_of
from edge.spool.states import State
from gateway import durable
from gateway.clock import rfc3339
from gateway.envelope.layout import NO_PREVIOUS, Header
from gateway.envelope.signature import Statement
from gateway.errors import Malformed, StorageFull
from gateway.log import logger
from gateway.model import ParcelId, Priority

log = logger("edge.spool")


@dataclass(frozen=True, slots=True)
class Recovered:
    """What was found at start."""

    tip: ChainTip
    merged: dict[ParcelId, tuple[ParcelId, ...]]  # unsigned parcels that stand for others still here
    swept: int  # half-written files of a crash, never acknowledged, removed
    rebuilt: int  # rows that had to be made or corrected


def recover(files: SpoolFiles, journal: Journal) -> Recovered:
    """Compare files and index; the files win."""
    swept = files.prepare()
    _settle(files, journal)
    standing, ended = judge(files)
    hidden = {parcel for one in (*standing.values(), *ended.values()) for parcel in one.parcels}
    journal.forget(hidden, durably=True)
    for new, one in ended.items():
        finish(files, new, one.parcels)
    known = {item.parcel_id: item for item in journal.all()}
    bodies = {parcel: stat for parcel, stat in files.bodies() if parcel not in hidden}
    heads = {parcel for parcel, _ in files.parcels(".head")}
    held = {parcel for parcel, _ in files.parcels(".held")}
    changed: list[SpoolItem] = []
    for parcel in bodies.keys() | heads | known.keys():
        row = known.get(parcel) or journal.get(parcel)
        told = row or _told(files, standing.get(parcel))
        found = _judge(files, parcel, told, bodies.get(parcel), head=parcel in heads)
        if found is not None and parcel in held and found.state in (State.RECEIVED, State.SEALED):
            reason = files.held(parcel).read_text(errors="replace")
            state = State.GIVEN_UP if row is not None and row.state is State.GIVEN_UP else State.HELD
            found = replace(found, state=state, reason=reason)
        if found is not None and found != row:
            changed.append(found)
    journal.put_all(sorted(changed, key=lambda item: item.received_at))
    newest = journal.newest_signed()
    tip = ChainTip(0, NO_PREVIOUS)
    if newest is not None and newest.sequence is not None and newest.digest is not None:
        tip = ChainTip(newest.sequence, newest.digest)
    return Recovered(tip, {new: one.parcels for new, one in standing.items()}, swept, len(changed))


def _settle(files: SpoolFiles, journal: Journal) -> None:
    """Give what lies in segments its own files, and the index the rows it had no time for."""
    known = {item.parcel_id for item in journal.all()}
    found = files.segments.recover(known.__contains__)
    journal.put_all([item_of(one.parcel, one.note) for one in found if one.parcel not in known])
    try:
        for one in found:
            if not one.whole:
                durable.replace(files.held(one.parcel), b"the disk has damaged it since it was received")
            files.settle(one.parcel)
    except StorageFull as error:  # what is left stays where it is, and is settled when it is signed
        log.warning("no room to settle what was received", reason=str(error))


def _told(files: SpoolFiles, merged: Merged | None) -> SpoolItem | None:
    """A merged parcel as its marker and its own file tell of it."""
    if merged is None:
        return None
    draft = files.draft(merged.item.parcel_id)
    return replace(merged.item, sealed_size=draft.sealed_size, chunk_count=len(draft.chunks))


def _judge(
    files: SpoolFiles, parcel: ParcelId, row: SpoolItem | None, body: stat_result | None, *, head: bool
) -> SpoolItem | None:
    """What the item is, by its files; None if there is nothing to say of it any more."""
    receipt = files.receipt(parcel).exists()
    if body is None and not head:
        if row is None or row.state is State.PURGED:
            return None
        if receipt:
            return replace(row, state=State.PURGED, reason="", next_try=None)
        return _lost(row)
    try:
        item = row or _from_body(files, parcel, body)
        item = _signed(files, item) if head else replace(item, sequence=None, digest=None)
    except Malformed as error:
        return _damaged(row or _blank(parcel, body), str(error))
    if body is None:
        return replace(item, state=State.PURGED, reason="", next_try=None) if receipt else _lost(item)
    if receipt:
        return replace(item, state=State.CONFIRMED, next_try=None)
    if head:
        return replace(item, state=State.SEALED, next_try=None)
    return replace(item, state=State.RECEIVED, next_try=None)


def _from_body(files: SpoolFiles, parcel: ParcelId, body: stat_result | None) -> SpoolItem:
    if body is None:
        return _blank(parcel, body)
    draft = files.draft(parcel)
    return replace(_blank(parcel, body), sealed_size=draft.sealed_size, chunk_count=len(draft.chunks))


def _signed(files: SpoolFiles, item: SpoolItem) -> SpoolItem:
    """The item with what its signed header says; read only if the index does not know it."""
    if item.sequence is not None and item.digest is not None:
        return item
    statement = Statement.from_bytes(files.head(item.parcel_id).read_bytes())
    header = Header.from_bytes(statement.payload)
    if header.parcel_id != item.parcel_id:
        raise Malformed("the header is of another parcel than its name says")
    return replace(
        item,
        sequence=header.sequence,
        digest=statement.digest,
        priority=header.priority,
        sealed_size=header.sealed_size,
        chunk_count=len(header.chunks),
    )


def _blank(parcel: ParcelId, body: stat_result | None) -> SpoolItem:
    moment = datetime.fromtimestamp(body.st_mtime if body else 0, UTC)
    return SpoolItem(
        parcel_id=parcel,
        state=State.RECEIVED,
        sealed_size=body.st_size if body else 0,
        chunk_count=0,
        instances=1,
        priority=Priority.ROUTINE,
        modality="",
        received_at=rfc3339(moment),
    )


def _damaged(item: SpoolItem, why: str) -> SpoolItem:
    return replace(item, state=State.HELD, reason=f"a file is damaged: {why}", next_try=None)


def _lost(item: SpoolItem) -> SpoolItem:
    return replace(
        item, state=State.HELD, reason="the body is gone and the hub has not confirmed it", next_try=None
    )

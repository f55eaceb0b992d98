"""Received items, coded, into one parcel, so that a crash at any moment loses nothing and doubles nothing.

The order, each step durable before the next::

    1  <new>.merged   names the originals; means nothing as long as there is no body
    2  <new>.merging  the new body, read back, decoded and compared with them
    3  <new>.tge      it gets its name, and from here on stands for the originals
    4  <new>.head     the signed header (edge/pack)
    5  the originals' bodies go, then <new>.merged

`judge` says from the files alone how far it had come. The keys that make it possible are in memory
alone (`kept`); the marker holds identifiers and what the index would say, no UID and no name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace

from edge.spool.coding import Coding, Line
from edge.spool.custodian import Named
from edge.spool.files import SpoolFiles
from edge.spool.item import SpoolItem
from edge.spool.refill import Original, compare, write
from edge.spool.states import State
from gateway import canonical, durable
from gateway.envelope.layout import Draft
from gateway.envelope.record import Record
from gateway.envelope.seal import BodySealer
from gateway.envelope.trailer import trailer
from gateway.errors import Malformed
from gateway.model import ParcelId, Priority, parcel_id

_KEYS = frozenset({"parcels", "priority", "instances", "modality", "received_at"})
_LIMIT = 1 << 16


@dataclass(frozen=True, slots=True)
class Merged:
    """What a marker says.

    Attributes:
        parcels: the originals.
        item: the new parcel as the index has it before it is signed; its sizes are those of its file.
    """

    parcels: tuple[ParcelId, ...]
    item: SpoolItem

    @classmethod
    def of(cls, new: ParcelId, items: Sequence[SpoolItem]) -> Merged:
        """The marker for these originals."""
        item = SpoolItem(
            parcel_id=new,
            state=State.RECEIVED,
            sealed_size=0,
            chunk_count=0,
            instances=sum(one.instances for one in items),
            priority=min(one.priority for one in items),
            modality=items[0].modality,
            received_at=min(one.received_at for one in items),
        )
        return cls(tuple(one.parcel_id for one in items), item)

    def to_bytes(self) -> bytes:
        """Canonical JSON."""
        return canonical.dump(
            {
                "parcels": list(self.parcels),
                "priority": self.item.priority.word,
                "instances": self.item.instances,
                "modality": self.item.modality,
                "received_at": self.item.received_at,
            }
        )

    @classmethod
    def from_bytes(cls, new: ParcelId, data: bytes) -> Merged:
        """Read it. Raises Malformed."""
        record = Record.parse(data, "the marker of a merged parcel", _KEYS, limit=_LIMIT)
        item = SpoolItem(
            parcel_id=new,
            state=State.RECEIVED,
            sealed_size=0,
            chunk_count=0,
            instances=record.integer("instances", 0),
            priority=record.checked("priority", Priority.parse),
            modality=record.text("modality", 16),
            received_at=record.moment("received_at"),
        )
        return cls(tuple(map(parcel_id, record.items("parcels", 1, 1000))), item)


@dataclass(frozen=True, slots=True)
class Packed:
    """What was made.

    Attributes:
        merged: what the new parcel stands for.
        draft: of its header.
        plain: bytes of the instances as they came.
        ways: how many instances went by which way.
        named: those whose SHA-256 was taken now.
    """

    merged: Merged
    draft: Draft
    plain: int
    ways: Mapping[str, int]
    named: tuple[Named, ...]


def merge(
    files: SpoolFiles,
    new: ParcelId,
    parts: Sequence[tuple[SpoolItem, bytes]],
    sealed_for: Callable[[Callable[[memoryview], object], ParcelId], BodySealer],
    coding: Coding,
    line: Line,
) -> Packed:
    """Steps 1 to 3. Blocks. When it raises, the originals stand as before and nothing else does.

    Args:
        files: the spool's.
        new: a fresh identifier.
        parts: unsigned items, each with the key it was sealed under.
        sealed_for: makes the sealer of the new parcel.
        coding: how instances are made smaller.
        line: what that is weighed against.

    Raises:
        DataError: an original, or what was written, is not as it was sealed.
        OSError: a file cannot be read.
        StorageFull: no room.
    """
    merged = Merged.of(new, [item for item, _ in parts])
    durable.create(files.merged(new), merged.to_bytes())
    try:
        with ExitStack() as stack, durable.writing(files.merging(new)) as file:
            originals = [stack.enter_context(Original.open(files, item, key)) for item, key in parts]
            sealer = sealed_for(file.write, new)
            written = write(originals, sealer, coding, line)
            for original in originals:
                for notice in original.own.manifest.notices:
                    sealer.notice(notice)
            draft = sealer.finish()
            file.write(trailer(draft))
        compare(files.merging(new), sealer.key, written, coding)
        durable.move(files.merging(new), files.body(new))
    except Exception:
        files.merging(new).unlink(missing_ok=True)
        durable.remove(files.body(new))  # before the marker: without it, both would be sent
        durable.remove(files.merged(new))
        raise
    return Packed(merged, draft, written.length, written.ways, written.named)


def finish(files: SpoolFiles, new: ParcelId, originals: Sequence[ParcelId]) -> None:
    """Step 5: the new parcel is signed (or even confirmed), so the originals go. Safe to repeat."""
    files.drop(originals)
    durable.remove(files.merged(new))


def judge(files: SpoolFiles) -> tuple[dict[ParcelId, Merged], dict[ParcelId, Merged]]:
    """At start: which parcels stand for which others, by the files alone.

    Returns:
        Those that are not signed yet: their originals' bodies stay, and are not sent. And those that
        are: `finish` them, once the index has forgotten the originals.
    """
    standing: dict[ParcelId, Merged] = {}
    ended: dict[ParcelId, Merged] = {}
    for new, _ in list(files.parcels(".merging")):
        files.merging(new).unlink()
    for new, _ in list(files.parcels(".merged")):
        confirmed, signed, there = (one(new).exists() for one in (files.receipt, files.head, files.body))
        try:
            merged = Merged.from_bytes(new, files.merged(new).read_bytes())
            whole = there and bool(files.draft(new))
        except Malformed:
            continue  # marker or body is damaged: the originals stand for themselves
        alone = tuple(parcel for parcel in merged.parcels if not files.head(parcel).exists())
        if confirmed or (whole and signed):
            ended[new] = replace(merged, parcels=alone)
        elif whole:
            standing[new] = replace(merged, parcels=alone)
        elif not there and not signed:
            durable.remove(files.merged(new))  # step 3 was never reached
    return standing, ended

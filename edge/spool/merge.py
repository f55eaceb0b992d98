"""Several small parcels into one, so that a crash at any moment loses nothing and doubles nothing.

The order, each step durable before the next::

    1  <new>.merged   names the originals; means nothing as long as there is no body
    2  <new>.merging  the new body, read back and compared with them
    3  <new>.tge      it gets its name, and from here on stands for the originals
    4  <new>.head     the signed header (edge/pack)
    5  the originals' bodies go, then <new>.merged

`judge` says from the files alone how far it had come. The keys that make it possible are in memory
alone (`kept`); the marker holds identifiers and what the index would say, no UID and no name.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from edge.spool.files import BodyFile, SpoolFiles
from edge.spool.item import SpoolItem
from edge.spool.states import State
from gateway import canonical, durable
from gateway.envelope.inner import InstanceEntry
from gateway.envelope.layout import Draft
from gateway.envelope.own import OwnBody
from gateway.envelope.record import Record
from gateway.envelope.seal import BodySealer, KemPublic
from gateway.envelope.trailer import read_trailer, trailer
from gateway.errors import Malformed, Unverified
from gateway.model import ParcelId, Priority, SiteId, parcel_id

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


def merge(
    files: SpoolFiles,
    new: ParcelId,
    parts: Sequence[tuple[SpoolItem, bytes]],
    recipients: Sequence[KemPublic],
    site: SiteId,
) -> tuple[Merged, Draft]:
    """Steps 1 to 3. Blocks. When it raises, the originals stand as before and nothing else does.

    Args:
        files: the spool's.
        new: a fresh identifier.
        parts: unsigned items, each with the key it was sealed under.
        recipients: who can open the new parcel.
        site: our own.

    Raises:
        DataError: an original, or what was written, is not as it was sealed.
        OSError: a file cannot be read.
        StorageFull: no room.
    """
    merged = Merged.of(new, [item for item, _ in parts])
    durable.create(files.merged(new), merged.to_bytes())
    try:
        with durable.writing(files.merging(new)) as file:
            sealer = BodySealer(file.write, recipients, new, site=site)
            digests = [digest for item, key in parts for digest in _copy(files, item.parcel_id, key, sealer)]
            draft = sealer.finish()
            file.write(trailer(draft))
        _compare(files, new, sealer.key, digests)
        durable.move(files.merging(new), files.body(new))
    except Exception:
        files.merging(new).unlink(missing_ok=True)
        durable.remove(files.body(new))  # before the marker: without it, both would be sent
        durable.remove(files.merged(new))
        raise
    return merged, draft


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


def _copy(files: SpoolFiles, parcel: ParcelId, key: bytes, sealer: BodySealer) -> list[bytes]:
    """Take over the instances of one original. Returns the digests of their coded bytes."""
    draft = files.draft(parcel)
    own = OwnBody(draft, key)
    digests = []
    with files.opened(parcel) as body:
        for entry in own.manifest.instances:
            digest = hashlib.sha256()
            pieces = own.coded(entry, body.read)
            sealer.copy(entry, (_noted(piece, digest) for piece in pieces))
            digests.append(digest.digest() + _facts(entry))
    for notice in own.manifest.notices:
        sealer.notice(notice)
    return digests


def _compare(files: SpoolFiles, new: ParcelId, key: bytes, expected: list[bytes]) -> None:
    """Read the new body back. Raises Unverified if it does not hold exactly what was to be in it."""
    found = []
    with BodyFile(files.merging(new)) as body:
        own = OwnBody(read_trailer(body.read, body.size), key)
        for entry in own.manifest.instances:
            digest = hashlib.sha256()
            for piece in own.coded(entry, body.read):
                digest.update(piece)
            found.append(digest.digest() + _facts(entry))
    if found != expected:
        raise Unverified("the merged parcel does not hold what its originals hold")


def _noted(piece: memoryview, digest: hashlib._Hash) -> memoryview:
    digest.update(piece)
    return piece


def _facts(entry: InstanceEntry) -> bytes:
    """What must be the same of an instance besides its coded bytes: all but its place."""
    return canonical.dump([entry.sop_instance_uid, entry.sha256, entry.length, entry.codec])

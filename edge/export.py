"""What waits, written onto a disk that somebody carries to the hub. Only sealed bytes leave this machine.

The spool's files are immutable, so this reads them beside a running edge. Nothing is taken out of
the spool: what is on the disk still waits for the line, and whichever way arrives first counts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path

from edge.identity import EdgeIdentity
from edge.spool.files import BodyFile, SpoolFiles
from gateway.clock import Clock, rfc3339
from gateway.disk import LISTING_KIND, MOST, EdgeFolder, Listed, Listing, read_bounded
from gateway.envelope.layout import Header
from gateway.envelope.signature import STATEMENT_LIMIT, Statement, sign
from gateway.errors import DataError, StorageFull, Unverified, UsageError
from gateway.model import ParcelId

SETTLE_EVERY = 64
"""Parcels after which the disk's folders are synced."""


@dataclass(frozen=True, slots=True)
class Exported:
    """What an export came to.

    Attributes:
        folder: where it lies.
        written: parcels written now.
        there: parcels that lay there from before.
        size: sealed bytes written now.
        unsigned: parcels that have no signed header yet, and so cannot leave.
        held: parcels a person must look at first.
        elsewhere: parcels that lie on other disks.
        damaged: parcels that this machine cannot read back or this disk cannot hold, and why.
        left: parcels for which there is no room, on the disk or in its listing.
        full: whether it is the disk that has none.
    """

    folder: Path
    written: int
    there: int
    size: int
    unsigned: int
    held: int
    elsewhere: int
    damaged: dict[ParcelId, str]
    left: int
    full: bool


@dataclass(frozen=True, slots=True)
class _Waiting:
    signed: bytes
    header: Header

    @property
    def parcel(self) -> ParcelId:
        return self.header.parcel_id

    @property
    def listed(self) -> Listed:
        digest = Statement.from_bytes(self.signed).digest
        return Listed(self.parcel, digest, self.header.sealed_size)

    @property
    def rank(self) -> tuple[int, int]:
        return int(self.header.priority), self.header.sequence


def export(
    data: Path,
    identity: EdgeIdentity,
    disk: Path,
    clock: Clock,
    beside: Sequence[Path] = (),
    told: Callable[[int, int], None] = lambda *_: None,
) -> Exported:
    """Write every waiting parcel onto a disk, the most urgent first. Goes on where it was interrupted.

    Args:
        data: the edge's data folder.
        identity: signs the listing.
        disk: a folder on the disk.
        clock: for the listing.
        beside: other disks; what lies whole on one of them is not written again.
        told: called with parcels done and parcels in all.

    Raises:
        UsageError: `disk`, or one of `beside`, is no folder.
        StorageFull: the disk is so full that not even the listing has room.
        OSError: the disk is gone.
    """
    _check(disk, beside)
    files = SpoolFiles(data)
    target = EdgeFolder.of(disk, identity.site, identity.edge)
    target.prepare()
    found, damaged, held = _waiting(files)
    others = [EdgeFolder.of(one, identity.site, identity.edge) for one in beside]
    waiting = [one for one in found if not any(_lies_on(one, other) for other in others)]
    now = waiting[:MOST]
    unsigned = sum(not files.head(parcel).exists() for parcel, _ in files.parcels(".tge"))
    unsigned += files.segments.waiting()
    written, there, size, full = 0, 0, 0, False
    listed: list[Listed] = []
    for number, one in enumerate(now):
        told(number, len(now))
        try:
            new = _copy(files, one, target)
        except FileNotFoundError:
            if files.body(one.parcel).exists():
                raise  # it is the disk that is gone
            continue  # confirmed over the line meanwhile
        except (DataError, UsageError) as error:
            damaged[one.parcel] = str(error)
            continue
        except StorageFull:
            now, full = now[:number], True
            break
        listed.append(one.listed)
        written, there = written + new, there + (not new)
        size += one.header.sealed_size * new
        if new and written % SETTLE_EVERY == 0:
            target.settle()
    target.prepare()  # what was half-written makes room for the listing
    _list(target, identity, clock, listed)
    elsewhere, left = len(found) - len(waiting), len(waiting) - len(now)
    return Exported(target.folder, written, there, size, unsigned, held, elsewhere, damaged, left, full)


def _check(disk: Path, beside: Sequence[Path]) -> None:
    for option, folder in (("--to", disk), *(("--beside", one) for one in beside)):
        if not folder.is_dir():
            raise UsageError(f"{option} {folder} is no folder; is the disk mounted?")


def _waiting(files: SpoolFiles) -> tuple[list[_Waiting], dict[ParcelId, str], int]:
    found: list[_Waiting] = []
    damaged: dict[ParcelId, str] = {}
    held = 0
    for parcel, _ in files.parcels(".head"):
        if files.receipt(parcel).exists() or not files.body(parcel).exists():
            continue
        if files.held(parcel).exists():
            held += 1
            continue
        with suppress(FileNotFoundError):  # confirmed over the line meanwhile
            try:
                signed = files.head(parcel).read_bytes()
                found.append(_Waiting(signed, Header.from_bytes(Statement.from_bytes(signed).payload)))
            except DataError as error:
                damaged[parcel] = str(error)
    return sorted(found, key=attrgetter("rank")), damaged, held


def _copy(files: SpoolFiles, one: _Waiting, target: EdgeFolder) -> bool:
    """Write one parcel, its header last. Returns whether it was not there yet."""
    if _lies_on(one, target):
        return False
    head, body = target.head(one.parcel), target.body(one.parcel)
    with BodyFile(files.body(one.parcel), one.header.sealed_size) as source:
        target.write(body, _chunks(one.header, source))
    try:
        target.write(head, [one.signed])
    except StorageFull:
        body.unlink(missing_ok=True)  # without a header it would lie there for nothing
        raise
    return True


def _lies_on(one: _Waiting, folder: EdgeFolder) -> bool:
    with suppress(FileNotFoundError, DataError):
        same = read_bounded(folder.head(one.parcel), STATEMENT_LIMIT) == one.signed
        return same and folder.body(one.parcel).stat().st_size == one.header.sealed_size
    return False


def _chunks(header: Header, source: BodyFile) -> Iterator[bytes]:
    """The sealed chunks, each compared with the signed header. Raises Unverified."""
    for index, digest in enumerate(header.chunks):
        chunk = source.read(*header.chunk_span(index))
        if hashlib.sha256(chunk).hexdigest() != digest:
            raise Unverified(f"chunk {index} on this machine's disk does not match the signed header")
        yield chunk


def _list(target: EdgeFolder, identity: EdgeIdentity, clock: Clock, listed: list[Listed]) -> None:
    listing = Listing(identity.site, identity.edge, rfc3339(clock.now()), tuple(listed))
    target.write(target.listing, [sign(LISTING_KIND, listing.to_bytes(), identity.signer)])
    target.settle()

"""Parcels on a disk that a person carries when the line is dead for days: the folder both ends know.

::

    <disk>/telerad/H001-1/                 one folder an edge
        parcels/<parcel_id>.body           sealed body, as it would go over the line
        parcels/<parcel_id>.head           signed header; written last, so what has one is whole
        listing.json                       signed: everything an export wrote, so that a loss is seen
        receipts/<parcel_id>.receipt       the hub's, on the way back

Nothing on it can be read without the hub's key, and nothing changed without notice: each parcel is
the same bytes that the line carries. Files are written aside and renamed (no hard links: the disk
may be FAT), and a folder is synced once for many files; a disk that is pulled out half-way holds
whole parcels and perhaps the beginning of one more, which has no header and so does not count.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from errno import EDQUOT, EFBIG, ENOSPC
from pathlib import Path
from typing import Any, Self

from gateway import canonical, durable
from gateway.envelope.layout import HEADER_LIMIT
from gateway.envelope.record import Record
from gateway.errors import Malformed, StorageFull, UsageError
from gateway.model import ParcelId, Sha256, SiteId, parcel_id, sha256_hex, site_id

LISTING_KIND = "tge1-listing"
TOP = "telerad"
MOST = 50_000
"""Parcels in one listing; it must stay below the limit of a signed statement."""

_NEW = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
_KEYS = frozenset({"version", "site", "edge", "made_at", "parcels"})
_PARCEL_KEYS = frozenset({"parcel_id", "header_digest", "sealed_size"})


@dataclass(frozen=True, slots=True)
class Listed:
    """One parcel of a listing."""

    parcel: ParcelId
    header_digest: Sha256
    sealed_size: int

    @classmethod
    def read(cls, value: Any) -> Self:
        """From JSON. Raises Malformed."""
        record = Record(value, "a parcel of the listing", _PARCEL_KEYS)
        return cls(
            record.checked("parcel_id", parcel_id),
            record.checked("header_digest", sha256_hex),
            record.integer("sealed_size", 1),
        )


@dataclass(frozen=True, slots=True)
class Listing:
    """What an edge signs last.

    Attributes:
        site: of the edge.
        edge: its name within the site.
        made_at: RFC 3339 in UTC.
        parcels: everything the folder holds.
    """

    site: SiteId
    edge: str
    made_at: str
    parcels: tuple[Listed, ...]

    def to_bytes(self) -> bytes:
        """Canonical JSON."""
        return canonical.dump(
            {
                "version": 1,
                "site": self.site,
                "edge": self.edge,
                "made_at": self.made_at,
                "parcels": [
                    {
                        "parcel_id": one.parcel,
                        "header_digest": one.header_digest,
                        "sealed_size": one.sealed_size,
                    }
                    for one in self.parcels
                ],
            }
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read canonical JSON. Raises Malformed."""
        record = Record.parse(data, "the listing", _KEYS, limit=HEADER_LIMIT)
        record.integer("version", 1, 1)
        return cls(
            record.checked("site", site_id),
            record.text("edge", 64),
            record.moment("made_at"),
            tuple(map(Listed.read, record.items("parcels", 0, MOST))),
        )


@dataclass(frozen=True, slots=True)
class EdgeFolder:
    """One edge's folder on a disk. Every method blocks."""

    folder: Path

    @classmethod
    def of(cls, disk: Path, site: str, edge: str) -> Self:
        """Where an edge puts its parcels."""
        return cls(disk / TOP / f"{site}-{edge}")

    @classmethod
    def found(cls, disk: Path) -> list[Self]:
        """Every edge's folder on a disk, also if `disk` is one of them itself or the folder of all."""
        places = [disk, *sorted(disk.glob("*")), *sorted((disk / TOP).glob("*"))]
        return [cls(place) for place in places if (place / "parcels").is_dir()]

    @property
    def listing(self) -> Path:
        """The signed listing."""
        return self.folder / "listing.json"

    def head(self, parcel: ParcelId) -> Path:
        """A signed header."""
        return self.folder / "parcels" / f"{parcel}.head"

    def body(self, parcel: ParcelId) -> Path:
        """A sealed body."""
        return self.folder / "parcels" / f"{parcel}.body"

    def receipt(self, parcel: ParcelId) -> Path:
        """A receipt."""
        return self.folder / "receipts" / f"{parcel}.receipt"

    def prepare(self) -> None:
        """Make the folders, and remove what was half-written when the disk was pulled out."""
        for name in ("parcels", "receipts"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
            durable.sweep(self.folder / name)
        durable.sweep(self.folder)

    def parcels(self) -> Iterator[ParcelId]:
        """Every whole parcel, in no order."""
        yield from _named(self.folder / "parcels", ".head")

    def receipts(self) -> Iterator[ParcelId]:
        """Every parcel with a receipt, in no order."""
        yield from _named(self.folder / "receipts", ".receipt")

    def write(self, target: Path, pieces: Iterable[bytes]) -> None:
        """Write a file that appears whole; `settle` makes its name last.

        Raises:
            StorageFull: the disk is full.
            UsageError: it is a FAT disk, and the file larger than it can hold.
            OSError: the disk is gone, or cannot be written.
        """
        aside = target.with_name(f"{durable.TEMPORARY_PREFIX}{target.name}")
        try:
            handle = os.open(aside, _NEW, 0o600)  # never through a link that somebody put there
            with os.fdopen(handle, "wb") as file:
                for piece in pieces:
                    file.write(piece)
                file.flush()
                os.fsync(file.fileno())
            aside.replace(target)
        except OSError as error:
            if error.errno in (ENOSPC, EDQUOT):
                raise StorageFull(f"the disk at {self.folder} is full") from error
            if error.errno == EFBIG:
                aside.unlink(missing_ok=True)  # up to 4 GB, that the next parcels need
                raise UsageError(f"larger than a file on {self.folder} may be; is it FAT?") from error
            raise

    def settle(self) -> None:
        """After some `write`s: their names survive the disk's being pulled out."""
        for folder in (self.folder / "parcels", self.folder / "receipts", self.folder):
            durable.sync_folder(folder)


def read_bounded(file: Path, limit: int) -> bytes:
    """A whole file of at most `limit` bytes.

    Raises:
        Malformed: it is larger.
        OSError: it cannot be read.
    """
    with file.open("rb") as opened:
        data = opened.read(limit + 1)
    if len(data) > limit:
        raise Malformed(f"{file.name} is larger than {limit} bytes")
    return data


def _named(folder: Path, suffix: str) -> Iterator[ParcelId]:
    if not folder.is_dir():
        return
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if entry.is_file(follow_symlinks=False)]
    for name in sorted(names):
        if name.endswith(suffix):
            try:
                yield parcel_id(name.removesuffix(suffix))
            except Malformed:
                continue  # not ours; never touched

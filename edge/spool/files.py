"""The spool's folder: the truth, file by file.

::

    data/spool/segments/<n>.seg       what was received and is not signed yet (`segment`)
    data/spool/<parcel_id>.tge        sealed body and draft header (gateway/envelope/trailer); immutable
    data/spool/<parcel_id>.head       signed header; immutable
    data/spool/<parcel_id>.held       why a person is needed
    data/spool/<parcel_id>.merged     which unsigned parcels this one stands for
    data/receipts/ab/<parcel_id>.receipt   the hub's signed receipt; immutable
    data/spool/index.sqlite           rebuilt from the above when lost

A signed parcel always has its own ``.tge`` file. A header is removed only when its body is purged and a
newer header exists, so the newest header always tells how the chain goes on.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Self

from edge.spool.record import Record
from edge.spool.segments import SPARES, Segments
from gateway import durable
from gateway.envelope.layout import Draft
from gateway.envelope.seal import chunk_digest
from gateway.envelope.trailer import read_trailer, trailer
from gateway.errors import Malformed
from gateway.model import ParcelId, Sha256, parcel_id

UNNAMED = Sha256("0" * 64)
"""Stands in a record's draft for each chunk's digest, which nobody needed while the modality waited."""


@dataclass(frozen=True, slots=True)
class SpoolFiles:
    """Names and opens the files below the edge's data folder.

    Args:
        data: that folder.
        spares: segments kept when nothing is in them.
    """

    data: Path
    spares: int = SPARES
    spool: Path = field(init=False, compare=False)
    segments: Segments = field(init=False, compare=False)

    def __post_init__(self) -> None:
        """The folder of bodies and headers, and the segments in it."""
        object.__setattr__(self, "spool", self.data / "spool")
        object.__setattr__(self, "segments", Segments(self.spool / "segments", spares=self.spares))

    @property
    def receipts(self) -> Path:
        """The folder of receipts."""
        return self.data / "receipts"

    @property
    def index(self) -> Path:
        """The index."""
        return self.spool / "index.sqlite"

    def body(self, parcel: ParcelId) -> Path:
        """The sealed body with its draft header."""
        return self.spool / f"{parcel}.tge"

    def head(self, parcel: ParcelId) -> Path:
        """The signed header."""
        return self.spool / f"{parcel}.head"

    def held(self, parcel: ParcelId) -> Path:
        """Why the item is held."""
        return self.spool / f"{parcel}.held"

    def merged(self, parcel: ParcelId) -> Path:
        """Which parcels this one stands for (`merge`)."""
        return self.spool / f"{parcel}.merged"

    def merging(self, parcel: ParcelId) -> Path:
        """A body that is to stand for others, before it has been compared with them."""
        return self.spool / f"{parcel}.merging"

    def receipt(self, parcel: ParcelId) -> Path:
        """The hub's receipt."""
        return self.receipts / parcel[:2] / f"{parcel}.receipt"

    def lost(self, parcel: ParcelId) -> Path:
        """A receipt that no longer counts."""
        return self.receipt(parcel).with_suffix(".lost")

    def prepare(self) -> int:
        """Make the folders; remove what a crash left half-written. Returns how many such files there were."""
        durable.make_folder(self.spool)
        durable.make_folder(self.receipts)
        swept = durable.sweep(self.spool)
        return swept + sum(durable.sweep(folder) for folder in self.receipts.iterdir() if folder.is_dir())

    def expect(self) -> None:
        """As `intake.Keeps`: `Segments.prepare` has been here."""

    def add(self, parcel: ParcelId, note: bytes, record: Record) -> None:
        """Keep one record. Durable when this returns. Raises as `Segments.add`."""
        self.segments.add(parcel, note, record)

    def parcels(self, suffix: str) -> Iterator[tuple[ParcelId, os.stat_result]]:
        """Every parcel that has a file of this kind in the spool folder."""
        with os.scandir(self.spool) as entries:
            for entry in entries:
                name, dot, kind = entry.name.partition(".")
                if dot + kind == suffix:
                    try:
                        yield parcel_id(name), entry.stat()
                    except Malformed:
                        continue  # not ours; never touched

    def bodies(self) -> Iterator[tuple[ParcelId, os.stat_result]]:
        """Every parcel that has a body, in a file of its own or in a segment."""
        yield from self.parcels(".tge")
        for parcel, place in self.segments.places():
            if not self.body(parcel).exists():
                yield parcel, place.path.stat()

    def opened(self, parcel: ParcelId) -> BodyFile:
        """The sealed body of a parcel and what lies behind it. Raises FileNotFoundError if there is none."""
        place = self.segments.place(parcel)
        if place is None:
            return BodyFile(self.body(parcel))
        return BodyFile(place.path, place.length, place.offset)

    def drop(self, parcels: Iterable[ParcelId]) -> None:
        """Remove the bodies of parcels that another stands for. Durable when this returns; safe to repeat.

        Raises:
            OSError: the disk fails; what is not dropped is as before.
        """
        parcels = list(parcels)
        unlinked = False
        for parcel in parcels:
            if self.segments.place(parcel) is None:
                unlinked = True
                self.body(parcel).unlink(missing_ok=True)
        self.segments.take(parcels)
        if unlinked:
            durable.sync_folder(self.spool)

    def settle(self, parcel: ParcelId) -> None:
        """Give an item that lies in a segment its own ``.tge`` file, durably. Nothing, if it has one.

        Raises:
            StorageFull: no room; it stays where it is.
        """
        if self.segments.place(parcel) is None:
            return
        target = self.body(parcel)
        if not target.exists():
            with self.opened(parcel) as source, durable.writing(target) as file:
                try:
                    draft = self.draft(parcel)
                except Malformed:  # keep it as it is: recovery holds it and says why
                    size, end = source.size, b""
                else:
                    size, end = draft.sealed_size, trailer(draft)
                for at in range(0, size, _PIECE):
                    file.write(source.read(at, min(_PIECE, size - at)))
                file.write(end)
        self.segments.take([parcel])

    def draft(self, parcel: ParcelId) -> Draft:
        """The draft header behind a body, with the digest of every chunk.

        Raises:
            Malformed: the file is damaged or of another parcel.
            FileNotFoundError: there is none.
        """
        with self.opened(parcel) as file:
            draft = read_trailer(file.read, file.size)
            if draft.parcel_id != parcel:
                raise Malformed("the file holds another parcel than its name says")
            if UNNAMED in draft.chunks:
                spans = map(draft.chunk_span, range(len(draft.chunks)))
                draft = replace(draft, chunks=tuple(chunk_digest(file.read(*span)) for span in spans))
        return draft


_PIECE = 1 << 20


class BodyFile:
    """Positioned reads of one file, or of `size` bytes of it from `base`; safe to share between threads."""

    def __init__(self, path: Path, size: int | None = None, base: int = 0) -> None:
        self._base = base
        self._handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self.size = os.fstat(self._handle).st_size if size is None else size

    def read(self, offset: int, n: int) -> bytes:
        """Up to `n` bytes from `offset`; fewer only at the end of the body."""
        n = min(n, self.size - offset)
        if n <= 0:
            return b""
        offset += self._base
        data = os.pread(self._handle, n, offset)
        while len(data) < n:
            more = os.pread(self._handle, n - len(data), offset + len(data))
            if not more:
                break
            data += more
        return data

    def close(self) -> None:
        """Close the file."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

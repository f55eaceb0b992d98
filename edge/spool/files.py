"""The spool's folder: the truth, file by file.

::

    data/spool/<parcel_id>.tge        sealed body and draft header (gateway/envelope/trailer); immutable
    data/spool/<parcel_id>.head       signed header; immutable
    data/spool/<parcel_id>.held       why a person is needed
    data/spool/<parcel_id>.merged     which unsigned parcels this one stands for
    data/receipts/ab/<parcel_id>.receipt   the hub's signed receipt; immutable
    data/spool/index.sqlite           rebuilt from the above when lost

A header is removed only when its body is purged and a newer header exists, so the newest header
always tells how the chain goes on.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from gateway import durable
from gateway.envelope.layout import Draft
from gateway.envelope.trailer import read_trailer
from gateway.errors import Malformed
from gateway.model import ParcelId, parcel_id


@dataclass(frozen=True, slots=True)
class SpoolFiles:
    """Names and opens the files below the edge's data folder."""

    data: Path

    @property
    def spool(self) -> Path:
        """The folder of bodies and headers."""
        return self.data / "spool"

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

    def prepare(self) -> int:
        """Make the folders; remove what a crash left half-written. Returns how many such files there were."""
        durable.make_folder(self.spool)
        durable.make_folder(self.receipts)
        swept = durable.sweep(self.spool)
        return swept + sum(durable.sweep(folder) for folder in self.receipts.iterdir() if folder.is_dir())

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

    def opened(self, parcel: ParcelId) -> BodyFile:
        """The sealed body of a parcel and what lies behind it. Raises FileNotFoundError if there is none."""
        return BodyFile(self.body(parcel))

    def drop(self, parcels: Iterable[ParcelId]) -> None:
        """Remove the bodies of parcels that another stands for. Durable when this returns; safe to repeat."""
        for parcel in parcels:
            self.body(parcel).unlink(missing_ok=True)
        durable.sync_folder(self.spool)

    def draft(self, parcel: ParcelId) -> Draft:
        """The draft header behind a body.

        Raises:
            Malformed: the file is damaged or of another parcel.
            FileNotFoundError: there is none.
        """
        with self.opened(parcel) as file:
            draft = read_trailer(file.read, file.size)
        if draft.parcel_id != parcel:
            raise Malformed("the file holds another parcel than its name says")
        return draft


class BodyFile:
    """Positioned reads of one file; safe to share between threads."""

    def __init__(self, path: Path, size: int | None = None) -> None:
        self._handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self.size = os.fstat(self._handle).st_size if size is None else size

    def read(self, offset: int, n: int) -> bytes:
        """Up to `n` bytes from `offset`; fewer only at the end of the body."""
        n = min(n, self.size - offset)
        if n <= 0:
            return b""
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

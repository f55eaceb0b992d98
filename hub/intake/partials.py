"""Part files: one a parcel, its full length set aside at once, and beside it the bitmap of what is durable.

``<parcel>.part`` holds the sealed bytes, ``<parcel>.map`` the bitmap. A chunk counts only once its
bytes have survived `fdatasync` and, after that, the bitmap has: a torn bitmap can then only
understate, since its bits go from 0 to 1. For a parcel that the journal records as whole the
bitmap says nothing any more. All functions block; call them off the event loop.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from errno import EDQUOT, ENOSPC
from pathlib import Path

from gateway import durable
from gateway.errors import StorageFull
from gateway.model import ParcelId
from gateway.wire.chunks import ChunkSet, bytes_needed
from gateway.wire.receiver import Facts

Read = Callable[[int, int], bytes]
_PART, _MAP = ".part", ".map"


@dataclass(frozen=True, slots=True)
class Piece:
    """One chunk to be written at its place."""

    index: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Work:
    """What one batch does to one parcel.

    Attributes:
        facts: where its chunks belong.
        have: the chunks that were durable before.
        pieces: what came.
    """

    facts: Facts
    have: ChunkSet
    pieces: tuple[Piece, ...]

    @property
    def completes(self) -> bool:
        """Whether nothing is missing afterwards."""
        return len(self.have) + len(self.pieces) == self.have.size


class Partials:
    """The folder of part files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        durable.make_folder(folder)

    def path(self, parcel: ParcelId) -> Path:
        """The part file of a parcel."""
        return self.folder / f"{parcel}{_PART}"

    def keep(self, batch: Sequence[Work]) -> None:
        """Make the pieces of several parcels durable together.

        A parcel that is new gets its full length set aside. The bitmap of one that this completes is
        left alone: the journal is to record it as whole next.

        Raises:
            StorageFull: no room; nothing of the batch may be counted.
        """
        new = [work for work in batch if not self.path(work.facts.parcel).exists()]
        try:
            for work in batch:
                self._write(work, new=work in new)
            if new:
                durable.sync_folder(self.folder)
            for work in batch:
                if work.pieces and not work.completes:
                    self._mark(work)
        except OSError as error:
            with suppress(
                OSError
            ):  # or the next try would take them for files that are durable and in full length
                self.remove([work.facts.parcel for work in new])
            if error.errno in (ENOSPC, EDQUOT):
                raise StorageFull(f"no room for parcels in {self.folder}") from error
            raise

    def have(self, parcel: ParcelId, size: int) -> ChunkSet:
        """What is durable of a parcel that is not whole, read back after a restart."""
        if not self.path(parcel).exists():
            return ChunkSet(size)
        with _opened(self._map(parcel), os.O_RDONLY | os.O_CREAT) as handle:
            bits = os.pread(handle, bytes_needed(size), 0)
        return ChunkSet(size, bits.ljust(bytes_needed(size), b"\0"))

    def forget(self, facts: Facts, have: ChunkSet) -> None:
        """Write the bitmap anew because chunks were lost."""
        durable.replace(self._map(facts.parcel), have.to_bytes())

    @contextmanager
    def reading(self, parcel: ParcelId) -> Iterator[Read]:
        """Read access to the sealed bytes. Raises FileNotFoundError."""
        with _opened(self.path(parcel), os.O_RDONLY) as handle:

            def read(offset: int, size: int) -> bytes:
                with durable.naming(self.folder):
                    return _read(handle, offset, size)

            yield read

    def remove(self, parcels: Sequence[ParcelId]) -> None:
        """Remove what is no longer needed; not made durable, since `sweep` does it again."""
        for parcel in parcels:
            self.path(parcel).unlink(missing_ok=True)
            self._map(parcel).unlink(missing_ok=True)

    def sweep(self, wanted: set[ParcelId]) -> int:
        """At start: remove all but the files of `wanted` parcels. Returns how many went."""
        durable.sweep(self.folder)
        gone = [
            path for path in self.folder.iterdir() if path.suffix in (_PART, _MAP) and path.stem not in wanted
        ]
        for path in gone:
            path.unlink()
        return len(gone)

    def _map(self, parcel: ParcelId) -> Path:
        return self.folder / f"{parcel}{_MAP}"

    def _write(self, work: Work, *, new: bool) -> None:
        """Bytes of one parcel, durable; the folder entry of a new file is not."""
        with _opened(self.path(work.facts.parcel), os.O_WRONLY | os.O_CREAT) as handle:
            if new:
                os.posix_fallocate(handle, 0, work.facts.sealed_size)
            for piece in work.pieces:
                _write_all(handle, piece.data, work.facts.place(piece.index)[0])
            if work.pieces:
                os.fdatasync(handle)

    def _mark(self, work: Work) -> None:
        path = self._map(work.facts.parcel)
        created = not path.exists()
        have = ChunkSet(work.have.size, work.have.to_bytes())
        have.update(piece.index for piece in work.pieces)
        with _opened(path, os.O_WRONLY | os.O_CREAT) as handle:
            _write_all(handle, have.to_bytes(), 0)
            os.fdatasync(handle)
        if created:
            durable.sync_folder(self.folder)


@contextmanager
def _opened(path: Path, flags: int) -> Iterator[int]:
    handle = os.open(path, flags | os.O_CLOEXEC, 0o600)
    try:
        yield handle
    finally:
        os.close(handle)


def _write_all(handle: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(handle, view, offset)
        view, offset = view[written:], offset + written


def _read(handle: int, offset: int, size: int) -> bytes:
    parts: list[bytes] = []
    while size > 0 and (part := os.pread(handle, size, offset)):
        parts.append(part)
        offset, size = offset + len(part), size - len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)

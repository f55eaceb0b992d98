"""All receive segments of a spool: where a new record goes, where one lies, and when a file is used again."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from errno import EDQUOT, ENOSPC
from pathlib import Path

from edge.spool.segment import Found, Segment, scan
from gateway import durable
from gateway.errors import ResourceError, StorageFull
from gateway.log import logger
from gateway.model import ParcelId

SIZE = 64 << 20
SPARES = 8
"""Segments kept for use again: about a thousand CT images received at full speed before they are signed."""

LARGEST = 4 << 20
"""Sealed bytes up to which an item is held in memory and written as one record."""

log = logger("edge.spool")


@dataclass(frozen=True, slots=True)
class Place:
    """Where the content of a record lies."""

    path: Path
    offset: int
    length: int


class Segments:
    """The segments below one folder. Safe to share between threads; one process owns them.

    Args:
        folder: ``data/spool/segments``; made when it is first needed.
        size: bytes of a segment.
        spares: segments kept when nothing is in them.
    """

    def __init__(self, folder: Path, size: int = SIZE, spares: int = SPARES) -> None:
        self._folder, self._size, self._keep = folder, size, spares
        self._lock = threading.Lock()
        self._spares: list[Segment] = []
        self._active: Segment | None = None
        self._records: dict[ParcelId, tuple[Segment, Found]] = {}
        self._count = 0

    def recover(self, known: Callable[[ParcelId], bool]) -> list[Found]:
        """At start: the records that were received and not taken, and those that have rotted.

        They stay where they are, and are known to `place`, until `take` is called for them.

        Args:
            known: whether the index has heard of an item.
        """
        live = []
        for path in self._paths():
            segment = Segment(path, self._size)
            self._count = max(self._count, int(path.stem) if path.stem.isdecimal() else 0)
            for found in scan(path):
                missed = not found.taken and (found.whole or known(found.parcel))
                if missed and found.parcel not in self._records:
                    live.append(found)
                    self._records[found.parcel] = (segment, found)
                    segment.live += 1
            if not segment.live:
                self._put_back(segment)
        return live

    def waiting(self) -> int:
        """Records on the disk that are not taken; for another process than the owner."""
        return sum(not found.taken and found.whole for path in self._paths() for found in scan(path))

    @property
    def ready(self) -> int:
        """Segments that wait to be used, written before."""
        return len(self._spares)

    def prepare(self, count: int = 2) -> None:
        """Have `count` segments ready whose blocks were written before. Blocks for a second or so.

        Raises:
            OSError: the disk is full, or fails.
        """
        while True:
            with self._lock:
                if len(self._spares) >= count:
                    return
                segment = self._made()
            segment.fill()
            with self._lock:
                self._spares.append(segment)

    def add(self, parcel: ParcelId, note: bytes, pieces: Sequence[bytes]) -> None:
        """Keep one record. Durable when this returns.

        Raises:
            StorageFull: no room.
            ResourceError: the disk fails.
        """
        size = len(note) + sum(map(len, pieces))
        try:
            segment, at = self._reserve(size)
        except OSError as error:
            raise _lack(error) from error
        try:
            found = segment.write(at, parcel, note, pieces)
        except OSError as error:
            log.warning("the disk failed", segment=segment.path.name, reason=str(error))
            raise _lack(error) from error
        else:
            with self._lock:
                segment.live += 1
                self._records[parcel] = (segment, replace(found, note=b""))
        finally:
            with self._lock:
                segment.pending -= 1
                self._settle(segment)

    def place(self, parcel: ParcelId) -> Place | None:
        """Where a record's content lies, if there is one."""
        known = self._records.get(parcel)
        return None if known is None else _place(*known)

    def places(self) -> list[tuple[ParcelId, Place]]:
        """Every record that is not taken."""
        with self._lock:
            return [(parcel, _place(*known)) for parcel, known in self._records.items()]

    def take(self, parcels: Iterable[ParcelId]) -> None:
        """These live on elsewhere, durably: let go of their records, durably. Safe to repeat."""
        going: dict[Segment, list[Found]] = defaultdict(list)
        with self._lock:
            for parcel in parcels:
                known = self._records.pop(parcel, None)
                if known is not None:
                    going[known[0]].append(known[1])
        while going:
            segment, records = going.popitem()
            try:
                segment.take([record.at for record in records])
            except OSError:
                with self._lock:
                    for left, known_left in (*going.items(), (segment, records)):
                        self._records.update((one.parcel, (left, one)) for one in known_left)
                raise
            with self._lock:
                segment.live -= len(records)
                self._settle(segment)

    def close(self) -> None:
        """Close every file."""
        with self._lock:
            held = {segment for segment, _ in self._records.values()}
            for segment in (*self._spares, *held, *([self._active] if self._active else [])):
                segment.close()
            self._spares, self._active = [], None
            self._records.clear()

    def _paths(self) -> list[Path]:
        return sorted(self._folder.glob("*.seg")) if self._folder.is_dir() else []

    def _reserve(self, size: int) -> tuple[Segment, int]:
        with self._lock:
            while True:
                if self._active is None:
                    segment = self._spares.pop() if self._spares else self._made()
                    segment.begin()
                    self._active = segment
                at = self._active.reserve(size)
                if at is not None:
                    return self._active, at
                full, self._active = self._active, None
                self._settle(full)

    def _made(self) -> Segment:
        durable.make_folder(self._folder)
        self._count += 1
        path = self._folder / f"{self._count:08}.seg"
        segment = Segment(path, self._size)
        durable.sync_folder(self._folder)
        return segment

    def _settle(self, segment: Segment) -> None:
        """Use a segment again once nothing in it is needed."""
        if segment is not self._active and not segment.live and not segment.pending:
            self._put_back(segment)

    def _put_back(self, segment: Segment) -> None:
        if segment.failed or len(self._spares) >= self._keep:
            segment.close()
            segment.path.unlink(missing_ok=True)
        elif segment not in self._spares:
            self._spares.append(segment)


def _place(segment: Segment, found: Found) -> Place:
    return Place(segment.path, found.offset, found.length)


def _lack(error: OSError) -> ResourceError:
    if error.errno in (ENOSPC, EDQUOT):
        return StorageFull("no room to keep what is received")
    return ResourceError(f"the disk does not keep what is received: {error.strerror or error}")

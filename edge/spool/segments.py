"""All receive segments of a spool: where a new record goes, where one lies, and when a file is used again."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from errno import EDQUOT, ENOSPC
from pathlib import Path

from edge.spool.record import HEAD_SIZE, Found, Record
from edge.spool.segment import Segment, scan, wait_for_writers
from gateway import durable
from gateway.errors import ResourceError, StorageFull
from gateway.log import logger
from gateway.model import ParcelId

SIZE = 64 << 20
SPARES = 8
"""Segments kept for use again where nobody says how many: about a thousand CT images."""

_Known = tuple[Segment, int, int, int]  # where the record begins and its content, and how long that is

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
        direct: as `Segment` takes it.

    Attributes:
        spares: as above.
    """

    def __init__(self, folder: Path, size: int = SIZE, spares: int = SPARES, *, direct: bool = True) -> None:
        self.folder, self.spares = folder, spares
        self._size, self._direct = size, direct
        self._lock = threading.Lock()
        self._ready: list[Segment] = []
        self._active: Segment | None = None
        self._leased: dict[str, set[ParcelId]] = {}  # by name: the records that were told of
        self._records: dict[ParcelId, _Known] = {}
        self._count = 0

    def recover(self, known: Callable[[ParcelId], bool]) -> list[Found]:
        """At start: the records that were received and not taken, and those that have rotted.

        They stay where they are, and are known to `place`, until `take` is called for them.

        Args:
            known: whether the index has heard of an item.
        """
        live = []
        for path in self._paths():
            wait_for_writers(path)
            segment = Segment(path, self._size, direct=self._direct)
            self._count = max(self._count, int(path.stem) if path.stem.isdecimal() else 0)
            for found in scan(path):
                missed = not found.taken and (found.whole or known(found.parcel))
                if missed and found.parcel not in self._records:
                    live.append(found)
                    self._records[found.parcel] = (segment, found.at, found.offset, found.length)
                    segment.live += 1
            if not segment.live:
                (self._drop if segment.begun_only else self._put_back)(segment)
        return live

    def waiting(self) -> int:
        """Records on the disk that are not taken; for another process than the owner."""
        return sum(not found.taken and found.whole for path in self._paths() for found in scan(path))

    @property
    def ready(self) -> int:
        """Segments that wait to be used, written before."""
        return len(self._ready)

    def prepare(self, count: int = 2) -> None:
        """Have `count` segments ready whose blocks were written before. Blocks for a second or so.

        Raises:
            OSError: the disk is full, or fails.
        """
        while True:
            with self._lock:
                if len(self._ready) >= count:
                    return
                segment = self._made()
            with self._or_dropped(segment):
                segment.fill()
            with self._lock:
                self._ready.append(segment)

    def spare_less(self) -> None:
        """Give the disk back what one segment holds that waits to be used."""
        with self._lock:
            if self._ready:
                self._drop(self._ready.pop(0))

    def add(self, parcel: ParcelId, note: bytes, record: Record) -> None:
        """Keep one record. Durable when this returns.

        Raises:
            StorageFull: no room.
            ResourceError: the disk fails.
        """
        try:
            segment, at = self._reserve(len(note) + record.length)
        except OSError as error:
            raise lack(error) from error
        try:
            segment.write(at, parcel, note, record)
        except OSError as error:
            log.warning("the disk failed", segment=segment.path.name, reason=str(error))
            raise lack(error) from error
        else:
            with self._lock:
                segment.live += 1
                self._records[parcel] = (segment, at, at + HEAD_SIZE, record.length)
        finally:
            with self._lock:
                segment.pending -= 1
                self._settle(segment)

    def lease(self) -> Segment:
        """A segment with a new life, for one other process to write records to.

        Raises:
            StorageFull: no room.
            ResourceError: the disk fails.
        """
        try:
            with self._lock:
                segment = self._begun(lent=True)
                self._leased[segment.path.name] = set()
        except OSError as error:
            raise lack(error) from error
        return segment

    def adopt(self, segment: Segment, records: Sequence[tuple[ParcelId, int, int]]) -> None:
        """The holder of a lease has kept records, durably: where each begins, and how long its content is."""
        with self._lock:
            segment.live += len(records)
            self._records.update(
                (parcel, (segment, at, at + HEAD_SIZE, length)) for parcel, at, length in records
            )
            self._leased[segment.path.name].update(parcel for parcel, _, _ in records)

    def give_back(self, segment: Segment, *, failed: bool = False) -> None:
        """The holder of a lease writes no more."""
        with self._lock:
            segment.failed |= failed
            del self._leased[segment.path.name]
            self._settle(segment)

    def reclaim(self, segment: Segment) -> list[Found]:
        """The holder of a lease has died: the records it had no time to tell of, known from now on."""
        told = self._leased[segment.path.name]
        found = [one for one in scan(segment.path) if one.whole and not one.taken and one.parcel not in told]
        self.adopt(segment, [(one.parcel, one.at, one.length) for one in found])
        self.give_back(segment)
        return found

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
        going: dict[Segment, dict[ParcelId, _Known]] = defaultdict(dict)
        with self._lock:
            for parcel in parcels:
                known = self._records.pop(parcel, None)
                if known is not None:
                    going[known[0]][parcel] = known
        while going:
            segment, records = going.popitem()
            try:
                segment.take([at for _, at, _, _ in records.values()])
            except OSError:
                with self._lock:
                    for left in (*going.values(), records):
                        self._records.update(left)
                raise
            with self._lock:
                segment.live -= len(records)
                self._settle(segment)

    def close(self) -> None:
        """Close every file."""
        with self._lock:
            held = {known[0] for known in self._records.values()}
            for segment in (*self._ready, *held, *([self._active] if self._active else [])):
                segment.close()
            self._ready, self._active = [], None
            self._records.clear()

    def _paths(self) -> list[Path]:
        return sorted(self.folder.glob("*.seg")) if self.folder.is_dir() else []

    def _reserve(self, size: int) -> tuple[Segment, int]:
        with self._lock:
            while True:
                if self._active is None:
                    self._active = self._begun()
                at = self._active.reserve(size)
                if at is not None:
                    return self._active, at
                full, self._active = self._active, None
                self._settle(full)

    def _begun(self, *, lent: bool = False) -> Segment:
        """One with a new life. Raises OSError: the disk fails, and that segment is of no more use."""
        segment = self._ready.pop() if self._ready else self._made()
        with self._or_dropped(segment):
            segment.begin(lent=lent)
        return segment

    def _made(self) -> Segment:
        durable.make_folder(self.folder)
        self._count += 1
        path = self.folder / f"{self._count:08}.seg"
        segment = Segment(path, self._size, direct=self._direct, new=True)
        with self._or_dropped(segment):
            durable.sync_folder(self.folder)
        return segment

    def _settle(self, segment: Segment) -> None:
        """Use a segment again once nothing in it is needed."""
        used = segment is self._active or segment.path.name in self._leased
        if not used and not segment.live and not segment.pending:
            self._put_back(segment)

    @contextmanager
    def _or_dropped(self, segment: Segment) -> Iterator[None]:
        """If this fails, the segment is of no more use, and must take neither room nor a handle."""
        try:
            yield
        except BaseException:
            self._drop(segment)
            raise

    def _drop(self, segment: Segment) -> None:
        segment.close()
        segment.path.unlink(missing_ok=True)

    def _put_back(self, segment: Segment) -> None:
        if segment.failed or len(self._ready) >= self.spares:
            self._drop(segment)
        elif segment not in self._ready:
            self._ready.append(segment)


def _place(segment: Segment, _: int, offset: int, length: int) -> Place:
    return Place(segment.path, offset, length)


def lack(error: OSError) -> ResourceError:
    """What a failed write means."""
    if error.errno in (ENOSPC, EDQUOT):
        return StorageFull("no room to keep what is received")
    return ResourceError(f"the disk does not keep what is received: {error.strerror or error}")

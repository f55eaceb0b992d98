"""The spool as an acceptor process writes to it: records into segments that are leased to it alone."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from edge.spool.record import Record
from edge.spool.segment import Segment
from edge.spool.segments import SIZE, lack
from gateway.errors import GatewayError
from gateway.model import ParcelId

Place = tuple[str, int, int]
"""A record's segment, where it begins there, and the length of its content."""


class Asked(Protocol):
    """An answer that may be still to come."""

    def wait(self) -> list[str]:
        """Name and life of a segment. Raises GatewayError: there is none."""


@dataclass(slots=True)
class _Lease:
    segment: Segment
    retired: bool = False


class Leases:
    """Where an acceptor keeps what comes (`intake.Keeps`). Thread-safe.

    Args:
        spool: the spool's folder.
        segments: that of the segments.
        ask: asks for a lease.
        done: tells that one is not written to any more: its name, and whether the disk failed.
    """

    def __init__(
        self, spool: Path, segments: Path, ask: Callable[[], Asked], done: Callable[[str, bool], object]
    ) -> None:
        self._spool, self._segments, self._ask, self._done = spool, segments, ask, done
        self._lock = threading.Lock()
        self._now: _Lease | None = None
        self._next: Asked | None = None
        self._written: dict[ParcelId, tuple[_Lease, int, int]] = {}

    def expect(self) -> None:
        """Something is about to come: ask for a place, so that the first need not wait for it."""
        with self._lock:
            if self._now is None and self._next is None:
                self._next = self._ask()

    def body(self, parcel: ParcelId) -> Path:
        """The file of its own of a large item."""
        return self._spool / f"{parcel}.tge"

    def add(self, parcel: ParcelId, note: bytes, record: Record) -> None:
        """Keep one record. Durable when this returns; then `place` must be told, and `told` called.

        Raises:
            StorageFull: no room.
            ResourceError: the disk fails.
        """
        lease, at = self._reserve(len(note) + record.length)
        try:
            lease.segment.write(at, parcel, note, record)
        except OSError as error:
            self._over(lease)
            raise lack(error) from error
        with self._lock:
            self._written[parcel] = (lease, at, record.length)

    def place(self, parcel: ParcelId) -> Place | None:
        """Where the record of an item lies; None: it has a file of its own."""
        found = self._written.get(parcel)
        return None if found is None else (found[0].segment.path.name, found[1], found[2])

    def told(self, parcel: ParcelId) -> None:
        """The spool knows of it."""
        with self._lock:
            found = self._written.pop(parcel, None)
        if found is not None:
            self._over(found[0])

    def close(self) -> None:
        """Give everything back."""
        with self._lock:
            now, self._now = self._now, None
            if now is not None:
                now.retired = True
        if now is not None:
            self._finish(now)

    def _reserve(self, size: int) -> tuple[_Lease, int]:
        """Raises as `add`."""
        ended = []
        try:
            with self._lock:
                while True:
                    if self._now is None:
                        self._now = self._taken()
                    at = self._now.segment.reserve(size)
                    if at is not None:
                        self._ask_ahead(at)
                        return self._now, at
                    self._now.retired = True
                    ended.append(self._now)
                    self._now = None
        finally:
            for one in ended:
                self._finish(one)

    def _taken(self) -> _Lease:
        ahead, self._next = self._next, None
        try:
            name, life = (ahead or self._ask()).wait()
        except GatewayError:
            if ahead is None:
                raise
            name, life = self._ask().wait()  # there was none when it was asked for
        try:
            segment = Segment(self._segments / name, SIZE)
            segment.join(bytes.fromhex(life))
        except OSError as error:
            self._done(name, False)
            raise lack(error) from error
        return _Lease(segment)

    def _ask_ahead(self, at: int) -> None:
        if self._next is None and at > SIZE // 2:
            self._next = self._ask()

    def _over(self, lease: _Lease) -> None:
        with self._lock:
            lease.segment.pending -= 1
        self._finish(lease)

    def _finish(self, lease: _Lease) -> None:
        """Give a segment back once it is full and everything in it was told."""
        with self._lock:
            if not lease.retired or lease.segment.pending or lease.segment.closed:
                return
            lease.segment.close()
        self._done(lease.segment.path.name, lease.segment.failed)

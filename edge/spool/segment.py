"""One receive segment: a file in which received items lie as records until the packer has taken them.

Why not a file for each: a new file costs its own inode, rename and folder in the file system's journal,
0.9 to 2.8 ms for 525 KB here; blocks that were written before cost 0.3 ms, as a database's log does. So
segments are used over and over.

Records go past the page cache where the file system lets them (``O_DIRECT``), durable with the write itself
(``RWF_DSYNC``): for 525 KB that takes 50 µs of a processor instead of 170, and 0.17 to 0.25 ms instead of
0.4, and a write that fails says so to its own writer, so that everybody syncs alone and the kernel joins
what it can: most of it carries the bytes, so that one sync for several would save little. What the page
cache still holds of a segment (zeros of `fill`, records of its last life that were read) is let go before
its next life: else every write would have to do that page by page, 0.07 ms for 525 KB. A record is written
at once, when it is whole: of 0.17 ms, writing the greater part before that would save 0.02 at the end and
cost 0.08 of a processor, as each write takes 0.05, however short, and the page with the head must be one of
the last. Elsewhere one ``fdatasync`` serves everybody who waits at that moment.

::

    page 0    "TGSEG001" · life (16 random bytes); before the first life "TGSEGNEW" · zeros
    page n    a record (`record`)

A record begins on a page of its own, so that writing one never touches a page of another that was
acknowledged.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import secrets
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing
from errno import EDQUOT, EIO, ENOSPC
from pathlib import Path
from struct import Struct

from edge.spool import record as records
from edge.spool.aligned import LEAST, PAGE, memory
from edge.spool.record import HEAD_SIZE, STATE_AT, TAKEN, Found, Life, Record
from gateway.model import ParcelId

FILE_MAGIC, NEW_MAGIC = b"TGSEG001", b"TGSEGNEW"
_FILE = Struct("<8s16s")
LARGEST = 4 << 20
"""Sealed bytes up to which an item is held in memory and written as one record."""


class Segment:
    """One segment file, open for writing. Safe to share between threads.

    Args:
        path: of the file; made if it is not there.
        size: bytes it may grow to.
        direct: whether records go past the page cache, if the file system lets them.
        new: whether it must not be there yet.

    Raises:
        OSError: it cannot be opened or made.

    Attributes:
        live: records that are not taken yet.
        pending: records being written.
        failed: the disk would not say that it holds what was written; nothing more is added.
    """

    def __init__(self, path: Path, size: int, *, direct: bool = True, new: bool = False) -> None:
        self.path, self.size, self._wish = path, size, direct
        self.live = self.pending = 0
        self.failed = False
        made = os.O_CREAT | (os.O_EXCL if new else 0)
        self._handle = os.open(path, os.O_RDWR | made | os.O_CLOEXEC, 0o600)
        self._direct = -1
        self._life = Life(bytes(16))  # until one is begun
        self._next = PAGE
        self._turn = threading.Condition()
        self._written = self._synced = 0
        self._syncing = False

    def begin(self, *, lent: bool = False) -> None:
        """Begin a new life, durably: every record must have been taken.

        Args:
            lent: whether another process will write to it: then it costs this one a single handle.

        Raises:
            OSError: the disk fails.
        """
        self._life, self._next = Life(secrets.token_bytes(16)), PAGE
        _write(self._handle, _FILE.pack(FILE_MAGIC, self.life), 0)
        os.fdatasync(self._handle)
        os.posix_fadvise(self._handle, 0, 0, os.POSIX_FADV_DONTNEED)
        if self._wish and self._direct < 0 and not lent:
            self._direct = _open_direct(self.path)

    def join(self, life: bytes) -> None:
        """Write to it in another process than its owner's, alone, in the life the owner has begun.

        Until this process ends nobody recovers it (`wait_for_writers`).
        """
        fcntl.flock(self._handle, fcntl.LOCK_EX)
        self._life, self._next = Life(life), PAGE
        if self._wish:
            self._direct = _open_direct(self.path)

    @property
    def life(self) -> bytes:
        """Random bytes that every record of this life bears."""
        return self._life.ident

    @property
    def begun_only(self) -> bool:
        """Whether much of it was never written: left by a crash while it was filled, or hardly used."""
        return os.fstat(self._handle).st_size < self.size * 7 // 8

    @property
    def closed(self) -> bool:
        """Whether it has been closed."""
        return self._handle < 0

    def fill(self) -> None:
        """Write every block once, so that later writes find them there.

        Past the page cache this takes 4 instead of 24 ms of a processor for 64 MB.

        Raises:
            OSError: the disk is full, or fails.
        """
        direct = _open_direct(self.path) if self._wish else -1
        try:
            zeros = memoryview(memory(LEAST))
            for at in range(0, self.size, LEAST):
                _write(self._handle if direct < 0 else direct, zeros[: self.size - at], at)
        finally:
            if direct >= 0:
                os.close(direct)
        _write(self._handle, _FILE.pack(NEW_MAGIC, bytes(16)), 0)
        os.fdatasync(self._handle)
        os.posix_fadvise(self._handle, 0, 0, os.POSIX_FADV_DONTNEED)

    def reserve(self, size: int) -> int | None:
        """A place for a record of `size` bytes of note and content; None if there is none left.

        For the owner alone, who holds its own lock; counts it as pending.
        """
        at, end = self._next, self._next + HEAD_SIZE + size
        if self.failed or (end > self.size and at > PAGE):
            return None
        self._next = -(-end // PAGE) * PAGE
        self.pending += 1
        return at

    def write(self, at: int, parcel: ParcelId, note: bytes, record: Record) -> None:
        """Write one record at the place reserved for it, and wait until it is durable.

        Raises:
            OSError: it is not; nothing was promised to anyone.
        """
        data = record.whole(at, self._life, parcel, note)
        if self._direct >= 0:
            self._past_the_cache(data, at)
        else:
            _write(self._handle, data, at)
            self._commit()

    def take(self, places: Sequence[int]) -> None:
        """Mark the records that begin at these places as taken, durably."""
        for at in places:
            _write(self._handle, TAKEN, at + STATE_AT)
        os.fdatasync(self._handle)

    def close(self) -> None:
        """Close the file."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1
        if self._direct >= 0:
            os.close(self._direct)
            self._direct = -1

    def _past_the_cache(self, data: memoryview, at: int) -> None:
        try:
            written = os.pwritev(self._direct, [data], at, os.RWF_DSYNC)
        except OSError as error:
            self.failed |= error.errno not in (ENOSPC, EDQUOT)
            raise
        if written != len(data):
            self.failed = True
            raise OSError(EIO, "written in part")

    def _commit(self) -> None:
        """Group commit: whoever comes first syncs for all who have written by then; the others wait."""
        with self._turn:
            self._written += 1
            mine = self._written
            while self._syncing and self._synced < mine and not self.failed:
                self._turn.wait()
            if self.failed:
                raise OSError(f"{self.path.name} cannot be made durable")
            if self._synced >= mine:
                return
            self._syncing, reached = True, self._written
        try:
            os.fdatasync(self._handle)
        except BaseException:
            # the kernel may have dropped the pages: a second try would succeed and mean nothing
            with self._turn:
                self._syncing, self.failed = False, True
                self._turn.notify_all()
            raise
        with self._turn:
            self._syncing, self._synced = False, reached
            self._turn.notify_all()


def wait_for_writers(path: Path) -> None:
    """Until no other process writes to a segment any more (`Segment.join`). Blocks."""
    handle = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
    finally:
        os.close(handle)


def scan(path: Path) -> Iterator[Found]:
    """Every record of a segment file, taken or not, of its present life.

    A damaged page costs the records that touch it and no others: where no record can be read, the
    next page is looked at. If page 0 itself is damaged, records of any life count. One that never had a
    life is not read through, as room for a large study lies ready in such; but for its beginning, lest the
    disk has lost the page that says it had one.
    """
    with path.open("rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        head = os.pread(file.fileno(), _FILE.size, 0)
        magic, life = _FILE.unpack(head) if len(head) == _FILE.size else (b"", b"")
        at = PAGE
        if magic == NEW_MAGIC and not records.begins(os.pread(file.fileno(), LARGEST, 0)):
            return
        while at + HEAD_SIZE <= size:
            found = records.read(file.fileno(), at, size, life if magic == FILE_MAGIC else None)
            if found is None:
                at += PAGE
                continue
            yield found
            at = -(-found.end // PAGE) * PAGE if found.whole else at + PAGE


def _open_direct(path: Path) -> int:
    """A handle for writes past the page cache; -1 where the file system does not have them."""
    handle = -1
    try:
        handle = os.open(path, os.O_RDWR | os.O_DIRECT | os.O_CLOEXEC)
        with closing(mmap.mmap(-1, PAGE)) as probe:
            os.preadv(handle, [probe], 0)
    except OSError:
        if handle >= 0:
            os.close(handle)
        return -1
    return handle


def _write(handle: int, data: bytes | memoryview, at: int) -> None:
    rest = memoryview(data)
    while rest:  # more than once is rare: a signal, or the last bytes of the disk
        written = os.pwritev(handle, [rest], at)
        rest, at = rest[written:], at + written

"""Memory on page boundaries, used over and over: what is written past the page cache must lie in such."""

from __future__ import annotations

import mmap
import threading
from contextlib import suppress

PAGE = 4096
LEAST = 2 << 20
"""Bytes of the smallest buffer: a CT image fits, and it can be one large page, of which the disk's driver is
told in a quarter less time."""

KEEP = 16 << 20
"""Bytes kept for use again."""


def memory(size: int) -> mmap.mmap:
    """So many bytes, all zero, in large pages where that can be."""
    made = mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if size >= LEAST:
        with suppress(OSError):  # a kernel without large pages
            made.madvise(mmap.MADV_HUGEPAGE)
    return made


class Buffers:
    """Buffers that nobody needs now. Thread-safe.

    Args:
        least: bytes of the smallest.
        keep: bytes kept for use again.
    """

    def __init__(self, least: int = LEAST, keep: int = KEEP) -> None:
        self._least, self._room = least, keep
        self._lock = threading.Lock()
        self._free: list[mmap.mmap] = []

    def take(self, size: int) -> mmap.mmap:
        """One of at least `size` bytes, a power of two, with anything in it. Give it back."""
        with self._lock:
            for place in reversed(range(len(self._free))):  # what was used last lies in the caches
                if len(self._free[place]) >= size:
                    self._room += len(self._free[place])
                    return self._free.pop(place)
        whole = max(self._least, 1 << (size - 1).bit_length())
        return memory(whole)

    def give(self, buffer: mmap.mmap) -> None:
        """It is no longer needed, nor any view of it."""
        with self._lock:
            if len(buffer) <= self._room:
                self._room -= len(buffer)
                self._free.append(buffer)


BUFFERS = Buffers()
"""Of this process."""

"""Memory on page boundaries, used over and over: what is written past the page cache must lie in such."""

from __future__ import annotations

import mmap
import threading

PAGE = 4096
LEAST = 1 << 20
"""Bytes of the smallest buffer: a CT image fits."""

KEEP = 16 << 20
"""Bytes kept for use again."""


class Buffers:
    """Buffers that nobody needs now. Thread-safe."""

    def __init__(self, keep: int = KEEP) -> None:
        self._room = keep
        self._lock = threading.Lock()
        self._free: list[mmap.mmap] = []

    def take(self, size: int) -> mmap.mmap:
        """One of at least `size` bytes, a power of two, with anything in it. Give it back."""
        with self._lock:
            for place, buffer in enumerate(self._free):
                if len(buffer) >= size:
                    self._room += len(buffer)
                    return self._free.pop(place)
        return mmap.mmap(-1, max(LEAST, 1 << (size - 1).bit_length()), mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)

    def give(self, buffer: mmap.mmap) -> None:
        """It is no longer needed, nor any view of it."""
        with self._lock:
            if len(buffer) <= self._room:
                self._room -= len(buffer)
                self._free.append(buffer)


BUFFERS = Buffers()
"""Of this process."""


class Gathered:
    """Content that grows piece by piece in one buffer, with room before and after it. For one thread.

    Args:
        before: bytes kept free before the content.

    Attributes:
        length: bytes of content.
    """

    def __init__(self, before: int) -> None:
        self._before = before
        self._buffer: mmap.mmap | None = BUFFERS.take(LEAST)
        self._view = memoryview(self._buffer)
        self.length = 0

    def room(self, size: int) -> memoryview:
        """The next `size` bytes of the content, to be filled before another is asked for."""
        at = self._before + self.length
        self.length += size
        return self._reaching(at + size)[at : at + size]

    def part(self, offset: int, size: int) -> memoryview:
        """Up to `size` bytes of the content from `offset`; valid until more room is asked for."""
        at = self._before + offset
        return self._view[at : min(at + size, self._before + self.length)]

    def whole(self, before: bytes, after: bytes) -> memoryview:
        """All of it between these, and zeros up to the end of the page. `before` fills the room kept free."""
        end = self._before + self.length + len(after)
        pages = -(-end // PAGE) * PAGE
        view = self._reaching(pages)
        view[: self._before] = before
        view[end - len(after) : end] = after
        view[end:pages] = bytes(pages - end)
        return view[:pages]

    def close(self) -> None:
        """It is no longer needed."""
        self._view.release()
        buffer, self._buffer = self._buffer, None
        if buffer is not None:
            BUFFERS.give(buffer)

    def _reaching(self, end: int) -> memoryview:
        old = self._buffer
        if old is None:
            raise ValueError("it has been closed")
        if end > len(old):
            more = BUFFERS.take(end)
            more[: len(old)] = old[:]
            self._view.release()
            self._buffer, self._view = more, memoryview(more)
            BUFFERS.give(old)
        return self._view

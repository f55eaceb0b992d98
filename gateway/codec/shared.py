"""The shared stream of a parcel: what is not pixels of its instances, one after another, in one zstd frame.

Headers of one series resemble each other: together they take a tenth of what each takes by itself.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping

import zstandard

from gateway.codec.zstd import WINDOW_LOG

LIMIT = 16 << 20
"""Bytes of a shared stream, plain: what a reader must be ready to hold beside a segment."""

LEVELS: Mapping[int, int] = {1 << 20: 19, 4 << 20: 9}
"""Up to so many bytes, this level of zstd; beyond, `LEVEL`: a shared stream never takes a second."""
LEVEL = 3
SLOW, QUICK = 250e3, 7
"""Bytes a second of a line that is faster than saving the last tenth; on such no higher level than this."""


class SharedStream:
    """Gathers the bytes, in the order they come. Thread-safe.

    Args:
        limit: bytes it takes at most.
    """

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._plain = bytearray()

    def __len__(self) -> int:
        return len(self._plain)

    def add(self, data: bytes | bytearray | memoryview) -> int | None:
        """Take `data`; returns its offset, or None if there is no room for it."""
        with self._lock:
            offset = len(self._plain)
            if offset + len(data) > self._limit:
                return None
            self._plain += data
            return offset

    def read(self, offset: int, size: int) -> bytes:
        """`size` bytes from `offset`, fewer at its end."""
        with self._lock:
            return bytes(self._plain[offset : offset + size])

    def coded(self, rate: float = 0.0) -> bytes:
        """One zstd frame of all of it, for a line that carries `rate` bytes a second (0: not known)."""
        with self._lock:
            plain = bytes(self._plain)
        level = next((level for size, level in LEVELS.items() if len(plain) <= size), LEVEL)
        if rate > SLOW:
            level = min(level, QUICK)
        parameters = zstandard.ZstdCompressionParameters.from_level(level, write_content_size=0)
        if parameters.window_log > WINDOW_LOG:
            parameters = zstandard.ZstdCompressionParameters.from_level(
                level, window_log=WINDOW_LOG, write_content_size=0
            )
        return zstandard.ZstdCompressor(compression_params=parameters).compress(plain)

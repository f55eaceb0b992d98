"""A connection whose kernel says what a test wants, in the kernel's own bytes (linux/tcp.h, linux/inet_diag.h)."""

from __future__ import annotations

import asyncio
import socket
import struct
from dataclasses import dataclass, field
from typing import Any

SEGMENT = 1448
_CC_INFO, _MAX_PACING = 26, 47


@dataclass
class Kernel:
    """What getsockopt tells, and what setsockopt was told.

    Attributes:
        found: bytes a second that BBR takes for the line's rate.
        looking: whether it still looks for it.
        set: all that was set, as (option, value).
    """

    round_trip: float = 0.3
    least_trip: float = 0.3
    acknowledged: int = 0
    unsent: int = 100_000
    flying: int = 100
    found: int = 0
    looking: bool = False
    congestion: bytes = b"bbr"
    set: list[tuple[int, Any]] = field(default_factory=list)

    def getsockopt(self, level: int, name: int, size: int) -> bytes:
        if name == socket.TCP_CONGESTION:
            return self.congestion.ljust(size, b"\0")
        if name == _CC_INFO:
            if self.congestion != b"bbr":
                return b""
            low, high = self.found & 0xFFFFFFFF, self.found >> 32
            return struct.pack("=IIIII", low, high, 0, 739 if self.looking else 256, 512)
        data = bytearray(232)
        struct.pack_into("=I", data, 16, SEGMENT)
        struct.pack_into("=I", data, 24, self.flying)
        struct.pack_into("=I", data, 68, int(self.round_trip * 1e6))
        struct.pack_into("=I", data, 80, 2 * self.flying)
        struct.pack_into("=Q", data, 104, self.found)
        struct.pack_into("=Q", data, 120, self.acknowledged)
        struct.pack_into("=I", data, 144, self.unsent)
        struct.pack_into("=I", data, 148, int(self.least_trip * 1e6))
        struct.pack_into("=I", data, 156, self.acknowledged // SEGMENT)
        struct.pack_into("=I", data, 192, self.acknowledged // SEGMENT)
        return bytes(data)

    def setsockopt(self, level: int, name: int, value: Any) -> None:
        self.set.append((name, value))

    @property
    def begun_anew(self) -> int:
        """How often BBR was set again."""
        return self.set.count((socket.TCP_CONGESTION, b"bbr"))

    @property
    def limit(self) -> int | None:
        """Bytes a second it may send at most now."""
        told = [struct.unpack("=Q", value)[0] for name, value in self.set if name == _MAX_PACING]
        return None if not told or told[-1] == (1 << 64) - 1 else told[-1]


class Connection(asyncio.Transport):
    """A transport on such a kernel."""

    def __init__(self, kernel: Kernel) -> None:
        super().__init__({"socket": kernel})

    def is_closing(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return 0

"""TCP sockets for a long thin line: loss must not slow them, and nothing urgent may wait in a full buffer."""

from __future__ import annotations

import socket
import struct
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Protocol

UNSENT_LOW = 256 << 10
"""Bytes the kernel may hold that it has not sent yet. What it holds can no longer be overtaken."""
BUFFER = 32 << 20
"""Bytes that may be on their way unacknowledged: 1 Gbit/s × 260 ms."""
CONGESTION = b"bbr"
"""With 1 % loss CUBIC falls to a twentieth of a line that BBR fills; the sender alone decides."""

UNPACED = (1 << 64) - 1
"""What the kernel tells as the pacing rate of a connection without one."""
UNKNOWN = (1 << 32) - 1
"""What it tells as the shortest round trip before the first."""

_NET = Path("/proc/sys/net")
_TCP_INFO_BYTES = 256
_TCP_CC_INFO, _CC_INFO_BYTES, _BBR_INFO_BYTES = 26, 64, 20  # linux/tcp.h; linux/inet_diag.h: tcp_bbr_info
_SO_MAX_PACING_RATE = 47  # asm-generic/socket.h
_ALWAYS_THERE = b"reno"
"""Linux has it, and by itself lets everybody use it (ip-sysctl, tcp_allowed_congestion_control)."""
_STARTUP = 2 << 8
"""BBR's pacing gain, times 256, from which on it looks for the line's rate: 2.89 then, 1.25 at most later."""


@dataclass(frozen=True, slots=True)
class TcpInfo:
    """What the kernel knows of a connection.

    Attributes:
        round_trip: seconds, smoothed.
        acknowledged: bytes the other end has acknowledged since the connection was made.
        unsent: bytes the kernel holds that are not on the line yet.
        sent: segments with data sent, repeated ones included.
        repeated: segments sent again.
        flying: segments sent and not acknowledged.
        on_way: bytes of them.
        pacing: bytes a second at which it sends now; 0 if it does not pace.
        window: bytes it may have on its way.
        least_trip: seconds, the shortest round trip of late; 0 if unknown.
        delivery: bytes a second that arrived of late; if it was given little to send, the most of before.
        found: bytes a second that BBR takes for what it may send; 0: not yet, or it is not BBR.
        delivered: payload bytes that the other end has told of, out of order too; 0 if unknown.
        looking: whether BBR still looks for that rate, and sends more each round trip.
    """

    round_trip: float
    acknowledged: int
    unsent: int
    sent: int
    repeated: int
    flying: int
    pacing: int = 0
    window: int = 0
    least_trip: float = 0.0
    delivery: int = 0
    found: int = 0
    looking: bool = False
    delivered: int = 0
    on_way: int = 0


class HasOptions(Protocol):
    """A socket, or what asyncio shows of one."""

    def getsockopt(self, level: int, name: int, size: int, /) -> bytes: ...

    def setsockopt(self, level: int, name: int, value: bytes, /) -> None: ...


def for_long_lines(made: socket.socket, *, bbr: bool = True) -> None:
    """Set up a TCP socket, connected or listening (what it accepts inherits this).

    TCP_NODELAY, BBR where the kernel offers it, buffers for bandwidth × delay where the kernel would
    not grow them so far by itself, and little of it for bytes that are not on the line yet. What this
    kernel does not know or allow is left as it was.

    Args:
        made: the socket.
        bbr: ask for BBR; else the kernel's own congestion control is left.
    """
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if bbr and hasattr(socket, "TCP_CONGESTION"):
        with suppress(OSError):  # not built in, or not allowed to this user
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, CONGESTION)
    if hasattr(socket, "TCP_NOTSENT_LOWAT"):
        with suppress(OSError):
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_LOW)
    for option, most, grown in (
        (socket.SO_SNDBUF, "core/wmem_max", "ipv4/tcp_wmem"),
        (socket.SO_RCVBUF, "core/rmem_max", "ipv4/tcp_rmem"),
    ):
        if _fixed_beats_growing(most, grown):
            made.setsockopt(socket.SOL_SOCKET, option, BUFFER)


def congestion_of(made: HasOptions) -> str:
    """The congestion control a socket uses, such as ``bbr``; empty where the kernel does not tell."""
    if not hasattr(socket, "TCP_CONGESTION"):
        return ""
    try:
        return made.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16).rstrip(b"\0").decode()
    except OSError:  # closed meanwhile
        return ""


def info_of(made: HasOptions) -> TcpInfo | None:
    """What the kernel knows of a connection; None where it does not tell, or when it is closed."""
    if not hasattr(socket, "TCP_INFO"):
        return None
    try:
        data = made.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES)
    except OSError:
        return None
    if len(data) < 160:
        return None  # an old kernel
    (segment,) = struct.unpack_from("=I", data, 16)
    (flying,) = struct.unpack_from("=I", data, 24)
    (round_trip,) = struct.unpack_from("=I", data, 68)
    (segments,) = struct.unpack_from("=I", data, 80)
    (repeated,) = struct.unpack_from("=I", data, 100)
    (pacing,) = struct.unpack_from("=Q", data, 104)
    (acknowledged,) = struct.unpack_from("=Q", data, 120)
    (unsent,) = struct.unpack_from("=I", data, 144)
    (least_trip,) = struct.unpack_from("=I", data, 148)
    (sent,) = struct.unpack_from("=I", data, 156)
    found, gain = _bbr_of(made)
    return TcpInfo(
        round_trip / 1e6,
        acknowledged,
        unsent,
        sent,
        repeated,
        flying,
        pacing=0 if pacing == UNPACED else pacing,
        window=segment * segments,
        least_trip=0.0 if least_trip == UNKNOWN else least_trip / 1e6,
        delivery=struct.unpack_from("=Q", data, 160)[0] if len(data) >= 168 else 0,
        found=found,
        looking=gain >= _STARTUP,
        on_way=segment * flying,
        delivered=segment * struct.unpack_from("=I", data, 192)[0] if len(data) >= 196 else 0,
    )


def limit(made: HasOptions, rate: int | None) -> None:
    """Let a connection send no more than so many bytes a second, headers included; None: as much as it likes.

    BBR takes such a limit for the line's own, so that looking for the rate overflows no queue.
    """
    with suppress(OSError):  # closed meanwhile
        value = struct.pack("=Q", UNPACED if rate is None else max(1, rate))
        made.setsockopt(socket.SOL_SOCKET, _SO_MAX_PACING_RATE, value)


def begin_anew(made: HasOptions) -> None:
    """Let BBR look for the rate again, with the shortest round trip that TCP remembers.

    The kernel has no word for that; but whoever is given another congestion control and BBR again starts so.
    Where this user may not do both, nothing is done.
    """
    if not _may_begin_anew():
        return
    with suppress(OSError):  # closed meanwhile
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, _ALWAYS_THERE)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, CONGESTION)


@cache
def _may_begin_anew() -> bool:
    """Whether BBR can be had back once it was given away; an administrator may allow neither, or one."""
    if not hasattr(socket, "TCP_CONGESTION"):
        return False
    with socket.socket() as made:
        try:
            for name in (_ALWAYS_THERE, CONGESTION):
                made.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, name)
        except OSError:
            return False
    return True


def _bbr_of(made: HasOptions) -> tuple[int, int]:
    """What BBR takes for the rate, bytes a second, and its pacing gain times 256; zeros if it is not BBR."""
    try:
        data = made.getsockopt(socket.IPPROTO_TCP, _TCP_CC_INFO, _CC_INFO_BYTES)
    except OSError:
        return 0, 0
    if len(data) < _BBR_INFO_BYTES:
        return 0, 0
    low, high, _, gain = struct.unpack_from("=IIII", data, 0)
    return low | high << 32, gain


@cache
def _fixed_beats_growing(most: str, grown: str) -> bool:
    """Whether a fixed buffer may exceed what Linux grows to by itself; fixing it stops the growing."""
    try:
        largest = int((_NET / most).read_text())
        by_itself = int((_NET / grown).read_text().split()[2])
    except (OSError, ValueError, IndexError):
        return False
    return 2 * min(largest, BUFFER) > by_itself  # the kernel doubles what it is asked for, socket(7)

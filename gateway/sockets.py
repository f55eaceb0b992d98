"""TCP sockets for a long thin line: loss must not slow them, and nothing urgent may wait in a full buffer."""

from __future__ import annotations

import socket
from contextlib import suppress
from functools import cache
from pathlib import Path

UNSENT_LOW = 128 << 10
"""Bytes the kernel may hold that it has not sent yet. What it holds can no longer be overtaken."""
SEND_BUFFER = 16 << 20
"""Bytes that may be on their way unacknowledged: 1 Gbit/s × 130 ms."""
CONGESTION = b"bbr"
"""With 1 % loss CUBIC falls to a twentieth of a line that BBR fills; the sender alone decides."""

_NET = Path("/proc/sys/net")


def for_long_lines(made: socket.socket, *, bbr: bool = True) -> None:
    """Set up a TCP socket, connected or listening (what it accepts inherits this).

    TCP_NODELAY, BBR where the kernel offers it, a send buffer for bandwidth × delay where the kernel
    would not grow it so far by itself, and little of it for bytes that are not on the line yet. What
    this kernel does not know or allow is left as it was.

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
    if _fixed_beats_growing():
        made.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)


def congestion_of(made: socket.socket) -> str:
    """The congestion control a socket uses, such as ``bbr``; empty where the kernel does not tell."""
    if not hasattr(socket, "TCP_CONGESTION"):
        return ""
    return made.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16).rstrip(b"\0").decode()


@cache
def _fixed_beats_growing() -> bool:
    """Whether SO_SNDBUF may be larger than what Linux grows to by itself; setting it stops the growing."""
    try:
        most = int((_NET / "core/wmem_max").read_text())
        grown = int((_NET / "ipv4/tcp_wmem").read_text().split()[2])
    except (OSError, ValueError, IndexError):
        return False
    return 2 * min(most, SEND_BUFFER) > grown  # the kernel doubles what it is asked for, socket(7)

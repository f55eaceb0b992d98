"""One exchange's connection, and what the kernel tells of it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TypeAlias

from edge.uplink.anew import Found
from gateway import sockets

Rank: TypeAlias = tuple[int, int]
"""Priority; and among the same, the place of what reading can begin with, before all else."""


def socket_of(transport: asyncio.Transport | None) -> sockets.HasOptions | None:
    """A connection's socket; None where there is none, or no more."""
    if transport is None:
        return None
    try:
        found: sockets.HasOptions | None = transport.get_extra_info("socket")
    except AttributeError:  # closed twice: asyncio's TLS transport has let go of its protocol
        return None
    return found


def info_of(transport: asyncio.Transport | None) -> sockets.TcpInfo | None:
    """What the kernel knows of a connection."""
    socket = socket_of(transport)
    return None if socket is None else sockets.info_of(socket)


def worth(transport: asyncio.Transport | None) -> int:
    """For `HubClient.request`: how good an idle connection is to send much: the more the better."""
    info = info_of(transport)
    return 1 if info is None else 1 + info.window


@dataclass(slots=True)
class Stream:
    """One exchange's connection.

    Attributes:
        number: the exchange's.
        transport: None before it is connected.
        rank: of the frame that is being written, the more urgent the smaller; None: nothing is.
        speed: bytes a second that BBR has found; 0: nobody knows.
        roomy: whether it is held by its own beginning alone, as the line is new and has room beside it.
        left: bytes of that frame that are not written yet.
        moved_at: monotonic seconds; when something was last acknowledged or heard on it.
        limit: bytes a second it may send at most; None: as much as it likes.
        limited_at: monotonic seconds; since when.
        found: what BBR had found lately.
    """

    number: int
    transport: asyncio.Transport | None = None
    rank: Rank | None = None
    speed: int = 0
    roomy: bool = False
    left: int = 0
    moved_at: float = 0.0
    written: int = 0
    acknowledged: int | None = None
    delivered: int = 0
    sent: int = 0
    repeated: int = 0
    limit: int | None = None
    limited_at: float = 0.0
    found: Found = field(default_factory=Found)

    def cut(self) -> None:
        """Break the connection."""
        if self.transport is not None:
            self.transport.abort()

    def info(self) -> sockets.TcpInfo | None:
        """What the kernel knows of it."""
        return info_of(self.transport)

    def restrict(self, rate: int | None, now: float, *, anew: bool = False) -> None:
        """Let it send no more than so many bytes a second; None: as much as it likes.

        Args:
            rate: those.
            now: monotonic seconds.
            anew: let BBR look for the rate again.
        """
        socket = socket_of(self.transport)
        if socket is None:
            return
        if rate != self.limit:
            sockets.limit(socket, rate)
            self.limit, self.limited_at = rate, now
        if anew:
            sockets.begin_anew(socket)

    def unsent(self) -> int:
        """Bytes in this machine's buffers that are not on the line yet, as far as is known."""
        if self.transport is None or self.transport.is_closing():
            return 0
        info = self.info()
        return self.transport.get_write_buffer_size() + (0 if info is None else info.unsent)

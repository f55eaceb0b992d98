"""Waiting for the next bytes of a quick sender without going to sleep.

A thread that sleeps in recv(2) goes on some ten microseconds after what it waits for, with cold caches, and
its sender pays for waking it. Of an image that comes alone that is more than a tenth of the time
(`telerad bench ingest --associations 1`). So who reads from a quick sender asks the kernel again for a moment
before it sleeps. It lets go of the core for whoever wants it, and when somebody did, it sleeps as others do
for a while. With two associations in one process nothing is gained.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable

SPIN = 0.0005
"""Seconds asked again before going to sleep: `storescu` needs half of it between two images."""
TAKEN, HOLD = 0.0001, 10.0
"""Seconds away from the core after which somebody else wants it, and how many times as long as they had it
it is then left to them."""
STRETCH, QUICK = 2 << 20, 25e6
"""Bytes over which a sender's rate is taken, and bytes a second from which it is quick: beyond 100 Mbit/s.
Slower ones are kept waiting by their wire, and a core would be burnt for nothing."""


class Awake:
    """Reads from a socket whose own time-outs are set (SO_RCVTIMEO). For one reading thread.

    Args:
        connection: a plain, blocking socket.
        alone: whether nobody else is served by this process.
        timer: seconds.
    """

    def __init__(
        self,
        connection: socket.socket,
        alone: Callable[[], bool],
        timer: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._socket, self._alone, self._timer = connection, alone, timer
        self.sendall = connection.sendall
        self._quick = False
        self._since, self._came = timer(), 0
        self._held = 0.0

    def recv_into(self, buffers: list[memoryview]) -> int:
        """What has come, into these in turn.

        Raises:
            BlockingIOError: nothing has, for the socket's time.
            OSError: it broke.
        """
        count = self._soon(buffers) if self._quick and self._alone() else None
        if count is None:
            count = self._read(buffers, 0)
        self._came += count
        if self._came >= STRETCH:
            now = self._timer()
            self._quick = self._came > QUICK * (now - self._since)
            self._since, self._came = now, 0
        return count

    def _soon(self, buffers: list[memoryview]) -> int | None:
        """What comes in a moment; None if nothing does, or somebody else wants the core."""
        now = began = self._timer()
        if now < self._held:
            return None
        while now - began < SPIN:
            try:
                return self._read(buffers, socket.MSG_DONTWAIT)
            except BlockingIOError:
                os.sched_yield()
            before, now = now, self._timer()
            if now - before > TAKEN:
                self._held = now + HOLD * (now - before)
                break
        return None

    def _read(self, buffers: list[memoryview], flags: int) -> int:
        if len(buffers) == 1:  # the shorter way
            return self._socket.recv_into(buffers[0], 0, flags)
        return self._socket.recvmsg_into(buffers, 0, flags)[0]

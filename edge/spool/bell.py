"""Wakes coroutines from any thread."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress


class Bell:
    """`ring` from anywhere; whoever is in `wait` goes on. No ring since `heard` is lost."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: set[asyncio.Future[None]] = set()
        self.rings = 0

    def ring(self) -> None:
        """Wake everybody who waits now."""
        with self._lock:
            self.rings += 1
            waiting, self._waiting = self._waiting, set()
        for future in waiting:
            with suppress(RuntimeError):  # the loop has been closed meanwhile
                future.get_loop().call_soon_threadsafe(_wake, future)

    async def wait(self, heard: int, timeout: float | None = None) -> None:
        """Until it has rung since `heard` (an earlier `rings`), or `timeout` seconds have passed."""
        with self._lock:
            if self.rings != heard:
                return
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.add(future)
        try:
            await asyncio.wait((future,), timeout=timeout)
        finally:
            with self._lock:
                self._waiting.discard(future)


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)

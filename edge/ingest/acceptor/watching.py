"""Watches all acceptors of a listener: puts out those that stand still, and tells of what it sees."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from edge.ingest.acceptor import watchdog
from edge.ingest.acceptor.watchdog import DiskWaits, Pulse, asleep
from gateway.log import logger

log = logger("edge.ingest")


class Watched(Protocol):
    """An acceptor process.

    Attributes:
        pid: of it.
        pulse: its signs of life.
        ready: set once it serves.
    """

    pid: int
    pulse: Pulse
    ready: threading.Event

    def kill(self) -> None:
        """Whatever it does."""


class Watch:
    """For one thread; `troubles` for any.

    Args:
        there: the processes as they are now.
        timer: monotonic seconds.
    """

    def __init__(
        self, there: Callable[[], Sequence[Watched]], timer: Callable[[], float] = time.monotonic
    ) -> None:
        self._there, self._timer = there, timer
        self._last = timer()
        self._killed: set[int] = set()
        self._put_out: deque[float] = deque()
        self._own = os.getpid()
        self._disks: dict[int, DiskWaits] = {}
        self._disk, self._disks_at = 0.0, self._last

    def turn(self) -> None:
        """Look at all of them; once a second."""
        now = self._timer()
        seconds, self._last = now - self._last, now
        there = self._there()
        for one in there:
            limit = watchdog.SILENT_SECONDS if one.ready.is_set() else watchdog.START_SECONDS
            if one.pulse.turn(seconds) < limit or one.pid in self._killed:
                continue
            if asleep(one.pid):
                one.pulse.excuse()
                continue
            log.error("an acceptor stands still and is put out", pid=one.pid, seconds=one.pulse.silence)
            self._killed.add(one.pid)
            self._put_out.append(now)
            one.kill()
        pids = {one.pid for one in there}
        self._killed &= pids
        self._look_at_disks(pids | {self._own}, now)

    @property
    def troubles(self) -> list[str]:
        """For the page: plain sentences."""
        told = []
        if self._disk >= watchdog.DISK_SECONDS:
            told.append(
                f"the disk of this machine has not answered for {self._disk:.0f} seconds; "
                "what modalities send waits for it"
            )
        since = self._timer() - watchdog.TOLD_SECONDS
        count = sum(at > since for at in tuple(self._put_out))
        if count:
            told.append(
                f"a process that receives images stood still and was replaced ({count} in the last hour); "
                "what it had not answered is sent again by the modality"
            )
        return told

    def _look_at_disks(self, pids: set[int], now: float) -> None:
        if now - self._disks_at < watchdog.LOOK_SECONDS:
            return
        self._disks_at = now
        self._disks = {pid: self._disks.get(pid) or DiskWaits(pid) for pid in pids}
        was, self._disk = self._disk, max(one.turn(now) for one in self._disks.values())
        limit = watchdog.DISK_SECONDS
        if was < limit <= self._disk:
            log.error("the disk does not answer", seconds=self._disk)
        elif self._disk < limit <= was:
            log.warning("the disk answers again", seconds=was)
        while self._put_out and self._put_out[0] <= now - watchdog.TOLD_SECONDS:
            self._put_out.popleft()

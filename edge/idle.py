"""How many cores have nothing else to do: what coding may use without being in the way."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

STAT = Path("/proc/stat")
TICK = os.sysconf("SC_CLK_TCK")
LEAST = 0.25
"""Cores: coding gets so much even from a busy machine."""
INTERVAL = 1.0
"""Seconds over which is measured, at least."""
WEIGHT = 0.5


class IdleCores:
    """Measured from time to time, whenever it is asked.

    Args:
        own: seconds of the CPU that coding has used so far: it does not stand in its own way.
        timer: seconds.
        stat: the kernel's counters (proc(5)).
    """

    def __init__(
        self,
        own: Callable[[], float],
        timer: Callable[[], float] = time.monotonic,
        stat: Path = STAT,
    ) -> None:
        self._own, self._timer, self._stat = own, timer, stat
        self._all = float(len(os.sched_getaffinity(0)))
        self._cores = self._all
        self._before = (timer(), self._idle_seconds(), own())

    def __call__(self) -> float:
        """Idle cores, perhaps part of one."""
        now, idle, own = self._timer(), self._idle_seconds(), self._own()
        then, idle_then, own_then = self._before
        if now - then < INTERVAL:
            return self._cores
        self._before = (now, idle, own)
        if idle is None or idle_then is None:
            free = self._all - self._load()
        else:
            free = (idle - idle_then + own - own_then) / (now - then)
        free = max(LEAST, min(self._all, free))
        self._cores += WEIGHT * (free - self._cores)
        return self._cores

    def _idle_seconds(self) -> float | None:
        """Of all cores together, since the machine started; None where the kernel does not say."""
        with suppress(OSError, ValueError, IndexError):
            with self._stat.open() as file:
                counts = file.readline().split()
            return (int(counts[4]) + int(counts[5])) / TICK  # idle and iowait
        return None

    def _load(self) -> float:
        try:
            return os.getloadavg()[0]
        except OSError:
            return 0.0

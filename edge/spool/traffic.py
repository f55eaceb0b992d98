"""How much of a processor receiving takes at this moment, so that what can wait stands back behind it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

SPAN = 0.5
"""Seconds over which is measured: the older, the less it counts."""
AN_INSTANCE, A_BYTE = 0.0015, 1 / 500e6
"""Seconds of a processor that an instance takes, and beside that each of its bytes."""
BUSY = 0.04
"""Of one processor: 16 CT images a second, or 27 of a few kilobytes. A trickle holds nobody up."""


class Traffic:
    """Told of everything that comes in. May be called from any thread; a lost count does no harm.

    Args:
        timer: seconds.
    """

    def __init__(self, timer: Callable[[], float] = time.monotonic) -> None:
        self._timer = timer
        self._at, self._load = timer(), 0.0

    def note(self, received: int, instances: int = 1) -> None:
        """So many plain bytes, and so many instances, have come in."""
        now = self._timer()
        self._load = self._faded(now) + (instances * AN_INSTANCE + received * A_BYTE) / SPAN
        self._at = now

    @property
    def busy(self) -> bool:
        """Whether it is worth standing back."""
        return self._faded(self._timer()) > BUSY

    def _faded(self, now: float) -> float:
        return self._load * math.exp((self._at - now) / SPAN)

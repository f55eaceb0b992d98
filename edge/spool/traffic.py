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
LATELY = 1.0
"""Seconds: more than a sender needs to find its next file."""
NARROW = 32e6
"""Bytes a second beside which any disk has room to be written ahead of them."""


class Traffic:
    """Told of everything that comes in. May be called from any thread; a lost count does no harm.

    Args:
        timer: seconds.
    """

    def __init__(self, timer: Callable[[], float] = time.monotonic) -> None:
        self._timer = timer
        self._at, self._load, self._bytes = -math.inf, 0.0, 0.0

    def note(self, received: int, instances: int = 1) -> None:
        """So many plain bytes, and so many instances, have come in."""
        now = self._timer()
        kept = self._kept(now)
        self._load = self._load * kept + (instances * AN_INSTANCE + received * A_BYTE) / SPAN
        self._bytes = self._bytes * kept + received / SPAN
        self._at = now

    @property
    def busy(self) -> bool:
        """Whether it is worth standing back."""
        return self._load * self._kept(self._timer()) > BUSY

    @property
    def lately(self) -> bool:
        """Whether anything came just now."""
        return self._timer() - self._at < LATELY

    @property
    def narrow(self) -> bool:
        """Whether it leaves the disk time, however many instances it is."""
        return self._bytes * self._kept(self._timer()) < NARROW

    def _kept(self, now: float) -> float:
        return math.exp((self._at - now) / SPAN)

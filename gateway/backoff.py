"""When to try again: exponential with full jitter, capped, and never "give up".

Pure: the random number is handed in. A retry is a decision here and an act elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Waiting times between tries. All in seconds.

    Full jitter spreads a fleet that lost the same hub at the same moment.
    """

    first: float = 1.0
    cap: float = 60.0
    factor: float = 2.0

    def delay(self, failures: int, chance: float) -> float:
        """Seconds to wait after `failures` failures in a row.

        Args:
            failures: 1 after the first failure.
            chance: a random number in [0, 1).

        Returns:
            Between half and all of the capped exponential step, so that it is never zero.
        """
        step = min(self.cap, self.first * self.factor ** min(max(failures, 1) - 1, 63))
        return step * (0.5 + 0.5 * chance)

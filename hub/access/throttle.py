"""How often may they try? Pure: the time is handed in.

Two brakes. A token bucket for each address slows a flood. For each login a wait that doubles with
every wrong try slows guessing; it is soft and short, because a hard lock would let anybody keep a
reader away from an emergency.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from gateway.errors import Unavailable

FREE_TRIES = 5
"""Wrong tries in a row that cost nothing."""

FIRST_WAIT = 30.0
LONGEST_WAIT = 15 * 60.0
"""Seconds."""

REMEMBERED = 10_000
"""Addresses or names kept; the one not seen for longest is forgotten first."""


class TooMany(Unavailable):
    """Too many tries just now; ``retry_after`` says for how many seconds."""


def wait_after(failures: int) -> float:
    """Seconds during which a login is not tried, after so many wrong tries in a row."""
    if failures < FREE_TRIES:
        return 0.0
    return min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** min(failures - FREE_TRIES, 16))


@dataclass(slots=True)
class _Level:
    tokens: float
    at: float


class Buckets:
    """A token bucket for each key.

    Args:
        rate: tokens a second that come back.
        burst: the most a bucket holds.
    """

    def __init__(self, rate: float = 0.5, burst: float = 20.0) -> None:
        self._rate, self._burst = rate, burst
        self._levels: OrderedDict[str, _Level] = OrderedDict()

    def take(self, key: str, now: float) -> float:
        """Take one token. Returns 0, or the seconds until there will be one again."""
        level = self._levels.pop(key, None) or _Level(self._burst, now)
        level.tokens = min(self._burst, level.tokens + (now - level.at) * self._rate)
        level.at = now
        self._levels[key] = level
        if len(self._levels) > REMEMBERED:
            self._levels.popitem(last=False)
        if level.tokens < 1.0:
            return (1.0 - level.tokens) / self._rate
        level.tokens -= 1.0
        return 0.0


@dataclass(slots=True)
class _Failures:
    count: int = 0
    until: float = 0.0


class Failures:
    """Wrong tries in a row for each key that has no row of its own in the database."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, _Failures] = OrderedDict()

    def wait(self, key: str, now: float) -> float:
        """Seconds until this key may be tried again."""
        kept = self._kept.get(key)
        return max(0.0, kept.until - now) if kept else 0.0

    def wrong(self, key: str, now: float) -> None:
        """One more wrong try."""
        kept = self._kept.pop(key, None) or _Failures()
        kept.count += 1
        kept.until = now + wait_after(kept.count)
        self._kept[key] = kept
        if len(self._kept) > REMEMBERED:
            self._kept.popitem(last=False)

    def right(self, key: str) -> None:
        """A right one: forgotten."""
        self._kept.pop(key, None)

"""How often may they try? Pure: the time is handed in.

Two brakes. A token bucket for each address (`gateway.brake`) slows a flood. For each login a wait that
doubles with every wrong try slows guessing; it is soft and short, because a hard lock would let
anybody keep a reader away from an emergency.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from gateway.brake import REMEMBERED

FREE_TRIES = 5
"""Wrong tries in a row that cost nothing."""

FIRST_WAIT = 30.0
LONGEST_WAIT = 15 * 60.0
"""Seconds."""


def wait_after(failures: int) -> float:
    """Seconds during which a login is not tried, after so many wrong tries in a row."""
    if failures < FREE_TRIES:
        return 0.0
    return min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** min(failures - FREE_TRIES, 16))


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

"""How much goes into one exchange, how fast the line is, when to try again. Pure: time is handed in."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from gateway.backoff import Backoff

EXCHANGE_SECONDS = 2.0
"""What one exchange should carry: long enough to hide the round trip, short enough to stay watchful."""
MIN_EXCHANGE = 1 << 20
MAX_EXCHANGE = 64 << 20
"""Bytes of one exchange."""
WINDOW_SECONDS = 10.0


def exchange_bytes(rate: float, streams: int) -> int:
    """Sealed bytes one exchange should carry.

    Args:
        rate: measured bytes per second of all streams together; 0 if unknown.
        streams: how many share it.
    """
    return max(MIN_EXCHANGE, min(MAX_EXCHANGE, int(rate / max(1, streams) * EXCHANGE_SECONDS)))


@dataclass(slots=True)
class Meter:
    """Bytes per second over the last `WINDOW_SECONDS` in which there was something to send."""

    _seen: deque[tuple[float, int]] = field(default_factory=deque)
    _sum: int = 0
    _last: float = 0.0

    def add(self, now: float, size: int) -> None:
        """`size` bytes were taken by the line at `now` (monotonic seconds)."""
        self._seen.append((now, size))
        self._sum += size
        self._drop(now)
        span = now - self._seen[0][0]
        if span >= 0.5:
            self._last = (self._sum - self._seen[0][1]) / span

    @property
    def rate(self) -> float:
        """Bytes per second, as last measured."""
        return self._last

    def _drop(self, now: float) -> None:
        while self._seen and now - self._seen[0][0] > WINDOW_SECONDS:
            self._sum -= self._seen.popleft()[1]


@dataclass(slots=True)
class Gate:
    """Whether the line may be tried now. One try at a time while it is down; failures only ever delay.

    Attributes:
        backoff: how long to wait.
        online: whether the last try reached the hub.
        since: when that began, monotonic seconds.
        reason: what went wrong, in plain words.
        next_try: when the next try is due, monotonic seconds.
    """

    backoff: Backoff
    online: bool = True
    since: float = 0.0
    reason: str = ""
    next_try: float = 0.0
    failures: int = 0
    _probing: bool = False

    def open(self, now: float) -> bool:
        """Ask to try. While the line is down only the first who asks when it is due may."""
        if self.online:
            return True
        if now < self.next_try or self._probing:
            return False
        self._probing = True
        return True

    def worked(self, now: float) -> bool:
        """The hub answered. Returns whether that is news."""
        news = not self.online
        if news:
            self.since = now
        self.online, self.failures, self.reason, self._probing = True, 0, "", False
        return news

    def failed(self, now: float, reason: str, chance: float, retry_after: float | None = None) -> bool:
        """A try failed. Several streams that fall together count as one failure. Returns if that is news."""
        if not self.online and not self._probing:
            return False
        if self.online:
            self.since = now
        news = self.online or reason != self.reason
        self.failures += 1
        wait = self.backoff.delay(self.failures, chance)
        self.online, self.reason, self._probing = False, reason, False
        self.next_try = now + max(wait, retry_after or 0.0)
        return news

    def released(self) -> None:
        """Whoever was let through gave up without trying."""
        self._probing = False

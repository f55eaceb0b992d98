"""How much of the line may be used now, by hour of day and priority. Pure: both times are handed in.

Each entry of the configuration is a token bucket of its own. A parcel may go when every entry that
covers its priority and this hour has something left; so entries together are as strict as the
strictest. A chunk that has begun to go is paid for afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import inf

from edge.config import Budget, Day
from gateway.model import Priority

DAY_MINUTES = 24 * 60
SAVED_SECONDS = 1.0
"""What a bucket may save up while nothing is sent."""
FAR = timedelta(days=8)
"""How far is looked ahead: every entry begins once a week, if it ever does."""


@dataclass(frozen=True, slots=True)
class Blocked:
    """Why nothing of a priority goes now.

    Attributes:
        words: the entry, such as ``budget 08:00–18:00: 2 Mbit/s``.
        seconds: until something may go again; infinite: not within `FAR`.
    """

    words: str
    seconds: float


@dataclass(slots=True)
class _Bucket:
    entry: Budget
    left: float = 0.0  # bytes; negative: spent ahead
    at: float | None = None

    def fill(self, now: float) -> None:
        if self.at is not None:
            most = self.entry.rate / 8 * SAVED_SECONDS
            self.left = min(most, self.left + self.entry.rate / 8 * (now - self.at))
        self.at = now

    def seconds(self, local: datetime, now: float) -> float:
        """How long this one says no: 0 if it says yes."""
        end = _remaining(self.entry, local)
        if end <= 0:
            return 0.0
        self.fill(now)
        if self.entry.rate == 0:
            return end
        if self.left > -1:  # rounding may leave a part of a byte, and waiting for that never ends
            return 0.0
        return min(end, -self.left * 8 / self.entry.rate)


@dataclass(slots=True)
class Budgets:
    """The entries in force."""

    _buckets: list[_Bucket] = field(default_factory=list)

    def replace(self, entries: Sequence[Budget]) -> None:
        """Other entries from now on; one that stays the same keeps what it has spent."""
        known = {bucket.entry: bucket for bucket in self._buckets}
        self._buckets = [known.get(entry, _Bucket(entry)) for entry in entries]

    def blocked(self, priority: Priority, local: datetime, now: float) -> Blocked | None:
        """Why nothing of `priority` may go now; None: it may.

        Args:
            priority: of the parcel.
            local: the time of day at the hospital.
            now: monotonic seconds.
        """
        longest, words = 0.0, ""
        for bucket in self._of(priority):
            seconds = bucket.seconds(local, now)
            if seconds > longest:
                longest, words = seconds, _words(bucket.entry)
        if longest > 0 and self.pace(priority, local + timedelta(seconds=longest)) == 0:
            opens = self.through(priority, 1, inf, local)  # where one entry ends, it or another begins
            longest = inf if opens is None else opens
        return Blocked(words, longest) if longest > 0 else None

    def spend(self, priority: Priority, size: int, local: datetime, now: float) -> None:
        """`size` bytes of `priority` are going."""
        for bucket in self._of(priority):
            if _remaining(bucket.entry, local) > 0:
                bucket.fill(now)
                bucket.left -= size

    def pace(self, priority: Priority, local: datetime) -> float:
        """Bytes a second that the entries in force at `local` let through of `priority`; infinite: all."""
        rates = [one.entry.rate / 8 for one in self._of(priority) if _remaining(one.entry, local) > 0]
        return min(rates, default=inf)

    def through(self, priority: Priority, size: int, rate: float, local: datetime) -> float | None:
        """Seconds until `size` bytes of `priority` have gone, hour by hour as the entries say.

        Args:
            priority: of the parcels.
            size: bytes.
            rate: bytes a second the line carries; more than 0.
            local: the time of day at the hospital when they begin.

        Returns:
            The seconds; None: not within `FAR`.
        """
        seconds, left = 0.0, float(size)
        while seconds < FAR.total_seconds():
            then = local + timedelta(seconds=seconds)
            pace = min(rate, self.pace(priority, then))
            lasts = min((_next_change(one.entry, then) for one in self._of(priority)), default=inf)
            if left <= pace * lasts:
                return seconds + left / pace if left else seconds
            left -= pace * lasts
            seconds += lasts
        return None

    def _of(self, priority: Priority) -> list[_Bucket]:
        return [one for one in self._buckets if not one.entry.priorities or priority in one.entry.priorities]


def _remaining(entry: Budget, local: datetime) -> float:
    """Seconds until an entry ends that is in force at `local`; 0: it is not. Hours may pass midnight."""
    length = entry.to - entry.from_ if entry.to > entry.from_ else entry.to - entry.from_ + DAY_MINUTES
    for ago in (0, 1):
        day = local - timedelta(days=ago)
        if entry.days and list(Day)[day.weekday()] not in entry.days:
            continue
        start = day.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(minutes=entry.from_)
        passed = (local - start).total_seconds()
        if 0 <= passed < length * 60:
            return length * 60 - passed
    return 0.0


def _next_change(entry: Budget, local: datetime) -> float:
    """Seconds until an entry may begin or end, whatever the day; more than 0."""
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
    day, passed = DAY_MINUTES * 60, (local - midnight).total_seconds()
    return min((minutes * 60 - passed) % day or day for minutes in (entry.from_, entry.to))


def _words(entry: Budget) -> str:
    hours = f"{_time(entry.from_)}–{_time(entry.to)}"
    rate = "nothing" if entry.rate == 0 else f"{entry.rate / 1e6:g} Mbit/s"
    return f"budget {hours}: {rate}"


def _time(minutes: int) -> str:
    return f"{minutes // 60:02}:{minutes % 60:02}"


def shortest(blocked: Sequence[Blocked | None]) -> float:
    """Seconds until the first of some may go again; infinite if none is blocked."""
    return min((one.seconds for one in blocked if one is not None), default=inf)

"""A clock that goes only when it is told to."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


class HandClock:
    """Starts at a whole second; `advance` moves both its clocks."""

    def __init__(self, now: datetime | None = None) -> None:
        self._now = now or datetime.now(UTC).replace(microsecond=0)
        self._monotonic = 0.0

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return self._monotonic

    def advance(self, **parts: float) -> None:
        step = timedelta(**parts)
        self._now += step
        self._monotonic += step.total_seconds()

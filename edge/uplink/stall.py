"""Whether the line is stuck: the hub is there, something is to be sent, and nothing moves. Pure."""

from __future__ import annotations

from dataclasses import dataclass

STALL_SECONDS = 60.0
"""Nothing may move for so long; on the thinnest line something is acknowledged every second."""


@dataclass(slots=True)
class Stall:
    """Watches for it.

    Attributes:
        since: monotonic seconds since when nothing moves; None: all is well.
    """

    since: float | None = None
    _busy_since: float | None = None

    def look(self, now: float, *, busy: bool, progress_at: float) -> bool:
        """Take a look.

        Args:
            now: monotonic seconds.
            busy: whether the line is up and there is something that may be sent.
            progress_at: when something last moved.

        Returns:
            Whether it is news: that it is stuck, or that it goes on.
        """
        if not busy:
            self._busy_since = None
        elif self._busy_since is None:
            self._busy_since = now
        quiet_since = progress_at if self._busy_since is None else max(progress_at, self._busy_since)
        stuck = self._busy_since is not None and now - quiet_since >= STALL_SECONDS
        news = stuck is (self.since is None)
        self.since = quiet_since if stuck else None
        return news

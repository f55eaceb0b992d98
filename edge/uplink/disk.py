"""Whether this machine's disk keeps what the line brings: receipts, and what else the hub says. Pure."""

from __future__ import annotations

from gateway.errors import StorageFull

REPEATED = 2
"""Failures that are no accident, with nothing kept between them."""

REST_SECONDS = 60.0
"""How long nothing must have failed before it counts as over: one write in ten may fail."""

REMEDY = "have it looked at (system log, SMART, cables); nothing is lost, and it goes on by itself"


class Disk:
    """What became of the last writes.

    Attributes:
        trouble: in plain words; empty: none. Look with `look`.
    """

    def __init__(self) -> None:
        self.trouble = ""
        self._failed = 0
        self._last = 0.0

    def fails(self, error: OSError | StorageFull, now: float) -> None:
        """Something could not be kept, at this monotonic time. A full disk is told elsewhere."""
        if isinstance(error, StorageFull):
            return
        self._failed, self._last = self._failed + 1, now
        if self._failed >= REPEATED:
            why = error.strerror or str(error)
            self.trouble = f"this machine's disk does not keep what the hub says ({why}): {REMEDY}"

    def keeps(self) -> None:
        """Something was kept."""
        self._failed = 0

    def look(self, now: float) -> str:
        """The trouble there is at this monotonic time."""
        if not self._failed and now - self._last >= REST_SECONDS:
            self.trouble = ""
        return self.trouble

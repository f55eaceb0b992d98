"""How often the disk is looked at before an instance is taken."""

from __future__ import annotations

import time
from dataclasses import dataclass

LOOK_SECONDS, AMPLE = 0.1, 1 << 30
"""While so much more than the reserve is free, the disk is looked at no more often before an instance."""


@dataclass(slots=True)
class Looked:
    """When the disk was looked at, and whether much was free."""

    at: float = -LOOK_SECONDS
    ample: bool = False

    @property
    def soon(self) -> bool:
        """Whether it need not even be asked."""
        return self.ample and time.monotonic() - self.at <= LOOK_SECONDS / 2

    @property
    def lately(self) -> bool:
        """Whether it need not be looked at now."""
        return self.ample and time.monotonic() - self.at <= LOOK_SECONDS

    def now(self, *, ample: bool) -> None:
        """It has been looked at."""
        self.at, self.ample = time.monotonic(), ample

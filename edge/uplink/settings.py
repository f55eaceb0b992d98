"""What the uplink is told by the configuration."""

from __future__ import annotations

from typing import Protocol


class Settings(Protocol):
    """A part of `edge.config.Uplink`."""

    @property
    def streams(self) -> int:
        """Exchanges that carry chunks side by side."""

    @property
    def retry_first(self) -> float:
        """Seconds."""

    @property
    def retry_cap(self) -> float:
        """Seconds."""

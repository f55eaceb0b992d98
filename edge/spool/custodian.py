"""Who is told what is durable here, and what is at the hub: storage commitment is given by it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Custodian(Protocol):
    """Hears what is durable here, and what the hub has signed for. Must neither wait nor raise."""

    def came(self, instances: Sequence[tuple[str, str, str]]) -> object:
        """These are durable: SOP class, SOP instance and SHA-256 of each."""

    def receipt(self, signed: bytes) -> object:
        """A receipt is."""

    def lost(self, signed: bytes) -> object:
        """A receipt no longer counts."""

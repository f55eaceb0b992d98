"""Who is told what is durable here, and what is at the hub: storage commitment is given by it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from gateway.model import Sha256


class Named(NamedTuple):
    """What an instance is named by from now on, towards the hub and in its receipt.

    Attributes:
        instance: its SOP Instance UID.
        digest: taken while it came.
        sha256: of the same bytes.
    """

    instance: str
    digest: str
    sha256: Sha256


class Custodian(Protocol):
    """Hears what is durable here, and what the hub has signed for. Must neither wait nor raise."""

    def came(self, instances: Sequence[tuple[str, str, str]]) -> object:
        """These are durable: SOP class, SOP instance and digest of each."""

    def named(self, instances: Sequence[Named]) -> object:
        """The SHA-256 of instances of which another digest was taken while they came."""

    def receipt(self, signed: bytes) -> object:
        """A receipt is."""

    def lost(self, signed: bytes) -> object:
        """A receipt no longer counts."""


class Nobody:
    """For a spool whose edge takes nothing by C-STORE."""

    def came(self, instances: Sequence[tuple[str, str, str]]) -> None:
        """Nobody hears of it."""

    def named(self, instances: Sequence[Named]) -> None:
        """Nobody hears of it."""

    def receipt(self, signed: bytes) -> None:
        """Nobody hears of it."""

    def lost(self, signed: bytes) -> None:
        """Nobody hears of it."""

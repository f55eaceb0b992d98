"""Which digest is taken of an instance's original bytes while they come.

SHA-256 (FIPS 180-4) is what receipts, custody and the archive name an instance by. BLAKE3 takes a quarter of
the time, so it can be taken while a modality waits; whoever reads the bytes again, compares it and takes the
SHA-256 then: the edge when it seals them for the line, or else the hub.
"""

from __future__ import annotations

from enum import Enum
from hashlib import sha256
from typing import Protocol

from blake3 import blake3


class Digest(Protocol):
    """A digest that is being taken."""

    def update(self, data: bytes | bytearray | memoryview, /) -> object:
        """Take the next bytes."""

    def hexdigest(self) -> str:
        """Of the bytes so far."""


class Taken(Enum):
    """A digest of 32 bytes; the value is its name in a manifest."""

    SHA256 = "sha256"
    BLAKE3 = "blake3"

    def begin(self) -> Digest:
        """Of no bytes yet."""
        return sha256() if self is Taken.SHA256 else blake3()

    def of(self, data: bytes) -> str:
        """Of these bytes, in hexadecimal."""
        digest = self.begin()
        digest.update(data)
        return digest.hexdigest()

    @property
    def words(self) -> str:
        """Its name for a person."""
        return "SHA-256" if self is Taken.SHA256 else "BLAKE3"

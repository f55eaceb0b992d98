"""Secrets that must be read again, such as those of one-time codes, sealed with a key outside the database.

Whoever copies the database alone learns none of them. A sealed secret is ``TSS1``, a 12-byte nonce
and AES-256-GCM; what it belongs to is associated data, so a row cannot be given another one's.
"""

from __future__ import annotations

import os
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.errors import Unverified
from hub.seals import read_key

MAGIC = b"TSS1"
NONCE_BYTES = 12
TAG_BYTES = 16


class Vault:
    """Seals and opens.

    Args:
        key: 256 random bits.
    """

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    @classmethod
    def load(cls, file: Path) -> Vault:
        """The key of a file, made on first use (0600).

        Raises:
            Malformed: it is none.
            UsageError: others than its owner may read it.
        """
        return cls(read_key(file))

    def seal(self, secret: bytes, belongs_to: str) -> bytes:
        """`secret`, as it may lie in a database."""
        nonce = os.urandom(NONCE_BYTES)
        return MAGIC + nonce + self._cipher.encrypt(nonce, secret, belongs_to.encode())

    def open(self, sealed: bytes, belongs_to: str) -> bytes:
        """What `seal` sealed. Raises Unverified if it was changed, moved or sealed with another key."""
        magic, rest = sealed[: len(MAGIC)], sealed[len(MAGIC) :]
        if magic != MAGIC or len(rest) < NONCE_BYTES + TAG_BYTES:
            raise Unverified("not a sealed secret")
        try:
            return self._cipher.decrypt(rest[:NONCE_BYTES], rest[NONCE_BYTES:], belongs_to.encode())
        except InvalidTag:
            raise Unverified(
                "a sealed secret does not open with keys/access.key of the data folder; "
                "restore that key, or take the factor away (telerad hub user forget-factor)"
            ) from None

"""Marks that only this program can make: a row that somebody put into the database by hand has none.

The key lies outside the database (``keys/access.key`` of the data folder, from which each use derives its
own), so who can write SQL can copy a mark, not make one. A mark binds what its row says *and* where it
stands: one that is moved or whose row is changed does not hold. Pure, but for `Seals.load`.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from gateway import canonical, durable
from gateway.errors import Malformed
from gateway.private_file import read_private

KEY_BYTES = 32
FILE = "access.key"
"""In the folder of the hub's keys; it also seals the secrets of one-time codes (`hub/access/vault.py`)."""


class Seals:
    """Makes and compares the marks.

    Args:
        key: 256 random bits.
    """

    def __init__(self, key: bytes) -> None:
        self._leaf = _derived(key, "leaf")
        self._session = _derived(key, "session")
        self._turn = _derived(key, "turn")
        self._trail = _derived(key, "trail")

    @classmethod
    def load(cls, data: Path) -> Seals:
        """By the key of a hub's data folder, made on first use. Raises as `read_key`."""
        return cls(read_key(data / "keys" / FILE))

    def leaf(self, leaf_hash: bytes) -> str:
        """Of an entry of the custody log, by the hash of its leaf, which holds its position."""
        return hmac.new(self._leaf, leaf_hash, hashlib.sha256).hexdigest()

    def session(self, facts: Mapping[str, Any]) -> str:
        """Of a session: everything that is decided when it begins."""
        return hmac.new(self._session, canonical.dump(dict(facts)), hashlib.sha256).hexdigest()

    def trail(self, before: str, rows: bytes) -> str:
        """Of a stretch of the audit trail, chained to the mark of the one before it."""
        return hmac.new(self._trail, before.encode() + b"\n" + rows, hashlib.sha256).hexdigest()

    def turn(self, site: str, edge: str, number: int, tag: str) -> str:
        """Of a number handed to an edge (`hub/fleet/turns.py`)."""
        said = canonical.dump([site, edge, number, tag])
        return hmac.new(self._turn, said, hashlib.sha256).hexdigest()


def read_key(file: Path) -> bytes:
    """The key of a file, made on first use (0600).

    Raises:
        Malformed: it is none.
        UsageError: others than its owner may read it.
    """
    if not file.exists():
        durable.make_folder(file.parent)
        durable.create(file, AESGCM.generate_key(KEY_BYTES * 8), mode=0o600)
    key = read_private(file)
    if len(key) != KEY_BYTES:
        raise Malformed(f"{file} is no key of {KEY_BYTES} bytes; restore it from the backup")
    return key


def same(one: str | None, other: str) -> bool:
    """Whether two marks are one, in a time that tells nothing of where they differ."""
    return one is not None and hmac.compare_digest(one.encode(), other.encode())


def _derived(key: bytes, use: str) -> bytes:
    return HKDFExpand(SHA256(), KEY_BYTES, f"telerad/seal/{use}/1".encode()).derive(key)

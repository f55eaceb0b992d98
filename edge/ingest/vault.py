"""What has to outlive a restart and yet must not be read on a stolen disk.

Nothing below ``data/services`` holds a UID or a name in clear:

==============  =================================================================================
``salt``        a random key. By it UIDs become marks (HMAC-SHA-256): whoever has the disk can
                check a UID that he knows already, and list none
a kept record   encrypted under a key that comes from the salt and the UID by which its owner asks
                for it (`for_name`): only who presents the UID can open it, after a power cut too
a carried       encrypted under a key in the machine's memory (`carried`): a RAM disk, or the file
record          ``ingest.secret``. It survives the death of this process, not that of the machine
==============  =================================================================================
"""

from __future__ import annotations

import os
import secrets
import stat
from contextlib import suppress
from hashlib import sha256
from hmac import digest
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway import durable
from gateway.errors import UsageError
from gateway.log import logger

FOLDER = "services"
"""Within the data folder."""

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108  # the file in it is made for its owner alone, and checked
KEY, NONCE, MARK = 32, 12, 16
log = logger("edge.ingest")


class Vault:
    """Marks, seals and opens. Thread-safe.

    Args:
        folder: ``data/services``.
        salt: of this edge.
        secret: the machine's.
    """

    def __init__(self, folder: Path, salt: bytes, secret: bytes) -> None:
        self.folder, self._salt, self._secret = folder, salt, secret

    @classmethod
    def open(cls, data: Path, secret: Path | None = None) -> Vault:
        """Below the edge's data folder; what is missing is made.

        Args:
            data: the edge's data folder.
            secret: the file with the machine's key; None: a file of the RAM disk.

        Raises:
            UsageError: the key cannot be kept for this user alone.
        """
        folder = data / FOLDER
        durable.make_folder(folder)
        salt = folder / "salt"
        if not salt.exists():
            durable.create(salt, secrets.token_bytes(KEY))
        return cls(folder, salt.read_bytes(), _secret(secret, data))

    def mark(self, kind: str, *words: str) -> bytes:
        """16 bytes that stand for these words, and tell nothing of them."""
        return self._derived("mark", kind, *words)[:MARK]

    def for_name(self, kind: str, name: str) -> Sealed:
        """Seals what is asked for by `name`."""
        return Sealed(self._derived("name", kind, name))

    def carried(self, kind: str) -> Sealed:
        """Seals what this process has to open unasked."""
        return Sealed(digest(self._secret, kind.encode(), "sha256"))

    def _derived(self, *words: str) -> bytes:
        return digest(self._salt, "\0".join(words).encode(), "sha256")


class Sealed:
    """AES-256-GCM under one key."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    def seal(self, data: bytes) -> bytes:
        """Nonce and ciphertext."""
        nonce = secrets.token_bytes(NONCE)
        return nonce + self._cipher.encrypt(nonce, data, None)

    def opened(self, data: bytes) -> bytes | None:
        """What was sealed; None: with another key, or it is damaged."""
        with suppress(InvalidTag, ValueError):
            return self._cipher.decrypt(data[:NONCE], data[NONCE:], None)
        return None


def _secret(file: Path | None, data: Path) -> bytes:
    if file is None and not SHARED_MEMORY.is_dir():
        log.warning(
            "no RAM disk",
            meaning="storage commitments asked for, and what the page shows, are forgotten at a restart",
        )
        return secrets.token_bytes(KEY)
    place = str(data.resolve())
    name = f"telerad-{os.geteuid()}-{sha256(place.encode()).hexdigest()[:16]}"
    path = file or SHARED_MEMORY / name
    try:
        return _kept(path)
    except OSError as error:
        raise UsageError(f"the key {path} cannot be kept: {error.strerror or error}") from error


def _kept(path: Path) -> bytes:
    """The key in a file of this user alone; made if there is none. Raises OSError, UsageError."""
    with suppress(FileExistsError):
        durable.create(path, secrets.token_bytes(KEY))
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        found = os.fstat(handle)
        private = stat.S_ISREG(found.st_mode) and not found.st_mode & 0o077
        if not private or found.st_uid not in (0, os.geteuid()):
            raise UsageError(f"{path} must be a file that only this user can read (mode 0600)")
        key = os.read(handle, KEY)
    finally:
        os.close(handle)
    if len(key) != KEY:
        raise UsageError(f"{path} must hold {KEY} random bytes")
    return key

"""Passwords: Argon2id (RFC 9106), few at a time, and the same cost for a user who does not exist.

Argon2 takes 64 MiB and about a tenth of a second by design. It runs in a thread (the library
releases the GIL) behind a semaphore, so that a flood of logins cannot take the memory of the hub.
"""

from __future__ import annotations

import asyncio
import os
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from gateway.errors import Refused

AT_ONCE = 2
"""Derivations that may run at the same time."""

SALT_BYTES = 16
HASH_BYTES = 32

SHORTEST_ALONE = 15
"""Characters, where the password is the only factor (NIST SP 800-63B-4 §3.1.1.2)."""

SHORTEST_WITH_SECOND_FACTOR = 8
"""Characters, where a second factor is asked for as well."""

LONGEST = 256
"""Characters; more is a mistake or an attack on the hash."""

_COMMON = frozenset(
    {
        "12345678", "123456789", "1234567890", "abcd1234", "admin123", "administrator", "baseball",
        "changeme", "changeme1", "dicomdicom", "football", "iloveyou", "letmein1", "passw0rd", "password",
        "password1", "princess", "qwerty123", "qwertyui", "qwertyuiop", "radiologist", "radiology",
        "secret123", "sunshine", "telerad1", "telerad123", "welcome1",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Cost:
    """What one guess costs. The defaults are RFC 9106 §4, second recommended option.

    Args:
        memory_kib: KiB of memory.
        iterations: passes over it.
        lanes: parallel lanes.
    """

    memory_kib: int = 64 * 1024
    iterations: int = 3
    lanes: int = 4


class Passwords:
    """Derives, keeps at most `AT_ONCE` derivations going."""

    def __init__(self, cost: Cost | None = None, random: Callable[[int], bytes] = os.urandom) -> None:
        self._cost = cost or Cost()
        self._random = random
        self._gate = asyncio.Semaphore(AT_ONCE)
        self._nobody: str | None = None

    async def hash(self, password: str) -> str:
        """A PHC string to keep: ``$argon2id$v=19$m=…,t=…,p=…$salt$hash``."""
        async with self._gate:
            return await asyncio.to_thread(
                self._argon2(self._random(SALT_BYTES)).derive_phc_encoded, _bytes(password)
            )

    async def verify(self, password: str, kept: str | None) -> bool:
        """Whether `password` is the one behind `kept`; with no `kept`, as costly, and false."""
        if kept is None:
            if self._nobody is None:
                self._nobody = await self.hash("nobody has this password")
            await self._matches(password, self._nobody)
            return False
        return await self._matches(password, kept)

    async def key(self, passphrase: str, salt: bytes, cost: Cost | None = None) -> bytes:
        """A 32-byte key from a passphrase, to wrap another key with.

        Args:
            passphrase: what the person types.
            salt: kept beside what the key wraps.
            cost: as kept beside it; none: today's.
        """
        async with self._gate:
            return await asyncio.to_thread(self._argon2(salt, cost).derive, _bytes(passphrase))

    @property
    def cost(self) -> Cost:
        """Of a new derivation."""
        return self._cost

    async def _matches(self, password: str, kept: str) -> bool:
        async with self._gate:
            try:
                await asyncio.to_thread(Argon2id.verify_phc_encoded, _bytes(password), kept)
            except InvalidKey:
                return False
            return True

    def _argon2(self, salt: bytes, cost: Cost | None = None) -> Argon2id:
        chosen = cost or self._cost
        return Argon2id(
            salt=salt,
            length=HASH_BYTES,
            iterations=chosen.iterations,
            lanes=chosen.lanes,
            memory_cost=chosen.memory_kib,
        )


def check_new(password: str, *, name: str, alone: bool) -> None:
    """Whether a new password is good enough (NIST SP 800-63B-4: length and a list, no patterns).

    Args:
        password: as typed.
        name: the login, which it must not contain.
        alone: whether it is the only factor.

    Raises:
        Refused: too short, too long, common, or made of the login.
    """
    text = normalized(password)
    shortest = SHORTEST_ALONE if alone else SHORTEST_WITH_SECOND_FACTOR
    if len(text) < shortest:
        raise Refused(f"the password needs at least {shortest} characters")
    if len(text) > LONGEST:
        raise Refused(f"the password may have at most {LONGEST} characters")
    lowered = text.casefold()
    if lowered in _COMMON or len(set(lowered)) < 4 or lowered.strip("0123456789") == name.casefold():
        raise Refused("the password is one of those that are tried first")


def normalized(password: str) -> str:
    """The form that is hashed: NFKC, so that the same keys on another keyboard give the same bytes."""
    return unicodedata.normalize("NFKC", password)


def _bytes(password: str) -> bytes:
    return normalized(password[: LONGEST * 4]).encode("utf-8", "surrogatepass")

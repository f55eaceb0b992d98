"""Recovery codes: ten one-time codes on paper, for the day the telephone or the passkey is lost."""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Callable

from sqlalchemy import delete, func, select, update

from gateway.clock import Clock, rfc3339
from gateway.database import Database
from hub.standing import Standing
from hub.tables.account import recovery_codes

COUNT = 10
CODE_BYTES = 10
"""80 bits: sixteen characters of base32."""


class RecoveryCodes:
    """The table of codes; it keeps their SHA-256."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        standing: Standing,
        random: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._database, self._clock, self._standing, self._random = database, clock, standing, random

    async def renew(self, user: str) -> list[str]:
        """New codes to write down; those before are worth nothing."""
        codes = [_shown(self._random(CODE_BYTES)) for _ in range(COUNT)]
        async with self._database.writing() as connection:
            await connection.execute(delete(recovery_codes).where(recovery_codes.c.user == user))
            rows = [{"user": user, "code_sha256": _digest(code)} for code in codes]
            await connection.execute(recovery_codes.insert(), rows)
            await self._standing.enter(connection, user)
        return codes

    async def use(self, user: str, code: str) -> bool:
        """Use one up; false if it is wrong or was used before."""
        mine = (recovery_codes.c.user == user) & (recovery_codes.c.code_sha256 == _digest(code))
        unused = recovery_codes.c.used_at.is_(None)
        async with self._database.writing() as connection:
            used = {"used_at": rfc3339(self._clock.now())}
            done = await connection.execute(update(recovery_codes).where(mine, unused).values(used))
            if done.rowcount == 1:
                await self._standing.enter(connection, user)
        return done.rowcount == 1

    async def left(self, user: str) -> int:
        """How many can still be used."""
        query = select(func.count()).where(recovery_codes.c.user == user, recovery_codes.c.used_at.is_(None))
        async with self._database.reading() as connection:
            return int((await connection.execute(query)).scalar_one())


def looks_like_one(code: str) -> bool:
    """Whether it is meant as a recovery code rather than as one of an app."""
    return len(_plain(code)) == CODE_BYTES * 8 // 5


def _shown(secret: bytes) -> str:
    text = base64.b32encode(secret).decode()
    return "-".join(text[at : at + 4] for at in range(0, len(text), 4))


def _plain(code: str) -> str:
    return "".join(code.split()).replace("-", "").upper()


def _digest(code: str) -> str:
    return hashlib.sha256(_plain(code).encode("utf-8", "surrogatepass")).hexdigest()

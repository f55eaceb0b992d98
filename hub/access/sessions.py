"""Sessions: an own table, so that one can be looked at, limited in time, and ended at once.

The browser holds 256 random bits in a ``__Host-`` cookie; the table holds their SHA-256, so a copy
of the database opens no session. A session dies of idleness, of age, of logging out, of a new
password, and of its account being disabled. Bearer tokens are sessions of another kind, for
programs; they do not go idle and are never taken from a cookie.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import RowMapping, exists, select, update

from gateway.clock import Clock, parse_rfc3339, rfc3339
from gateway.database import Database
from gateway.log import logger
from hub.access.accounts import account_of
from hub.people import Account
from hub.seals import Seals, same
from hub.sessions_sealed import facts, seal
from hub.standing import Standing
from hub.tables.account import passkeys, session_seals, sessions, users

COOKIE = "__Host-telerad"
TOKEN_BYTES = 32
log = logger("hub.access")

TOUCH_SECONDS = 30.0
"""A sign of life is written at most this often; less than the shortest idle time by far."""


@dataclass(frozen=True, slots=True)
class Session:
    """An open session.

    Args:
        account: whose, with the factors this session proved.
        csrf: what unsafe requests must repeat in ``X-CSRF-Token``.
        kind: ``browser`` or ``bearer``.
        digest: names it in the table.
        enrolled: whether the account has a second factor.
        expires_at: when it ends whatever happens.
        proved_at: when a second factor was last shown in it; None: not yet.
    """

    account: Account
    csrf: str
    kind: str
    digest: str
    enrolled: bool
    expires_at: str
    proved_at: str | None = None


class Sessions:
    """The table of sessions.

    Args:
        idle: seconds without a sign of life.
        absolute: seconds of life in all.
        seals: a session without one of ours, or of another role by now, opens nothing.
        standing: is told of programs' tokens.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        seals: Seals,
        standing: Standing,
        *,
        idle: float,
        absolute: float,
    ) -> None:
        self._database, self._clock, self._idle, self._absolute = database, clock, idle, absolute
        self._seals, self._standing = seals, standing

    async def open(self, user: str, *, factors: int, address: str, agent: str = "") -> tuple[str, str]:
        """Begin a browser session. Returns (token for the cookie, CSRF token)."""
        csrf = secrets.token_urlsafe(TOKEN_BYTES)
        token = await self._insert(
            user,
            kind="browser",
            csrf=csrf,
            factors=factors,
            address=address,
            agent=agent,
            life=self._absolute,
        )
        return token, csrf

    async def bearer(self, user: str, *, life: float) -> str:
        """A token for a program, good for `life` seconds."""
        return await self._insert(user, kind="bearer", csrf="", factors=1, address="", life=life)

    async def find(self, token: str, *, kind: str, touch: bool = True) -> Session | None:
        """The live session of a token; None if there is none any more.

        Args:
            token: from the cookie or the header.
            kind: a cookie never opens a bearer token's session, nor the other way round.
            touch: whether this is a sign of life.
        """
        digest = token_digest(token)
        query = (
            select(sessions, *(one for one in users.c if one.name != "created_at"), session_seals.c.seal)
            .add_columns(exists().where(passkeys.c.user == users.c.name).label("has_passkey"))
            .join_from(sessions, users)
            .outerjoin(session_seals, session_seals.c.token_sha256 == sessions.c.token_sha256)
            .where(sessions.c.token_sha256 == digest, sessions.c.kind == kind)
        )
        async with self._database.reading() as connection:
            row = (await connection.execute(query)).mappings().first()
        if row is None or not self._alive(row):
            return None
        if not same(row["seal"], self._seals.session(facts(row))):
            log.error("a session that this program did not open so", session=digest[:16], user=row["user"])
            return None
        if touch and kind == "browser":
            await self._touch(digest, row["seen_at"])
        account = account_of(row, factors=row["factors"])
        enrolled = row["totp_secret"] is not None or bool(row["has_passkey"])
        return Session(
            account, row["csrf"], row["kind"], digest, enrolled, row["expires_at"], row["proved_at"]
        )

    async def raise_factors(self, session: Session, *, address: str, agent: str = "") -> str:
        """The same session under a new token after a second factor was proved; the old one is dead.

        Rotating at every step up keeps a token seen before it from gaining what came after it.
        """
        await self.end(session.digest)
        left = (parse_rfc3339(session.expires_at) - self._clock.now()).total_seconds()
        return await self._insert(
            session.account.name,
            kind="browser",
            csrf=session.csrf,
            factors=2,
            address=address,
            agent=agent,
            life=left,
        )

    async def of(self, user: str) -> list[dict[str, str]]:
        """The live browser sessions of an account, the newest sign of life first."""
        mine = (sessions.c.user == user) & (sessions.c.kind == "browser") & (sessions.c.revoked_at.is_(None))
        query = select(users.c.disabled, sessions).join_from(sessions, users).where(mine)
        async with self._database.reading() as connection:
            rows = (await connection.execute(query.order_by(sessions.c.seen_at.desc()))).mappings().all()
        names = ("address", "agent", "created_at", "seen_at", "expires_at")
        return [
            {"id": row["token_sha256"], **{name: row[name] for name in names}}
            for row in rows
            if self._alive(row)
        ]

    async def end_of(self, user: str, digest: str) -> bool:
        """End one session if it is this user's and open."""
        mine = (sessions.c.token_sha256 == digest) & (sessions.c.user == user)
        async with self._database.writing() as connection:
            ended = {"revoked_at": rfc3339(self._clock.now())}
            open_ones = mine & sessions.c.revoked_at.is_(None)
            return (await connection.execute(update(sessions).where(open_ones).values(ended))).rowcount == 1

    async def end(self, digest: str) -> None:
        """End one session, for good."""
        async with self._database.writing() as connection:
            mine = (sessions.c.token_sha256 == digest) & (sessions.c.revoked_at.is_(None))
            ended = {"revoked_at": rfc3339(self._clock.now())}
            await connection.execute(update(sessions).where(mine).values(ended))

    def _alive(self, row: RowMapping) -> bool:
        now = self._clock.now()
        if row["revoked_at"] is not None or row["disabled"] or parse_rfc3339(row["expires_at"]) <= now:
            return False
        idle = (now - parse_rfc3339(row["seen_at"])).total_seconds()
        return bool(row["kind"] == "bearer" or idle < self._idle)

    async def _touch(self, digest: str, seen_at: str) -> None:
        now = self._clock.now()
        if (now - parse_rfc3339(seen_at)).total_seconds() < TOUCH_SECONDS:
            return
        async with self._database.writing() as connection:
            mine = sessions.c.token_sha256 == digest
            await connection.execute(update(sessions).where(mine).values(seen_at=rfc3339(now)))

    async def _insert(
        self,
        user: str,
        *,
        kind: str,
        csrf: str,
        factors: int,
        address: str,
        life: float,
        agent: str = "",
    ) -> str:
        token = secrets.token_urlsafe(TOKEN_BYTES)
        now = self._clock.now()
        row = {
            "token_sha256": token_digest(token),
            "user": user,
            "kind": kind,
            "csrf": csrf,
            "factors": factors,
            "address": address[:64],
            "agent": agent[:128],
            "proved_at": rfc3339(now) if factors > 1 else None,
            "created_at": rfc3339(now),
            "seen_at": rfc3339(now),
            "expires_at": rfc3339(now + timedelta(seconds=life)),
        }
        async with self._database.writing() as connection:
            await connection.execute(sessions.insert().values(row))
            await seal(connection, self._seals, row)
            if kind == "bearer":
                await self._standing.enter(connection, user)
        return token


def token_digest(token: str) -> str:
    """What the table keeps of a token."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()

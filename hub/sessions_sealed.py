"""The seals of sessions: a row that somebody put into the table, or led to another account, opens nothing.

A seal holds what is decided when a session begins, and the role and site its account had then: a role raised
behind the program's back ends the session rather than widens it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.clock import rfc3339
from hub.seals import Seals, same
from hub.tables.account import session_seals, sessions, users

_SESSION = ("token_sha256", "user", "kind", "csrf", "factors", "proved_at", "created_at", "expires_at")
_ACCOUNT = ("role", "site")


def facts(row: Any) -> dict[str, Any]:
    """What is sealed, of a row of `sessions` joined with its account's role and site."""
    return {name: row[name] for name in (*_SESSION, *_ACCOUNT)}


async def seal(connection: AsyncConnection, seals: Seals, row: Mapping[str, Any]) -> None:
    """Seal a session that was just opened, in the same transaction."""
    account = select(users.c.role, users.c.site).where(users.c.name == row["user"])
    role, site = (await connection.execute(account)).one()
    made = seals.session(facts({**row, "role": role, "site": site}))
    await connection.execute(insert(session_seals).values(token_sha256=row["token_sha256"], seal=made))


async def seal_open(connection: AsyncConnection, seals: Seals) -> None:
    """Seal every open session that has no seal: once, when a log begins to know of accounts."""
    for row in await _open(connection):
        if row["seal"] is None:
            values = {"token_sha256": row["token_sha256"], "seal": seals.session(facts(row))}
            await connection.execute(insert(session_seals).values(values))


async def end_odd(connection: AsyncConnection, seals: Seals, at: str) -> None:
    """End every open session that the program did not open so."""
    for row in await _open(connection):
        if not same(row["seal"], seals.session(facts(row))):
            mine = sessions.c.token_sha256 == row["token_sha256"]
            await connection.execute(update(sessions).where(mine).values(revoked_at=at))


async def odd(connection: AsyncConnection, seals: Seals, now: datetime) -> list[str]:
    """Open sessions that the program did not open so, one line each; they let nobody in."""
    return [
        f"session {row['token_sha256'][:16]}… of {row['user']}: this program did not open it so"
        for row in await _open(connection)
        if row["expires_at"] > rfc3339(now) and not same(row["seal"], seals.session(facts(row)))
    ]


async def _open(connection: AsyncConnection) -> list[Any]:
    query = (
        select(sessions, users.c.role, users.c.site, session_seals.c.seal)
        .join_from(sessions, users, sessions.c.user == users.c.name)
        .outerjoin(session_seals, session_seals.c.token_sha256 == sessions.c.token_sha256)
        .where(sessions.c.revoked_at.is_(None))
    )
    return list((await connection.execute(query)).mappings())

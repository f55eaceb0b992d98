"""Whether what lets an edge in, a token or an administrator's nod, is in the custody log, too."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.clock import parse_rfc3339
from gateway.database import Database
from hub.custody import entry_of
from hub.fleet.tokens import withdrawn
from hub.tables.custody import custody
from hub.tables.fleet import edge_returns, tokens

CREATED, WITHDRAWN, APPROVED = "token-created", "token-withdrawn", "edge-return-approved"
SOME = 500
"""Subjects asked for in one query."""


async def look(database: Database) -> list[str]:
    """What does not fit now, one line each."""
    async with database.reading() as connection:
        return [*await _tokens(connection), *await _returns(connection)]


async def _tokens(connection: AsyncConnection) -> list[str]:
    rows = (await connection.execute(select(tokens))).mappings().all()
    digests = [row["token_sha256"] for row in rows]
    made, gone = await _leaves(connection, CREATED, digests), await _leaves(connection, WITHDRAWN, digests)
    found = []
    for row in rows:
        name = f"token {row['token_sha256'][:16]}… of {row['site']}"
        leaf = made.get(row["token_sha256"])
        if leaf is None:
            found.append(f"{name}: it is there, and nobody made it")
        elif (leaf["site"], leaf["detail"].get("edge"), leaf["detail"].get("seconds")) != (
            row["site"],
            row["edge"] or "",
            _seconds(row["created_at"], row["expires_at"]),
        ):
            found.append(f"{name}: it was made for another site, edge or time")
        elif row["token_sha256"] in gone and not withdrawn(row):
            found.append(f"{name}: it was withdrawn, and is good again")
    return found


def _seconds(begin: str, end: str) -> int | None:
    try:
        return int((parse_rfc3339(end) - parse_rfc3339(begin)).total_seconds())
    except ValueError:
        return None


async def _returns(connection: AsyncConnection) -> list[str]:
    query = select(edge_returns).where(edge_returns.c.decision == "approved")
    rows = (await connection.execute(query)).mappings().all()
    said = await _leaves(connection, APPROVED, [row["request"] for row in rows])
    return [
        f"return {row['request'][:16]}… of {row['site']}/{row['edge']}: approved, and nobody did it"
        for row in rows
        if row["request"] not in said or said[row["request"]]["site"] != row["site"]
    ]


async def _leaves(connection: AsyncConnection, event: str, subjects: list[str]) -> dict[str, Any]:
    found = {}
    for at in range(0, len(subjects), SOME):
        some = custody.c.subject.in_(subjects[at : at + SOME]) & (custody.c.event == event)
        for (leaf,) in await connection.execute(select(custody.c.leaf).where(some)):
            entry = entry_of(leaf)
            found[entry["subject"]] = entry
    return found

"""Whether every case belongs to whom, and stands in the group in which, the custody log last said it does.

Who reads a case sees its images: a case that was given to somebody with SQL would open them. Each time a case
gets a reader or a group, `enter` says so, in the same transaction.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.clock import rfc3339
from gateway.custody.commitment import person_digest
from gateway.database import Database
from hub.custody import entry_of
from hub.record import USER, Record, subject_of, user
from hub.tables.account import users
from hub.tables.case import cases
from hub.tables.custody import custody, person_salts
from hub.tables.study import studies

EVENT = "case-reach"
"""Of a subject of its own, apart from the case's way."""

OPENS = timedelta(days=31)
"""For how long a reported case still opens its images, and a little more (`hub.access.access.RECENT`)."""

SOME = 500
"""Subjects asked for in one query."""


async def enter(connection: AsyncConnection, custody_log: Record, case: int) -> None:
    """Enter whose a case is now, in the `writing` transaction that changed it."""
    query = select(cases.c.assignee, cases.c.group, studies.c.site).join_from(cases, studies)
    row = (await connection.execute(query.where(cases.c.id == case))).one()
    detail = {"to": user(row.assignee) if row.assignee else "", "group": row.group}
    await custody_log.append(connection, EVENT, site=row.site, subject=subject_of(EVENT, case), detail=detail)


async def newest_case(connection: AsyncConnection) -> int:
    """The number of the newest case: those before are not known to a log that begins now."""
    return int((await connection.execute(select(func.max(cases.c.id)))).scalar() or 0)


async def look(database: Database, before: int, now: datetime) -> list[str]:
    """What does not fit, one line each.

    Args:
        database: the hub's.
        before: the newest case from before the log knew of them.
        now: the time of day.
    """
    opens = cases.c.reported_at.is_(None) | (cases.c.reported_at >= rfc3339(now - OPENS))
    query = select(cases.c.id, cases.c.assignee, cases.c.group, users.c.disabled)
    query = query.outerjoin(users, users.c.name == cases.c.assignee).where(opens)
    async with database.reading() as connection:
        rows = (await connection.execute(query)).mappings().all()
        salts = await _salts(connection)
        told = await _told(connection, [row["id"] for row in rows])
    found = []
    for row in rows:
        leaf = told.get(subject_of(EVENT, row["id"]))
        if leaf is None:
            if row["id"] > before:
                found.append(f"case {row['id']}: it is there, and nobody made it")
            continue
        name = row["assignee"]
        to = person_digest(salts.get(name, ""), USER, name) if name else ""
        if (
            leaf.get("to") != to and not row["disabled"]
        ):  # whoever is barred sees nothing, and may have no salt
            found.append(f"case {row['id']}: it is {name or 'nobody'}'s, and nobody gave it so")
        if leaf.get("group") != row["group"]:
            found.append(
                f"case {row['id']}: it stands in the group {row['group']!r}, and nobody put it there"
            )
    return found


async def _salts(connection: AsyncConnection) -> dict[str, str]:
    query = select(person_salts.c.name, person_salts.c.salt).where(person_salts.c.kind == USER)
    return {row.name: row.salt for row in await connection.execute(query)}


async def _told(connection: AsyncConnection, ids: list[int]) -> dict[str, Any]:
    found = {}
    for at in range(0, len(ids), SOME):
        subjects = [subject_of(EVENT, one) for one in ids[at : at + SOME]]
        some = custody.c.subject.in_(subjects) & (custody.c.event == EVENT)
        newest = select(func.max(custody.c.position)).where(some).group_by(custody.c.subject)
        query = select(custody.c.subject, custody.c.leaf).where(custody.c.position.in_(newest))
        for row in await connection.execute(query):
            found[row.subject] = entry_of(row.leaf)["detail"]
    return found

"""The readers' side of the conversation about a case, within the viewer's reach."""

from __future__ import annotations

import secrets
from typing import Any

from sqlalchemy import RowMapping, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.clock import Clock, rfc3339
from gateway.database import Database
from gateway.errors import NotFound
from gateway.message import Purpose, clean
from hub import conversation
from hub.people import Account
from hub.reach import reach_of
from hub.record import Record
from hub.tables.account import users
from hub.tables.case import case_events, cases
from hub.tables.message import messages
from hub.tables.study import instances, series, studies

NEWEST = 500
"""Messages of one study that are shown; nobody has written so many."""


class Dialogue:
    """Conversations, as somebody may see them and take part.

    Args:
        database: of the hub.
        custody: the log.
        clock: the time.
    """

    def __init__(self, database: Database, custody: Record, clock: Clock) -> None:
        self._database, self._custody, self._clock = database, custody, clock

    async def of_case(self, viewer: Account, case_id: int) -> dict[str, Any]:
        """All messages about a case's study, oldest first, and what images came after each request.

        Raises:
            NotFound: not in reach.
        """
        async with self._database.reading() as connection:
            row = await self._row(connection, viewer, case_id)
            mine = (messages.c.site == row["site"]) & (messages.c.study_uid == row["study_uid"])
            query = (
                select(messages, users.c.display_name)
                .outerjoin(users, users.c.name == messages.c.author)
                .where(mine)
                .order_by(messages.c.id.desc())
                .limit(NEWEST)
            )
            rows = list((await connection.execute(query)).mappings())[::-1]
            came = {
                one["id"]: await _came_after(connection, row["study"], one["at"])
                for one in rows
                if one["purpose"] == Purpose.REQUEST.value
            }
        return {"site": row["site"], "messages": [_json(one, came.get(one["id"])) for one in rows]}

    async def say(self, viewer: Account, case_id: int, text: str, ident: str = "") -> None:
        """Write to the hospital, without returning the case.

        Args:
            viewer: who writes.
            case_id: about which case.
            text: what.
            ident: of the message, 32 hexadecimal digits; empty: a new one. The same again changes nothing.

        Raises:
            NotFound: not in reach.
            Malformed: no text, or too long a one.
        """
        said, now = clean(text), rfc3339(self._clock.now())
        async with self._database.writing() as connection:
            row = await self._row(connection, viewer, case_id)
            draft = conversation.Draft(
                site=row["site"],
                study_uid=row["study_uid"],
                message_id=ident or secrets.token_hex(16),
                sender=conversation.READER,
                purpose=Purpose.MESSAGE,
                text=said,
                author=viewer.name,
                written_at=now,
            )
            await conversation.keep(connection, self._custody, draft, now)

    async def seen(self, viewer: Account, case_id: int, upto: int) -> None:
        """The case's reader has looked at the hospital's messages up to the number `upto`.

        Another reader's look changes nothing: the messages stay new to whose case it is.

        Raises:
            NotFound: not in reach.
        """
        async with self._database.writing() as connection:
            row = await self._row(connection, viewer, case_id)
            if row["assignee"] not in (None, viewer.name):
                return
            now = rfc3339(self._clock.now())
            await _mark(connection, row["site"], row["study_uid"], conversation.SITE, upto, now)

    async def _row(self, connection: AsyncConnection, viewer: Account, case_id: int) -> RowMapping:
        reach = await reach_of(connection, viewer, rfc3339(self._clock.now()))
        query = select(cases.c.study, cases.c.assignee, studies.c.site, studies.c.study_uid).join_from(
            cases, studies
        )
        found = (await connection.execute(query.where(cases.c.id == case_id, reach.clause()))).mappings()
        row = found.first()
        if row is None:
            raise NotFound("there is no such case")
        return row


async def seen_by_site(connection: AsyncConnection, site: str, study_uid: str, upto: int, now: str) -> None:
    """Note that somebody at the hospital looked at the readers' messages, in the case's history too.

    Args:
        connection: of a writing transaction.
        site: the hospital.
        study_uid: the study.
        upto: number of the newest message that was looked at.
        now: RFC 3339.
    """
    if not await _mark(connection, site, study_uid, conversation.READER, upto, now):
        return
    here = (studies.c.site == site) & (studies.c.study_uid == study_uid)
    case = (await connection.execute(select(cases.c.id).join_from(cases, studies).where(here))).scalar()
    if case is not None:
        await connection.execute(insert(case_events).values(case=case, event="site-seen", by=site, at=now))


async def _mark(
    connection: AsyncConnection, site: str, study_uid: str, sender: str, upto: int, now: str
) -> bool:
    """The other side looked at what `sender` wrote. Returns whether any of it was new to them."""
    done = await connection.execute(
        update(messages)
        .where(messages.c.site == site, messages.c.study_uid == study_uid, messages.c.sender == sender)
        .where(messages.c.id <= upto, messages.c.seen_at.is_(None))
        .values(seen_at=now)
    )
    return done.rowcount > 0


async def _came_after(connection: AsyncConnection, study: int, at: str) -> list[dict[str, Any]]:
    """What the hospital sent of a study after a moment, by series."""
    later = (series.c.study == study) & (instances.c.origin == "edge") & (instances.c.indexed_at > at)
    query = (
        select(series.c.series_uid, series.c.modality, series.c.description, func.count().label("instances"))
        .join_from(instances, series)
        .where(later, instances.c.current)
        .group_by(series.c.id)
        .order_by(series.c.id)
    )
    return [dict(row) for row in (await connection.execute(query)).mappings()]


def _json(row: RowMapping, came: list[dict[str, Any]] | None) -> dict[str, Any]:
    return {
        "number": row["id"],
        "id": row["message_id"],
        "sender": row["sender"],
        "purpose": row["purpose"],
        "need": row["need"],
        "text": row["text"],
        "author": row["display_name"] or row["author"],
        "written_at": row["written_at"],
        "at": row["at"],
        "seen_at": row["seen_at"],
        "closed_at": row["closed_at"],
        "came_after": came,
    }

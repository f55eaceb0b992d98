"""How messages between technician and reader come into the hub's tables, whichever station brings them.

The one way in: a known identifier changes nothing; the case's history and the custody log learn of
every message, the log by digest alone. Everything happens in the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Label, Select, exists, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.envelope.layout import Notice
from gateway.errors import Malformed
from gateway.log import logger
from gateway.message import ANSWERS, KIND, Purpose, SiteMessage, digest
from hub.record import Record, subject_of
from hub.tables.case import case_events, cases
from hub.tables.message import messages
from hub.tables.study import studies

READER, SITE = "reader", "site"

log = logger("hub.conversation")


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A message that is to be kept; columns of `messages`."""

    site: str
    study_uid: str
    message_id: str
    sender: str
    purpose: Purpose
    text: str
    written_at: str
    need: str = ""
    author: str = ""


async def keep(connection: AsyncConnection, custody: Record, draft: Draft, now: str) -> bool:
    """Keep a message; one that answers closes what was asked.

    Args:
        connection: of a writing transaction.
        custody: the log.
        draft: the message, checked.
        now: RFC 3339.

    Returns:
        False if it is known already; nothing is changed then.
    """
    mine = (messages.c.site == draft.site) & (messages.c.message_id == draft.message_id)
    if (await connection.execute(select(messages.c.id).where(mine))).first() is not None:
        return False
    values = {name: getattr(draft, name) for name in Draft.__slots__} | {"purpose": draft.purpose.value}
    await connection.execute(insert(messages).values(at=now, **values))
    if draft.purpose in ANSWERS:
        await close(connection, draft.site, draft.study_uid, now)
    case = (await connection.execute(_case_of(draft))).scalar()
    if case is not None:
        event = f"{draft.sender}-{draft.purpose.value}"
        by = draft.author or draft.site
        await connection.execute(insert(case_events).values(case=case, event=event, by=by, at=now))
    await custody.append(
        connection,
        "message",
        site=draft.site,
        subject=subject_of("case", case) if case is not None else subject_of("message", draft.message_id),
        detail={
            "from": draft.sender,
            "purpose": draft.purpose.value,
            "sha256": digest(draft.message_id, draft.text),
        },
    )
    return True


async def close(connection: AsyncConnection, site: str, study_uid: str, now: str) -> None:
    """Nothing asked about this study is waited for any more."""
    await connection.execute(update(messages).where(waiting(site, study_uid)).values(closed_at=now))


async def take(
    connection: AsyncConnection, custody: Record, notes: Sequence[tuple[str, Notice]], now: str
) -> None:
    """Keep the messages among an edge's notices; each with the site whose parcel carried it."""
    for site, notice in notes:
        if notice.kind != KIND:
            continue
        try:
            told = SiteMessage.read(notice)
        except Malformed as error:
            log.warning("a message that cannot be read", site=site, why=str(error))
            continue
        draft = Draft(
            site=site,
            study_uid=told.study,
            message_id=told.id,
            sender=SITE,
            purpose=told.purpose,
            text=told.text,
            written_at=told.at,
        )
        if await keep(connection, custody, draft, now):
            log.info("message from the site", site=site, study_uid=told.study, purpose=told.purpose.value)


def waiting(site: str | ColumnElement[str], study_uid: str | ColumnElement[str]) -> ColumnElement[bool]:
    """Requests about a study that nobody has answered."""
    return (
        (messages.c.site == site)
        & (messages.c.study_uid == study_uid)
        & (messages.c.purpose == Purpose.REQUEST.value)
        & messages.c.closed_at.is_(None)
    )


def answered() -> ColumnElement[bool]:
    """A condition on `cases` joined with `studies`: more was asked for, and all of it is answered."""
    asked = (
        (messages.c.site == studies.c.site)
        & (messages.c.study_uid == studies.c.study_uid)
        & (messages.c.purpose == Purpose.REQUEST.value)
    )
    open_one = exists(select(messages.c.id).where(waiting(studies.c.site, studies.c.study_uid)))
    return exists(select(messages.c.id).where(asked)) & ~open_one


def counts() -> tuple[Label[int], Label[int]]:
    """Columns for a query on `studies`: the site's messages no reader has seen, requests without answer."""
    unread = (
        (messages.c.site == studies.c.site)
        & (messages.c.study_uid == studies.c.study_uid)
        & (messages.c.sender == SITE)
        & messages.c.seen_at.is_(None)
    )
    return (
        _count(unread).label("messages_unread"),
        _count(waiting(studies.c.site, studies.c.study_uid)).label("messages_asked"),
    )


def _count(where: ColumnElement[bool]) -> ColumnElement[int]:
    return select(func.count()).select_from(messages).where(where).correlate(studies).scalar_subquery()


def _case_of(draft: Draft) -> Select[Any]:
    here = (studies.c.site == draft.site) & (studies.c.study_uid == draft.study_uid)
    return select(cases.c.id).join_from(cases, studies).where(here)

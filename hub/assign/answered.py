"""Cases that were returned to the hospital, once it has answered all that was asked."""

from __future__ import annotations

from sqlalchemy import ColumnElement, RowMapping, select
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.message import Need
from hub import conversation
from hub.assign.journal import HUB, change
from hub.assign.states import CaseEvent, CaseState
from hub.record import Record
from hub.tables.case import cases
from hub.tables.message import messages

SAID = "the hospital has answered"


def where() -> ColumnElement[bool]:
    """Those cases, joined with `studies`."""
    return (cases.c.state == CaseState.RETURNED.value) & conversation.answered()


async def by_images(connection: AsyncConnection, row: RowMapping) -> bool:
    """Whether a returned case may be taken up because images came: not while a question is unanswered.

    Args:
        connection: of a transaction.
        row: of `cases`, with ``site`` and ``study_uid`` of its study.
    """
    if row["state"] != CaseState.RETURNED:
        return False
    questions = conversation.waiting(row["site"], row["study_uid"]) & (messages.c.need == Need.QUESTION.value)
    return (await connection.execute(select(messages.c.id).where(questions))).first() is None


async def give_back(connection: AsyncConnection, custody: Record, row: RowMapping, now: str) -> None:
    """Back to the reader who asked; one that is nobody's seeks a reader.

    Args:
        connection: of a writing transaction.
        custody: the log.
        row: of `cases`, with ``site`` of its study.
        now: RFC 3339.
    """
    event = CaseEvent.ANSWER if row["assignee"] else CaseEvent.RESUME
    await change(connection, custody, row, event, by=HUB, at=now, detail=SAID)

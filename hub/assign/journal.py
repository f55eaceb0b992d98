"""One change of a case: the row, what happened, and the custody log, in the caller's transaction."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import RowMapping, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.assign.states import CaseEvent, CaseState, after
from hub.record import Record, subject_of, user
from hub.rows_cases import enter
from hub.tables.case import case_events, cases

HUB = "hub"
"""Who did it, where no person did."""

WAITING_PREFIX = "waiting: "
"""Begins a sentence of the why that holds only until the next try."""

CUSTODY = frozenset({CaseEvent.OFFER, CaseEvent.OPEN, CaseEvent.RETURN, CaseEvent.ESCALATE})
"""Events that stand in the custody log too."""


async def change(
    connection: AsyncConnection,
    custody: Record,
    row: RowMapping,
    event: CaseEvent,
    *,
    by: str,
    at: str,
    detail: str = "",
    **values: Any,
) -> CaseState:
    """Move a case on. Returns its new state.

    Args:
        connection: in a writing transaction that has read `row`.
        custody: the log.
        row: of `cases`, with ``site`` of its study.
        event: what happens.
        by: the user, or `HUB`.
        at: now, RFC 3339.
        detail: a sentence for the case's history.
        values: other columns to set.

    Raises:
        Refused: the event means nothing in this state.
    """
    state = after(CaseState(row["state"]), event)
    where = cases.c.id == row["id"]
    await connection.execute(update(cases).where(where).values(state=state.value, **values))
    await note(connection, row["id"], event.value, by=by, at=at, detail=detail)
    if "assignee" in values and values["assignee"] != row["assignee"]:
        await enter(connection, custody, row["id"])
    if event in CUSTODY:
        subject = subject_of("case", row["id"])
        detail_of = {"by": user(by)} if by != HUB else {}
        await custody.append(
            connection, f"case-{event.value}", site=row["site"], subject=subject, detail=detail_of
        )
    return state


async def note(
    connection: AsyncConnection, case: int, event: str, *, by: str, at: str, detail: str = ""
) -> None:
    """Add one line to the history of a case."""
    await connection.execute(case_events.insert().values(case=case, event=event, by=by, detail=detail, at=at))


async def history(connection: AsyncConnection, case: int) -> list[dict[str, Any]]:
    """The history of a case, oldest first."""
    query = select(case_events).where(case_events.c.case == case).order_by(case_events.c.id)
    return [
        {"event": row["event"], "by": row["by"], "detail": row["detail"], "at": row["at"]}
        for row in (await connection.execute(query)).mappings()
    ]


def why_with(kept: str, *, lasting: Sequence[str] = (), waiting: Sequence[str] = ()) -> str:
    """The why of a case, as JSON: what lasts, then what was last tried in vain."""
    sentences = [one for one in json.loads(kept) if not one.startswith(WAITING_PREFIX)]
    sentences += [*lasting, *(WAITING_PREFIX + one for one in waiting)]
    return json.dumps(sentences, ensure_ascii=False)

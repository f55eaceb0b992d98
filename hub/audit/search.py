"""The auditor's questions: who did what, when, to which study. Newest first, page by page."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Select, select

from gateway.clock import rfc3339
from gateway.database import Database
from gateway.errors import Malformed
from hub.audit.events import kind_of
from hub.tables.audit import audit_events

PAGE = 100
LONGEST_SHEET = 100_000


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked; every part that is given must hold.

    Args:
        since: RFC 3339, inclusive.
        until: RFC 3339, exclusive.
        person: the login.
        study: Study Instance UID or patient ID, whole.
        event: one word of `hub/audit/events.py`.
        before: only events with a smaller id: the next page.
    """

    since: str = ""
    until: str = ""
    person: str = ""
    study: str = ""
    event: str = ""
    before: int | None = None

    def said(self) -> dict[str, str]:
        """What was asked for, for the record of the asking."""
        names = ("since", "until", "person", "study", "event")
        return {name: str(getattr(self, name)) for name in names if getattr(self, name)}


class AuditSearch:
    """Looks through the trail."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(self, question: Question) -> dict[str, Any]:
        """``events`` and ``next``: what to ask as `before` for the page after; None at the end.

        Raises:
            Malformed: a time is none.
        """
        query = _where(question).limit(PAGE + 1)
        async with self._database.reading() as connection:
            rows = (await connection.execute(query)).mappings().all()
        shown = [_shown(row) for row in rows[:PAGE]]
        return {"events": shown, "next": shown[-1]["id"] if len(rows) > PAGE else None}

    async def rows(self, question: Question) -> AsyncIterator[dict[str, Any]]:
        """Every event that fits, at most `LONGEST_SHEET`, as they come from the database."""
        async with self._database.reading() as connection:
            found = await connection.stream(_where(question).limit(LONGEST_SHEET))
            async for row in found.mappings():
                yield _shown(row)


def _where(question: Question) -> Select[Any]:
    query = select(audit_events).order_by(audit_events.c.id.desc())
    if question.since:
        query = query.where(audit_events.c.at >= _moment(question.since))
    if question.until:
        query = query.where(audit_events.c.at < _moment(question.until))
    if question.person:
        query = query.where(audit_events.c.person == question.person)
    if question.event:
        query = query.where(audit_events.c.event == question.event)
    if question.study:
        about = audit_events.c.study_uid == question.study
        query = query.where(about | (audit_events.c.patient_id == question.study))
    return query if question.before is None else query.where(audit_events.c.id < question.before)


def _moment(text: str) -> str:
    try:
        told = datetime.fromisoformat(text)
        return rfc3339(told if told.tzinfo else told.replace(tzinfo=UTC))
    except ValueError:
        raise Malformed(f"{text[:40]!r} is no time such as 2026-11-26T08:00:00Z") from None


def _shown(row: Any) -> dict[str, Any]:
    names = ("id", "at", "event", "outcome", "person", "role", "address", "site", "study_uid", "patient_id")
    code = kind_of(row["event"]).event
    return {
        **{name: row[name] for name in names},
        "dicom": f"{code.value} {code.meaning}",
        "detail": json.loads(row["detail"]),
    }

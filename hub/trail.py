"""The trail: one row for each deed, added and never changed."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.clock import Clock, rfc3339
from gateway.database import Database
from hub.record import Deed
from hub.tables.audit import audit_events

LONGEST_DETAIL = 8_000
"""Characters of JSON; a deed is a line, not a document."""


class AuditTrail:
    """The table of deeds (`hub.record.Trail`)."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock

    async def append(self, connection: AsyncConnection, deed: Deed) -> None:
        """Add one, inside the caller's own `writing` transaction."""
        await connection.execute(insert(audit_events).values(row_of(deed, rfc3339(self._clock.now()))))

    async def note(self, deed: Deed) -> None:
        """Add one; it is durable when this returns."""
        async with self._database.writing() as connection:
            await self.append(connection, deed)


def row_of(deed: Deed, at: str) -> dict[str, Any]:
    """A deed as a row of `audit_events`. What somebody typed is cut to its column, never refused."""
    detail = json.dumps(dict(deed.detail), ensure_ascii=True, default=str)
    return {
        "at": at,
        "event": deed.event[:32],
        "outcome": 4 if deed.refused else 0,  # PS3.15 A.5.2: minor failure
        "person": deed.person[:64],
        "role": str(deed.role)[:32],
        "address": deed.address[:64],
        "site": deed.site[:32],
        "study_uid": deed.study_uid[:64],
        "patient_id": deed.patient_id[:64],
        "detail": detail if len(detail) <= LONGEST_DETAIL else json.dumps({"cut": len(detail)}),
    }

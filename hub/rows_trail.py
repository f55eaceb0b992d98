"""Seals the audit trail, stretch by stretch, so that a deed that was changed, added or taken away is noticed.

A ``trail-sealed`` entry of the custody log holds a mark (`hub.seals`) of the rows since the one before. It
says nothing of them to anybody without the hub's key, nor can they be guessed from it.
"""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.clock import Clock, rfc3339
from gateway.database import Database
from hub.custody import entry_of
from hub.record import Record
from hub.rows_told import Told
from hub.seals import Seals, same
from hub.tables.audit import audit_events
from hub.tables.custody import custody

EVENT = "trail-sealed"
PERIOD = 600.0
"""Seconds between two seals, if there is something to seal."""

SETTLED = timedelta(seconds=30)
"""A deed that is younger may still have neighbours that are being written."""

NEWEST = 2_000
"""Stretches that a running hub compares at one audit: two weeks at least."""

MOST = 20_000
"""Deeds in one stretch."""


class TrailSeals:
    """Makes and compares the seals. `run` is a service.

    Args:
        database: the hub's.
        record: the custody log.
        seals: of the hub.
        clock: the hub's.
        told: hears of what does not fit.
    """

    def __init__(self, database: Database, record: Record, seals: Seals, clock: Clock, told: Told) -> None:
        self._database, self._record, self._seals = database, record, seals
        self._clock, self._told = clock, told

    async def run(self) -> None:
        """For ever: compare at the start and once a day, seal meanwhile."""
        rounds = 0
        while True:
            if rounds % 144 == 0:
                await self._told.tell(await self.compare(NEWEST))
            rounds += 1
            await self.seal()
            await asyncio.sleep(PERIOD)

    async def seal(self) -> int:
        """Seal what is new. Returns how many deeds."""
        until = rfc3339(self._clock.now() - SETTLED)
        async with self._database.writing() as connection:
            last = await self._last(connection)
            after = last["last"] if last else 0
            query = select(func.min(audit_events.c.id), func.max(audit_events.c.id)).where(
                audit_events.c.id > after, audit_events.c.id <= after + MOST, audit_events.c.at <= until
            )
            first, end = (await connection.execute(query)).one()
            if end is None:
                return 0
            rows = await _rows(connection, after, end)
            mark = self._seals.trail(last["seal"] if last else "", rows)
            detail = {"after": after, "last": end, "seal": mark}
            await self._record.append(connection, EVENT, detail=detail)
            return int(end) - int(first) + 1

    async def compare(self, newest: int | None = None) -> list[str]:
        """What of the trail is not as it was sealed, one line for each stretch; of all, or of the newest."""
        query = select(custody.c.leaf).where(custody.c.event == EVENT).order_by(custody.c.position.desc())
        async with self._database.reading() as connection:
            query = query if newest is None else query.limit(newest + 1)
            leaves = [entry_of(leaf) for (leaf,) in await connection.execute(query)]
        found, before = [], None
        for leaf in reversed(leaves):
            detail = leaf["detail"]
            if set(detail) != {"after", "last", "seal"}:
                continue  # not ours: `hub.sealed` tells of it
            if before is not None or detail["after"] == 0:
                found += await self._stretch(leaf, before["seal"] if before else "")
            before = detail
        return found

    async def _stretch(self, leaf: dict[str, Any], before: str) -> list[str]:
        detail = leaf["detail"]
        async with self._database.reading() as connection:
            rows = await _rows(connection, detail["after"], detail["last"])
        if same(detail["seal"], self._seals.trail(before, rows)):
            return []
        which = f"deeds {detail['after'] + 1} to {detail['last']}"
        return [f"audit trail, {which}: they are not as entry {leaf['position']} of the log sealed them"]

    async def _last(self, connection: AsyncConnection) -> Any:
        newest = select(custody.c.leaf).where(custody.c.event == EVENT)
        leaf = (await connection.execute(newest.order_by(custody.c.position.desc()).limit(1))).scalar()
        return None if leaf is None else entry_of(leaf)["detail"]


async def _rows(connection: AsyncConnection, after: int, last: int) -> bytes:
    query = select(audit_events).where(audit_events.c.id > after, audit_events.c.id <= last)
    rows = (await connection.execute(query.order_by(audit_events.c.id))).all()
    return json.dumps([list(row) for row in rows]).encode()

"""What changed in the database since the last look, by counters that cost nothing to read.

Polling instead of telling one another in memory: it works the same with one process and with
several, and a change that nobody announced is seen all the same.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

from sqlalchemy import RowMapping, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.clock import Clock, rfc3339
from gateway.database import Database
from hub.tables.alert import alerts
from hub.tables.case import case_events
from hub.tables.report import deliveries, delivery_outcomes, reports
from hub.tables.study import instances
from hub.tables.told import study_progress, study_quality

SETTLED = timedelta(minutes=5)
"""How long an acknowledged delivery is still looked at."""

Delivery = tuple[int, str]
"""Case and report."""


@dataclass(slots=True)
class Changes:
    """What changed.

    Args:
        arrivals: new instances are here, or an edge told how far it is or what it noticed.
        cases: to these something happened.
        deliveries: these went on.
        alerts: one began, ended or was acknowledged.
    """

    arrivals: bool = False
    alerts: bool = False
    cases: set[int] = field(default_factory=set)
    deliveries: set[Delivery] = field(default_factory=set)

    def __bool__(self) -> bool:
        """Whether anything did."""
        return self.arrivals or self.alerts or bool(self.cases) or bool(self.deliveries)

    def add(self, other: Changes) -> None:
        """Take in later changes."""
        self.arrivals |= other.arrivals
        self.alerts |= other.alerts
        self.cases |= other.cases
        self.deliveries |= other.deliveries


class Watch:
    """Remembers where the counters stood."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock
        self._event = self._instance = -1
        self._told: tuple[str, ...] = ()
        self._alerted: tuple[str, int] = "", 0
        self._deliveries: dict[str, tuple[str, int]] = {}

    async def look(self) -> Changes:
        """What changed since the last look; nothing at the first."""
        first = self._event < 0
        found = Changes()
        async with self._database.reading() as connection:
            newest = (await connection.execute(select(func.max(instances.c.id)))).scalar() or 0
            told = await _newest_words(connection)
            found.arrivals = newest != self._instance or told != self._told
            self._instance, self._told = newest, told
            alerted = await _newest_alert(connection)
            found.alerts, self._alerted = alerted != self._alerted, alerted
            found.cases = await self._changed_cases(connection)
            found.deliveries = await self._changed_deliveries(connection)
        return Changes() if first else found

    async def _changed_cases(self, connection: AsyncConnection) -> set[int]:
        newest = (await connection.execute(select(func.max(case_events.c.id)))).scalar() or 0
        before, self._event = self._event, newest
        if newest == before or before < 0:
            return set()
        query = select(case_events.c.case).where(case_events.c.id > before).distinct()
        return set((await connection.execute(query)).scalars())

    async def _changed_deliveries(self, connection: AsyncConnection) -> set[Delivery]:
        since = rfc3339(self._clock.now() - SETTLED)
        outcomes = (
            select(func.count())
            .where(delivery_outcomes.c.delivery == deliveries.c.id)
            .where(delivery_outcomes.c.outcome == "delivered")
            .scalar_subquery()
        )
        query = (
            select(deliveries.c.id, deliveries.c.state, reports.c.case, reports.c.id.label("report"))
            .add_columns(outcomes.label("delivered"))
            .join_from(deliveries, reports)
            .where(or_(deliveries.c.acknowledged_at.is_(None), deliveries.c.acknowledged_at >= since))
        )
        rows = (await connection.execute(query)).mappings().all()
        now = {row["id"]: (row["state"], row["delivered"]) for row in rows}
        changed = {_delivery(row) for row in rows if self._deliveries.get(row["id"]) != now[row["id"]]}
        self._deliveries = now
        return changed


async def _newest_words(connection: AsyncConnection) -> tuple[str, ...]:
    """When an edge last told how far its studies are, and what it noticed of one."""
    progress = (await connection.execute(select(func.max(study_progress.c.told_at)))).scalar()
    noticed = (await connection.execute(select(func.max(study_quality.c.at)))).scalar()
    return progress or "", noticed or ""


async def _newest_alert(connection: AsyncConnection) -> tuple[str, int]:
    """When an alert last changed, and how many there ever were."""
    query = select(func.max(alerts.c.changed_at), func.max(alerts.c.id))
    changed, last = (await connection.execute(query)).one()
    return changed or "", last or 0


def _delivery(row: RowMapping) -> Delivery:
    return row["case"], row["report"]

"""Looks every minute for what stands as an alert: edges, their chains, what was put aside, this hub itself.

What happens once (a key used twice, a witness that disagrees, edited rows) is told where it is found.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.clock import Clock, rfc3339
from gateway.database import Database
from gateway.doctor import Finding, Level
from gateway.errors import GatewayError
from gateway.log import logger
from hub import alerts
from hub.alerts import ALARM, WARNING, Alert
from hub.audit.exporter import MARK
from hub.fleet import devices, returns, standing
from hub.tables.arrival import chain_findings, quarantine
from hub.tables.audit import audit_events, audit_marks
from hub.tables.study import studies

LOOK_SECONDS = 60.0

MOST = 500
"""Findings of one kind that are looked at."""

BEHIND = timedelta(hours=1)
"""How long an event may wait for the audit repository."""

KINDS = (*standing.KINDS, "chain-gap", "chain-fork", "put-aside", "conflicts", "audit-behind", "hub-check")
"""Every kind this ends by itself."""

Row = Mapping[Any, Any]
log = logger("hub.watch")


class Watch:
    """Writes and ends alerts. `run` is a service.

    Args:
        database: the hub's.
        checks: looks at the hub itself, as ``telerad doctor`` does. Blocking.
        clock: the time.
        exports: whether there is an audit repository that should have every event.
    """

    def __init__(
        self,
        database: Database,
        checks: Callable[[], Iterable[Finding]],
        clock: Clock,
        *,
        exports: bool = False,
    ) -> None:
        self._database, self._checks, self._clock, self._exports = database, checks, clock, exports

    async def run(self) -> None:
        """Look for ever; ends only by cancellation."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> list[Alert]:
        """Once. Returns the alerts that began."""
        own = await asyncio.to_thread(self._of_hub)
        now = self._clock.now()
        async with self._database.reading() as connection:
            edges, asked = await devices.listed(connection), await returns.pending(connection)
            before = await alerts.standing(connection, standing.CLOCKS.values())
            found = standing.conditions(edges, asked, now, before) + await _of_images(connection) + own
            if self._exports:
                found += await _of_export(connection, rfc3339(now - BEHIND))
        async with self._database.writing() as connection:
            new = await alerts.settle(connection, found, KINDS, now)
        for one in new:
            log.warning("alert", kind=one.kind, site=one.site, edge=one.edge, why=one.words)
        return new

    def _of_hub(self) -> list[Alert]:
        """Blocking."""
        try:
            return of_hub(self._checks())
        except GatewayError as error:  # a file that cannot be read is one more thing to look at
            return of_hub([Finding("files", Level.FAULT, str(error))])


def of_hub(findings: Iterable[Finding]) -> list[Alert]:
    """What ``telerad doctor`` would not call good. Pure."""
    return [
        Alert(
            "hub-check",
            f"{one.what}: {one.words}",
            about=f"{one.what} {one.level.value}",
            severity=ALARM if one.level is Level.FAULT else WARNING,
        )
        for one in findings
        if one.level is not Level.GOOD
    ]


def of_chains(findings: Sequence[Row]) -> list[Alert]:
    """Gaps and forks in what edges sent. Pure."""
    return [
        Alert(
            f"chain-{one['kind']}",
            one["words"],
            one["site"],
            one["edge"],
            str(one["id"]),
            ALARM if one["kind"] == "fork" else WARNING,
            {"first": one["first"], "last": one["last"]},
        )
        for one in findings
    ]


async def _of_images(connection: AsyncConnection) -> list[Alert]:
    """Broken chains, parcels that were put aside, images that came twice and not the same."""
    query = select(chain_findings).where(chain_findings.c.closed_at.is_(None))
    rows = await connection.execute(query.order_by(chain_findings.c.id.desc()).limit(MOST))
    found = of_chains(rows.mappings().all())
    aside = (
        select(quarantine.c.site, func.count().label("number"), func.max(quarantine.c.id).label("newest"))
        .where(quarantine.c.resolved_at.is_(None))
        .group_by(quarantine.c.site)
    )
    for row in (await connection.execute(aside)).mappings():
        words = f"{row['number']} things it sent do not hold what was signed, and were put aside"
        facts = {"number": row["number"]}
        found.append(Alert("put-aside", words, row["site"], "", str(row["newest"]), ALARM, facts))
    twice = (
        select(studies.c.site, func.sum(studies.c.conflicts).label("number"))
        .where(studies.c.conflicts > 0)
        .group_by(studies.c.site)
    )
    for row in (await connection.execute(twice)).mappings():
        number = int(row["number"])
        words = f"{number} images came again under the same UID with other bytes; every version is kept"
        facts = {"number": number}
        found.append(Alert("conflicts", words, row["site"], "", str(number), WARNING, facts))
    return found


async def _of_export(connection: AsyncConnection, limit: str) -> list[Alert]:
    """An event from before `limit` that the audit repository does not have."""
    mark = select(audit_marks.c.position).where(audit_marks.c.name == MARK)
    later = audit_events.c.id > ((await connection.execute(mark)).scalar() or 0)
    query = select(audit_events.c.at).where(later).order_by(audit_events.c.id).limit(1)
    oldest = (await connection.execute(query)).scalar()
    if oldest is None or oldest > limit:
        return []
    words = f"the audit repository has taken no event since {oldest}; they are kept here until it does"
    return [Alert("audit-behind", words, severity=WARNING, facts={"since": oldest})]

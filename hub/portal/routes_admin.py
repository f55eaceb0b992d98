"""What whoever runs the hub looks at: edges, quarantine, conflicts, rules. No pixels, no patient names."""

from __future__ import annotations

import json
from typing import Any

from aiohttp import web
from sqlalchemy import Select, func, select

from gateway.database import Database
from hub.archive.search import versions
from hub.portal import views
from hub.rules.book import RuleBook
from hub.tables.arrival import chain_findings, quarantine
from hub.tables.fleet import devices, edge_status
from hub.tables.study import studies
from hub.tables.told import study_progress

LONGEST_LIST = 500


class AdminRoutes:
    """``/api/admin/…``."""

    def __init__(self, database: Database, rules: RuleBook) -> None:
        self._database, self._rules = database, rules

    async def edges(self, _: web.Request) -> web.Response:
        """Every edge with its newest certificate, what it last told, and what is wrong with its chain."""
        newest = (
            select(devices.c.site, devices.c.edge, func.max(devices.c.issued_at).label("issued_at"))
            .group_by(devices.c.site, devices.c.edge)
            .subquery()
        )
        same = (devices.c.site == newest.c.site) & (devices.c.edge == newest.c.edge)
        told = (edge_status.c.site == devices.c.site) & (edge_status.c.edge == devices.c.edge)
        query = (
            select(devices, edge_status.c.last_seen, edge_status.c.status)
            .join(newest, same & (devices.c.issued_at == newest.c.issued_at))
            .outerjoin(edge_status, told)
            .order_by(devices.c.site, devices.c.edge)
        )
        found = select(chain_findings).where(chain_findings.c.closed_at.is_(None)).limit(LONGEST_LIST)
        async with self._database.reading() as connection:
            rows = (await connection.execute(query)).mappings().all()
            findings = (await connection.execute(found.order_by(chain_findings.c.id))).mappings().all()
            coming = (await connection.execute(_coming())).mappings().all()
        shown = [views.edge(row, _parsed(row["status"]), findings, coming) for row in rows]
        return web.json_response({"edges": shown})

    async def quarantined(self, _: web.Request) -> web.Response:
        """What had to be put aside, newest first."""
        query = select(quarantine).order_by(quarantine.c.id.desc()).limit(LONGEST_LIST)
        async with self._database.reading() as connection:
            rows = (await connection.execute(query)).mappings().all()
        return web.json_response({"quarantine": [views.quarantined(row) for row in rows]})

    async def conflicts(self, _: web.Request) -> web.Response:
        """Studies in which one SOP Instance UID came with different bytes, and every version of it."""
        query = select(studies).where(studies.c.conflicts > 0).order_by(studies.c.last_at.desc())
        async with self._database.reading() as connection:
            rows = (await connection.execute(query.limit(LONGEST_LIST))).mappings().all()
            found = [views.conflict(row, await versions(connection, row["id"])) for row in rows]
        return web.json_response({"conflicts": found})

    async def rules(self, _: web.Request) -> web.Response:
        """The rules in force, with what is probably not meant in them."""
        faults = [views.fault(fault) for fault in self._rules.warnings]
        return web.json_response({"text": self._rules.text, "faults": faults})


def _coming() -> Select[Any]:
    """Studies that edges still have something of, with how much of each is here."""
    row = study_progress.c
    same = (studies.c.site == row.site) & (studies.c.study_uid == row.study_uid)
    unfinished = (row.confirmed < row.received) | (row.waiting_bytes > 0)
    return (
        select(study_progress, studies.c.instance_count)
        .outerjoin(studies, same)
        .where(unfinished)
        .order_by(row.priority, row.eta_seconds, row.study_uid)
        .limit(LONGEST_LIST)
    )


def _parsed(status: str | None) -> Any:
    try:
        return json.loads(status) if status else None
    except ValueError:
        return None  # an edge may tell anything; what is no JSON is nothing to show

"""What whoever runs the hub looks at: quarantine, conflicts, rules. No pixels, no patient names."""

from __future__ import annotations

from aiohttp import web
from sqlalchemy import select

from gateway.database import Database
from hub.archive.search import versions
from hub.portal import views
from hub.rules.book import RuleBook
from hub.tables.arrival import quarantine
from hub.tables.study import studies

LONGEST_LIST = 500


class AdminRoutes:
    """``/api/admin/…``."""

    def __init__(self, database: Database, rules: RuleBook) -> None:
        self._database, self._rules = database, rules

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

"""What the hub found that a person must look at, and that somebody has."""

from __future__ import annotations

from aiohttp import web

from gateway.clock import Clock
from gateway.database import Database
from hub import alerts
from hub.access.access import Access
from hub.portal import body
from hub.record import Record, Trail
from hub.told import in_chinese


class AlertRoutes:
    """``/api/admin/alerts…``."""

    def __init__(
        self, access: Access, database: Database, custody: Record, trail: Trail, clock: Clock
    ) -> None:
        self._access, self._database, self._clock = access, database, clock
        self._logs = (custody, trail)

    async def show(self, _: web.Request) -> web.Response:
        """Those that wait first, then what is over."""
        async with self._database.reading() as connection:
            found = await alerts.listed(connection)
        told = [{**one, "words_zh": in_chinese(one["words"])} for one in found]
        return web.json_response({"alerts": told})

    async def count(self, _: web.Request) -> web.Response:
        """How many wait, for the head of every page."""
        async with self._database.reading() as connection:
            return web.json_response(await alerts.count(connection))

    async def acknowledge(self, request: web.Request) -> web.Response:
        """Note that somebody has looked, and why it may rest."""
        account = await self._access.account(request)
        reason = body.text(await body.json_object(request), "reason", longest=4096)
        ident, now = int(request.match_info["id"]), self._clock.now()
        async with self._database.writing() as connection:
            await alerts.acknowledge(
                connection, self._logs, ident, account, reason, now, address=request.remote or ""
            )
        return web.Response(status=204)

"""The edges, and what an administrator does with them. No pixels, no patient names."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from aiohttp import web
from sqlalchemy import Select, select

from gateway.clock import Clock, rfc3339
from gateway.database import Database
from gateway.errors import Malformed, NotFound, Refused
from hub.access.access import Access
from hub.fleet import devices, returns, standing
from hub.fleet.desk import LONGEST_WHY, Actor, FleetDesk
from hub.portal import body, views
from hub.record import user
from hub.tables.arrival import chain_findings
from hub.tables.study import studies
from hub.tables.told import study_progress

LONGEST_LIST = 500
SHORTEST_WHY = 3
"""Characters of the reason for putting an edge out, which cannot be undone."""


class FleetRoutes:
    """``/api/admin/edges…``, ``/api/admin/codes``, ``/api/admin/returns``."""

    def __init__(self, access: Access, database: Database, desk: FleetDesk, clock: Clock) -> None:
        self._access, self._database, self._desk, self._clock = access, database, desk, clock

    async def edges(self, _: web.Request) -> web.Response:
        """Every edge, how it stands, what it last told, and the codes that can still be used."""
        now = self._clock.now()
        found = select(chain_findings).where(chain_findings.c.closed_at.is_(None)).limit(LONGEST_LIST)
        async with self._database.reading() as connection:
            rows = await devices.listed(connection)
            asked = await returns.pending(connection)
            findings = (await connection.execute(found.order_by(chain_findings.c.id))).mappings().all()
            coming = (await connection.execute(_coming())).mappings().all()
        shown = [
            views.edge(row, _parsed(row["status"]), findings, coming)
            | {
                "state": standing.state(row, asked, now),
                "late": standing.is_late(row, now),
                "returns": [views.asked(one) for one in asked if views.is_of(row, one)],
            }
            for row in rows
        ]
        return web.json_response({"edges": shown, "codes": await self._desk.codes(), "now": rfc3339(now)})

    async def invite(self, request: web.Request) -> web.Response:
        """Make a one-use code. Its answer is the only place where the code ever stands."""
        given = await body.json_object(request)
        site, edge = body.text(given, "site", longest=64), body.optional_text(given, "edge")
        life = timedelta(hours=body.number(given, "hours"))
        made = await self._desk.invite(site.strip(), edge or None, life, by=await self._who(request))
        answer = {"code": made.invitation.code(), "hub": made.invitation.hub, "site": made.site}
        return web.json_response(answer | {"edge": made.edge, "expires_at": rfc3339(made.expires_at)})

    async def withdraw(self, request: web.Request) -> web.Response:
        """Let a code that is not used yet be good for nothing."""
        given = await body.json_object(request)
        await self._desk.withdraw(body.text(given, "id", longest=64), by=await self._who(request))
        return web.Response(status=204)

    async def revoke(self, request: web.Request) -> web.Response:
        """Put one edge out."""
        given = await body.json_object(request)
        site, edge = body.text(given, "site", longest=64), body.text(given, "edge", longest=64)
        why = body.text(given, "reason", longest=LONGEST_WHY).strip()
        if len(why) < SHORTEST_WHY:
            raise Refused("say why it is put out: it cannot be let in again without a new enrolment")
        out = await self._desk.revoke(site, edge, why, by=await self._who(request))
        if not out.fingerprints:
            raise NotFound("this edge has no certificate that is still good")
        return web.Response(status=204)

    async def decide(self, request: web.Request) -> web.Response:
        """Let an edge whose certificate has ended come back, or turn it down."""
        given = await body.json_object(request)
        row = tuple(body.text(given, name, longest=64) for name in ("site", "edge", "request"))
        approve = given.get("approve")
        if not isinstance(approve, bool):
            raise Malformed("approve must be true or false")
        await self._desk.decide(*row, approve=approve, by=await self._who(request))
        return web.Response(status=204)

    async def _who(self, request: web.Request) -> Actor:
        account = await self._access.account(request)
        return Actor(user(account.name), account.name, account.role, request.remote or "")


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

"""The auditor's page, and emergency access: asked for by readers, looked at by leads and auditors."""

from __future__ import annotations

from aiohttp import web

from gateway.errors import Malformed
from hub.access.access import Access
from hub.access.emergency import Emergency
from hub.audit import sheet
from hub.audit.events import KINDS
from hub.audit.search import AuditSearch, Question
from hub.portal import body
from hub.portal.deeds import Deeds

LONGEST = 128


class AuditRoutes:
    """``/api/audit…`` and ``/api/break-glass``."""

    def __init__(self, access: Access, audit: AuditSearch, emergency: Emergency, deeds: Deeds) -> None:
        self._access, self._audit, self._emergency, self._deeds = access, audit, emergency, deeds

    async def search(self, request: web.Request) -> web.Response:
        """One page of events."""
        account, question = await self._access.account(request), _question(request)
        page = await self._audit.page(question)
        if question.before is None:  # a further page of the same question is the same use
            await self._deeds.of(account, "audit-used", request, question.said())
        return web.json_response({**page, "kinds": sorted(KINDS)})

    async def sheet(self, request: web.Request) -> web.StreamResponse:
        """Every event that fits, as a table for a spreadsheet."""
        account, question = await self._access.account(request), _question(request)
        await self._deeds.of(account, "audit-used", request, {"form": "csv", **question.said()})
        response = web.StreamResponse(
            headers={
                "Content-Type": "text/csv; charset=utf-8; header=present",
                "Content-Disposition": 'attachment; filename="audit.csv"',
            }
        )
        await response.prepare(request)
        await response.write(sheet.head().encode())
        async for event in self._audit.rows(question):
            await response.write(sheet.line(event).encode("utf-8", "replace"))
        await response.write_eof()
        return response

    async def break_glass(self, request: web.Request) -> web.Response:
        """Open a study beyond one's reach, with a reason and for a time."""
        account = await self._access.account(request)
        given = await body.json_object(request)
        identifier = body.text(given, "study", longest=LONGEST)
        reason = body.text(given, "reason", longest=4096)
        return web.json_response(
            await self._emergency.open(account, identifier, reason, address=request.remote or "")
        )

    async def emergencies(self, request: web.Request) -> web.Response:
        """Who broke the glass, for what, and why."""
        account = await self._access.account(request)
        return web.json_response({"emergencies": await self._emergency.all(account)})


def _question(request: web.Request) -> Question:
    asked = {
        name: request.query.get(name, "").strip()[:LONGEST]
        for name in ("since", "until", "person", "study", "event")
    }
    before = request.query.get("before")
    if before is not None and not (before.isascii() and before.isdigit() and len(before) <= 18):
        raise Malformed("before must be a number")
    return Question(**asked, before=int(before) if before is not None else None)

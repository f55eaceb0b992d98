"""Drafts, signing, addenda, and the signed reports."""

from __future__ import annotations

from aiohttp import web

from hub.access.access import Access
from hub.assign.worklist import Worklist
from hub.portal import body
from hub.portal.deeds import Deeds
from hub.reports.desk import Desk


class ReportRoutes:
    """``/api/cases/{id}/draft``, ``sign``, ``addendum``, and ``/api/reports/…``."""

    def __init__(self, access: Access, worklist: Worklist, desk: Desk, deeds: Deeds) -> None:
        self._access, self._worklist, self._desk, self._deeds = access, worklist, desk, deeds

    async def draft(self, request: web.Request) -> web.Response:
        """The newest revision."""
        account = await self._access.account(request)
        return web.json_response(await self._desk.draft(account, body.case_id(request)))

    async def save(self, request: web.Request) -> web.Response:
        """Keep a new revision; a sign of life for the lease."""
        account = await self._access.account(request)
        given, case = await body.json_object(request), body.case_id(request)
        base, text = body.number(given, "base_revision"), body.mapping(given, "body")
        saved = await self._desk.save(account, case, base, text)
        await self._worklist.renew(account, case)
        return web.json_response(saved)

    async def sign(self, request: web.Request) -> web.Response:
        """Sign a revision of the draft."""
        account = await self._access.account(request)
        given = await body.json_object(request)
        revision, passphrase = body.number(given, "revision"), body.text(given, "passphrase")
        return web.json_response(await self._desk.sign(account, body.case_id(request), revision, passphrase))

    async def addendum(self, request: web.Request) -> web.Response:
        """Sign an addendum to a signed report."""
        account = await self._access.account(request)
        given = await body.json_object(request)
        text, passphrase = body.mapping(given, "body"), body.text(given, "passphrase")
        return web.json_response(await self._desk.addendum(account, body.case_id(request), text, passphrase))

    async def report(self, request: web.Request) -> web.Response:
        """One signed version with its delivery."""
        account = await self._access.account(request)
        shown = await self._desk.report(account, request.match_info["id"])
        await self._deeds.of_report(account, "report-read", request, request.match_info["id"])
        return web.json_response(shown)

    async def pdf(self, request: web.Request) -> web.Response:
        """The signed PDF, byte for byte."""
        account = await self._access.account(request)
        report = request.match_info["id"]
        data = await self._desk.pdf(account, report)
        await self._deeds.of_report(account, "report-exported", request, report)
        name = {"Content-Disposition": f'inline; filename="report-{report}.pdf"'}
        return web.Response(body=data, content_type="application/pdf", headers=name)

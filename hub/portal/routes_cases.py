"""The worklist and its cases."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from gateway.brake import Brake
from gateway.clock import Clock, rfc3339
from gateway.errors import Malformed
from gateway.message import Need
from hub.access.access import Access
from hub.access.roles import REPORTS
from hub.assign.states import CaseState
from hub.assign.worklist import Worklist
from hub.evidence import EvidenceRoom
from hub.people import Account
from hub.portal import body
from hub.portal.deeds import Deeds
from hub.portal.routes_dialogue import LONGEST, ident_of
from hub.reports.desk import Desk

STATES = frozenset({state.value for state in CaseState} | {"open"})


class CaseRoutes:
    """``/api/worklist`` and ``/api/cases/…``."""

    def __init__(
        self,
        access: Access,
        worklist: Worklist,
        desk: Desk,
        deeds: Deeds,
        clock: Clock,
        evidence: EvidenceRoom,
    ) -> None:
        self._access, self._worklist, self._desk = access, worklist, desk
        self._deeds, self._clock, self._evidence = deeds, clock, evidence
        self._proofs = Brake(clock, "proofs of custody")

    async def worklist(self, request: web.Request) -> web.Response:
        """The cases in the viewer's reach."""
        account = await self._access.account(request)
        state = request.query.get("state") or None
        if state is not None and state not in STATES:
            raise Malformed(f"state must be one of {', '.join(sorted(STATES))}")
        cases = await self._worklist.cases(
            account,
            state=state,
            mine=request.query.get("mine") in ("1", "true"),
            search=request.query.get("q", "")[:256] or None,
        )
        return web.json_response({"cases": cases, "now": rfc3339(self._clock.now())})

    async def show(self, request: web.Request) -> web.Response:
        """One case in full."""
        account = await self._access.account(request)
        case = await self._worklist.case(account, body.case_id(request))
        await self._deeds.of_case(account, request, case)
        return web.json_response(await self._with_reports(account, case))

    async def custody(self, request: web.Request) -> web.Response:
        """The way of its study, judged as anybody could offline; not too often, for each is much work."""
        account = await self._access.account(request)
        self._proofs.check(account.name)
        case = await self._worklist.case(account, body.case_id(request))
        await self._deeds.of_case(account, request, case)
        return web.json_response(await self._evidence.told(case["study_uid"], case["site"]))

    async def open(self, request: web.Request) -> web.Response:
        """Open it to read, under a lease."""
        account = await self._access.account(request)
        case = await self._worklist.open(account, body.case_id(request))
        await self._deeds.of_case(account, request, case)
        return web.json_response(await self._with_reports(account, case))

    async def release(self, request: web.Request) -> web.Response:
        """Close it without a report."""
        account = await self._access.account(request)
        await self._worklist.release(account, body.case_id(request))
        return web.Response(status=204)

    async def return_(self, request: web.Request) -> web.Response:
        """Say that it cannot be read as it is, and what is needed."""
        account = await self._access.account(request)
        given = await body.json_object(request)
        reason = body.text(given, "reason", longest=LONGEST)
        told = body.optional_text(given, "need") or Need.OTHER.value
        if told not in list(Need):
            raise Malformed(f"need must be one of {', '.join(Need)}")
        need, ident = Need(told), ident_of(given)
        await self._worklist.return_(account, body.case_id(request), reason, need=need, ident=ident)
        return web.Response(status=204)

    async def complete(self, request: web.Request) -> web.Response:
        """Take its study as complete with what is here."""
        account = await self._access.account(request)
        reason = body.text(await body.json_object(request), "reason", longest=4096)
        await self._worklist.complete(account, body.case_id(request), reason)
        return web.Response(status=204)

    async def _with_reports(self, account: Account, case: dict[str, Any]) -> dict[str, Any]:
        if REPORTS.allows(account.role):
            case["reports"] = await self._desk.versions(case["id"])
        return case

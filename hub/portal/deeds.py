"""What people did at the portal, noted before the answer leaves."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from aiohttp import web
from sqlalchemy import select

from gateway.clock import Clock
from gateway.database import Database
from hub.people import Account
from hub.record import Deed, Trail
from hub.tables.case import cases
from hub.tables.report import reports
from hub.tables.study import patients, studies

AGAIN_SECONDS = 900.0
"""A page that shows the same case for longer is noted again."""

REMEMBERED = 10_000


class Deeds:
    """Notes for the audit trail."""

    def __init__(self, trail: Trail, database: Database, clock: Clock) -> None:
        self._trail, self._database, self._clock = trail, database, clock
        self._noted: OrderedDict[tuple[str, str, int], float] = OrderedDict()

    async def of(self, account: Account, event: str, request: web.Request, detail: dict[str, Any]) -> None:
        """One deed about no study."""
        await self._trail.note(_deed(account, event, request, detail))

    async def of_case(self, account: Account, request: web.Request, case: dict[str, Any]) -> None:
        """That `account` is shown a case, unless it was noted a short while ago."""
        key, now = (account.name, "study-opened", int(case["id"])), self._clock.monotonic()
        if now - self._noted.get(key, -AGAIN_SECONDS) < AGAIN_SECONDS:
            return
        about = {
            "site": case["site"],
            "study_uid": case["study_uid"],
            "patient_id": case["patient"]["id"],
        }
        await self._trail.note(_deed(account, "study-opened", request, {"case": case["id"]}, **about))
        self._noted[key] = now
        if len(self._noted) > REMEMBERED:
            self._noted.popitem(last=False)

    async def of_report(self, account: Account, event: str, request: web.Request, report: str) -> None:
        """A deed about a signed report."""
        query = (
            select(studies.c.site, studies.c.study_uid, patients.c.patient_id)
            .join_from(reports, cases, reports.c.case == cases.c.id)
            .join(studies, studies.c.id == cases.c.study)
            .join(patients, patients.c.id == studies.c.patient)
            .where(reports.c.id == report)
        )
        async with self._database.reading() as connection:
            row = (await connection.execute(query)).mappings().first()
        about = dict(row) if row else {}
        await self._trail.note(_deed(account, event, request, {"report": report}, **about))


def _deed(account: Account, event: str, request: web.Request, detail: dict[str, Any], **about: Any) -> Deed:
    return Deed(
        event,
        person=account.name,
        role=account.role,
        address=request.remote or "",
        detail=detail,
        **about,
    )

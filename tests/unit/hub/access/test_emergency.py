"""Breaking the glass: only with a reason, only for a time, and never unseen."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from hub.people import Account, Role
from hub.tables.audit import audit_events
from hub.tables.case import cases
from hub.tables.study import studies
from tests.doubles.portal_hub import Browser, PortalHub, portal_hub

REASON = "Trauma call, the assigned reader does not answer"


@pytest.fixture
async def portal(tmp_path: Path) -> AsyncIterator[PortalHub]:
    async with portal_hub(tmp_path) as made:
        await made.hub.account("ann", groups=["neuro"])
        await made.hub.account("chen", groups=["chest"], sites=[("H009", None)])
        await made.hub.account("lead", Role.LEAD, groups=["neuro"])
        await made.hub.account("otherlead", Role.LEAD, groups=["chest"])
        await made.hub.account("auditor", Role.AUDITOR)
        await made.studies.add()
        await made.dispatcher.turn()
        yield made


async def uid(portal: PortalHub) -> str:
    async with portal.hub.database.reading() as connection:
        return str((await connection.execute(select(studies.c.study_uid).limit(1))).scalar_one())


async def scope(portal: PortalHub, name: str, role: Role = Role.READER) -> int:
    async with portal.hub.database.reading() as connection:
        found = await portal.hub.access.scope_of(connection, Account(name, name, role))
    return len(found.studies or ())


async def ask(browser: Browser, study: str, reason: str = REASON) -> tuple[int, Any]:
    return await browser.call("POST", "/api/break-glass", {"study": study, "reason": reason})


async def test_a_study_is_opened_with_a_reason_and_for_a_time(portal: PortalHub) -> None:
    chen, study = await portal.logged_in("chen"), await uid(portal)
    assert (await chen.call("GET", "/api/cases/1"))[0] == 404
    assert await scope(portal, "chen") == 0
    status, told = await ask(chen, study)
    assert (status, told["case"], told["study_uid"]) == (200, 1, study)
    assert (await chen.call("GET", "/api/cases/1"))[0] == 200
    assert await scope(portal, "chen") == 1
    for _ in range(18):
        portal.hub.clock.advance(14 * 60)
        await chen.call("GET", "/api/session")
    assert await scope(portal, "chen") == 0, "four hours later the way is closed"
    assert (await chen.call("GET", "/api/cases/1"))[0] == 404


@pytest.mark.parametrize("reason", ["", "because", " " * 50, "x" * 1001])
async def test_without_a_reason_nothing_opens(portal: PortalHub, reason: str) -> None:
    chen = await portal.logged_in("chen")
    assert (await ask(chen, await uid(portal), reason))[0] == 409
    assert await scope(portal, "chen") == 0


async def test_nothing_is_searched_and_a_guess_is_noted(portal: PortalHub) -> None:
    chen = await portal.logged_in("chen")
    for guess in ("", "%", "*", "1.2", (await uid(portal))[:-1]):
        assert (await ask(chen, guess))[0] == 404
    async with portal.hub.database.reading() as connection:
        kept = (await connection.execute(select(audit_events.c.event, audit_events.c.outcome))).all()
    assert [tuple(row) for row in kept if row.event == "break-glass"] == [("break-glass", 4)] * 5


async def test_lead_and_auditor_see_it_and_the_logs_tell_it(portal: PortalHub) -> None:
    chen, study = await portal.logged_in("chen"), await uid(portal)
    await ask(chen, study)
    for name, seen in (("lead", 1), ("otherlead", 0), ("auditor", 1)):
        status, told = await (await portal.logged_in(name)).call("GET", "/api/break-glass")
        assert (status, len(told["emergencies"])) == (200, seen), name
    (one,) = (await (await portal.logged_in("auditor")).call("GET", "/api/break-glass"))[1]["emergencies"]
    assert (one["user"]["name"], one["reason"], one["open"], one["study_uid"]) == (
        "chen",
        REASON,
        True,
        study,
    )
    (event,) = [event for event in portal.hub.record.events if event[0] == "break-glass"]
    assert "chen" not in str(event)
    assert REASON not in str(event)
    _, told = await (await portal.logged_in("auditor")).call(
        "GET", f"/api/audit?study={study}&event=break-glass"
    )
    assert [(one["person"], one["detail"]["reason"]) for one in told["events"]] == [("chen", REASON)]


async def test_the_patients_other_studies_stay_closed(portal: PortalHub) -> None:
    chen, study = await portal.logged_in("chen"), await uid(portal)
    await portal.studies.add()  # of the same patient
    await ask(chen, study)
    assert await scope(portal, "chen") == 1
    assert (await chen.call("POST", "/api/cases/1/open"))[0] == 200
    assert await scope(portal, "chen") == 1, "nor does opening it open them"
    assert await scope(portal, "ann") == 2


async def holder(portal: PortalHub) -> tuple[str, str | None, str | None]:
    async with portal.hub.database.reading() as connection:
        query = select(cases.c.state, cases.c.assignee, cases.c.lease_by).where(cases.c.id == 1)
        return tuple((await connection.execute(query)).one())


async def test_a_case_opened_in_an_emergency_stays_its_readers(portal: PortalHub) -> None:
    chen = await portal.logged_in("chen")
    assert await holder(portal) == ("offered", "ann", None)
    await ask(chen, await uid(portal))
    assert (await chen.call("POST", "/api/cases/1/open"))[0] == 200
    assert await holder(portal) == ("reading", "ann", "chen")
    assert (await chen.call("POST", "/api/cases/1/release"))[0] == 204
    assert await holder(portal) == ("accepted", "ann", None)
    assert (await chen.call("POST", "/api/cases/1/open"))[0] == 200
    portal.hub.clock.advance(4 * 3600 + 1)
    await portal.dispatcher.turn()
    assert (await holder(portal))[1:] == ("ann", None)
    chen = await portal.logged_in("chen")
    assert (await chen.call("GET", "/api/cases/1"))[0] == 404


@pytest.mark.parametrize("ends", ["release", "lapse"])
async def test_nobodys_case_opened_in_an_emergency_seeks_a_reader_again(portal: PortalHub, ends: str) -> None:
    chen = await portal.logged_in("chen")
    async with portal.hub.database.writing() as connection:
        await connection.execute(update(cases).values(state="unassigned", assignee=None))
    await ask(chen, await uid(portal))
    assert (await chen.call("POST", "/api/cases/1/open"))[0] == 200
    assert await holder(portal) == ("reading", None, "chen")
    if ends == "release":
        assert (await chen.call("POST", "/api/cases/1/release"))[0] == 204
        assert await holder(portal) == ("reassigned", None, None)
    else:
        portal.hub.clock.advance(16 * 60)
    await portal.dispatcher.turn()
    await portal.dispatcher.turn()
    assert await holder(portal) == ("offered", "ann", None)


async def test_who_tries_too_often_waits_and_every_try_is_noted(portal: PortalHub) -> None:
    chen = await portal.logged_in("chen")
    for _ in range(10):
        assert (await ask(chen, "9.9.9"))[0] == 404
    status, told = await ask(chen, await uid(portal))
    assert (status, told["error"]["code"]) == (429, "too_many")
    async with portal.hub.database.reading() as connection:
        query = select(audit_events.c.id).where(audit_events.c.event == "break-glass")
        assert len((await connection.execute(query)).all()) == 11
    portal.hub.clock.advance(61)
    assert (await ask(chen, await uid(portal)))[0] == 200

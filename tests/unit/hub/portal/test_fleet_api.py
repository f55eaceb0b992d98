"""What an administrator does with edges and alerts over HTTP, and what keeps others from it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from sqlalchemy import select

from certs.authority import Issuer
from gateway.clock import rfc3339
from gateway.errors import NotAllowed
from gateway.invitation import Invitation
from hub import alerts
from hub.access.roles import FLEET
from hub.alerts import Alert
from hub.fleet import tokens
from hub.people import Role
from hub.portal.changes import Changes, Watch
from hub.portal.events import render
from hub.record import user
from hub.tables.audit import audit_events
from hub.tables.fleet import devices
from tests.doubles.fleet import URL, asks, join
from tests.doubles.portal_hub import Browser, PortalHub, portal_hub

BY = user("ida")
MARK = "5" * 64


@pytest.fixture
async def portal(tmp_path: Path) -> AsyncIterator[PortalHub]:
    async with portal_hub(tmp_path) as made:
        await made.hub.account("ida", Role.ADMIN)
        yield made


@pytest.fixture
async def ida(portal: PortalHub) -> Browser:
    return await portal.logged_in("ida")


async def rows(portal: PortalHub, table: Any) -> list[Any]:
    async with portal.hub.database.reading() as connection:
        return list((await connection.execute(select(table))).mappings())


async def test_a_code_lets_one_edge_of_one_site_in(portal: PortalHub, ida: Browser) -> None:
    asked = {"site": "H001", "edge": "4", "hours": 8}
    status, made = await ida.call("POST", "/api/admin/codes", asked)
    assert (status, made["site"], made["edge"], made["hub"]) == (200, "H001", "4", URL)
    assert made["expires_at"] == rfc3339(portal.hub.clock.now() + timedelta(hours=8))
    invitation = Invitation.of_code(made["code"])
    async with portal.hub.database.reading() as connection:
        grant = await tokens.look(connection, invitation.token, portal.hub.clock.now())
    assert (grant.site, grant.edge, grant.device) == ("H001", "4", None)
    detail = {"edge": "4", "seconds": 8 * 3600, "by": BY}
    assert portal.hub.record.events[-1] == (
        "token-created",
        "H001",
        tokens.digest_of(invitation.token),
        detail,
    )
    deed = (await rows(portal, audit_events))[-1]
    assert (deed["event"], deed["person"], deed["role"], deed["site"]) == (
        "token-created",
        "ida",
        "admin",
        "H001",
    )
    assert deed["address"]
    _, told = await ida.call("GET", "/api/admin/edges")
    (unused,) = told["codes"]
    assert (unused["site"], unused["edge"], unused["expires_at"]) == ("H001", "4", made["expires_at"])
    assert invitation.token not in str(told)
    portal.hub.clock.advance(8 * 3600)
    ida = await portal.logged_in("ida")
    assert (await ida.call("GET", "/api/admin/edges"))[1]["codes"] == []


async def test_a_code_is_withdrawn_and_good_for_nothing(portal: PortalHub, ida: Browser) -> None:
    _, made = await ida.call("POST", "/api/admin/codes", {"site": "H001", "edge": "4", "hours": 8})
    await ida.call("POST", "/api/admin/codes", {"site": "H002", "hours": 8})
    _, told = await ida.call("GET", "/api/admin/edges")
    code = next(one["id"] for one in told["codes"] if one["site"] == "H001")
    assert (await ida.call("POST", "/api/admin/codes/withdraw", {"id": code}))[0] == 204
    token = Invitation.of_code(made["code"]).token
    assert code == tokens.digest_of(token)
    async with portal.hub.database.reading() as connection:
        with pytest.raises(NotAllowed, match=r"was withdrawn on .* ask for a new one"):
            await tokens.look(connection, token, portal.hub.clock.now())
    _, told = await ida.call("GET", "/api/admin/edges")
    assert [one["site"] for one in told["codes"]] == ["H002"]
    assert portal.hub.record.events[-1] == ("token-withdrawn", "H001", code, {"edge": "4", "by": BY})
    deed = (await rows(portal, audit_events))[-1]
    assert (deed["event"], deed["person"], deed["site"]) == ("token-withdrawn", "ida", "H001")
    for again in (code, "0" * 64, "x"):
        status, told = await ida.call("POST", "/api/admin/codes/withdraw", {"id": again})
        assert (status, "used or withdrawn" in told["error"]["message"]) == (404, True)


async def test_a_code_that_was_used_is_not_withdrawn(portal: PortalHub, ida: Browser) -> None:
    _, made = await ida.call("POST", "/api/admin/codes", {"site": "H001", "hours": 8})
    token = Invitation.of_code(made["code"]).token
    async with portal.hub.database.writing() as connection:
        await tokens.spend(connection, token, MARK, portal.hub.clock.now())
    status, _ = await ida.call("POST", "/api/admin/codes/withdraw", {"id": tokens.digest_of(token)})
    assert status == 404
    (row,) = await rows(portal, tokens.tokens)
    assert row["device"] == MARK


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"site": "../x", "hours": 8},
        {"site": "H001", "hours": 0},
        {"site": "H001", "hours": 721},
        {"site": "H001", "hours": 2**40},
        {"site": "H001", "hours": "8"},
        {"site": "H001", "edge": "one", "hours": 8},
        {"site": "H001", "edge": 4, "hours": 8},
    ],
)
async def test_codes_that_cannot_be(portal: PortalHub, ida: Browser, asked: dict[str, Any]) -> None:
    status, told = await ida.call("POST", "/api/admin/codes", asked)
    assert (status, told["error"]["code"]) == (400, "malformed")
    assert await rows(portal, tokens.tokens) == []


async def test_how_edges_stand(portal: PortalHub, ida: Browser) -> None:
    clock, days = portal.hub.clock, timedelta(days=1)
    await join(portal.fleet, clock, "H001")
    late = await join(portal.fleet, clock, "H002", begun=-26 * days)
    gone = await join(portal.fleet, clock, "H003", begun=-31 * days)
    await asks(portal.fleet, clock, "H003", "1", gone, MARK)
    _, told = await ida.call("GET", "/api/admin/edges")
    assert [(one["state"], one["late"]) for one in told["edges"]] == [
        ("enrolled", False),
        ("enrolled", True),
        ("returning", False),
    ]
    (serial,) = {row["serial"] for row in await rows(portal, devices) if row["fingerprint"] == late}
    assert told["edges"][1]["serial"] == serial
    now = rfc3339(clock.now())
    assert told["edges"][2]["returns"] == [{"request": MARK, "asked_at": now, "decision": "asked"}]


async def test_an_edge_is_put_out_with_a_reason(portal: PortalHub, ida: Browser) -> None:
    mark = await join(portal.fleet, portal.hub.clock, "H001")
    await join(portal.fleet, portal.hub.clock, "H001", "2")
    path, who = "/api/admin/edges/revoke", {"site": "H001", "edge": "1"}
    assert (await ida.call("POST", path, who | {"reason": " x "}))[0] == 409
    assert (await ida.call("POST", path, who | {"reason": "x" * 501}))[0] == 400
    assert (await ida.call("POST", path, who | {"reason": "stolen"}))[0] == 204
    assert portal.hub.record.events[-1] == ("edge-revoked", "H001", mark, {"by": BY})
    states = {row["edge"]: (row["revoked"], row["revoked_why"]) for row in await rows(portal, devices)}
    assert states == {"1": (True, "stolen"), "2": (False, None)}
    listed = x509.load_der_x509_crl(portal.fleet._authority.crl(Issuer.DEVICE))
    (serial,) = {row["serial"] for row in await rows(portal, devices) if row["revoked"]}
    assert listed.get_revoked_certificate_by_serial_number(int(serial, 16)), "and on the signed list"
    status, told = await ida.call("POST", path, who | {"reason": "stolen again"})
    assert (status, told["error"]["code"]) == (404, "not_found")


async def test_an_expired_edge_is_let_back_in_once(portal: PortalHub, ida: Browser) -> None:
    gone = await join(portal.fleet, portal.hub.clock, "H003", begun=timedelta(days=-31))
    await asks(portal.fleet, portal.hub.clock, "H003", "1", gone, MARK)
    asked = {"site": "H003", "edge": "1", "request": MARK, "approve": True}
    assert (await ida.call("POST", "/api/admin/returns", asked | {"approve": "yes"}))[0] == 400
    assert (await ida.call("POST", "/api/admin/returns", asked | {"request": MARK[:12]}))[0] == 404
    assert (await ida.call("POST", "/api/admin/returns", asked))[0] == 204
    assert portal.hub.record.events[-1] == ("edge-return-approved", "H003", MARK, {"edge": "1", "by": BY})
    _, told = await ida.call("GET", "/api/admin/edges")
    assert told["edges"][0]["state"] == "approved"
    assert (await ida.call("POST", "/api/admin/returns", asked | {"approve": False}))[0] == 404


@pytest.mark.parametrize("path", ["codes", "edges/revoke", "returns"])
async def test_acts_need_the_sessions_token_and_the_second_factor_just_now(
    portal: PortalHub, ida: Browser, path: str
) -> None:
    assert FLEET.fresh
    status, told = await ida.call("POST", f"/api/admin/{path}", {}, {"X-CSRF-Token": "guess"})
    assert (status, told["error"]["code"]) == (403, "cross_site")
    token, csrf = await portal.hub.access.sessions.open("ida", factors=2, address="")
    ida.token, ida.csrf = token, csrf
    assert (await ida.call("POST", f"/api/admin/{path}", {}))[0] == 400
    portal.hub.access._step_up = 60.0
    portal.hub.clock.advance(60)
    status, told = await ida.call("POST", f"/api/admin/{path}", {})
    assert (status, told["error"]["code"]) == (403, "step_up_required")


async def test_alerts_are_listed_counted_and_acknowledged(portal: PortalHub, ida: Browser) -> None:
    async with portal.hub.database.writing() as connection:
        await alerts.tell(connection, Alert("used-twice", "two runs", "H001", "1"), portal.hub.clock.now())
    assert (await ida.call("GET", "/api/admin/alerts/count"))[1] == {"alarm": 1, "warning": 0}
    (one,) = (await ida.call("GET", "/api/admin/alerts"))[1]["alerts"]
    assert (one["kind"], one["site"], one["words"]) == ("used-twice", "H001", "two runs")
    path = f"/api/admin/alerts/{one['id']}/acknowledge"
    assert (await ida.call("POST", path, {}))[0] == 400
    assert (await ida.call("POST", path, {"reason": ""}))[0] == 409
    assert (await ida.call("POST", path, {"reason": "two lines"}))[0] == 204
    assert (await ida.call("POST", path, {"reason": "two lines"}))[0] == 409
    assert (await ida.call("POST", "/api/admin/alerts/99/acknowledge", {"reason": "none"}))[0] == 404
    assert (await ida.call("GET", "/api/admin/alerts/count"))[1] == {"alarm": 0, "warning": 0}
    (one,) = (await ida.call("GET", "/api/admin/alerts"))[1]["alerts"]
    assert (one["acknowledged_by"], one["reason"]) == ("ida", "two lines")


async def test_pages_hear_of_alerts_if_they_may(portal: PortalHub) -> None:
    watch, clock = Watch(portal.hub.database, portal.hub.clock), portal.hub.clock
    assert not await watch.look()
    async with portal.hub.database.writing() as connection:
        await alerts.tell(connection, Alert("used-twice", "", "H001", "1"), clock.now())
    assert (await watch.look()).alerts
    assert not await watch.look()
    clock.advance(1)
    async with portal.hub.database.writing() as connection:
        await alerts.tell(connection, Alert("used-twice", "", "H001", "1"), clock.now())
    assert (await watch.look()).alerts
    told = Changes(alerts=True)
    assert render(told, frozenset(), alerts=True) == b"event: alert\ndata: {}\n\n"
    assert b"alert" not in render(told, frozenset())

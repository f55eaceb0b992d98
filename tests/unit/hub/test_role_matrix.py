"""Every route of the web port, DICOMweb and enrolment included, asked by every role over HTTP.

The table of expectations comes from the declared policies; what must hold whatever the
declarations say is asserted apart from them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestServer
from sqlalchemy import select, update

from certs.authority import Authority
from gateway import durable
from gateway.clock import SystemClock, rfc3339
from gateway.model import Priority
from hub.access.accounts import NewAccount
from hub.access.roles import Policy
from hub.access.sessions import COOKIE
from hub.app import Hub, opened, web_application
from hub.archive.archive import Incoming
from hub.assign.dispatcher import Dispatcher
from hub.config import Access, HubConfig
from hub.fleet.enrolment import Enrolment
from hub.people import Role
from hub.rules.book import RuleBook
from hub.tables.audit import audit_events
from hub.tables.study import studies
from tests.doubles import dicomweb_phantom
from tests.doubles.instances import encode, entry
from tests.doubles.people import PASSWORD

pytestmark = pytest.mark.asyncio(loop_scope="module")

RULES = b"rules: []\ndefault: {group: neuro, deadline: 1h}\n"
STUDY = f"/dicomweb/studies/{dicomweb_phantom.study_uid()}"
PIXELLESS = (Role.ADMIN, Role.AUDITOR)
SPECIMEN = {
    "id": "1",
    "study": dicomweb_phantom.study_uid(),
    "series": "1.2.3",
    "instance": "1.2.3.4",
    "frames": "1",
    "tag": "00100010",
    "path": "x.js",
}


@dataclass
class House:
    hub: Hub
    app: web.Application
    url: str
    client: aiohttp.ClientSession
    held: dict[Role, tuple[str, str]]

    async def ask(self, role: Role | None, method: str, path: str, **more: Any) -> tuple[int, Any]:
        headers = {"Accept": "*/*", "Origin": self.url, "Sec-Fetch-Site": "same-origin"}
        if role is Role.SERVICE:
            headers["Authorization"] = f"Bearer {self.held[role][0]}"
        elif role is not None:
            token, csrf = self.held[role]
            headers |= {"Cookie": f"{COOKIE}={token}", "X-CSRF-Token": csrf}
        async with self.client.request(
            method, self.url + path, headers=headers, allow_redirects=False, **more
        ) as answer:
            if path == "/api/events":
                return answer.status, None
            body = await answer.read()
            return answer.status, body

    def table(self) -> list[tuple[str, str, Policy]]:
        found = []
        for route in self.app.router.routes():
            assert route.resource is not None
            policy = getattr(route.handler, "policy", None)
            assert isinstance(policy, Policy), f"{route.method} {route.resource.canonical} declares none"
            if route.method != "HEAD":
                found.append((route.method, _path(route.resource.canonical), policy))
        return found


def _path(canonical: str) -> str:
    long = "reports" in canonical or "sessions" in canonical
    words = SPECIMEN | ({"id": "0" * (64 if "sessions" in canonical else 32)} if long else {})
    for name, value in words.items():
        canonical = canonical.replace(f"{{{name}}}", value)
    assert "{" not in canonical, canonical
    return canonical


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    tmp_path = tmp_path_factory.mktemp("house")
    clock = SystemClock()
    await asyncio.to_thread(Authority.create, tmp_path / "pki", clock)
    settings = HubConfig(
        tmp_path / "data",
        tmp_path / "pki",
        tmp_path / "rules.yaml",
        access=Access(require_second_factor=False),
    )
    rules = RuleBook.parse(RULES, Path("rules.yaml"))
    async with opened(settings) as hub:
        await _arrive(hub)
        await Dispatcher(hub.database, rules, hub.custody, clock).turn()
        held = {role: await _enter(hub, role) for role in Role}
        app = web_application(hub, Enrolment(hub.database, hub.keys.authority, hub.custody, clock), rules)
        server = TestServer(app)
        await server.start_server(shutdown_timeout=0.1)
        async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as client:
            yield House(hub, app, f"http://{server.host}:{server.port}", client, held)
        await server.close()


async def _enter(hub: Hub, role: Role) -> tuple[str, str]:
    accounts = hub.access.accounts
    if role is Role.SERVICE:
        await accounts.create_service("robot")
        return await _open(hub, role)
    new = NewAccount(
        name=role.value,
        display_name=role.value,
        email="x@example.org",
        role=role,
        site="H001" if role is Role.SITE else None,
        groups=["neuro"] if role in (Role.READER, Role.LEAD) else [],
    )
    await accounts.create(new, PASSWORD)
    return await _open(hub, role)


async def _open(hub: Hub, role: Role) -> tuple[str, str]:
    if role is Role.SERVICE:
        return await hub.access.sessions.bearer("robot", life=3600), ""
    return await hub.access.sessions.open(role.value, factors=1, address="")


async def _arrive(hub: Hub) -> None:
    batch = []
    for image in list(dicomweb_phantom.instances())[:3]:
        image["PixelData"].VR = "OW"
        data = encode(image)
        place = hub.archive.store.incoming_path()
        durable.create(place, data)
        batch.append(Incoming("H001", entry(data, image), place, "0" * 32, Priority.STAT))
    await hub.archive.ingest(batch)
    now = rfc3339(hub.clock.now())
    async with hub.database.writing() as connection:
        complete = {"state": "complete", "completeness": "counted", "completed_at": now}
        await connection.execute(update(studies).values(complete))


async def test_every_role_at_every_route_of_the_web_port(house: House) -> None:
    table = house.table()
    assert len(table) > 55
    asked = 0
    for method, path, policy in table:
        for role in (None, *Role):
            if policy.roles is None or (method, path) == ("DELETE", "/api/session"):
                continue
            status, body = await house.ask(role, method, path, json={} if method != "GET" else None)
            case = f"{role} {method} {path} → {status} {body and body[:200]}"
            if role is None or (role is Role.SERVICE and path.startswith("/api/")):
                assert status == 401, case
            elif role in policy.roles:
                mistaken = path == "/api/session/step-up"  # no factor is given: wrong, not kept out
                assert status not in (401, 403, 500) or mistaken, case
            else:
                assert status == 403, case
            asked += 1
    assert asked > 300


async def test_what_must_hold_whatever_is_declared(house: House) -> None:
    for role, method, path, expected in [
        (Role.ADMIN, "GET", STUDY, 403),
        (Role.AUDITOR, "GET", STUDY, 403),
        (Role.ADMIN, "GET", "/dicomweb/studies", 403),
        (Role.ADMIN, "GET", "/api/audit", 403),
        (Role.ADMIN, "POST", "/api/break-glass", 403),
        (Role.ADMIN, "GET", "/api/reports/" + "0" * 32, 403),
        (Role.AUDITOR, "GET", "/api/audit", 200),
        (Role.AUDITOR, "GET", "/api/admin/edges", 200),
        (Role.AUDITOR, "GET", "/api/admin/alerts", 200),
        (Role.AUDITOR, "POST", "/api/admin/codes", 403),
        (Role.AUDITOR, "POST", "/api/admin/codes/withdraw", 403),
        (Role.AUDITOR, "POST", "/api/admin/edges/revoke", 403),
        (Role.AUDITOR, "POST", "/api/admin/returns", 403),
        (Role.AUDITOR, "POST", "/api/admin/alerts/1/acknowledge", 403),
        (Role.LEAD, "GET", "/api/admin/alerts/count", 403),
        (Role.SITE, "POST", "/api/admin/codes", 403),
        (Role.SERVICE, "POST", "/api/admin/codes", 401),
        (Role.AUDITOR, "POST", "/api/cases/1/open", 403),
        (Role.AUDITOR, "PUT", "/api/cases/1/draft", 403),
        (Role.SITE, "POST", "/api/cases/1/sign", 403),
        (Role.SITE, "GET", STUDY + "/series", 200),
        (Role.READER, "GET", STUDY + "/series", 200),
        (Role.READER, "GET", "/api/admin/edges", 403),
        (Role.READER, "GET", "/api/break-glass", 403),
        (Role.LEAD, "GET", "/api/break-glass", 200),
        (Role.SERVICE, "GET", STUDY + "/series", 200),
        (Role.SERVICE, "GET", "/api/worklist", 401),
        (None, "GET", "/healthz", 200),
        (None, "GET", STUDY, 401),
    ]:
        status, body = await house.ask(role, method, path, json={} if method != "GET" else None)
        assert status == expected, f"{role} {method} {path} → {status} {body[:200]}"


@pytest.mark.parametrize("role", PIXELLESS)
async def test_administrator_and_auditor_get_no_pixel_and_no_object_anywhere(
    house: House, role: Role
) -> None:
    pixels = await house.ask(Role.READER, "GET", STUDY)
    assert pixels[0] == 200
    assert len(pixels[1]) > 10_000, "the reader does get them"
    for method, path, policy in house.table():
        if method != "GET" or path == "/api/events":
            continue
        status, body = await house.ask(role, method, path)
        assert b"DICM" not in body, path
        if path.startswith("/dicomweb/"):
            assert status == 403, path
            assert len(body) < 200, path
        assert policy.roles is None or status != 500, path


async def test_images_beyond_ones_reach_do_not_exist(house: House) -> None:
    access = house.hub.access
    for name, more in {
        "outsider": {"role": Role.READER, "groups": ["chest"]},
        "unlicensed": {"role": Role.READER, "groups": ["neuro"], "sites": [("H001", "2001-01-01")]},
        "otherlead": {"role": Role.LEAD, "groups": ["chest"]},
        "othersite": {"role": Role.SITE, "site": "H002"},
    }.items():
        new = NewAccount(name=name, display_name=name, email="x@example.org", **more)  # type: ignore[arg-type]
        await access.accounts.create(new, PASSWORD)
        kept = house.held[new.role]
        house.held[new.role] = await access.sessions.open(name, factors=1, address="")
        for path in (STUDY, STUDY + "/series", STUDY + "/metadata"):
            status, body = await house.ask(new.role, "GET", path)
            assert (status in (204, 404)) or body == b"[]", f"{name} {path} {status}"
        assert (await house.ask(new.role, "GET", "/api/cases/1"))[0] == 404, name
        assert b"study_uid" not in (await house.ask(new.role, "GET", "/api/worklist"))[1], name
        house.held[new.role] = kept


async def test_what_was_looked_at_and_what_was_refused_stands_in_the_trail(house: House) -> None:
    async with house.hub.database.writing() as connection:
        await connection.execute(audit_events.delete())
    for role in (Role.READER, Role.SERVICE):  # new sessions: nothing of theirs was noted yet
        house.held[role] = await _open(house.hub, role)
    await house.ask(Role.READER, "GET", STUDY + "/series")
    await house.ask(Role.READER, "GET", STUDY + "/metadata")
    await house.ask(Role.SERVICE, "GET", STUDY)
    await house.ask(Role.READER, "GET", "/dicomweb/studies?PatientID=7")
    await house.ask(Role.ADMIN, "GET", STUDY)
    await house.ask(Role.AUDITOR, "GET", "/api/audit?person=reader")
    columns = (audit_events.c.person, audit_events.c.event, audit_events.c.outcome, audit_events.c.study_uid)
    async with house.hub.database.reading() as connection:
        kept = [tuple(row) for row in await connection.execute(select(*columns).order_by(audit_events.c.id))]
    uid = dicomweb_phantom.study_uid()
    assert kept == [
        ("reader", "images-accessed", 0, uid),
        ("robot", "images-transferred", 0, uid),
        ("reader", "query", 0, ""),
        ("admin", "refused", 4, ""),
        ("auditor", "audit-used", 0, ""),
    ]

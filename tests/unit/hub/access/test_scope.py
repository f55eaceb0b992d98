"""The door of DICOMweb: cookies, bearer tokens, and the scope of each request, on a real server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from hub.access import access as module
from hub.access.middleware import problems
from hub.access.sessions import COOKIE
from hub.assign.dispatcher import Dispatcher
from hub.people import Role
from hub.rules.book import RuleBook
from tests.doubles.people import Hub, open_hub
from tests.doubles.studies import Studies

RULES = b"rules: []\ndefault: {group: neuro}\n"


class Door:
    def __init__(self, hub: Hub, url: str, client: aiohttp.ClientSession) -> None:
        self.hub, self.url, self.client = hub, url, client

    async def scope(self, path: str, headers: dict[str, str]) -> tuple[int, dict]:
        async with self.client.get(self.url + path, headers=headers) as response:
            return response.status, {
                **await response.json(),
                "auth": response.headers.get("WWW-Authenticate"),
            }

    async def cookie(self, name: str, *, factors: int = 1) -> dict[str, str]:
        token, _ = await self.hub.access.sessions.open(name, factors=factors, address="")
        return {"Cookie": f"{COOKIE}={token}"}


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    hub = await open_hub(tmp_path)
    await hub.account("ann", groups=["neuro"])
    await hub.account("viewer", Role.SERVICE)
    studies = Studies(hub.database, hub.clock)
    for patient in ("P1", "P1", "P2"):
        await studies.add(patient=patient)
    await Dispatcher(hub.database, RuleBook.parse(RULES, Path("r.yaml")), hub.record, hub.clock).turn()

    async def answer(request: web.Request) -> web.Response:
        scope = await hub.access.scope(request)
        found = None if scope.studies is None else sorted(scope.studies)
        return web.json_response({"all": scope.all, "studies": found})

    app = web.Application(middlewares=[problems])
    app.router.add_get("/{path:.*}", answer)
    server = TestServer(app)
    await server.start_server()
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as client:
        yield Door(hub, f"http://{server.host}:{server.port}", client)
    await server.close()
    await hub.database.close()


async def test_a_bearer_token_opens_images_and_nothing_else(door: Door) -> None:
    token = await door.hub.access.sessions.bearer("viewer", life=3600)
    headers = {"Authorization": f"Bearer {token}"}
    assert await door.scope("/dicomweb/studies", headers) == (
        200,
        {"all": True, "studies": None, "auth": None},
    )
    for path in ("/api/worklist", "/dicomwebs", "/"):
        assert (await door.scope(path, headers))[0] == 401, path
    assert (await door.scope("/dicomweb/studies", {"Cookie": f"{COOKIE}={token}"}))[0] == 401
    await door.hub.access.accounts.set_disabled("viewer", disabled=True)
    assert (await door.scope("/dicomweb/studies", headers))[0] == 401


async def test_without_a_session_a_client_is_told_how_to_come_in(door: Door) -> None:
    for headers in (
        {},
        {"Authorization": "Bearer x"},
        {"Authorization": "Basic eDp5"},
        {"Cookie": f"{COOKIE}=x"},
    ):
        status, told = await door.scope("/dicomweb/studies", headers)
        assert (status, told["auth"]) == (401, "Bearer")


async def test_a_cookies_token_is_no_bearer_token(door: Door) -> None:
    token, _ = await door.hub.access.sessions.open("ann", factors=1, address="")
    assert (await door.scope("/dicomweb/studies", {"Authorization": f"Bearer {token}"}))[0] == 401


async def test_a_request_about_one_study_has_a_scope_of_that_study(door: Door) -> None:
    ann = await door.cookie("ann")
    for path, studies in (
        ("/dicomweb/studies", [1, 2, 3]),
        ("/dicomweb/studies?StudyInstanceUID=1.2.3.2", [2]),
        ("/dicomweb/studies?StudyInstanceUID=1.2.3.*", [1, 2, 3]),
        ("/dicomweb/studies?StudyInstanceUID=1.2.3.1&StudyInstanceUID=1.2.3.2", [1, 2, 3]),
        ("/dicomweb/studies/1.2.3.1", [1]),
        ("/dicomweb/studies/1.2.3.3/series/1.2/instances/1.2/frames/1", [3]),
        ("/dicomweb/studies/9.9.9/metadata", []),
        ("/dicomweb/series", [1, 2, 3]),
    ):
        assert (await door.scope(path, ann))[1]["studies"] == studies, path


async def test_a_scope_is_never_larger_than_a_statement_holds(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_STUDIES", 2)
    ann = await door.cookie("ann")
    assert (await door.scope("/dicomweb/studies", ann))[1]["studies"] == [2, 3]


async def test_old_reports_open_as_priors_alone(door: Door) -> None:
    ann = await door.cookie("ann")
    async with door.hub.database.writing() as connection:
        from hub.assign.worklist import Worklist

        worklist = Worklist(door.hub.database, door.hub.record, door.hub.clock)
        for case in (1, 3):
            await worklist.reported(connection, case, "ann")
    assert (await door.scope("/dicomweb/studies", ann))[1]["studies"] == [1, 2, 3]
    door.hub.clock.advance(31 * 86400)
    ann = await door.cookie("ann")
    assert (await door.scope("/dicomweb/studies", ann))[1]["studies"] == [1, 2]


async def test_a_session_that_owes_a_factor_sees_no_image(tmp_path: Path) -> None:
    hub = await open_hub(tmp_path, require_second_factor=True)
    await hub.account("ann", groups=["neuro"])
    token, _ = await hub.access.sessions.open("ann", factors=1, address="")
    session = await hub.access.sessions.find(token, kind="browser")
    assert session is not None
    assert hub.access.second_factor(session) == "required"
    await hub.database.close()

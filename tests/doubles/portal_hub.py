"""The portal's routes on a real server and a real database, with a desk that keeps drafts in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web
from aiohttp.test_utils import TestServer

from gateway.errors import NotFound, Stale
from hub.access.emergency import Emergency
from hub.access.headers import add_headers
from hub.access.middleware import problems, same_origin
from hub.access.oidc import SingleSignOn
from hub.access.sessions import COOKIE
from hub.archive.archive import Archive
from hub.archive.store import BlobStore
from hub.assign.dispatcher import Dispatcher
from hub.assign.worklist import Worklist
from hub.audit.search import AuditSearch
from hub.fleet.desk import FleetDesk
from hub.portal.app import portal_routes
from hub.rules.book import RuleBook
from hub.trail import AuditTrail
from tests.doubles.evidence_room import evidence_room
from tests.doubles.fleet import fleet_desk
from tests.doubles.people import PASSWORD, Hub, open_hub
from tests.doubles.studies import Studies

RULES = b"rules: []\ndefault: {group: neuro, deadline: 1h}\n"
ORIGIN = "https://hub.example.org:8443"
REPORT_ID = "0" * 31 + "1"


class DeskDouble:
    """Drafts in memory; signing closes the case."""

    def __init__(self, hub: Hub, worklist: Worklist) -> None:
        self.hub, self.worklist = hub, worklist
        self.drafts: dict[int, list[dict[str, Any]]] = {}
        self.signed: dict[int, list[dict[str, Any]]] = {}

    async def draft(self, account: Any, case: int) -> dict[str, Any]:
        await self.worklist.case(account, case)
        kept = self.drafts.get(case)
        return kept[-1] if kept else {"revision": 0, "body": {}, "author": None, "at": None}

    async def save(self, account: Any, case: int, base: int, body: dict[str, Any]) -> dict[str, Any]:
        current = await self.draft(account, case)
        if current["revision"] != base:
            raise Stale("changed meanwhile", current=current)
        saved = {"revision": base + 1, "body": body, "author": account.name, "at": "now"}
        self.drafts.setdefault(case, []).append(saved)
        return {"revision": base + 1, "at": "now"}

    async def sign(self, account: Any, case: int, revision: int, passphrase: str) -> dict[str, Any]:
        await self.worklist.case(account, case)
        async with self.hub.database.writing() as connection:
            await self.worklist.reported(connection, case, account.name)
        return await self.addendum(account, case, {}, passphrase)

    async def addendum(
        self, account: Any, case: int, body: dict[str, Any], passphrase: str
    ) -> dict[str, Any]:
        await self.worklist.case(account, case)
        self.signed.setdefault(case, []).append({"id": REPORT_ID})
        return self.signed[case][-1]

    async def versions(self, case: int) -> list[dict[str, Any]]:
        return self.signed.get(case, [])

    async def report(self, account: Any, report: str) -> dict[str, Any]:
        for case, reports in self.signed.items():
            if reports[0]["id"] == report:
                await self.worklist.case(account, case)
                return reports[0]
        raise NotFound("there is no such report")

    async def pdf(self, account: Any, report: str) -> bytes:
        await self.report(account, report)
        return b"%PDF-1.7 made up"


class Browser:
    """One browser: its cookie, its CSRF token, its origin."""

    def __init__(self, url: str) -> None:
        self.url, self.token, self.csrf = url, "", ""
        self.session = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())

    async def call(
        self, method: str, path: str, json: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[int, Any]:
        """(status, JSON or None)."""
        async with self.raw(method, path, json, headers) as response:
            if COOKIE in response.cookies:
                self.token = response.cookies[COOKIE].value
            text = await response.text()
            is_json = response.content_type == "application/json"
            return response.status, await response.json() if is_json and text else None

    def raw(self, method: str, path: str, json: Any = None, headers: dict[str, str] | None = None) -> Any:
        sent = {"Sec-Fetch-Site": "same-origin", "Origin": self.url}
        if self.token:
            sent["Cookie"] = f"{COOKIE}={self.token}"
        if method not in ("GET", "HEAD"):
            sent["X-CSRF-Token"] = self.csrf
        return self.session.request(
            method, self.url + path, json=json, headers={**sent, **(headers or {})}, allow_redirects=False
        )

    async def log_in(self, name: str, password: str = PASSWORD, **more: Any) -> dict[str, Any]:
        status, told = await self.call(
            "POST", "/api/session", {"username": name, "password": password, **more}
        )
        assert status == 200, told
        self.csrf = told["csrf"]
        return dict(told)


@dataclass
class PortalHub:
    hub: Hub
    url: str
    app: web.Application
    worklist: Worklist
    desk: DeskDouble
    dispatcher: Dispatcher
    studies: Studies
    browsers: list[Browser]
    fleet: FleetDesk
    origin: str = ORIGIN

    def browser(self) -> Browser:
        self.browsers.append(Browser(self.url))
        return self.browsers[-1]

    async def raw(self, head: bytes, body: bytes = b"") -> bytes:
        """The head of the answer to a request of any bytes; `head` without its last empty line."""
        host, _, port = self.url.removeprefix("http://").rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        try:
            writer.write(head + f"Host: {host}:{port}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
            return await reader.readuntil(b"\r\n\r\n")
        finally:
            writer.close()

    async def logged_in(self, name: str) -> Browser:
        browser = self.browser()
        await browser.log_in(name)
        return browser


def audit_parts(hub: Hub) -> dict[str, Any]:
    """What the portal needs besides, over the same database."""
    trail = AuditTrail(hub.database, hub.clock)
    emergency = Emergency(hub.database, hub.record, trail, hub.clock)
    return {"trail": trail, "audit": AuditSearch(hub.database), "emergency": emergency}


@asynccontextmanager
async def portal_hub(
    folder: Path, *, require_second_factor: bool = False, sso: Callable[[Hub], SingleSignOn] | None = None
) -> AsyncIterator[PortalHub]:
    hub = await open_hub(folder, require_second_factor=require_second_factor)
    archive = Archive(hub.database, BlobStore(folder / "archive"), hub.record, hub.clock)
    worklist = Worklist(hub.database, hub.record, hub.clock)
    desk = DeskDouble(hub, worklist)
    book = RuleBook.parse(RULES, Path("rules.yaml"))
    app = web.Application(middlewares=[problems, same_origin])
    app.on_response_prepare.append(add_headers)
    static = folder / "static"
    fleet = fleet_desk(folder, hub.database, hub.record, hub.clock)
    evidence = evidence_room(hub.database, archive.store, hub.clock)
    app.add_routes(
        portal_routes(
            worklist,
            desk,
            hub.access,
            archive,
            book,
            evidence,
            static=static,
            sso=sso(hub) if sso else None,
            fleet=fleet,
            **audit_parts(hub),
        )
    )  # type: ignore
    server = TestServer(app)
    await server.start_server()
    made = PortalHub(
        hub,
        f"http://{server.host}:{server.port}",
        app,
        worklist,
        desk,
        Dispatcher(hub.database, book, hub.record, hub.clock),
        Studies(hub.database, hub.clock),
        [],
        fleet,
    )
    try:
        yield made
    finally:
        for browser in made.browsers:
            await browser.session.close()
        await server.close()
        await hub.database.close()

"""A hub with its two TLS ports on loopback, and the fleet's real routes; nothing else."""

from __future__ import annotations

import asyncio
import secrets
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import rsa

from certs.authority import Authority
from edge.enroll import Invitation
from gateway import keyfile
from gateway.clock import SystemClock
from gateway.database import Database, open_database
from gateway.durable import make_folder
from gateway.model import site_id
from gateway.trust import spki_pin
from hub.config import HubConfig, Line, Web
from hub.fleet import tokens
from hub.fleet.enrolment import Enrolment
from hub.fleet.middleware import Door, device_middleware
from hub.fleet.returns import Returns
from hub.fleet.routes import fleet_line_routes, fleet_web_routes
from hub.forwarded import Forwarding
from hub.identity import HubKeys
from hub.seals import Seals
from hub.tables import VERSION, metadata


@dataclass
class Events:
    """A custody log that only remembers."""

    seen: list[tuple[str, str]] = field(default_factory=list)

    async def append(
        self,
        connection: Any,
        event: str,
        *,
        site: str = "",
        subject: str = "",
        detail: Mapping[str, Any] = {},
    ) -> None:
        self.seen.append((event, site))


@dataclass
class SmallHub:
    config: HubConfig
    database: Database
    authority: Authority
    keys: HubKeys
    enrolment: Enrolment
    door: Door
    events: Events

    @property
    def pin(self) -> str:
        return spki_pin(self.authority.root)

    async def token(self, site: str = "H001", edge: str | None = None, hours: float = 24) -> str:
        random = secrets.token_bytes(tokens.TOKEN_BYTES)
        now = SystemClock().now()
        async with self.database.writing() as connection:
            life = timedelta(hours=hours)
            token = await tokens.create(connection, site_id(site), edge, now, life, random)
            if not isinstance(log := self.enrolment._custody, Events):  # a true log: as the command enters it
                detail = {"edge": edge or "", "seconds": int(life.total_seconds())}
                subject = tokens.digest_of(token)
                await log.append(connection, "token-created", site=site, subject=subject, detail=detail)
            return token

    async def invitation(self, site: str = "H001", edge: str | None = None) -> Invitation:
        return Invitation(self.config.web.url, await self.token(site, edge), self.pin)


@cache
def _rsa() -> rsa.RSAPrivateKey:
    """One for all hubs of a run: making it is what takes long."""
    return rsa.generate_private_key(65537, 3072)


def _listen() -> socket.socket:
    listening = socket.create_server(("127.0.0.1", 0))
    listening.setblocking(False)
    return listening


@asynccontextmanager
async def small_hub(
    folder: Path,
    more: Callable[[SmallHub], list[web.RouteDef]] = lambda _: [],
    *,
    line: Mapping[str, Any] = {},
    **options: Any,
) -> AsyncIterator[SmallHub]:
    """Run it; `more` adds routes to the line; `options` go into its configuration, `line` into that of the line."""
    clock, at_web, at_line = SystemClock(), _listen(), _listen()
    urls = [f"https://localhost:{one.getsockname()[1]}" for one in (at_web, at_line)]
    config = HubConfig(
        folder / "hub",
        folder / "pki",
        folder / "rules.yaml",
        web=Web(url=urls[0]),
        line=Line(url=urls[1], **line),
        **options,
    )
    authority = await asyncio.to_thread(Authority.create, folder / "pki", clock)
    make_folder(config.data / "keys")
    keyfile.store(config.data / "keys" / "timestamp.key", _rsa())
    keys = await asyncio.to_thread(HubKeys.prepare, config, authority, clock)
    database = await open_database(config.database_url, metadata, version=VERSION)
    events = Events()
    enrolment = Enrolment(database, authority, events, clock, second_keys=config.suites != ("P256",))
    proxies = Forwarding.of(config.line.trusted_proxies, config.line.client_cert_header)
    door = Door(database, keys.trust, clock, events, keys.on_list, proxies, Seals(b"s" * 32))
    hub = SmallHub(config, database, authority, keys, enrolment, door, events)
    portal = web.Application()
    returns = Returns(database, authority, events, clock, second_keys=config.suites != ("P256",))
    portal.add_routes(fleet_web_routes(database, enrolment, keys, config, clock, returns))
    line_app = web.Application(middlewares=[device_middleware(door)])
    line_app.add_routes([*fleet_line_routes(database, enrolment, keys, config, clock), *more(hub)])
    runners = [web.AppRunner(portal, shutdown_timeout=0.2), web.AppRunner(line_app, shutdown_timeout=0.2)]
    try:
        for runner, listening, context in zip(
            runners, (at_web, at_line), (keys.web_context(), keys.line_context()), strict=True
        ):
            await runner.setup()
            await web.SockSite(runner, listening, ssl_context=context).start()
        yield hub
    finally:
        for runner in runners:
            await runner.cleanup()
        await database.close()
        for listening in (at_web, at_line):
            listening.close()

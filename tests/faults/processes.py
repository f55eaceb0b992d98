"""A hub and an edge as processes that can be killed: real line, real disk, and a socket that takes instances in."""

from __future__ import annotations

import asyncio
import json
import socket
from pathlib import Path

from aiohttp import web

from certs.authority import Authority
from edge.config import Uplink as Settings
from edge.hub_client import HubClient
from edge.identity import EdgeIdentity
from edge.pack import Packer
from edge.spool.spool import Spool
from edge.spool.states import State
from edge.uplink.worker import Uplink
from gateway import log, sockets
from gateway.clock import SystemClock, rfc3339
from gateway.config import Seconds
from gateway.database import open_database
from gateway.envelope.inner import InstanceFacts
from hub.archive.archive import Archive
from hub.archive.store import BlobStore
from hub.config import HubConfig, Line, Web
from hub.custody import CustodyLog
from hub.fleet.enrolment import Enrolment
from hub.fleet.middleware import Door, device_middleware
from hub.fleet.returns import Returns
from hub.fleet.routes import fleet_line_routes, fleet_web_routes
from hub.identity import HubKeys
from hub.intake.intake import Intake
from hub.tables import VERSION, metadata

CLOCK = SystemClock()
SETTINGS = Settings(streams=3, retry_first=Seconds(0.02), retry_cap=Seconds(0.2))


def hub_config(folder: Path, web_port: int, line_port: int, name: str = "localhost") -> HubConfig:
    urls = [f"https://{name}:{port}" for port in (web_port, line_port)]
    data, pki = folder / "hub", folder / "pki"
    return HubConfig(data, pki, folder / "rules.yaml", web=Web(url=urls[0]), line=Line(url=urls[1]))


def hub_main(folder: str, web_port: int, line_port: int) -> None:
    log.configure(level="error")
    asyncio.run(serve_hub(hub_config(Path(folder), web_port, line_port), web_port, line_port))


async def serve_hub(config: HubConfig, web_port: int, line_port: int, host: str = "127.0.0.1") -> None:
    """Serve both ports until cancelled."""
    authority = Authority.open(config.pki, CLOCK)
    keys = HubKeys.prepare(config, authority, CLOCK)
    database = await open_database(config.database_url, metadata, version=VERSION)
    custody = CustodyLog(database, None, CLOCK)
    archive = Archive(database, BlobStore(config.data / "blobs"), custody, CLOCK)
    intake = Intake(
        database,
        config.data,
        archive,
        authority.trust,
        keys.kem_keys,
        keys.receipt_signer,
        custody,
        CLOCK,
        0,
    )
    enrolment = Enrolment(database, authority, custody, CLOCK)
    door = Door(database, authority.trust, CLOCK)
    portal = web.Application()
    returns = Returns(database, authority, custody, CLOCK, second_keys=False)
    portal.add_routes(fleet_web_routes(database, enrolment, keys, config, CLOCK, returns))
    line = web.Application(middlewares=[device_middleware(door)])
    line.add_routes(fleet_line_routes(database, enrolment, keys, config, CLOCK))
    intake.routes(line)
    await intake.recover()
    for app, port, context in (
        (portal, web_port, keys.web_context()),
        (line, line_port, keys.line_context()),
    ):
        runner = web.AppRunner(app)
        await runner.setup()
        with socket.create_server((host, port)) as listening:
            sockets.for_long_lines(listening)
            await web.SockSite(runner, listening.dup(), ssl_context=context).start()
    await intake.run()


def edge_main(folder: str, port: int) -> None:
    log.configure(level="error")
    asyncio.run(_edge(Path(folder) / "edge", port))


async def _edge(data: Path, port: int) -> None:
    identity = EdgeIdentity.load(data / "identity")
    spool = Spool.open(
        data, site=identity.site, recipients=lambda: identity.recipients, reserve=0, clock=CLOCK
    )
    client = HubClient(identity, CLOCK, idle_timeout=20)
    packer = Packer(spool, identity.site, lambda: identity.signer, CLOCK)
    uplink = Uplink(spool, client, identity.trust, SETTINGS, CLOCK)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request a line; an instance is answered when it has survived, as C-STORE would be."""
        while line := await reader.readline():
            request = json.loads(line)
            if "size" in request:
                content = await reader.readexactly(request["size"])
                await asyncio.to_thread(spool.receive, _facts(request["number"]), content)
                writer.write(b"0000\n")
            else:
                status = await spool.status(uplink.link)
                waiting = sum(
                    load.items for state, load in status.states.items() if state is not State.PURGED
                )
                answer = {"waiting": waiting, "held": [item.reason for item in status.held]}
                writer.write(json.dumps(answer).encode() + b"\n")
            await writer.drain()

    server = await asyncio.start_server(serve, "127.0.0.1", port)
    async with server, asyncio.TaskGroup() as group:
        group.create_task(packer.run())
        group.create_task(uplink.run())


def _facts(number: int) -> InstanceFacts:
    return InstanceFacts(
        sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
        sop_instance_uid=f"2.25.777.{number}",
        study_uid="2.25.888",
        series_uid="2.25.888.1",
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        received_at=rfc3339(CLOCK.now()),
        calling_ae="CT1",
    )

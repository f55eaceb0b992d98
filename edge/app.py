"""Builds the edge from its stations and runs it: the only place that knows them all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

from edge.budget import Budgets
from edge.config import Congestion, EdgeConfig
from edge.console.app import console_app
from edge.downlink.deliver import deliveries_of
from edge.downlink.poller import Downlink
from edge.heartbeat import Heartbeat
from edge.hub_client import HubClient
from edge.identity import FOLDER, EdgeIdentity
from edge.ingest.listener import DicomListener
from edge.pack import Packer, parcel_bytes
from edge.proxy import Proxy
from edge.reload import Reload
from edge.renewal import Renewal
from edge.spool.spool import Spool
from edge.uplink.handed import HandedIn
from edge.uplink.worker import Uplink
from edge.witness import Witness
from gateway import config, supervise
from gateway.clock import Clock, SystemClock
from gateway.errors import UsageError
from gateway.exclusive import folder_held
from gateway.log import logger

log = logger("edge")


def run(file: Path) -> int:
    """``telerad edge run``: run until told to stop. Returns the exit code.

    Raises:
        UsageError: the configuration is wrong, the edge is not enrolled, or one runs here already.
    """
    settings = config.load(file, EdgeConfig)
    with folder_held(settings.data):
        asyncio.run(_serve(file, settings))
    return 0


async def _serve(file: Path, settings: EdgeConfig) -> None:
    clock = SystemClock()
    identity = EdgeIdentity.load(settings.data / FOLDER)
    spool = await asyncio.to_thread(
        Spool.open,
        settings.data,
        site=identity.site,
        recipients=lambda: identity.recipients,
        reserve=settings.spool.reserve,
        clock=clock,
    )
    proxy = Proxy.configured(settings.uplink)
    bbr = settings.uplink.congestion is Congestion.BBR
    client = HubClient(identity, clock, idle_timeout=settings.uplink.idle_timeout, proxy=proxy, bbr=bbr)
    try:
        await _run(file, settings, identity, spool, client, clock)
    finally:
        await client.close()
        spool.close()


async def _run(
    file: Path,
    settings: EdgeConfig,
    identity: EdgeIdentity,
    spool: Spool,
    client: HubClient,
    clock: Clock,
) -> None:
    budgets = Budgets()
    budgets.replace(settings.uplink.budget)
    reload = Reload(file, settings, lambda found: budgets.replace(found.uplink.budget))
    uplink = Uplink(spool, client, identity.trust, settings.uplink, clock, budgets)
    packer = Packer(
        spool, identity.site, lambda: identity.signer, clock, lambda: parcel_bytes(uplink.link.rate)
    )
    deliveries = deliveries_of(settings.destinations, settings.data, settings.ingest.ae_title, clock)
    downlink = Downlink(settings.data / "downlink", client, identity, deliveries, settings.downlink, clock)
    listener = DicomListener(settings.ingest, spool, clock)
    console = console_app(spool, lambda: uplink.link, clock, uplink.blocked, lambda: reload.fault)
    await asyncio.to_thread(listener.start)
    try:
        async with _listening(console, settings.console.host, settings.console.port):
            log.info("edge runs", site=identity.site, port=listener.port)
            await supervise.run(
                {
                    "pack": packer.run,
                    "uplink": uplink.run,
                    "reload": reload.run,
                    "handed": HandedIn(settings.data, uplink.handed).run,
                    "downlink": downlink.run,
                    "renewal": Renewal(client, clock).run,
                    "witness": Witness(settings.data, identity, client, clock).run,
                    "heartbeat": Heartbeat(spool, client, lambda: uplink.link).run,
                }
            )
    finally:
        await asyncio.to_thread(listener.stop)


@asynccontextmanager
async def _listening(app: web.Application, host: str, port: int) -> AsyncIterator[None]:
    """Serve the technician's page while the block runs.

    Raises:
        UsageError: the address cannot be had.
    """
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=2.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        await runner.cleanup()
        raise UsageError(f"cannot listen on {host}:{port}: {error.strerror or error}") from error
    try:
        yield
    finally:
        await runner.cleanup()

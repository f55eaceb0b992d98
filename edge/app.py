"""Builds the edge from its stations and runs it: the only place that knows them all."""

from __future__ import annotations

import asyncio
import gc
import resource
import ssl
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from aiohttp import web

from edge.acquire.desk import ImportDesk
from edge.acquire.stow import stow_app, web_tls
from edge.acquire.watch import Watch, watches_of
from edge.acquire.worklist import Worklist
from edge.budget import Budgets
from edge.comeback import ComeBack
from edge.config import Congestion, EdgeConfig
from edge.console.app import console_app
from edge.console.guard import passcode_of
from edge.console.outlook import outlook
from edge.console.sources import Sources
from edge.dialogue.desk import MessageDesk
from edge.downlink.deliver import deliveries_of
from edge.downlink.poller import Downlink
from edge.heartbeat import Heartbeat
from edge.hub_client import HubClient
from edge.identity import FOLDER, EdgeIdentity
from edge.ingest.listener import DicomListener
from edge.ingest.offered import Offered
from edge.known import known
from edge.pack import Packer
from edge.proxy import Proxy
from edge.purges import Purges
from edge.quality.inspector import Inspector
from edge.reload import Reload
from edge.remembered import Remembered
from edge.renewal import Renewal
from edge.spool.spool import Spool
from edge.uplink.handed import HandedIn
from edge.uplink.worker import Uplink
from edge.witness import Witness
from gateway import config, failed, supervise
from gateway.clock import Clock, SystemClock
from gateway.errors import UsageError
from gateway.exclusive import folder_held
from gateway.log import logger
from gateway.model import Priority
from gateway.patience import Listener, Patience
from gateway.tls import HANDSHAKE_SECONDS

PATIENCE = Patience()
"""With slow clients of the technician's page; of STOW-RS too, but for its rate."""

STOW_SLOWEST = 8192.0
"""Bytes a second a body must bring by STOW-RS: its senders are in the house, and few requests run at once."""

TURN_SECONDS = 0.0005
"""How long a thread may compute while another waits for the interpreter. An association gives it up and asks
for it back twenty times an instance; at Python's own five milliseconds each, the packer would starve it."""

GARBAGE = 20_000
"""Objects made before Python looks for those that only hold each other: at its own 700 that took a twentieth
of receiving."""

REBUILT = "at the next start it is made anew from the files beside it"
FORGOTTEN = "images of before are not committed to their modalities then (storage commitment)"

log = logger("edge")


def run(file: Path) -> int:
    """``telerad edge run``: run until told to stop. Returns the exit code.

    Raises:
        UsageError: the configuration is wrong, the edge is not enrolled, or one runs here already.
        DiskFailed: the spool's index or a disk failed.
    """
    settings = config.load(file, EdgeConfig)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # keys and images in memory never reach a core file
    sys.setswitchinterval(TURN_SECONDS)
    index = _kept("the spool's index", settings.data / "spool" / "index.sqlite", REBUILT)
    with folder_held(settings.data), failed.plainly(index):
        asyncio.run(_serve(file, settings))
    return 0


def _kept(what: str, file: Path, after: str) -> failed.Kept:
    """A database of which the loss is no loss of images."""
    return failed.Kept(
        f"{what} {file}", f"look at its disk, and move it and its -wal and -shm aside: {after}"
    )


async def _serve(file: Path, settings: EdgeConfig) -> None:
    clock = SystemClock()
    identity = EdgeIdentity.load(settings.data / FOLDER, settings.suites)
    identity.begin_run()
    spool = await asyncio.to_thread(
        Spool.open,
        settings.data,
        site=identity.site,
        recipients=lambda: identity.recipients,
        reserve=settings.spool.reserve,
        clock=clock,
        keep_confirmed=settings.spool.keep_confirmed,
        taken=settings.spool.digest,
        ahead=settings.spool.ahead,
    )
    proxy = Proxy.configured(settings.uplink)
    bbr = settings.uplink.congestion is Congestion.BBR
    client = HubClient(identity, clock, idle_timeout=settings.uplink.idle_timeout, proxy=proxy, bbr=bbr)
    try:
        await asyncio.to_thread(spool.provision.first)
        ledger = settings.data / "services" / "ledger.sqlite"
        with failed.plainly(_kept("the list for storage commitment", ledger, FORGOTTEN)):
            services = await asyncio.to_thread(Offered, settings.ingest, settings.data, spool, clock)
        with closing(services) as offered:
            await _run(file, settings, identity, spool, client, clock, offered)
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
    offered: Offered,
) -> None:
    budgets = Budgets()
    budgets.replace(settings.uplink.budget)
    uplink = Uplink(spool, client, identity.trust, settings.uplink, clock, budgets)
    reload = Reload(file, settings, lambda found: uplink.budget(found.uplink.budget))
    packer = _packer(spool, identity, uplink, clock)
    deliveries = deliveries_of(settings.destinations, settings.data, settings.ingest.ae_title, clock)
    downlink = Downlink(settings.data / "downlink", client, identity, deliveries, settings.downlink, clock)
    inspector = _inspector(spool, clock)
    listener = _listener(settings, spool, clock, inspector, offered)
    desk = ImportDesk(spool, clock, settings.acquire, settings.data)
    witness = Witness(settings.data, identity, client, clock)
    messages = MessageDesk(client, spool, settings.messages, clock)
    watches = watches_of(settings.acquire.folders, spool, clock, settings.data)
    worklist = _worklist(settings, clock)
    faults = _faults(watches, offered, listener, witness, client, clock, worklist, uplink)
    sources = _sources(spool, desk, messages, inspector, downlink, identity, worklist, faults)
    console = _console(settings, spool, uplink, reload, clock, sources)
    remembered = _remembered(offered, spool, clock, worklist)
    await asyncio.to_thread(remembered.load)
    await asyncio.to_thread(listener.start)
    try:
        async with AsyncExitStack() as sites:
            await sites.enter_async_context(_listening(console, settings.console.host, settings.console.port))
            await _stow(sites, settings, spool, clock)
            _look_less_for_garbage()
            await supervise.run(
                {
                    "pack": packer.run,
                    "uplink": uplink.run,
                    "quality": inspector.run,
                    "segments": spool.provision.run,
                    "reload": reload.run,
                    "handed": HandedIn(settings.data, uplink.handed, uplink.give_up).run,
                    "downlink": downlink.run,
                    **_standing(settings, identity, client, spool, witness, clock),
                    "heartbeat": Heartbeat(spool, client, lambda: uplink.link, uplink.takes, clock).run,
                    "imports": desk.run,
                    "messages": messages.run,
                    "commitment": offered.commitments.run,
                    "remembered": remembered.run,
                    **({} if worklist is None else {"worklist": worklist.run}),
                    **{f"watch {name}": watch.run for name, watch in watches.items()},
                },
                lambda: log.info("edge runs", site=identity.site, port=listener.port),
            )
    finally:
        await asyncio.to_thread(listener.stop)
        await asyncio.to_thread(remembered.save)


def _console(
    settings: EdgeConfig, spool: Spool, uplink: Uplink, reload: Reload, clock: Clock, sources: Sources
) -> web.Application:
    """The technician's page."""
    return console_app(
        spool,
        lambda: uplink.link,
        clock,
        lambda status: outlook(status, uplink.blocked, uplink.takes, reload.fault),
        sources=sources,
        passcode=passcode_of(settings.console.passcode),
        names=settings.console.names,
    )


def _look_less_for_garbage() -> None:
    gc.freeze()  # what is there now stays, and need not be looked at again
    gc.set_threshold(GARBAGE)


def _packer(spool: Spool, identity: EdgeIdentity, uplink: Uplink, clock: Clock) -> Packer:
    """Codes for the line as it is."""
    return Packer(
        spool,
        identity.site,
        lambda: identity.signer,
        clock,
        lambda: uplink.capacity,
        online=lambda: uplink.link.online,
        flown=lambda: uplink.flown,
        burst=lambda: uplink.burst,
        pace=uplink.pace,
    )


def _standing(
    settings: EdgeConfig,
    identity: EdgeIdentity,
    client: HubClient,
    spool: Spool,
    witness: Witness,
    clock: Clock,
) -> dict[str, Callable[[], Awaitable[None]]]:
    """What keeps this edge in good standing with its hub."""
    come_back = ComeBack(identity, clock, Proxy.configured(settings.uplink))
    return {
        "renewal": Renewal(client, clock, come_back=come_back).run,
        "witness": witness.run,
        "purges": Purges(spool).run,
    }


def _listener(
    settings: EdgeConfig, spool: Spool, clock: Clock, inspector: Inspector, offered: Offered
) -> DicomListener:
    def closed(body: Mapping[str, Any]) -> None:
        inspector.closed(body["studies"])

    return DicomListener(settings.ingest, spool, clock, closed, offered.services)


def _worklist(settings: EdgeConfig, clock: Clock) -> Worklist | None:
    """Orders, where there is a RIS to ask."""
    asked = settings.acquire.worklist
    return None if asked is None else Worklist(asked, settings.ingest.ae_title, clock)


def _remembered(offered: Offered, spool: Spool, clock: Clock, worklist: Worklist | None) -> Remembered:
    """What the page shows, over a restart."""
    if worklist is None:
        return Remembered(offered.vault, spool, clock)
    return Remembered(offered.vault, spool, clock, worklist.orders, worklist.remember)


def _faults(
    watches: Mapping[str, Watch],
    offered: Offered,
    listener: DicomListener,
    witness: Witness,
    client: HubClient,
    clock: Clock,
    worklist: Worklist | None,
    uplink: Uplink,
) -> Callable[[], Sequence[str]]:
    """What is wrong with this edge, for the page."""
    return lambda: [
        *client.clock_trouble(clock.now()),
        *(watch.fault for watch in watches.values() if watch.fault),
        *offered.commitments.troubles,
        *listener.troubles,
        *uplink.troubles,
        *([witness.alarm] if witness.alarm else []),
        *([worklist.fault] if worklist is not None and worklist.fault else []),
    ]


def _inspector(spool: Spool, clock: Clock) -> Inspector:
    """Looks at what the spool takes in; what it notices travels before the routine images do."""
    inspector = Inspector(
        clock,
        lambda notice: spool.notify(notice, priority=Priority.URGENT),
        lambda: spool.traffic.busy,
    )
    spool.inspector = inspector
    return inspector


async def _stow(sites: AsyncExitStack, settings: EdgeConfig, spool: Spool, clock: Clock) -> None:
    """Listen for STOW-RS too, if that is asked for."""
    if (stow := settings.acquire.stow) is not None:
        app = stow_app(spool, clock, stow, settings.ingest)
        patience = replace(PATIENCE, slowest=STOW_SLOWEST)
        await sites.enter_async_context(
            _listening(app, stow.host, stow.port, web_tls(stow.tls), patience=patience)
        )


def _sources(
    spool: Spool,
    desk: ImportDesk,
    messages: MessageDesk,
    inspector: Inspector,
    downlink: Downlink,
    identity: EdgeIdentity,
    worklist: Worklist | None,
    troubles: Callable[[], Sequence[str]],
) -> Sources:
    """What the technician's page shows besides the spool."""
    return Sources(
        importer=desk,
        talks=messages,
        warnings=inspector.on_the_page,
        reports=downlink.reports,
        certificate_until=lambda: identity.certificate.not_valid_after_utc,
        troubles=troubles,
        taken=inspector.taken,
        known=lambda: known(spool.view.studies(), inspector.said, worklist.orders() if worklist else ()),
        orders=worklist is not None,
    )


@asynccontextmanager
async def _listening(
    app: web.Application,
    host: str,
    port: int,
    tls: ssl.SSLContext | None = None,
    *,
    patience: Patience | None = None,
) -> AsyncIterator[None]:
    """Serve `app` while the block runs.

    Raises:
        UsageError: the address cannot be had.
    """
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=2.0)
    await runner.setup()
    assert runner.server is not None  # noqa: S101  # set up the line before
    try:
        server = await asyncio.get_running_loop().create_server(
            Listener(runner.server, patience or PATIENCE),
            host,
            port,
            ssl=tls,
            ssl_handshake_timeout=HANDSHAKE_SECONDS if tls else None,
        )
    except OSError as error:
        await runner.cleanup()
        raise UsageError(f"cannot listen on {host}:{port}: {error.strerror or error}") from error
    try:
        yield
    finally:
        server.close()
        await runner.cleanup()

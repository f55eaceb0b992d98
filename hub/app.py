"""Builds the hub from its stations and runs it: the only place that knows them all.

Two ports: the line, for edges with certificates; the web, for people, DICOMweb and enrolment.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import resource
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from certs.authority import Authority, Issuer
from gateway import config, failed, sockets, supervise
from gateway.clock import Clock, SystemClock
from gateway.database import Database, open_database, shown_url
from gateway.envelope.kem import P256
from gateway.errors import UsageError
from gateway.exclusive import folder_held
from gateway.log import logger
from gateway.patience import Listener, Patience
from gateway.trust import FileSigner, Signer
from hub.access import roles
from hub.access.access import Access
from hub.access.emergency import Emergency
from hub.access.headers import add_headers
from hub.access.middleware import declared, guarded, problems, same_origin
from hub.access.sso import single_sign_on
from hub.access.vault import Vault
from hub.archive.archive import Archive
from hub.archive.judgement import Patience as SettlePatience
from hub.archive.settle import Settler
from hub.archive.store import BlobStore
from hub.assign.dispatcher import Dispatcher
from hub.assign.worklist import Worklist
from hub.audit.exporter import Exporter
from hub.audit.follower import Follower
from hub.audit.images import audited_images
from hub.audit.message import Source
from hub.audit.repository import repository_of
from hub.audit.search import AuditSearch
from hub.checks import looked
from hub.config import HubConfig
from hub.custody import CustodyLog
from hub.dialogue.line import dialogue_routes
from hub.dicomweb.routes import routes as dicomweb_routes
from hub.downlink.outbox import Outbox
from hub.downlink.routes import downlink_routes
from hub.evidence import EvidenceRoom
from hub.fleet.desk import FleetDesk
from hub.fleet.enrolment import Enrolment
from hub.fleet.middleware import Door, device_middleware
from hub.fleet.returns import Returns
from hub.fleet.routes import fleet_line_routes, fleet_web_routes
from hub.forwarded import Forwarding
from hub.foundations import Foundations
from hub.identity import HubKeys
from hub.intake.intake import Intake
from hub.local import Aside, Judge, serving
from hub.portal.app import portal_routes
from hub.record import Deed
from hub.reports.desk import Desk
from hub.reports.press import Press
from hub.reports.signature import TrustMaterial
from hub.reports.timestamp import TimestampAuthority
from hub.rows import Audit
from hub.rows_images import Images
from hub.rows_quick import Quick
from hub.rows_told import Told
from hub.rows_trail import TrailSeals
from hub.rules.book import RuleBook
from hub.seals import FILE, Seals
from hub.tables import VERSION, metadata
from hub.trail import AuditTrail
from hub.watch import Watch
from hub.witnesses import Witnesses, witness_routes

HANDSHAKE_SECONDS = 10.0
"""A client silent for so long in its TLS handshake is let go."""

PATIENCE = Patience()
"""With slow clients, on both ports."""

DRAIN_SECONDS = 1.0
"""How long requests under way may go on at the end; event streams never end by themselves."""

MAX_BODY = 4 << 20
"""Bytes of a request that is read whole; streams have limits of their own."""

log = logger("hub")


def run(file: Path) -> int:
    """``telerad hub run``: run until told to stop. Returns the exit code.

    Raises:
        UsageError: the configuration, rules or certificates are wrong, or a hub runs here already.
        DiskFailed: the database or a disk failed.
    """
    settings = config.load(file, HubConfig)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # keys and images in memory never reach a core file
    database = failed.Kept(f"the database {shown_url(settings.database_url)}")
    with folder_held(settings.data), failed.plainly(database):
        asyncio.run(_serve(settings))
    return 0


@dataclass(frozen=True, slots=True)
class Hub:
    """The stations that others are built on."""

    settings: HubConfig
    clock: Clock
    database: Database
    keys: HubKeys
    custody: CustodyLog
    trail: AuditTrail
    archive: Archive
    access: Access
    worklist: Worklist
    seals: Seals


async def _serve(settings: HubConfig) -> None:
    rules = RuleBook.load(settings.rules)
    async with opened(settings) as hub:
        await _run(hub, rules)


@asynccontextmanager
async def opened(settings: HubConfig) -> AsyncIterator[Hub]:
    """The hub's parts, for whoever holds its data folder."""
    database = await open_database(settings.database_url, metadata, version=VERSION)
    try:
        yield await asyncio.to_thread(_build, settings, SystemClock(), database)
    finally:
        await database.close()


def intake_of(hub: Hub) -> Intake:
    """The station that takes parcels in; `recover` it before its first use."""
    return Intake(
        hub.database,
        hub.settings.data,
        hub.archive,
        hub.keys.trust,
        hub.keys.kem_keys,
        hub.keys.receipt_signer,
        hub.custody,
        hub.clock,
        hub.settings.storage.reserve,
    )


def local_door(hub: Hub, intake: Intake) -> AbstractAsyncContextManager[None]:
    """Where this machine's own commands bring parcels in."""
    aside = Aside(hub.database, hub.settings.data, hub.custody, hub.clock)
    return serving(hub.settings.data, intake, Judge(hub.database, hub.keys.trust, hub.clock), aside)


def _build(settings: HubConfig, clock: Clock, database: Database) -> Hub:
    authority = Authority.open(settings.pki, clock)
    keys = HubKeys.prepare(settings, authority, clock)
    seals = Seals.load(settings.data)
    custody = CustodyLog(database, keys.checkpoint_signer, clock, seals)
    trail = AuditTrail(database, clock)
    access = Access(
        database,
        custody,
        clock,
        vault=Vault.load(settings.data / "keys" / FILE),
        seals=seals,
        trail=trail,
        origin=settings.web.url,
        step_up=settings.access.step_up,
        require_second_factor=settings.access.require_second_factor,
        idle=settings.access.idle,
        absolute=settings.access.absolute,
        issuer=settings.name,
    )
    archive = Archive(database, BlobStore(settings.data / "archive"), custody, clock)
    worklist = Worklist(database, custody, clock)
    return Hub(settings, clock, database, keys, custody, trail, archive, access, worklist, seals)


async def _run(hub: Hub, rules: RuleBook) -> None:
    settings, database, custody, clock = hub.settings, hub.database, hub.custody, hub.clock
    intake = intake_of(hub)
    await intake.recover()
    enrolment = Enrolment(
        database, hub.keys.authority, custody, clock, second_keys=settings.suites != (P256,)
    )
    outbox = Outbox(
        database, hub.archive.store, lambda: hub.keys.receipt_signer, hub.keys.trust, custody, clock
    )
    proxies = Forwarding.of(settings.line.trusted_proxies, settings.line.client_cert_header)
    door = Door(database, hub.keys.trust, clock, custody, hub.keys.on_list, proxies, hub.seals)
    line = web.Application(middlewares=[device_middleware(door)], client_max_size=MAX_BODY)
    line.add_routes(intake.route_table())
    line.add_routes(fleet_line_routes(database, enrolment, hub.keys, settings, clock))
    line.add_routes(downlink_routes(outbox, clock))
    line.add_routes(dialogue_routes(database, clock))
    line.add_routes(witness_routes(_witnesses(hub)))
    portal = web_application(hub, enrolment, rules)
    told = {"rules-loaded": {"sha256": hashlib.sha256(rules.text.encode()).hexdigest()}}
    told_of = Told(database, custody, hub.trail, clock)
    images = Images(database, hub.archive.store, hub.keys.kem_keys)
    patience = SettlePatience(settings.settle.after_association, settings.settle.quiet)
    async with (
        _listening(line, settings.line.host, settings.line.port, hub.keys.line_context()),
        _listening(
            portal,
            settings.web.host,
            settings.web.port,
            hub.keys.web_context(),
        ),
        local_door(hub, intake),
    ):
        await hub.trail.note(Deed("hub-started"))
        await supervise.run(
            {
                "intake": intake.run,
                "chains": intake.watch,
                "disk": intake.tell,
                "settle": Settler(database, custody, clock, patience).run,
                "dispatch": Dispatcher(database, rules, custody, clock).run,
                "fleet": door.run,
                "keys": hub.keys.run,
                "watch": _watch(hub).run,
                "foundations": Foundations(database, custody, lambda: hub.keys.facts() | told).run,
                "checkpoints": custody.run,
                "audit": Follower(database).run,
                **_export(hub),
                "rows": Audit(database, custody, hub.keys.trust, images, told_of).run,
                "trail seals": TrailSeals(database, custody, hub.seals, clock, told_of).run,
                "accounts": Quick(database, hub.seals, hub.access.standing, clock, told_of).run,
            },
            lambda: log.info("hub runs", web=settings.web.url, line=settings.line.url),
        )
        await intake.drain()
        await hub.trail.note(Deed("hub-stopped"))


def _witnesses(hub: Hub) -> Witnesses:
    keys = hub.keys
    return Witnesses(
        hub.database, hub.custody, keys.checkpoint_signer, lambda: keys.receipt_signer, keys.trust, hub.clock
    )


def _evidence(hub: Hub) -> EvidenceRoom:
    keys = hub.keys
    return EvidenceRoom(
        hub.database,
        hub.archive.store,
        hub.custody,
        keys.kem_keys,
        keys.checkpoint_signer.verifier,
        keys.receipt_signer,
        keys.trust,
        hub.clock,
    )


def web_application(hub: Hub, enrolment: Enrolment, rules: RuleBook) -> web.Application:
    """Everything the web port serves; each route with its declared policy."""
    app = web.Application(middlewares=[problems, same_origin], client_max_size=MAX_BODY)
    app.on_response_prepare.append(add_headers)
    app.router.add_get("/healthz", guarded(hub.access, roles.PUBLIC, _healthy))
    second_keys = hub.settings.suites != (P256,)
    returns = Returns(hub.database, hub.keys.authority, hub.custody, hub.clock, second_keys=second_keys)
    fleet = fleet_web_routes(hub.database, enrolment, hub.keys, hub.settings, hub.clock, returns)
    app.add_routes(declared(hub.access, roles.PUBLIC, fleet))
    images = dicomweb_routes(hub.archive, hub.access.scope, public=hub.settings.web.url)
    app.add_routes(declared(hub.access, roles.IMAGES, audited_images(images, hub.access.session, hub.trail)))
    settings = hub.settings
    app.add_routes(
        portal_routes(
            hub.worklist,
            _desk(hub),
            hub.access,
            hub.archive,
            rules,
            _evidence(hub),
            trail=hub.trail,
            audit=AuditSearch(hub.database),
            emergency=Emergency(
                hub.database, hub.custody, hub.trail, hub.clock, lasts=settings.access.emergency
            ),
            fleet=FleetDesk(
                hub.database, hub.keys.authority, (hub.custody, hub.trail), hub.clock, settings.web.url
            ),
            sso=single_sign_on(settings, hub.access.flows, hub.database, hub.clock, hub.access.standing),
        )
    )
    return app


def _watch(hub: Hub) -> Watch:
    settings, clock = hub.settings, hub.clock
    exports = settings.audit.repository is not None
    return Watch(hub.database, lambda: looked(settings, clock), clock, exports=exports)


def _export(hub: Hub) -> dict[str, Callable[[], Awaitable[None]]]:
    """The service that tells an audit repository, if there is one."""
    told = hub.settings.audit
    if told.repository is None:
        return {}
    source = Source(hub.settings.name, told.enterprise, hub.settings.web.url)
    return {"audit export": Exporter(hub.database, repository_of(told.repository), source).run}


async def _healthy(_: web.Request) -> web.Response:
    return web.json_response({"status": "ok"})


def trust_material(keys: HubKeys, clock: Clock) -> TrustMaterial:
    """What signed reports carry; follows every roll-over that `keys` takes up."""

    def timestamps() -> TimestampAuthority:
        return TimestampAuthority(keys.timestamp_key, keys.timestamp_chain, clock)

    def revocation_lists() -> Sequence[bytes]:
        wanted = (Issuer.ROOT, Issuer.PEOPLE, Issuer.TIMESTAMP)
        return [one for issuer in wanted for one in keys.authority.crls(issuer)]

    return TrustMaterial(lambda: keys.roots, timestamps, revocation_lists)


def _desk(hub: Hub) -> Desk:
    async def unlock(user: str, passphrase: str) -> Signer:
        key = await hub.access.signing_keys.unlock(user, passphrase)
        return FileSigner(key.private_key, key.chain)

    press = Press(trust_material(hub.keys, hub.clock), hub.settings.name, hub.clock)
    return Desk(hub.database, hub.archive, hub.worklist, hub.custody, press, unlock, hub.clock)


@asynccontextmanager
async def _listening(
    app: web.Application, host: str, port: int, context: ssl.SSLContext
) -> AsyncIterator[None]:
    """Serve `app` over TLS while the block runs.

    Raises:
        UsageError: the address cannot be had.
    """
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=DRAIN_SECONDS)
    await runner.setup()
    assert runner.server is not None  # noqa: S101  # set up the line before
    try:
        server = await asyncio.get_running_loop().create_server(
            Listener(runner.server, PATIENCE),
            host,
            port,
            ssl=context,
            ssl_handshake_timeout=HANDSHAKE_SECONDS,
            backlog=512,
        )
    except OSError as error:
        raise UsageError(f"cannot listen on {host}:{port}: {error.strerror or error}") from error
    for listening in server.sockets:  # a view of the listening socket; what it accepts inherits
        with socket.socket(fileno=os.dup(listening.fileno())) as known:
            sockets.for_long_lines(known)
    try:
        yield
    finally:
        server.close()
        await runner.cleanup()

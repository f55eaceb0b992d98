"""The hub's real faces together — portal, desk, worklist, DICOMweb, archive — over one generated study."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web
from aiohttp.test_utils import TestServer
from pydicom import Dataset
from sqlalchemy import update

from gateway import durable
from gateway.clock import SystemClock, rfc3339
from gateway.database import open_database, sqlite_url
from gateway.errors import NotAllowed
from gateway.model import Priority
from gateway.trust import Signer
from hub.access.access import Access
from hub.access.accounts import NewAccount
from hub.access.emergency import Emergency
from hub.access.headers import add_headers
from hub.access.middleware import problems, same_origin
from hub.access.passkeys import Passkeys
from hub.access.passwords import Passwords
from hub.access.vault import Vault
from hub.archive.archive import Archive, Incoming
from hub.archive.store import BlobStore
from hub.assign.dispatcher import Dispatcher
from hub.assign.worklist import Worklist
from hub.audit.search import AuditSearch
from hub.custody import CustodyLog
from hub.dicomweb.routes import routes as dicomweb_routes
from hub.fleet.desk import FleetDesk
from hub.people import Role
from hub.portal.app import portal_routes
from hub.reports.desk import Desk
from hub.reports.press import Press
from hub.rules.book import RuleBook
from hub.seals import Seals
from hub.tables import VERSION, metadata
from hub.tables.study import studies
from hub.trail import AuditTrail
from tests.doubles import dicomweb_phantom
from tests.doubles.evidence_room import evidence_room
from tests.doubles.fleet import fleet_desk
from tests.doubles.instances import encode, entry
from tests.doubles.people import CHEAP, PASSWORD
from tests.doubles.record import MemoryRecord
from tests.doubles.signed import authority

PASSPHRASE = "words for signing only"
RULES = b"rules: []\ndefault: {group: neuro, deadline: 1h}\n"
CLOCK = SystemClock()


@dataclass
class ReadingRoom:
    url: str
    archive: Archive
    access: Access
    fleet: FleetDesk


@asynccontextmanager
async def reading_room(
    folder: Path, change: Callable[[Dataset], None] = lambda _: None
) -> AsyncIterator[ReadingRoom]:
    """One reader, `wei`, and the generated head on her list, each image `change`d first."""
    database = await open_database(sqlite_url(folder / "hub.db"), metadata, version=VERSION)
    seals = Seals(b"v" * 32)
    record = MemoryRecord(log=CustodyLog(database, None, CLOCK, seals))
    archive = Archive(database, BlobStore(folder / "archive"), record, CLOCK)
    trail = AuditTrail(database, CLOCK)
    access = Access(
        database,
        record,
        CLOCK,
        vault=Vault(b"v" * 32),
        seals=seals,
        trail=trail,
        passwords=Passwords(CHEAP),
        require_second_factor=False,
    )
    worklist = Worklist(database, record, CLOCK)
    key = authority().person("Dr. Wei Lin", "wei@example.org")

    async def unlock(user: str, passphrase: str) -> Signer:
        if (user, passphrase) != ("wei", PASSPHRASE):
            raise NotAllowed("the signing passphrase is wrong")
        return key

    press = Press(authority().material(), "Telerad Reading Network", CLOCK)
    desk = Desk(database, archive, worklist, record, press, unlock, CLOCK)
    book = RuleBook.parse(RULES, Path("rules.yaml"))
    new = NewAccount(
        name="wei", display_name="Dr Wei Lin", email="wei@example.org", role=Role.READER, groups=["neuro"]
    )
    await access.accounts.create(new, PASSWORD)
    await _arrive(archive, change)
    await Dispatcher(database, book, record, CLOCK).turn()

    fleet = fleet_desk(folder, database, record, CLOCK)
    app = web.Application(middlewares=[problems, same_origin])
    app.on_response_prepare.append(add_headers)
    app.add_routes(dicomweb_routes(archive, access.scope))
    app.add_routes(
        portal_routes(
            worklist,
            desk,
            access,
            archive,
            book,
            evidence_room(database, archive.store, CLOCK),
            trail=trail,
            audit=AuditSearch(database),
            emergency=Emergency(database, record, trail, CLOCK),
            fleet=fleet,
        )
    )
    server = TestServer(app, host="localhost")  # a browser keeps Secure cookies of localhost without TLS
    await server.start_server(shutdown_timeout=0.1)
    try:
        url = f"http://localhost:{server.port}"
        access.passkeys = Passkeys(database, CLOCK, access.flows, access.standing, origin=url, name="Telerad")
        yield ReadingRoom(url, archive, access, fleet)
    finally:
        await server.close()
        await database.close()


async def _arrive(archive: Archive, change: Callable[[Dataset], None]) -> None:
    batch = []
    for image in dicomweb_phantom.instances():
        image["PixelData"].VR = "OW"
        change(image)
        data = encode(image)
        place = archive.store.incoming_path()
        durable.create(place, data)
        batch.append(Incoming("H001", entry(data, image), place, "0" * 32, Priority.STAT))
    await archive.ingest(batch)
    complete = {"state": "complete", "completeness": "counted", "completed_at": rfc3339(CLOCK.now())}
    async with archive.database.writing() as connection:
        await connection.execute(update(studies).values(complete))

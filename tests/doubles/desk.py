"""A desk with a real archive, database, authority and one case to report."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway import durable
from gateway.clock import SystemClock, rfc3339
from gateway.database import Database, open_database, sqlite_url
from gateway.errors import NotAllowed, NotFound
from gateway.model import Priority
from gateway.trust import FileSigner, Signer
from hub import tables
from hub.archive.archive import Archive, Incoming
from hub.archive.store import BlobStore
from hub.people import Account, Role
from hub.reports.desk import Desk
from hub.reports.press import Press
from hub.tables.account import users
from hub.tables.case import cases
from hub.tables.study import studies
from tests.doubles.instances import ct, encode, entry
from tests.doubles.record import MemoryRecord
from tests.doubles.signed import authority

CLOCK = SystemClock()
PASSPHRASE = "correct horse battery staple"
WEI = Account("wei", "Dr. Wei Lin 林伟", Role.READER)
ANNA = Account("anna", "Dr. Anna Petrova", Role.READER)
STRANGER = Account("mallory", "Dr. Mallory", Role.READER)
PEOPLE = (WEI, ANNA, STRANGER)


@dataclass
class SmallWorklist:
    """Everybody but the stranger sees every case; counts how often a case was reported."""

    reports: list[tuple[int, str]] = field(default_factory=list)

    async def case(self, viewer: Account, case_id: int) -> dict[str, Any]:
        if viewer == STRANGER:
            raise NotFound("there is no such case")
        return {"id": case_id}

    async def reported(self, connection: AsyncConnection, case_id: int, by: str) -> None:
        self.reports.append((case_id, by))
        await connection.execute(update(cases).where(cases.c.id == case_id).values(state="reported"))


@dataclass
class Office:
    desk: Desk
    database: Database
    archive: Archive
    custody: MemoryRecord
    worklist: SmallWorklist
    keys: dict[str, FileSigner]
    case: int = 1

    async def unlock(self, user: str, passphrase: str) -> Signer:
        if passphrase != PASSPHRASE or user not in self.keys:
            raise NotAllowed("the signing passphrase is wrong")
        return self.keys[user]


@asynccontextmanager
async def office(folder: Path) -> AsyncIterator[Office]:
    database = await open_database(sqlite_url(folder / "hub.db"), tables.metadata, version=tables.VERSION)
    custody, worklist = MemoryRecord(), SmallWorklist()
    archive = Archive(database, BlobStore(folder / "blobs"), custody, CLOCK)
    keys = {
        "wei": authority().person("Dr. Wei Lin", "wei@example.org"),
        "anna": authority().person("Dr. Anna Petrova", "anna@example.org"),
    }
    press = Press(authority().material(), "Telerad Reading Network", CLOCK)

    async def unlock(user: str, passphrase: str) -> Signer:
        return await made.unlock(user, passphrase)

    desk = Desk(database, archive, worklist, custody, press, unlock, CLOCK)
    made = Office(desk, database, archive, custody, worklist, keys)
    await _fill(made)
    try:
        yield made
    finally:
        await database.close()


async def _fill(made: Office) -> None:
    batch = []
    for number in (1, 2, 3):
        image = ct(number, PatientName="Zhang^XiaoDong=张^小东", SpecificCharacterSet="ISO_IR 192")
        data = encode(image)
        place = made.archive.store.incoming_path()
        durable.create(place, data)
        batch.append(Incoming("H001", entry(data, image), place, "0" * 32, Priority.URGENT))
    await made.archive.ingest(batch)
    now = rfc3339(CLOCK.now())
    async with made.database.writing() as connection:
        for person in PEOPLE:
            row = {"name": person.name, "display_name": person.display_name, "role": person.role.value}
            await connection.execute(insert(users).values(**row, password="-", created_at=now))
        study = (await connection.execute(select(studies.c.id))).scalar_one()
        await connection.execute(
            insert(cases).values(
                id=1,
                study=study,
                state="reading",
                priority=1,
                why="[]",
                assignee="wei",
                created_at=now,
                settled_at=now,
            )
        )

"""A hub's people: a fresh database, an `Access` with cheap hashing, and ready accounts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gateway.database import Database, open_database, sqlite_url
from hub.access.access import Access
from hub.access.accounts import NewAccount
from hub.access.passwords import Cost, Passwords
from hub.access.vault import Vault
from hub.custody import CustodyLog
from hub.people import Account, Role
from hub.seals import Seals
from hub.tables import VERSION, metadata
from hub.trail import AuditTrail
from tests.doubles.clock import SetClock
from tests.doubles.record import MemoryRecord

CHEAP = Cost(memory_kib=8, iterations=1, lanes=1)
PASSWORD = "correct horse battery"


@dataclass
class Hub:
    database: Database
    clock: SetClock
    record: MemoryRecord
    access: Access

    async def account(
        self,
        name: str,
        role: Role = Role.READER,
        *,
        groups: Sequence[str] = (),
        sites: Sequence[tuple[str, str | None]] = (),
        site: str | None = None,
        capacity: int = 50,
    ) -> Account:
        if role is Role.SERVICE:
            await self.access.accounts.create_service(name)
        else:
            new = NewAccount(
                name=name,
                display_name=f"Dr {name.title()}",
                email=f"{name}@example.org",
                role=role,
                site=site,
                groups=groups,
                sites=sites,
                capacity=capacity,
            )
            await self.access.accounts.create(new, PASSWORD)
        return Account(name, f"Dr {name.title()}", role, site=site)


async def open_hub(folder: Path, *, require_second_factor: bool = False) -> Hub:
    database = await open_database(sqlite_url(folder / "hub.db"), metadata, version=VERSION)
    clock, seals = SetClock(), Seals(b"v" * 32)
    record = MemoryRecord(log=CustodyLog(database, None, clock, seals))
    access = Access(
        database,
        record,
        clock,
        vault=Vault(b"v" * 32),
        seals=seals,
        trail=AuditTrail(database, clock),
        origin="https://hub.example.org:8443",
        passwords=Passwords(CHEAP),
        require_second_factor=require_second_factor,
    )
    return Hub(database, clock, record, access)

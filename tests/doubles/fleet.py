"""A fleet for portals: an authority in a folder, and edges in every state."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import insert

from certs.authority import Authority
from gateway import keyfile
from gateway.clock import Clock, rfc3339
from gateway.database import Database
from gateway.trust import fingerprint
from hub.fleet import devices
from hub.fleet.desk import Actor, FleetDesk
from hub.record import Record, operator
from hub.tables.fleet import edge_returns
from hub.trail import AuditTrail
from tests.doubles.hand_clock import HandClock
from tests.doubles.requests import request

URL = "https://hub.example.org:8443"
SOMEBODY = Actor(operator())


def fleet_desk(folder: Path, database: Database, record: Record, clock: Clock) -> FleetDesk:
    authority = Authority.create(folder / "pki", HandClock(clock.now() - timedelta(days=60)))
    return FleetDesk(database, authority, (record, AuditTrail(database, clock)), clock, URL)


async def join(
    desk: FleetDesk,
    clock: Clock,
    site: str,
    edge: str = "1",
    *,
    begun: timedelta = timedelta(days=-18),
    life: timedelta = timedelta(days=30),
    status: Mapping[str, Any] | None = None,
    seen: timedelta | None = timedelta(seconds=-20),
) -> str:
    """An edge whose certificate began and was seen so long ago. Returns the certificate's fingerprint."""
    now = clock.now()
    then = Authority.open(desk._authority.folder, HandClock(now + begun))
    issued = then.issue_device(request(keyfile.new()), site, edge, life=life)
    async with desk._database.writing() as connection:
        await devices.add(connection, site, edge, issued.certificate, now + begun)
        if seen is not None:
            told = None if status is None else json.dumps(status)
            await devices.seen(connection, site, edge, now + seen, told)
    return str(fingerprint(issued.certificate))


async def asks(desk: FleetDesk, clock: Clock, site: str, edge: str, device: str, mark: str) -> None:
    """An edge's request to come back, as `hub.fleet.returns` enters it."""
    row = {"request": mark, "fingerprint": device, "site": site, "edge": edge, "decision": "asked"}
    async with desk._database.writing() as connection:
        await connection.execute(insert(edge_returns).values(row | {"asked_at": rfc3339(clock.now())}))

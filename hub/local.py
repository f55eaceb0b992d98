"""The local door: a socket file in the data folder, through which this machine's commands bring parcels in.

Whoever can open it can read and write the data folder, and needs no other proof. What comes through
it is judged as what comes over the line: the same intake, the signed headers, the fleet's table.
"""

from __future__ import annotations

import asyncio
import os
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from aiohttp import web
from sqlalchemy import insert, select

from gateway import cpu, durable
from gateway.clock import Clock, parse_rfc3339, rfc3339
from gateway.database import Database
from gateway.disk import LISTING_KIND, Listing
from gateway.envelope.layout import Header
from gateway.envelope.signature import STATEMENT_LIMIT, Statement, verify
from gateway.envelope.unseal import open_header
from gateway.errors import GatewayError, NotAllowed, Unverified
from gateway.log import logger
from gateway.model import parcel_id
from gateway.trust import Identity, Purpose, Trust
from hub.fleet import devices
from hub.fleet.answers import refusal
from hub.intake.intake import Intake
from hub.record import Record
from hub.tables.arrival import quarantine

_Opened = TypeVar("_Opened")

SOCKET = "local.sock"
_NAME = re.compile(r"disk-[0-9a-f]{16,64}\.(tge|head|listing)")
_SHORT = 100
"""Bytes of a socket's path; sun_path holds 108."""

log = logger("hub.local")


@dataclass(frozen=True, slots=True)
class Judge:
    """Says whether what a disk holds was signed by a device of the fleet."""

    database: Database
    trust: Trust
    clock: Clock

    async def header(self, signed: bytes) -> Header:
        """A signed header, judged now or as of when it was signed: the edge may have been cut off for long.

        Raises:
            DataError: it does not hold.
            NotAllowed: its device is not of the fleet, or was revoked.
        """

        def open_at(at: datetime) -> tuple[Header, Identity]:
            found = open_header(signed, self.trust, at)
            return found.header, found.identity

        claimed = Header.from_bytes(Statement.from_bytes(signed).payload)
        header, identity = await self._judged(open_at, claimed.created_at)
        await self._admit(identity)
        return header

    async def listing(self, signed: bytes) -> Listing:
        """A signed listing, likewise."""

        def open_at(at: datetime) -> tuple[Listing, Identity]:
            payload, identity = verify(signed, LISTING_KIND, self.trust, Purpose.DEVICE, at)
            return Listing.from_bytes(payload), identity

        claimed = Listing.from_bytes(Statement.from_bytes(signed).payload)
        listing, identity = await self._judged(open_at, claimed.made_at)
        if (listing.site, listing.edge) != (identity.site, identity.edge):
            raise Unverified(
                f"the listing is of {listing.site}/{listing.edge}, but {identity.name} signed it"
            )
        await self._admit(identity)
        return listing

    async def _judged(
        self, open_at: Callable[[datetime], tuple[_Opened, Identity]], claimed: str
    ) -> tuple[_Opened, Identity]:
        now, signed_at = self.clock.now(), parse_rfc3339(claimed)
        try:
            return await cpu.run(open_at, now)
        except Unverified:
            if signed_at >= now:
                raise
            return await cpu.run(open_at, signed_at)

    async def _admit(self, identity: Identity) -> None:
        async with self.database.reading() as connection:
            await devices.admit(connection, identity)


@dataclass(frozen=True, slots=True)
class Aside:
    """Keeps what does not hold, for a person to look at: beside the parcels that the intake put aside."""

    database: Database
    data: Path
    custody: Record
    clock: Clock

    @property
    def folder(self) -> Path:
        """Where the files go."""
        return self.data / "quarantine"

    def path(self, name: str) -> Path:
        """Where one file goes. Raises NotAllowed if that is no name for it."""
        if not _NAME.fullmatch(name):
            raise NotAllowed(f"{name!r} is no name for what is put aside")
        return self.folder / name

    async def record(self, name: str, site: str, parcel: str | None, reason: str) -> None:
        """Write the row, once a file."""
        place = str(self.path(name).relative_to(self.data))
        log.error("put aside from a disk", site=site, parcel=parcel, why=reason)
        async with self.database.writing() as connection:
            known = select(quarantine.c.id).where(quarantine.c.path == place)
            if (await connection.execute(known)).first() is not None:
                return
            row = {"site": site, "parcel_id": parcel, "path": place, "reason": reason}
            row["at"] = rfc3339(self.clock.now())
            await connection.execute(insert(quarantine).values(row))
            await self.custody.append(connection, "disk-quarantined", site=site, subject=name)


def routes(judge: Judge, aside: Aside) -> list[web.RouteDef]:
    """What the door answers besides the intake's own addresses."""

    async def header(request: web.Request) -> web.Response:
        found = await judge.header(await request.read())
        return web.json_response({"site": found.site, "parcel_id": found.parcel_id})

    async def listing(request: web.Request) -> web.Response:
        found = await judge.listing(await request.read())
        return web.json_response({"site": found.site, "edge": found.edge})

    async def keep(request: web.Request) -> web.Response:
        target = aside.path(request.match_info["name"])
        await asyncio.to_thread(durable.make_folder, target.parent)
        with durable.writing(target, replace=True) as file:
            async for part in request.content.iter_chunked(1 << 20):
                await asyncio.to_thread(file.write, part)
        return web.Response(status=204)

    async def record(request: web.Request) -> web.Response:
        told = await request.json()
        parcel = None if told["parcel"] is None else parcel_id(told["parcel"])
        await aside.record(told["name"], str(told["site"])[:32], parcel, str(told["reason"])[:2000])
        return web.Response(status=204)

    return [
        web.post("/v1/header", header),
        web.post("/v1/listing", listing),
        web.put("/v1/aside/{name}", keep),
        web.post("/v1/aside", record),
    ]


@web.middleware
async def _problems(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        return await handler(request)
    except GatewayError as error:
        return refusal(error)


@asynccontextmanager
async def serving(data: Path, intake: Intake, judge: Judge, aside: Aside) -> AsyncIterator[None]:
    """Keep the door open while the block runs. The caller holds the data folder."""
    app = web.Application(middlewares=[_problems], client_max_size=STATEMENT_LIMIT + 1)
    app.add_routes([*intake.local_route_table(), *routes(judge, aside)])
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=2.0)
    await runner.setup()
    with short_path(data) as path, socket.socket(socket.AF_UNIX) as listening:
        path.unlink(missing_ok=True)  # of a hub that was killed
        listening.bind(str(path))
        path.chmod(0o600)
        listening.setblocking(False)
        try:
            await web.SockSite(runner, listening).start()
            yield
        finally:
            path.unlink(missing_ok=True)
            await runner.cleanup()


@contextmanager
def short_path(data: Path) -> Iterator[Path]:
    """The socket's path, by way of an open folder where it would be too long for a socket."""
    whole = data / SOCKET
    if len(os.fsencode(whole)) <= _SHORT:
        yield whole
        return
    handle = os.open(data, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield Path(f"/proc/self/fd/{handle}") / SOCKET
    finally:
        os.close(handle)

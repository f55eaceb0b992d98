"""A hub that takes parcels in over real TLS, and the raw end of the line to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import select

from edge.enroll import enroll
from edge.hub_client import HubClient
from edge.identity import EdgeIdentity
from gateway.clock import SystemClock, rfc3339
from gateway.envelope.layout import HEADER_KIND, NO_PREVIOUS, Header
from gateway.envelope.seal import complete
from gateway.envelope.signature import sign
from gateway.model import ParcelId, Priority, Sha256
from gateway.wire.frames import MEDIA_TYPE, Decoder, encode
from gateway.wire.messages import Announce, Ask, Chunk, End, Message
from hub.archive.archive import Archive
from hub.archive.store import BlobStore
from hub.custody import CustodyLog
from hub.dialogue.line import dialogue_routes
from hub.intake.intake import Intake
from hub.intake.routes import line_routes
from hub.tables.arrival import arrivals
from tests.doubles.parcels import Parcel, seal
from tests.doubles.small_hub import SmallHub, small_hub

CLOCK = SystemClock()


@dataclass
class LineHub:
    """A small hub with intake and archive."""

    small: SmallHub
    intake: Intake
    archive: Archive
    task: asyncio.Task[None] | None = None
    busy: set[asyncio.Task] = field(default_factory=set)
    up: asyncio.Event = field(default_factory=asyncio.Event)

    async def take(self, messages, site):
        """The desk of the intake that runs now, so that a restarted one serves the same port."""
        await self.up.wait()
        task = asyncio.create_task(self.intake._desk.take(messages, site))
        self.busy.add(task)
        task.add_done_callback(self.busy.discard)
        return await task

    async def rows(self) -> dict[str, str]:
        """Parcel → state, as recorded."""
        async with self.small.database.reading() as connection:
            found = await connection.execute(select(arrivals.c.parcel_id, arrivals.c.state))
            return {row.parcel_id: row.state for row in found}

    async def restart(self, *, reserve: int = 0) -> None:
        """Nothing in memory is kept. Batches under way end first: no two processes write one folder."""
        self.up.clear()
        await self.stop()
        while self.busy:
            await asyncio.wait(self.busy)
        self.intake = make_intake(self.small, self.archive, reserve=reserve)
        await self.intake.recover()
        self.start()

    def start(self) -> None:
        self.up.set()
        self.task = asyncio.create_task(self.intake.run())

    async def stop(self) -> None:
        if self.task is not None:
            self.task.cancel()
            with suppress(asyncio.CancelledError):
                await self.task
            self.task = None


def make_intake(small: SmallHub, archive: Archive, *, reserve: int = 0) -> Intake:
    return Intake(
        small.database,
        small.config.data,
        archive,
        small.authority.trust,
        small.keys.kem_keys,
        small.keys.receipt_signer,
        archive.custody,
        CLOCK,
        reserve,
    )


@asynccontextmanager
async def line_hub(folder: Path, *, reserve: int = 0, **options) -> AsyncIterator[LineHub]:
    made: list[LineHub] = []

    def routes(small: SmallHub):
        custody = CustodyLog(small.database, None, CLOCK)
        archive = Archive(small.database, BlobStore(small.config.data / "blobs"), custody, CLOCK)
        made.append(LineHub(small, make_intake(small, archive, reserve=reserve), archive))
        return [
            *line_routes(made[0], lambda: made[0].intake._draining),
            *dialogue_routes(small.database, CLOCK),
        ]

    async with small_hub(folder, routes, **options):
        hub = made[0]
        await hub.intake.recover()
        hub.start()
        try:
            yield hub
        finally:
            await hub.stop()


@asynccontextmanager
async def enrolled(hub: LineHub, data: Path, site: str = "H001") -> AsyncIterator[HubClient]:
    identity = await enroll(await hub.small.invitation(site), data, CLOCK)
    async with HubClient(identity, CLOCK, idle_timeout=20) as client:
        yield client


@dataclass
class Sealed:
    """A parcel as an edge would have it: body and signed header."""

    parcel: Parcel
    header: Header
    signed: bytes

    @property
    def id(self) -> ParcelId:
        return self.header.parcel_id

    def announce(self) -> Announce:
        return Announce(self.id, self.signed)

    def chunk(self, index: int) -> Chunk:
        offset, length = self.header.chunk_span(index)
        return Chunk(self.id, index, self.header.chunks[index], self.parcel.read(offset, length))

    def all(self) -> list[Message]:
        return [self.announce(), *(self.chunk(index) for index in range(len(self.header.chunks)))]


def sealed(
    hub: LineHub,
    identity: EdgeIdentity,
    number: int,
    instances: Sequence[bytes],
    *,
    site: str | None = None,
    **options,
) -> Sealed:
    parcel = seal(
        hub.small.keys.kem_keys, instances, parcel_id=ParcelId(f"{number:032x}"), codec="raw", **options
    )
    header = complete(
        parcel.draft,
        site=site or identity.site,
        sequence=number,
        previous=NO_PREVIOUS if number == 1 else Sha256("1" * 64),
        priority=Priority.ROUTINE,
        created_at=rfc3339(CLOCK.now()),
    )
    return Sealed(parcel, header, sign(HEADER_KIND, header.to_bytes(), identity.signer))


async def say(
    client: HubClient,
    messages: Iterable[Message],
    *,
    linger: int = 10_000,
    path: str = "/v1/uplink",
    end: bool = True,
) -> list[Message]:
    """One whole exchange; returns what the hub said."""
    frames = [encode(message) for message in messages]

    async def body():
        for frame in frames:
            yield frame
        if end:
            yield encode(End(linger))

    decoder, heard = Decoder(), []
    async with client.request("POST", path, data=body(), headers={"Content-Type": MEDIA_TYPE}) as response:
        async for data in response.content.iter_any():
            decoder.feed(data)
            while (message := decoder.next()) is not None:
                heard.append(message)
    decoder.finish()
    return heard


async def ask(client: HubClient, *parcels: ParcelId, linger: int = 10_000) -> list[Message]:
    return await say(client, map(Ask, parcels), linger=linger, path="/v1/uplink/status")

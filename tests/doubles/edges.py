"""An edge in this process: enrolled, with spool, packer and uplink, over the real line."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from edge.budget import Budgets
from edge.config import Uplink as Settings
from edge.enroll import enroll
from edge.hub_client import HubClient
from edge.identity import EdgeIdentity
from edge.pack import Packer
from edge.spool.spool import Spool
from edge.spool.states import State
from edge.spool.view import StudyFacts
from edge.uplink.worker import Uplink
from gateway.clock import SystemClock, rfc3339
from gateway.config import Seconds
from gateway.envelope.inner import InstanceFacts
from gateway.model import Priority
from tests.doubles.lines import LineHub

T = TypeVar("T")
CLOCK = SystemClock()
FAST = Settings(streams=3, retry_first=Seconds(0.02), retry_cap=Seconds(0.1))


async def until(look: Callable[[], Awaitable[T]], seconds: float = 20) -> T:
    """Look until something is seen."""
    for _ in range(int(seconds * 100)):
        seen = await look()
        if seen:
            return seen
        await asyncio.sleep(0.01)
    raise TimeoutError("it never came")


@dataclass
class Edge:
    identity: EdgeIdentity
    data: Path
    spool: Spool = field(init=False)
    client: HubClient = field(init=False)
    uplink: Uplink = field(init=False)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def start(
        self,
        *,
        settings: Settings = FAST,
        client: HubClient | None = None,
        line: bool = True,
        budgets: Budgets | None = None,
        keep_confirmed: float = 0,
    ) -> None:
        self.spool = Spool.open(
            self.data,
            site=self.identity.site,
            recipients=lambda: self.identity.recipients,
            reserve=0,
            clock=CLOCK,
            keep_confirmed=keep_confirmed,
        )
        packer = Packer(
            self.spool,
            self.identity.site,
            lambda: self.identity.signer,
            CLOCK,
            lambda: self.uplink.link.rate,
        )
        self.client = client or HubClient(self.identity, CLOCK, idle_timeout=20)
        self.uplink = Uplink(self.spool, self.client, self.identity.trust, settings, CLOCK, budgets)
        self.tasks = [asyncio.create_task(packer.run())]
        if line:
            self.open_line()

    def open_line(self) -> None:
        self.tasks.append(asyncio.create_task(self.uplink.run()))

    async def stop(self) -> None:
        for task in self.tasks:
            task.cancel()
        for task in self.tasks:
            with suppress(asyncio.CancelledError):
                await task
        self.tasks = []
        await self.client.close()
        self.spool.close()

    def receive(self, number: int, data: bytes, priority: Priority = Priority.ROUTINE, modality: str = ""):
        facts = InstanceFacts(
            sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
            sop_instance_uid=f"2.25.777.{number}",
            study_uid="2.25.888",
            series_uid="2.25.888.1",
            transfer_syntax_uid="1.2.840.10008.1.2.1",
            received_at=rfc3339(CLOCK.now()),
            calling_ae="CT1",
        )
        study = StudyFacts(f"2.25.888{modality}", modality=modality) if modality else None
        return self.spool.receive(facts, data, priority=priority, study=study)

    async def emptied(self, seconds: float = 30) -> None:
        """Until nothing waits; fails with what does, or with the error of a task that ended."""

        async def look() -> bool:
            for task in self.tasks:
                if task.done():
                    task.result()
            return set((await self.spool.status(self.uplink.link)).states) <= {State.PURGED, State.CONFIRMED}

        await until(look, seconds)


@asynccontextmanager
async def edge_of(hub: LineHub, data: Path, site: str = "H001", **options) -> AsyncIterator[Edge]:
    edge = Edge(await enroll(await hub.small.invitation(site), data, CLOCK), data)
    edge.start(**options)
    try:
        yield edge
    finally:
        await edge.stop()

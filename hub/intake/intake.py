"""The station: everything the hub does between the line and the archive."""

from __future__ import annotations

from pathlib import Path

from aiohttp import web

from gateway import cpu
from gateway.clock import Clock
from gateway.database import Database
from gateway.envelope.kem import KemKeys
from gateway.log import logger
from gateway.trust import Signer, Trust
from hub.archive.archive import Archive
from hub.intake.arrivals import Arrivals
from hub.intake.conveyor import Conveyor
from hub.intake.desk import Desk
from hub.intake.disk_alerts import DiskAlerts
from hub.intake.faults import Faults
from hub.intake.journal import Journal
from hub.intake.lineage import Lineage
from hub.intake.partials import Partials
from hub.intake.quarantine import Quarantine
from hub.intake.routes import line_routes, local_routes
from hub.intake.states import State
from hub.record import Record

log = logger("hub.intake")


class Intake:
    """Takes parcels from the line into the archive.

    Args:
        database: holds `arrivals` and `quarantine`.
        folder: the hub's data folder; ``intake`` and ``quarantine`` are made in it.
        archive: takes the verified instances.
        trust: the roots.
        kem_keys: the hub's private keys.
        receipt_signer: a key whose certificate is for `Purpose.HUB`.
        custody: the custody log.
        clock: for records.
        reserve: bytes of the disk that new parcels may not take.
    """

    def __init__(
        self,
        database: Database,
        folder: Path,
        archive: Archive,
        trust: Trust,
        kem_keys: KemKeys,
        receipt_signer: Signer,
        custody: Record,
        clock: Clock,
        reserve: int,
    ) -> None:
        self._archive = archive
        self._lineage = Lineage(database, custody, clock)
        self._journal = Journal(database, clock, self._lineage.note)
        self._partials = Partials(folder / "intake")
        quarantine = Quarantine(folder / "quarantine", folder)
        faults = Faults((self._partials.folder, archive.store.folder, quarantine.folder), clock)
        self._arrivals = Arrivals(self._journal, self._partials, faults)
        self._draining = False
        self._conveyor = Conveyor(
            self._arrivals,
            self._journal,
            self._partials,
            quarantine,
            archive,
            kem_keys,
            receipt_signer,
            custody,
            clock,
            faults,
        )
        self._disk_alerts = DiskAlerts(database, faults, lambda: self._conveyor.idle, clock)
        self._desk = Desk(
            self._arrivals,
            self._journal,
            self._partials,
            trust,
            clock,
            faults,
            reserve=reserve,
            whole=self._conveyor.put,
        )

    def routes(self, app: web.Application) -> None:
        """Mount the line's addresses on the application of the line port."""
        app.add_routes(self.route_table())

    def route_table(self) -> list[web.RouteDef]:
        """The same, to be mounted by others."""
        return line_routes(self._desk, lambda: self._draining)

    def local_route_table(self) -> list[web.RouteDef]:
        """The same for whoever may speak for any site: the hub's own commands."""
        return local_routes(self._desk, lambda: self._draining)

    async def recover(self) -> None:
        """At start, before the first request: go on with every arrival from where it was recorded."""
        unfinished = await self._journal.unfinished()
        wanted = {entry.parcel for entry in unfinished}
        swept = await cpu.run(self._partials.sweep, wanted)
        swept += await cpu.run(self._archive.store.sweep)
        whole = [entry.parcel for entry in unfinished if entry.state is not State.RECEIVING]
        for parcel in whole:
            self._conveyor.put(parcel)
        log.info("intake goes on", receiving=len(unfinished) - len(whole), whole=len(whole), swept=swept)

    async def run(self) -> None:
        """Carry whole parcels into the archive, for ever."""
        await self._conveyor.run()

    async def watch(self) -> None:
        """Tell of headers an edge has signed that do not come, for ever."""
        await self._lineage.run()

    async def tell(self) -> None:
        """Tell the administrator of a disk that fails what has come, for ever."""
        await self._disk_alerts.run()

    async def drain(self) -> None:
        """Before an orderly stop: refuse new exchanges, and carry what is whole."""
        self._draining = True
        await self._conveyor.drain()

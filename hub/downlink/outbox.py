"""What waits for a site, what is handed out, and what the site says of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import ColumnElement, RowMapping, and_, delete, exists, insert, not_, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway import cpu
from gateway.clock import Clock, rfc3339
from gateway.database import Database
from gateway.envelope.signature import Statement, sign, verify
from gateway.errors import Broken, NotAllowed, NotFound
from gateway.log import logger
from gateway.model import Sha256, SiteId
from gateway.report.delivery import (
    ACKNOWLEDGEMENT_KIND,
    ENVELOPED,
    MANIFEST_KIND,
    PDF,
    STRUCTURED,
    Acknowledgement,
    File,
    Manifest,
    pack,
)
from gateway.report.model import Report
from gateway.trust import Identity, Purpose, Signer, Trust
from hub.archive.store import BlobStore
from hub.downlink.states import OPEN, Event, State, step
from hub.record import Record
from hub.tables.fleet import devices
from hub.tables.report import deliveries, delivery_outcomes, reports
from hub.tables.study import instances, series, studies

log = logger("hub.downlink")


class Outbox:
    """Deliveries to the edges.

    Args:
        database: holds them.
        store: holds the files.
        signer: gives the hub's signer, anew for each manifest, since certificates are renewed.
        trust: the roots, to judge acknowledgements by.
        custody: the log.
        clock: for the times in the rows.
    """

    def __init__(
        self,
        database: Database,
        store: BlobStore,
        signer: Callable[[], Signer],
        trust: Trust,
        custody: Record,
        clock: Clock,
    ) -> None:
        self._database, self._store, self._signer = database, store, signer
        self._trust, self._custody, self._clock = trust, custody, clock

    async def waiting(self, caller: Identity, *, everything: bool = False) -> list[dict[str, Any]]:
        """What the caller's site has not taken over; or, for an edge that starts, all that has not ended.

        Of several edges at a site the first to fetch a delivery keeps it.
        """
        now = rfc3339(self._clock.now())
        wanted = [state.value for state in (set(State) - {State.ACKNOWLEDGED} if everything else OPEN)]
        query = (
            select(
                deliveries.c.id,
                deliveries.c.report,
                deliveries.c.state,
                deliveries.c.queued_at,
                deliveries.c.acknowledgement,
            )
            .where(_belongs_to(caller, now), deliveries.c.state.in_(wanted))
            .order_by(deliveries.c.queued_at, deliveries.c.id)
        )
        async with self._database.reading() as connection:
            rows = (await connection.execute(query)).mappings().all()
        return [
            {
                "id": row["id"],
                "report": row["report"],
                "state": row["state"],
                "queued_at": row["queued_at"],
                "revision": self._revision(row),  # an edge that lost its memory goes on counting from here
            }
            for row in rows
        ]

    async def package(self, caller: Identity, delivery: str) -> bytes:
        """The package of a delivery. Raises NotFound if it is not the caller's."""
        now = rfc3339(self._clock.now())
        async with self._database.reading() as connection:
            row = await _delivery(connection, caller, delivery, now)
            files = await _files(connection, row)
        signer = self._signer()
        package = await cpu.run(self._pack, row, files, signer)
        async with self._database.writing() as connection:
            row = await _delivery(connection, caller, delivery, now)
            site = row["site"]
            state = step(State(row["state"]), Event.FETCH)
            if (state.value, caller.edge) != (row["state"], row["edge"]):
                values = {"state": state.value, "fetched_at": now, "edge": caller.edge}
                await connection.execute(update(deliveries).where(deliveries.c.id == delivery).values(values))
                await self._custody.append(
                    connection,
                    "report-fetched",
                    site=site,
                    subject=row["report"],
                    detail={"delivery": delivery},
                )
        log.info("delivery fetched", site=site, delivery=delivery, report=row["report"], size=len(package))
        return package

    async def acknowledge(self, caller: Identity, delivery: str, statement: bytes) -> None:
        """Take the edge's signed word. Words older than the newest one, and repeats, change nothing.

        Raises:
            Malformed, Unverified: the statement does not hold.
            NotAllowed: another edge's, or for another delivery than it says.
            NotFound: no such delivery of this site.
            Refused: it cannot follow what was said before.
        """
        at = self._clock.now()
        now = rfc3339(at)
        payload, signer = verify(statement, ACKNOWLEDGEMENT_KIND, self._trust, Purpose.DEVICE, at)
        said = Acknowledgement.from_bytes(payload)
        if signer.name != caller.name or said.site != caller.site:
            raise NotAllowed("this acknowledgement is signed by another edge than the one that brings it")
        if said.delivery_id != delivery:
            raise NotAllowed("this acknowledgement is for another delivery")
        async with self._database.writing() as connection:
            row = await _delivery(connection, caller, delivery, now)
            if said.report_id != row["report"]:
                raise NotAllowed("this acknowledgement is for another report")
            if said.revision <= self._revision(row):
                return
            await self._write(connection, row, said, statement.decode())
        log.info("delivery acknowledged", site=signer.site, delivery=delivery, state=said.state)

    @staticmethod
    def _revision(row: RowMapping) -> int:
        """The number of the newest word that was kept; it was verified when it came."""
        kept = row["acknowledgement"]
        return Acknowledgement.from_bytes(Statement.from_bytes(kept.encode()).payload).revision if kept else 0

    async def _write(
        self, connection: AsyncConnection, row: RowMapping, said: Acknowledgement, statement: str
    ) -> None:
        state = step(State(row["state"]), Event(said.state))
        now = rfc3339(self._clock.now())
        refused = [f"{one.destination}: {one.detail}" for one in said.outcomes if one.outcome == "refused"]
        values = {
            "state": state.value,
            "acknowledgement": statement,
            "reason": said.reason or "; ".join(refused) or None,
            "acknowledged_at": now if state is State.ACKNOWLEDGED else row["acknowledged_at"],
        }
        await connection.execute(update(deliveries).where(deliveries.c.id == row["id"]).values(values))
        await connection.execute(delete(delivery_outcomes).where(delivery_outcomes.c.delivery == row["id"]))
        for one in said.outcomes:
            outcome = {
                name: getattr(one, name) for name in ("destination", "kind", "outcome", "detail", "at")
            }
            await connection.execute(insert(delivery_outcomes).values(delivery=row["id"], **outcome))
        counts = {
            word: sum(one.outcome == word for one in said.outcomes) for word in ("delivered", "refused")
        }
        await self._custody.append(
            connection,
            f"report-{state.value}",
            site=row["site"],
            subject=row["report"],
            detail={
                "delivery": row["id"],
                "revision": said.revision,
                "manifest": said.manifest_sha256,
                **counts,
            },
        )

    def _pack(self, row: RowMapping, files: tuple[File, ...], signer: Signer) -> bytes:
        """Blocking."""
        report = Report.from_bytes(row["canonical"].encode())
        data = [self._store.path(file.sha256).read_bytes() for file in files]
        manifest = Manifest(
            delivery_id=row["id"],
            report_id=report.report_id,
            version=report.version,
            site=SiteId(report.site),
            study_uid=report.study.study_uid,
            canonical_sha256=report.digest,
            queued_at=row["queued_at"],
            files=tuple(
                File(file.name, file.sha256, len(part), file.sop_class_uid, file.sop_instance_uid)
                for file, part in zip(files, data, strict=True)
            ),
        )
        return pack(sign(MANIFEST_KIND, manifest.to_bytes(), signer), data)


def _belongs_to(caller: Identity, now: str) -> ColumnElement[bool]:
    """Of the caller's site, and not kept by another edge there that may still come back."""
    other_lives = exists().where(
        devices.c.site == deliveries.c.site,
        devices.c.edge == deliveries.c.edge,
        devices.c.revoked.is_(False),
        devices.c.not_after > now,
    )
    free = or_(deliveries.c.edge.is_(None), deliveries.c.edge == caller.edge, not_(other_lives))
    return and_(deliveries.c.site == caller.site, free)


async def _delivery(connection: AsyncConnection, caller: Identity, delivery: str, now: str) -> RowMapping:
    query = (
        select(
            deliveries,
            reports.c.canonical,
            reports.c.pdf_sha256,
            reports.c.sr_uid,
            reports.c.pdf_uid,
        )
        .join(reports, deliveries.c.report == reports.c.id)
        .where(deliveries.c.id == delivery, _belongs_to(caller, now))
    )
    row = (await connection.execute(query)).mappings().first()
    if row is None:
        raise NotFound(f"there is no delivery {delivery[:32]} for {caller.site}")
    return row


async def _files(connection: AsyncConnection, row: RowMapping) -> tuple[File, ...]:
    """The three files; their lengths are filled in when they are read."""
    files = [File(PDF, Sha256(row["pdf_sha256"]), 0)]
    for name, uid in ((STRUCTURED, row["sr_uid"]), (ENVELOPED, row["pdf_uid"])):
        query = (
            select(instances.c.sha256, instances.c.sop_class_uid)
            .join(series, instances.c.series == series.c.id)
            .join(studies, series.c.study == studies.c.id)
            .where(instances.c.sop_instance_uid == uid, instances.c.origin == "hub", instances.c.current)
            .where(studies.c.site == row["site"])
        )
        found = (await connection.execute(query)).first()
        if found is None:
            raise Broken(f"the archive does not hold {uid}, which the report {row['report']} names")
        files.append(File(name, Sha256(found.sha256), 0, found.sop_class_uid, uid))
    return tuple(files)

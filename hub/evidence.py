"""Gathers the evidence of a study from the hub's tables (`gateway/custody/EVIDENCE.md`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway import cpu
from gateway.clock import Clock
from gateway.custody.bundle import write_bundle
from gateway.custody.checkpoint import NoteVerifier, open_checkpoint
from gateway.custody.evidence import Evidence, Instance, Parcel, ReportEvidence, Study, Witness
from gateway.custody.judge import judge
from gateway.custody.witness import LOG_KEY_KIND, say_key
from gateway.database import Database
from gateway.envelope.kem import KemKeys
from gateway.envelope.layout import Header
from gateway.envelope.seal import header_digest
from gateway.envelope.signature import Statement
from gateway.envelope.unseal import BodyOpener
from gateway.errors import NotFound, Refused
from gateway.model import Sha256, SiteId
from gateway.trust import Signer, Trust
from hub.archive.commitment import salt_of
from hub.archive.store import BlobStore
from hub.custody import CustodyLog
from hub.record import subject_of
from hub.tables.arrival import arrivals
from hub.tables.case import cases
from hub.tables.custody import checkpoints, cosignatures, witnesses
from hub.tables.report import deliveries, reports
from hub.tables.study import instances, series, studies
from hub.verify_custody import facts


@dataclass(frozen=True, slots=True)
class _Found:
    """Rows of one study."""

    study: Study
    parcels: tuple[tuple[bytes, bytes], ...]  # signed header, receipt
    reports: tuple[tuple[str, str, bytes], ...]  # identifier, SHA-256 of the PDF, acknowledgement


class EvidenceRoom:
    """Makes files of evidence.

    Args:
        database: the hub's.
        store: the blobs, for signed PDFs.
        custody: the log.
        kem_keys: open manifests.
        log_key: verifies the log's checkpoints.
        signer: the hub's: says that this is its log's key.
        trust: the roots.
        clock: the time.
    """

    def __init__(
        self,
        database: Database,
        store: BlobStore,
        custody: CustodyLog,
        kem_keys: KemKeys,
        log_key: NoteVerifier,
        signer: Signer,
        trust: Trust,
        clock: Clock,
    ) -> None:
        self._database, self._store, self._custody = database, store, custody
        self._kem_keys, self._log_key = kem_keys, log_key
        self._signer, self._trust, self._clock = signer, trust, clock

    async def told(self, study_uid: str, site: str) -> dict[str, Any]:
        """The way of a study, as its evidence shows it. Raises as `study`; Unverified: it does not hold."""
        evidence = await self.study(study_uid, site)
        judged = await cpu.run(judge, evidence.to_bytes(), self._trust, self._clock.now())
        return facts(judged)

    async def study(self, study_uid: str, site: str | None = None) -> Evidence:
        """The evidence of one study.

        Args:
            study_uid: its Study Instance UID.
            site: of the study; needed only where two sites have one of this UID.

        Raises:
            NotFound: there is none.
            Refused: several sites have one, or the log is not signed yet.
        """
        async with self._database.reading() as connection:
            found = await _rows(connection, study_uid, site)
        parcels = tuple([await cpu.run(self._parcel, *one) for one in found.parcels])
        note = await self._custody.checkpoint()
        if note is None:
            raise Refused("the custody log is not signed yet")
        subjects = [found.study.subject, *found.study.cases, *(one[0] for one in found.reports)]
        subjects += [header_digest(one.header) for one in parcels]
        size = open_checkpoint(note, [self._log_key]).size
        proven = await self._custody.prove_all(subjects, size)
        async with self._database.reading() as connection:
            seen = await _cosigned(connection, size)
        witnessed = tuple(
            [
                Witness(statement, note, line, tuple(await self._custody.consistency(then, size)))
                for statement, note, line, then in seen
            ]
        )
        return Evidence(
            study=found.study,
            log_key=say_key(LOG_KEY_KIND, self._log_key, self._signer, self._clock.now()),
            log=write_bundle(note, proven),
            witnesses=witnessed,
            parcels=parcels,
            reports=tuple(
                ReportEvidence(self._store.path(pdf).read_bytes(), said) for _, pdf, said in found.reports
            ),
        )

    def _parcel(self, header: bytes, receipt: bytes) -> Parcel:
        opener = BodyOpener(Header.from_bytes(Statement.from_bytes(header).payload), self._kem_keys)
        return Parcel(header, opener.manifest.to_bytes(), receipt)


async def _rows(connection: AsyncConnection, study_uid: str, site: str | None) -> _Found:
    query = select(studies.c.id, studies.c.site).where(studies.c.study_uid == study_uid)
    if site is not None:
        query = query.where(studies.c.site == site)
    rows = (await connection.execute(query)).all()
    if not rows:
        raise NotFound(f"there is no study {study_uid} here")
    if len(rows) > 1:
        raise Refused(f"sites {', '.join(sorted(row.site for row in rows))} have this study: name one")
    key, site = rows[0].id, rows[0].site
    held = await connection.execute(
        select(instances.c.sop_instance_uid, instances.c.sha256, instances.c.size, instances.c.parcel_id)
        .join_from(instances, series)
        .where(series.c.study == key, instances.c.parcel_id != "")
        .order_by(instances.c.id)
    )
    images = held.all()
    case_ids = list((await connection.execute(select(cases.c.id).where(cases.c.study == key))).scalars())
    return _Found(
        Study(
            site=SiteId(site),
            study_uid=study_uid,
            subject=subject_of("study", key),
            salt=await salt_of(connection, subject_of("study", key)) or "",
            cases=tuple(subject_of("case", case) for case in case_ids),
            instances=tuple(Instance(one.sop_instance_uid, Sha256(one.sha256), one.size) for one in images),
        ),
        await _parcels(connection, list(dict.fromkeys(one.parcel_id for one in images))),
        await _reports(connection, case_ids),
    )


async def _parcels(connection: AsyncConnection, ids: Sequence[str]) -> tuple[tuple[bytes, bytes], ...]:
    found = []
    for one in ids:
        query = select(arrivals.c.header, arrivals.c.receipt).where(
            arrivals.c.parcel_id == one, arrivals.c.receipt.is_not(None)
        )
        row = (await connection.execute(query)).one_or_none()
        if row is None:
            raise Refused(f"parcel {one} of this study has no receipt yet")
        found.append((bytes(row.header), bytes(row.receipt)))
    return tuple(found)


async def _reports(
    connection: AsyncConnection, case_ids: Sequence[int]
) -> tuple[tuple[str, str, bytes], ...]:
    query = (
        select(reports.c.id, reports.c.pdf_sha256, deliveries.c.acknowledgement)
        .join_from(reports, deliveries, isouter=True)
        .where(reports.c.case.in_(case_ids))
        .order_by(reports.c.version)
    )
    rows = (await connection.execute(query)).all()
    return tuple((row.id, row.pdf_sha256, (row.acknowledgement or "").encode()) for row in rows)


async def _cosigned(connection: AsyncConnection, size: int) -> list[tuple[bytes, bytes, str, int]]:
    """For every witness the newest it signed: its key's statement, the note, its line, the note's size."""
    newest = (
        select(cosignatures.c.witness, func.max(cosignatures.c.size).label("size"))
        .where(cosignatures.c.size <= size)
        .group_by(cosignatures.c.witness)
        .subquery()
    )
    query = (
        select(witnesses.c.statement, checkpoints.c.note, cosignatures.c.line, cosignatures.c.size)
        .join_from(
            cosignatures,
            newest,
            (cosignatures.c.witness == newest.c.witness) & (cosignatures.c.size == newest.c.size),
        )
        .join(witnesses, witnesses.c.name == cosignatures.c.witness)
        .join(checkpoints, checkpoints.c.size == cosignatures.c.size)
        .order_by(witnesses.c.name)
    )
    rows = (await connection.execute(query)).all()
    return [(bytes(row.statement), bytes(row.note), row.line, row.size) for row in rows]

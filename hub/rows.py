"""Whether the rows of the database still say what the custody log says was done.

The log itself is judged by `hub.custody`. Here the rows that others act on are compared with its leaves: what
was stored, what was signed, which edges are in. A row that was edited, added or removed behind the program's
back does not fit a leaf, and a leaf cannot be changed without a signed checkpoint noticing.

======================  ==========================================================================
leaf                    what it holds to
======================  ==========================================================================
``parcel-stored``       the parcel's header, receipt, site and number; its instances, and whose they are
``report-signed``       the report's text, its digests and version; by the text: case, study, patient, author
``edge-enrolled`` …     a device's certificate, what stands in it, site and number; none without a leaf;
                        no token that nobody made
``edge-revoked``        a revoked device stays revoked
======================  ==========================================================================

What the index says of an image is compared with the image itself (`hub.rows_images`); accounts, sessions and
whatever else lets a person in, with what was last entered of them (`hub.rows_accounts`).
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

from cryptography import x509
from sqlalchemy import Table, func, not_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway import canonical
from gateway.clock import rfc3339
from gateway.database import Database
from gateway.envelope.judge import receipt_at_its_time
from gateway.envelope.layout import Header
from gateway.envelope.signature import Statement
from gateway.errors import DataError
from gateway.report.model import Report
from gateway.report.text import one_line
from gateway.trust import Trust, fingerprint
from hub.custody import CustodyLog
from hub.rows_accounts import gone
from hub.rows_fleet import CREATED
from hub.rows_images import Images
from hub.rows_told import Told
from hub.tables.arrival import arrivals
from hub.tables.case import cases
from hub.tables.custody import custody
from hub.tables.fleet import devices
from hub.tables.report import reports
from hub.tables.study import instances, patients, series, studies

BATCH = 400
"""Leaves compared with one query."""

LET_IN = ("edge-enrolled", "edge-renewed", "edge-returned")


AUDIT_PERIOD = 24 * 3600.0
"""Seconds between audits of a running hub; the first is at its start."""

IMAGES = 200_000
"""Images whose header is compared at one audit of a running hub; the next goes on where it stopped."""

REST = 0.2
"""Seconds between two steps of that: an audit is in no hurry, what arrives is."""


class Audit:
    """Audits the log and the rows at start and daily.

    Args:
        database: the hub's.
        custody: the log.
        trust: the roots.
        images: compares the index with the images; some of them at every audit.
        told: hears of rows that do not fit.
    """

    def __init__(
        self, database: Database, custody: CustodyLog, trust: Trust, images: Images, told: Told
    ) -> None:
        self._database, self._custody, self._trust = database, custody, trust
        self._images, self._told = images, told

    async def run(self) -> None:
        """For ever. Edited rows are told and the hub goes on; a broken log stops it.

        Raises:
            Broken: the log itself was changed.
        """
        await self._images.begin_anywhere()
        while True:
            await self.look()
            await asyncio.sleep(AUDIT_PERIOD)

    async def look(self) -> list[str]:
        """Once. Returns what does not fit. Raises Broken as `CustodyLog.audit`."""
        await self._custody.audit()
        faults = await compare(self._database, self._trust)
        await self._told.tell(faults)
        images = await self._images.look(IMAGES, REST)
        await self._told.tell(images)
        return faults + images


async def compare(database: Database, trust: Trust | None) -> list[str]:
    """What does not fit, one line each; empty if all does.

    Args:
        database: the hub's, of which the log was found whole before.
        trust: the roots, to judge receipts with; None: their content alone.
    """
    found: list[str] = []
    async with database.reading() as connection:
        async for leaves in _leaves(connection, ("parcel-stored",)):
            found += await _parcels(connection, leaves, trust)
        found += await _without_leaf(connection)
        async for leaves in _leaves(connection, ("report-signed",)):
            found += await _reports(connection, leaves)
        found += await _devices(connection)
        for table, event in ((reports, "report-signed"),):
            found += await _too_many(connection, table, event)
    return found + await gone(database)


async def _leaves(
    connection: AsyncConnection, events: tuple[str, ...]
) -> AsyncIterator[list[Mapping[str, Any]]]:
    position = -1
    while True:
        rows = (
            await connection.execute(
                select(custody.c.position, custody.c.leaf)
                .where(custody.c.event.in_(events), custody.c.position > position)
                .order_by(custody.c.position)
                .limit(BATCH)
            )
        ).all()
        if not rows:
            return
        position = rows[-1].position
        yield [canonical.load(row.leaf.encode()) for row in rows]


async def _parcels(
    connection: AsyncConnection, leaves: list[Mapping[str, Any]], trust: Trust | None
) -> list[str]:
    names = [leaf["detail"]["parcel"] for leaf in leaves]
    query = select(arrivals).where(arrivals.c.parcel_id.in_(names))
    rows = {row["parcel_id"]: row for row in (await connection.execute(query)).mappings()}
    kept = (
        select(instances.c.parcel_id, instances.c.sha256, studies.c.site)
        .join(series, instances.c.series == series.c.id)
        .join(studies, series.c.study == studies.c.id)
        .where(instances.c.parcel_id.in_(names))
    )
    of_parcel: dict[str, list[tuple[str, str]]] = {}
    for row in await connection.execute(kept):
        of_parcel.setdefault(row.parcel_id, []).append((row.sha256, row.site))
    wanted = {sha for leaf in leaves for sha in leaf["detail"]["instances"]}
    here = await _known(connection, sorted(wanted))
    return [
        f"parcel {leaf['detail']['parcel']} (entry {leaf['position']}): {fault}"
        for leaf in leaves
        for fault in _parcel(leaf, rows.get(leaf["detail"]["parcel"]), of_parcel, here, trust)
    ]


def _parcel(
    leaf: Mapping[str, Any],
    row: Any,
    of_parcel: Mapping[str, list[tuple[str, str]]],
    here: set[str],
    trust: Trust | None,
) -> Iterator[str]:
    detail = leaf["detail"]
    if row is None:
        yield "its row is gone"
        return
    if (row["site"], row["header_digest"], row["sequence"]) != (
        leaf["site"],
        leaf["subject"],
        detail["sequence"],
    ):
        yield "site, number or header digest of its row were changed"
    yield from _signed(leaf, row, trust)
    for sha, site in of_parcel.get(detail["parcel"], []):
        if sha not in detail["instances"]:
            yield f"an instance {sha[:16]}… is said to be of it, which it did not hold"
        if site != leaf["site"]:
            yield f"its instance {sha[:16]}… stands under the site {site!r}, not {leaf['site']!r}"
    for sha in detail["instances"]:
        if sha not in here:
            yield f"its instance {sha[:16]}… has no row"


def _signed(leaf: Mapping[str, Any], row: Any, trust: Trust | None) -> Iterator[str]:
    """The signed header and the receipt, as they lie in the row."""
    try:
        statement = Statement.from_bytes(row["header"])
        header = Header.from_bytes(statement.payload)
        if statement.digest != leaf["subject"] or header.site != leaf["site"]:
            yield "its signed header is another"
        if row["receipt"] is None:
            yield "its receipt is gone"
            return
        if trust is not None:
            receipt = receipt_at_its_time(row["receipt"], trust).receipt
            listed = [one.sha256 for one in receipt.instances]
            if receipt.header_digest != leaf["subject"] or listed != leaf["detail"]["instances"]:
                yield "its receipt is another's"
    except DataError as error:
        yield f"its signed header or receipt does not hold: {error}"


async def _known(connection: AsyncConnection, digests: list[str]) -> set[str]:
    found: set[str] = set()
    for at in range(0, len(digests), BATCH):
        query = select(instances.c.sha256).where(instances.c.sha256.in_(digests[at : at + BATCH]))
        found |= {sha for (sha,) in await connection.execute(query)}
    return found


async def _without_leaf(connection: AsyncConnection) -> list[str]:
    """Parcels that have a receipt, or instances that name a parcel, with no leaf that they were stored."""
    stored = select(custody.c.subject).where(custody.c.event == "parcel-stored")
    odd = select(arrivals.c.parcel_id).where(
        arrivals.c.receipt.is_not(None), arrivals.c.header_digest.not_in(stored)
    )
    found = [
        f"parcel {name}: it has a receipt, and the log never stored it"
        for (name,) in await connection.execute(odd)
    ]
    known = select(arrivals.c.parcel_id).where(arrivals.c.receipt.is_not(None))
    lone = (
        select(instances.c.sha256)
        .where(instances.c.origin == "edge", instances.c.parcel_id != "", instances.c.parcel_id.not_in(known))
        .limit(BATCH)
    )
    rows = await connection.execute(lone)
    found += [f"instance {sha[:16]}…: it names a parcel that was never stored" for (sha,) in rows]
    made = select(reports.c.sr_uid).union(select(reports.c.pdf_uid))
    of_hub = (instances.c.origin == "hub") & (instances.c.parcel_id == "")
    own = of_hub & instances.c.sop_instance_uid.in_(made)
    ours = (instances.c.origin == "edge") & (instances.c.parcel_id != "")
    rows = await connection.execute(select(instances.c.sha256).where(not_(ours), not_(own)).limit(BATCH))
    return found + [f"instance {sha[:16]}…: no parcel brought it, and it is of no report" for (sha,) in rows]


async def _reports(connection: AsyncConnection, leaves: list[Mapping[str, Any]]) -> list[str]:
    names = [leaf["subject"] for leaf in leaves]
    query = (
        select(reports, studies.c.site, studies.c.study_uid, patients.c.patient_id)
        .join(cases, reports.c.case == cases.c.id, isouter=True)
        .join(studies, cases.c.study == studies.c.id, isouter=True)
        .join(patients, studies.c.patient == patients.c.id, isouter=True)
        .where(reports.c.id.in_(names))
    )
    rows = {row["id"]: row for row in (await connection.execute(query)).mappings()}
    found = []
    for leaf in leaves:
        row, detail, name = rows.get(leaf["subject"]), leaf["detail"], f"report {leaf['subject'][:16]}…"
        if row is None:
            found.append(f"{name} (entry {leaf['position']}): its row is gone")
            continue
        text = hashlib.sha256(row["canonical"].encode()).hexdigest()
        if (row["canonical_sha256"], row["pdf_sha256"], row["version"]) != (
            detail["canonical_sha256"],
            detail["pdf_sha256"],
            detail["version"],
        ):
            found.append(f"{name} (entry {leaf['position']}): its digests or version were changed")
        if text != detail["canonical_sha256"]:
            found.append(f"{name} (entry {leaf['position']}): its text was changed after it was signed")
        else:
            found += [f"{name} (entry {leaf['position']}): {fault}" for fault in _said(row)]
    return found


def _said(row: Any) -> Iterator[str]:
    """A report's row beside its own text, which is what was signed."""
    try:
        report = Report.from_bytes(row["canonical"].encode())
    except DataError as error:
        yield f"its text is no report: {error}"
        return
    if row["study_uid"] is None:
        yield "its case is gone"
    elif (row["site"], row["study_uid"], one_line(row["patient_id"])) != (
        report.site,
        report.study.study_uid,
        report.patient.patient_id,
    ):
        yield "it stands under another site, study or patient than its text names"
    if (row["signed_by"], row["signed_at"]) != (report.author.name, report.signed_at):
        yield "its text names another author or time"
    if (row["id"], row["kind"], row["supersedes"]) != (
        report.report_id,
        report.kind.value,
        report.supersedes,
    ):
        yield "its text has another identifier, kind or predecessor"


async def _devices(connection: AsyncConnection) -> list[str]:
    """Who is in the fleet: every row must have been let in, and stay out once revoked."""
    let_in: dict[str, tuple[str, str]] = {}
    revoked: set[str] = set()
    made: set[str] = set()
    found, seen = [], set()
    async for leaves in _leaves(connection, (*LET_IN, "edge-revoked", CREATED)):
        for leaf in leaves:
            if leaf["event"] == CREATED:
                made.add(leaf["subject"])
            elif leaf["event"] == "edge-revoked":
                revoked.add(leaf["subject"])
            else:
                let_in[leaf["subject"]] = (leaf["site"], leaf["detail"]["edge"])
                if leaf["detail"].get("token", "") not in {"", *made}:
                    found.append(
                        f"edge {leaf['site']}/{leaf['detail']['edge']}: let in by a token nobody made"
                    )
    for row in (await connection.execute(select(devices))).mappings():
        mark, name = row["fingerprint"], f"edge {row['site']}/{row['edge']}"
        seen.add(mark)
        if mark not in let_in:
            found.append(f"{name}: certificate {mark[:16]}… is in the fleet, and nobody let it in")
        elif let_in[mark] != (row["site"], row["edge"]):
            found.append(f"{name}: certificate {mark[:16]}… was let in as {'/'.join(let_in[mark])}")
        found += [f"{name}: {fault}" for fault in _certified(row)]
        if mark in revoked and not row["revoked"]:
            found.append(f"{name}: certificate {mark[:16]}… was revoked, and is in again")
    return found + [f"edge {'/'.join(let_in[mark])}: its row is gone" for mark in let_in if mark not in seen]


def _certified(row: Any) -> Iterator[str]:
    """A device's row beside its certificate."""
    try:
        certificate = x509.load_der_x509_certificate(row["certificate"])
    except ValueError:
        yield "its certificate cannot be read"
        return
    if fingerprint(certificate) != row["fingerprint"]:
        yield "its certificate was exchanged"
    elif (row["serial"], row["not_after"]) != (
        f"{certificate.serial_number:x}",
        rfc3339(certificate.not_valid_after_utc),
    ):
        yield "its certificate has another serial number or end"


async def _too_many(connection: AsyncConnection, table: Table, event: str) -> list[str]:
    rows = (await connection.execute(select(func.count()).select_from(table))).scalar() or 0
    query = select(func.count()).where(custody.c.event == event)
    leaves = (await connection.execute(query)).scalar() or 0
    return [f"{table.name}: {rows} rows, and the log knows {leaves}"] if rows > leaves else []

"""The desk: drafts, signing, addenda. Who may sit at it is checked here, on every call.

Signing makes all three forms first and then writes every row in one transaction: report, study's
new instances, case reported, delivery queued, custody. A crash before it leaves blobs nobody
refers to; a crash after it leaves nothing to do.
"""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import secrets
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol
from weakref import WeakValueDictionary

from sqlalchemy import RowMapping, insert, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway import cpu, durable
from gateway.clock import Clock, rfc3339
from gateway.database import Database
from gateway.envelope.layout import InstanceEntry
from gateway.errors import NotFound, Refused, Stale
from gateway.log import logger
from gateway.model import Priority, Sha256
from gateway.report.model import LANGUAGES, Author, Body, Kind, Report
from gateway.trust import Signer, fingerprint
from hub.archive.archive import Archive, Incoming
from hub.custody import newest_checkpoint
from hub.people import Account
from hub.record import Record
from hub.reports import drafts, shown
from hub.reports.dicom import TRANSFER_SYNTAX, Object
from hub.reports.lifecycle import Event, State, step
from hub.reports.press import Press, Printed
from hub.reports.subject import Subject, evidence_of, subject_of
from hub.tables.report import deliveries, reports

QUEUED = "queued"
"""The first state of a delivery (hub/downlink/states.py)."""

Unlock = Callable[[str, str], Awaitable[Signer]]
"""User and signing passphrase to the key and its chain; raises NotAllowed."""

log = logger("hub.reports")


class Cases(Protocol):
    """What the desk asks of the worklist (`hub.assign.worklist.Worklist`)."""

    async def case(self, viewer: Account, case_id: int) -> Any:
        """The case as `viewer` may see it. Raises NotFound if they may not."""

    async def reported(self, connection: AsyncConnection, case_id: int, by: str) -> None:
        """Close the case, inside the caller's transaction."""


class Desk:
    """Where a radiologist writes and signs.

    Args:
        database: holds drafts and reports.
        archive: keeps the three forms.
        worklist: who may see which case.
        custody: the log.
        press: makes the three forms.
        unlock: opens the signing key of a user; handed in, since keys belong to another station.
        clock: for the times in the rows and in the record.
    """

    def __init__(
        self,
        database: Database,
        archive: Archive,
        worklist: Cases,
        custody: Record,
        press: Press,
        unlock: Unlock,
        clock: Clock,
    ) -> None:
        self._database, self._archive, self._worklist, self._custody = database, archive, worklist, custody
        self._press, self._unlock, self._clock = press, unlock, clock
        self._busy: WeakValueDictionary[int, asyncio.Lock] = WeakValueDictionary()

    async def draft(self, account: Account, case_id: int) -> dict[str, Any]:
        """The newest revision; revision 0 with the clinical question alone if nobody has saved yet.

        Raises:
            NotFound: no such case, or none this account may see.
        """
        await self._worklist.case(account, case_id)
        async with self._database.reading() as connection:
            row = await drafts.latest(connection, case_id)
            if row is not None:
                return drafts.shown(row)
            subject = await subject_of(connection, case_id)
        empty = drafts.shown(None)
        language = account.language if account.language in LANGUAGES else LANGUAGES[0]
        body = Body.from_input({"clinical_question": subject.clinical_question, "language": language})
        return empty | {"body": dataclasses.asdict(body)}

    async def save(
        self, account: Account, case_id: int, base_revision: int, body: dict[str, Any]
    ) -> dict[str, Any]:
        """Keep a new revision. Returns its number and time.

        Raises:
            Stale: somebody saved meanwhile; ``current`` holds their text.
            Refused: the case is not this account's, or is signed already.
            Malformed: the body is none.
        """
        text = Body.from_input(body)
        await self._worklist.case(account, case_id)
        now = self._clock.now()
        async with self._database.writing() as connection:
            subject = await subject_of(connection, case_id)
            self._check_writer(account, subject, rfc3339(now))
            if await shown.versions(connection, case_id):
                raise Refused("this case is signed already; write an addendum")
            number, at = await drafts.save(
                connection, case_id, base_revision, text, account.name, rfc3339(now)
            )
        return {"revision": number, "at": at}

    async def sign(self, account: Account, case_id: int, revision: int, passphrase: str) -> dict[str, Any]:
        """Sign the draft's `revision`. Signing the same text twice (a double click) gives the same report.

        Raises:
            Stale: `revision` is not the newest one.
            NotAllowed: wrong passphrase, or no signing key.
            Refused: the case is not this account's, is signed already, or the draft says nothing.
            Unverified: the signer's certificate does not hold any more.
        """
        await self._worklist.case(account, case_id)
        async with self._lock(case_id):
            async with self._database.reading() as connection:
                body = await drafts.revision(connection, case_id, revision)
                before = await shown.versions(connection, case_id)
                done = _repeated(before[:1], account, body)
                if done is not None:
                    return await shown.as_json(connection, done)
                await self._check_newest(connection, case_id, revision)
                subject = await subject_of(connection, case_id)
                self._check_writer(account, subject, rfc3339(self._clock.now()))
            if body is None:
                raise NotFound(f"there is no revision {revision} of this draft")
            return await self._publish(account, subject, body, passphrase, None, revision)

    async def addendum(
        self, account: Account, case_id: int, body: dict[str, Any], passphrase: str
    ) -> dict[str, Any]:
        """Complete a signed report by a further version that names it.

        Raises:
            NotAllowed, Unverified: as `sign`.
            Refused: the case is another reader's, nothing is signed yet, or the addendum says nothing.
        """
        text = Body.from_input(body)
        await self._worklist.case(account, case_id)
        async with self._lock(case_id):
            async with self._database.reading() as connection:
                before = await shown.versions(connection, case_id)
                if not before:
                    raise Refused("there is no signed report yet that an addendum could complete")
                done = _repeated(before[1:][-1:], account, text)
                if done is not None:
                    return await shown.as_json(connection, done)
                subject = await subject_of(connection, case_id)
                self._check_writer(account, subject, rfc3339(self._clock.now()))
            return await self._publish(account, subject, text, passphrase, before[-1], None)

    async def report(self, account: Account, report_id: str) -> dict[str, Any]:
        """One signed version with its delivery. Raises NotFound."""
        row = await self._visible(account, report_id)
        async with self._database.reading() as connection:
            return await shown.as_json(connection, row)

    async def reports(self, account: Account, case_id: int) -> list[dict[str, Any]]:
        """Every signed version of a case, the first one first. Raises NotFound."""
        await self._worklist.case(account, case_id)
        return await self.versions(case_id)

    async def versions(self, case_id: int) -> list[dict[str, Any]]:
        """The same for a caller that has checked already who asks."""
        async with self._database.reading() as connection:
            rows = await shown.versions(connection, case_id)
            return [await shown.as_json(connection, row) for row in rows]

    async def pdf(self, account: Account, report_id: str) -> bytes:
        """The signed PDF, byte for byte. Raises NotFound."""
        row = await self._visible(account, report_id)
        return await cpu.run(self._archive.store.path(row["pdf_sha256"]).read_bytes)

    async def _visible(self, account: Account, report_id: str) -> RowMapping:
        async with self._database.reading() as connection:
            row = await shown.one(connection, report_id)
        if row is None:
            raise NotFound("there is no such report")
        await self._worklist.case(account, row["case"])
        return row

    def _check_writer(self, account: Account, subject: Subject, now: str) -> None:
        held = subject.lease_by if (subject.lease_until or "") > now else None
        if held is not None and held != account.name:
            raise Refused(f"{held} has this case open until {subject.lease_until}")
        if account.name not in (held, subject.assignee):
            raise Refused("this case is not yours; open it first, or leave its addendum to who signed it")

    async def _check_newest(self, connection: AsyncConnection, case_id: int, revision: int) -> None:
        row = await drafts.latest(connection, case_id)
        if row is None or row["revision"] != revision:
            raise Stale("the draft was changed meanwhile; read it again", current=drafts.shown(row))

    def _lock(self, case_id: int) -> asyncio.Lock:
        """One signature at a time a case; a second process is held off by the rows' uniqueness."""
        return self._busy.setdefault(case_id, asyncio.Lock())

    async def _publish(
        self,
        account: Account,
        subject: Subject,
        body: Body,
        passphrase: str,
        before: RowMapping | None,
        revision: int | None,
    ) -> dict[str, Any]:
        if not body.said:
            raise Refused("a report without findings and impression cannot be signed")
        signer = await self._unlock(account.name, passphrase)
        report = self._record(account, subject, body, signer, before)
        async with self._database.reading() as connection:
            evidence = await evidence_of(connection, subject)
            state = await newest_checkpoint(connection)
        printed = await cpu.run(self._press.make, report, signer, evidence, state)
        batch = await cpu.run(self._keep, printed)
        rows: list[dict[str, Any]] = []

        async def within(connection: AsyncConnection, _: Sequence[Any]) -> None:
            if revision is not None:
                await self._check_newest(connection, subject.case, revision)
            await self._write(connection, subject, printed, before)
            row = await shown.one(connection, report.report_id)
            if row is not None:
                rows.append(await shown.as_json(connection, row))

        await self._archive.ingest(batch, within=within)
        log.info("report signed", report=report.report_id, site=report.site, version=report.version)
        return rows[0]

    def _record(
        self, account: Account, subject: Subject, body: Body, signer: Signer, before: RowMapping | None
    ) -> Report:
        return Report(
            report_id=secrets.token_hex(16),
            version=before["version"] + 1 if before else 1,
            kind=Kind.ADDENDUM if before else Kind.REPORT,
            site=subject.site,
            patient=subject.patient,
            study=subject.study,
            body=body,
            author=Author(account.name, account.display_name, fingerprint(signer.chain[0])),
            signed_at=rfc3339(self._clock.now()),
            supersedes=before["id"] if before else None,
        )

    def _keep(self, printed: Printed) -> list[Incoming]:
        """Blocking: the PDF becomes a blob, the two objects wait where the archive takes them from."""
        store = self._archive.store
        place = store.incoming_path()
        durable.create(place, printed.pdf)
        store.put(place, printed.pdf_sha256, len(printed.pdf))
        batch = []
        for made in (printed.structured, printed.enveloped):
            place = store.incoming_path()
            durable.create(place, made.dataset)
            entry = _entry(made, printed.report)
            # PRIOR: a report must not raise the priority of its own study
            batch.append(Incoming(printed.report.site, entry, place, "", Priority.PRIOR, origin="hub"))
        return batch

    async def _write(
        self, connection: AsyncConnection, subject: Subject, printed: Printed, before: RowMapping | None
    ) -> None:
        """Every row of a signature, inside the archive's transaction."""
        report, now = printed.report, rfc3339(self._clock.now())
        found = await shown.versions(connection, subject.case)
        if len(found) != report.version - 1:
            raise Refused("this case was signed by somebody else at the same moment; read it again")
        if before is not None:
            state = step(State(found[-1]["state"]), Event.ADD).value
            await connection.execute(update(reports).where(reports.c.id == before["id"]).values(state=state))
        await connection.execute(
            insert(reports).values(
                id=report.report_id,
                case=subject.case,
                version=report.version,
                state=step(State.DRAFT, Event.SIGN).value,
                kind=report.kind.value,
                canonical=report.to_bytes().decode(),
                canonical_sha256=report.digest,
                pdf_sha256=printed.pdf_sha256,
                sr_uid=printed.structured.sop_instance_uid,
                pdf_uid=printed.enveloped.sop_instance_uid,
                signed_by=report.author.name,
                signed_at=report.signed_at,
                supersedes=report.supersedes,
            )
        )
        await connection.execute(
            insert(deliveries).values(
                id=secrets.token_hex(16),
                report=report.report_id,
                site=report.site,
                state=QUEUED,
                queued_at=now,
            )
        )
        if before is None:
            await self._worklist.reported(connection, subject.case, report.author.name)
        await self._custody.append(
            connection,
            "report-signed",
            site=report.site,
            subject=report.report_id,
            detail={
                "version": report.version,
                "canonical_sha256": report.digest,
                "pdf_sha256": printed.pdf_sha256,
                "certificate_sha256": report.author.certificate_sha256,
            },
        )


def _repeated(rows: Sequence[RowMapping], account: Account, body: Body | None) -> RowMapping | None:
    """The version of `rows` that says the same, by the same author: the call was made twice.

    Raises:
        Refused: there is a version, and it is another one.
    """
    for row in rows:
        earlier = Report.from_bytes(row["canonical"].encode())
        if earlier.body == body and earlier.author.name == account.name:
            return row
        if earlier.kind is Kind.REPORT:
            raise Refused("this case is signed already; write an addendum")
    return None


def _entry(made: Object, report: Report) -> InstanceEntry:
    return InstanceEntry(
        sop_class_uid=made.sop_class_uid,
        sop_instance_uid=made.sop_instance_uid,
        study_uid=report.study.study_uid,
        series_uid=made.series_uid,
        transfer_syntax_uid=TRANSFER_SYNTAX,
        received_at=report.signed_at,
        calling_ae="HUB",
        sha256=Sha256(hashlib.sha256(made.dataset).hexdigest()),
        length=len(made.dataset),
        codec="raw",
        offset=0,
        coded_length=len(made.dataset),
        parameters={},
    )

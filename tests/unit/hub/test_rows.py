"""Rows edited behind the program's back: attack 27 on the rows that others act on, by hand with SQLite."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.custody import merkle
from gateway.envelope.layout import InstanceEntry
from gateway.envelope.taken import Taken
from gateway.errors import Broken
from gateway.model import Priority, Sha256
from hub.archive.archive import Incoming
from hub.custody import CustodyLog
from hub.fleet import devices
from hub.rows import Audit, compare
from hub.rows_images import Images
from hub.rows_told import Told
from hub.trail import AuditTrail
from tests.doubles.datasets import encode, sample
from tests.doubles.lines import CLOCK, LineHub, enrolled, line_hub, say, sealed
from tests.doubles.parcels import facts
from tests.doubles.report import report

FACTS = facts(1)
SIGNED = report(
    report_id="ab" * 16,
    study=replace(report().study, study_uid=FACTS.study_uid),
    patient=replace(report().patient, patient_id="SAMPLE-77"),
)
SR_UID = "2.25.901"


def image(instance: str, series: str, modality: str) -> bytes:
    """A dataset that says itself what its row says."""
    dataset = sample(instance=instance)
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = FACTS.study_uid, series
    dataset.Modality = modality
    return encode(dataset)


def of_hub(hub: LineHub) -> Incoming:
    """The object of a report, as the desk hands it to the archive."""
    data, place = image(SR_UID, "2.25.902", "SR"), hub.archive.store.incoming_path()
    place.write_bytes(data)
    entry = InstanceEntry(
        sop_class_uid=FACTS.sop_class_uid,
        sop_instance_uid=SR_UID,
        study_uid=FACTS.study_uid,
        series_uid="2.25.902",
        transfer_syntax_uid=FACTS.transfer_syntax_uid,
        received_at=SIGNED.signed_at,
        calling_ae="HUB",
        sha256=Sha256(hashlib.sha256(data).hexdigest()),
        length=len(data),
        codec="raw",
        offset=0,
        coded_length=len(data),
        parameters={},
    )
    return Incoming("H001", entry, place, "", Priority.PRIOR, origin="hub")


def images(hub: LineHub) -> Images:
    return Images(hub.small.database, hub.archive.store, hub.small.keys.kem_keys)


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[LineHub]:
    async with line_hub(tmp_path) as running:
        running.small.enrolment._custody = running.archive.custody
        yield running


@pytest.fixture
async def filled(hub: LineHub, tmp_path: Path) -> Path:
    """A hub with a stored parcel, a signed report, and an edge in and one out. Returns its database."""
    async with enrolled(hub, tmp_path / "edge") as edge, enrolled(hub, tmp_path / "two", "H002") as out:
        # the second has no header that can be read: the manifest alone says what it is
        readable = image(FACTS.sop_instance_uid, FACTS.series_uid, "CT")
        one = sealed(hub, edge.identity, 1, [readable, os.urandom(901)], taken=Taken.BLAKE3)
        await say(edge, one.all())
        mark = out.identity.fingerprint
    detail = {"version": 1, "canonical_sha256": SIGNED.digest, "pdf_sha256": "a" * 64}
    async with hub.small.database.writing() as connection:
        await devices.revoke(connection, "H002", None, CLOCK.now(), "stolen")
        custody = hub.archive.custody
        await custody.append(connection, "edge-revoked", site="H002", subject=mark, detail={"why": ""})
        await custody.append(
            connection, "report-signed", site="H001", subject=SIGNED.report_id, detail=detail
        )
    await hub.archive.ingest([of_hub(hub)])
    file = hub.small.config.data / "hub.db"
    by_hand(
        file,
        f"""INSERT INTO reports VALUES ('{SIGNED.report_id}', 1, 1, 'signed', 'report',
            '{SIGNED.to_bytes().decode()}', '{SIGNED.digest}', '{"a" * 64}', '{SR_UID}', '1.3',
            '{SIGNED.author.name}', '{SIGNED.signed_at}', NULL)""",
    )
    by_hand(
        file,
        """INSERT INTO cases (id, study, state, priority, "group", weight, rule, why, prefer, created_at,
            settled_at, instances, late) SELECT 1, id, 'reported', 2, '', 1, '', '[]', '[]', '', '', 0, 0
            FROM studies""",
    )
    assert await compare(hub.small.database, hub.small.keys.trust) == []
    assert await images(hub).look() == []
    return file


def by_hand(file: Path, command: str) -> None:
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        assert connection.execute(command).rowcount > 0


EDITS = [
    ("UPDATE arrivals SET site = 'H009'", "site, number or header digest"),
    ("UPDATE arrivals SET sequence = 7", "site, number or header digest"),
    ("UPDATE arrivals SET receipt = NULL", "receipt is gone"),
    ("UPDATE arrivals SET receipt = header", "receipt does not hold"),
    ("UPDATE arrivals SET header = receipt", "signed header"),
    ("DELETE FROM arrivals", "its row is gone"),
    ("UPDATE instances SET sha256 = '" + "0" * 64 + "' WHERE id = 1", "which it did not hold"),
    ("DELETE FROM instances WHERE id = 1", "has no row"),
    ("UPDATE instances SET parcel_id = 'never'", "never stored"),
    ("UPDATE studies SET site = 'H002'", "stands under the site 'H002'"),
    ("UPDATE reports SET canonical = '{\"a\":1}'", "text was changed after it was signed"),
    ("UPDATE reports SET pdf_sha256 = '" + "b" * 64 + "'", "digests or version"),
    ("DELETE FROM reports", "its row is gone"),
    (
        (
            "INSERT INTO reports SELECT 'x', 2, 1, state, kind, canonical, canonical_sha256, pdf_sha256, '1', '2',"
            " signed_by, signed_at, NULL FROM reports"
        ),
        "2 rows, and the log knows 1",
    ),
    ("UPDATE devices SET revoked = 0", "was revoked, and is in again"),
    ("UPDATE devices SET site = 'H002' WHERE site = 'H001'", "was let in as H001/1"),
    ("UPDATE devices SET fingerprint = '" + "0" * 64 + "' WHERE site = 'H001'", "nobody let it in"),
    ("DELETE FROM devices WHERE site = 'H001'", "its row is gone"),
    (
        (
            "UPDATE devices SET certificate = (SELECT certificate FROM devices WHERE site = 'H002')"
            " WHERE site = 'H001'"
        ),
        "certificate was exchanged",
    ),
    ("UPDATE instances SET sop_instance_uid = '2.25.5' WHERE id = 1", "another SOPInstanceUID than the"),
    ("UPDATE instances SET sop_instance_uid = '2.25.5' WHERE id = 2", "another SOPInstanceUID than the"),
    ("UPDATE instances SET parcel_id = '', origin = 'hub'", "no parcel brought it, and it is of no"),
    ("UPDATE instances SET parcel_id = ''", "no parcel brought it, and it is of no"),
    ("UPDATE patients SET patient_id = 'SOMEBODY'", "another PatientID than the image"),
    ("UPDATE patients SET patient_id = 'SOMEBODY'", "another site, study or patient than its text"),
    ("UPDATE studies SET study_uid = '2.25.6'", "another StudyInstanceUID than the image"),
    ("UPDATE studies SET study_uid = '2.25.6'", "another site, study or patient than its text"),
    ("UPDATE series SET series_uid = '2.25.7' WHERE modality = 'CT'", "another SeriesInstanceUID than"),
    ("UPDATE series SET modality = 'MR' WHERE modality = 'CT'", "another Modality than the image"),
    ("UPDATE series SET modality = 'MR' WHERE modality = 'SR'", "another Modality than the image"),
    ('UPDATE reports SET "case" = 99', "its case is gone"),
    ("UPDATE reports SET signed_by = 'mallory'", "another author or time"),
    ("UPDATE devices SET not_after = '2099-01-01T00:00:00.000000Z'", "another serial number or end"),
]


@pytest.mark.parametrize(
    ("command", "words"), EDITS, ids=[f"{n}-{words[:20]}" for n, (_, words) in enumerate(EDITS)]
)
async def test_attack_27_an_edited_row_is_found(hub: LineHub, filled: Path, command: str, words: str) -> None:
    by_hand(filled, command)
    log = CustodyLog(hub.small.database, None, CLOCK)
    told = Told(hub.small.database, log, AuditTrail(hub.small.database, CLOCK), CLOCK)
    audit = Audit(hub.small.database, log, hub.small.keys.trust, images(hub), told)
    assert any(words in fault for fault in await audit.look())
    with closing(sqlite3.connect(filled)) as connection:
        events = [event for (event,) in connection.execute("SELECT event FROM custody ORDER BY position")]
        told = connection.execute("SELECT detail FROM audit_events WHERE event = 'rows-edited'").fetchall()
    assert events[-1] == "rows-edited"
    assert any(words in fault for (detail,) in told for fault in json.loads(detail)["what"])


async def test_attack_27_a_leaf_made_to_fit_is_found_by_the_signed_checkpoint(
    hub: LineHub, filled: Path
) -> None:
    custody = CustodyLog(hub.small.database, hub.small.keys.checkpoint_signer, CLOCK)
    assert await custody.checkpoint()
    with closing(sqlite3.connect(filled)) as connection:
        query = "SELECT position, leaf FROM custody WHERE event = 'parcel-stored'"
        position, leaf = connection.execute(query).fetchone()
    forged = leaf.replace('"site":"H001"', '"site":"H009"')
    assert forged != leaf
    mark = merkle.leaf_hash(forged.encode()).hex()
    by_hand(
        filled,
        f"UPDATE custody SET leaf = '{forged}', leaf_hash = '{mark}', site = 'H009' WHERE position = {position}",
    )
    with pytest.raises(Broken, match="was changed before"):
        await custody.audit()


async def test_images_are_compared_a_few_at_a_time_and_all_in_turn(
    hub: LineHub, filled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hub.rows_images.BATCH", 1)
    by_hand(filled, "UPDATE instances SET sop_instance_uid = '2.25.5' WHERE id = 3")
    some = images(hub)
    heard = [len(await some.look(1)) for _ in range(6)]
    assert heard == [0, 0, 1, 0, 0, 1]
    for number in (0, 1, 2, 3):
        monkeypatch.setattr("hub.rows_images.secrets.randbelow", lambda _, number=number: number)
        await some.begin_anywhere()
        assert len(await some.look()) == 1


async def test_an_image_without_its_bytes_is_told(hub: LineHub, filled: Path) -> None:
    with closing(sqlite3.connect(filled)) as connection:
        (sha,) = connection.execute("SELECT sha256 FROM instances WHERE id = 1").fetchone()
    hub.archive.store.path(sha).unlink()
    (fault,) = await images(hub).look()
    assert "cannot be read: No such file" in fault

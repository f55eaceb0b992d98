from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import shutil
import subprocess
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, insert, select, update

from gateway.clock import rfc3339
from gateway.envelope.kem import KemKeys
from gateway.errors import Malformed, NotAllowed, NotFound, Refused, Stale
from gateway.report.pdf_signature import read
from hub.custody import CustodyLog
from hub.reports.verify import verify_pdf
from hub.rows import compare
from hub.rows_images import Images
from hub.tables.case import cases
from hub.tables.custody import checkpoints
from hub.tables.report import deliveries, drafts, reports
from hub.tables.study import instances, studies
from tests.doubles.desk import ANNA, CLOCK, PASSPHRASE, STRANGER, WEI, Office, office
from tests.doubles.report import CHINESE
from tests.doubles.signed import authority

BODY = dataclasses.asdict(CHINESE)


@pytest.fixture
async def room(tmp_path: Path) -> AsyncIterator[Office]:
    async with office(tmp_path) as made:
        yield made


async def signed(room: Office) -> dict[str, Any]:
    saved = await room.desk.save(WEI, room.case, 0, BODY)
    return await room.desk.sign(WEI, room.case, saved["revision"], PASSPHRASE)


async def count(room: Office, table: Any) -> int:
    async with room.database.reading() as connection:
        return int((await connection.execute(select(func.count()).select_from(table))).scalar_one())


async def test_a_draft_begins_empty_and_keeps_every_save(room: Office) -> None:
    assert (await room.desk.draft(WEI, room.case))["revision"] == 0
    for number in range(3):
        saved = await room.desk.save(WEI, room.case, number, {"findings": f"text {number}"})
        assert saved["revision"] == number + 1
    assert (await room.desk.draft(WEI, room.case))["body"]["findings"] == "text 2"
    assert await count(room, drafts) == 3


async def test_a_stale_save_is_refused_with_the_newer_text(room: Office) -> None:
    await room.desk.save(WEI, room.case, 0, {"findings": "first"})
    await room.desk.save(WEI, room.case, 1, {"findings": "second"})
    with pytest.raises(Stale) as caught:
        await room.desk.save(WEI, room.case, 1, {"findings": "mine"})
    assert caught.value.current["revision"] == 2
    assert caught.value.current["body"]["findings"] == "second"


async def test_saving_the_same_text_twice_is_one_revision(room: Office) -> None:
    first = await room.desk.save(WEI, room.case, 0, {"findings": "text"})
    assert await room.desk.save(WEI, room.case, 0, {"findings": "text"}) == first
    assert await count(room, drafts) == 1


async def test_signing_writes_everything_at_once(room: Office) -> None:
    report = await signed(room)
    assert (report["state"], report["version"], report["kind"]) == ("signed", 1, "report")
    assert report["delivery"]["state"] == "queued"
    assert room.worklist.reports == [(room.case, "wei")]
    assert room.custody.names() == ["report-signed"]
    pdf = await room.desk.pdf(WEI, report["id"])
    assert hashlib.sha256(pdf).hexdigest() == report["pdf_sha256"]
    found = await asyncio.to_thread(read, pdf, authority().trust, CLOCK.now())
    assert found.report.report_id == report["id"]
    assert found.report.patient.name == "Zhang^XiaoDong=张^小东"
    assert found.report.body == CHINESE
    assert (await asyncio.to_thread(verify_pdf, pdf, authority().trust, CLOCK.now())).ok


async def test_the_pdf_shows_the_newest_checkpoint_of_the_log(room: Office) -> None:
    rows = [{"size": size, "root": f"{size:064x}", "note": b"", "at": ""} for size in (41, 42)]
    async with room.database.writing() as connection:
        await connection.execute(insert(checkpoints), rows)
    pdf = await room.desk.pdf(WEI, (await signed(room))["id"])
    if shutil.which("pdftotext") is None:
        pytest.skip("poppler-utils is not installed")
    told = await asyncio.to_thread(
        subprocess.run, ["pdftotext", "-layout", "-", "-"], input=pdf, capture_output=True, check=True
    )
    assert f"{42:064x}" in told.stdout.decode()


async def test_both_objects_are_in_the_archive_and_the_priority_stays(room: Office) -> None:
    await signed(room)
    async with room.database.reading() as connection:
        rows = (
            (await connection.execute(select(instances).where(instances.c.origin == "hub"))).mappings().all()
        )
        study = (await connection.execute(select(studies))).mappings().one()
    assert {row["sop_class_uid"][-5:] for row in rows} == {"88.11", "104.1"}
    assert study["priority"] == 1
    assert [room.archive.store.has(row["sha256"]) for row in rows] == [True, True]


async def test_a_double_click_signs_once(room: Office) -> None:
    saved = await room.desk.save(WEI, room.case, 0, BODY)
    both = await asyncio.gather(
        *(room.desk.sign(WEI, room.case, saved["revision"], PASSPHRASE) for _ in range(2))
    )
    assert both[0] == both[1]
    assert await count(room, reports) == 1
    assert await count(room, deliveries) == 1
    assert await room.desk.sign(WEI, room.case, saved["revision"], PASSPHRASE) == both[0]


async def test_nothing_is_written_when_the_last_transaction_fails(
    room: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> None:
        raise Refused("the power is gone")

    with monkeypatch.context() as patch:
        patch.setattr(room.worklist, "reported", fail)
        with pytest.raises(Refused, match="power"):
            await signed(room)
    assert await count(room, reports) == 0
    assert await count(room, deliveries) == 0
    assert await count(room, instances) == 3
    assert (await room.desk.sign(WEI, room.case, 1, PASSPHRASE))["version"] == 1


@pytest.mark.parametrize(
    ("account", "revision", "passphrase", "error"),
    [
        (WEI, 1, "wrong", NotAllowed),
        (WEI, 7, PASSPHRASE, Stale),
        (ANNA, 1, PASSPHRASE, Refused),
        (STRANGER, 1, PASSPHRASE, NotFound),
    ],
)
async def test_who_may_not_sign_does_not(
    room: Office, account: Any, revision: int, passphrase: str, error: type[Exception]
) -> None:
    await room.desk.save(WEI, room.case, 0, BODY)
    with pytest.raises(error):
        await room.desk.sign(account, room.case, revision, passphrase)
    assert await count(room, reports) == 0


async def test_an_empty_report_is_not_signed(room: Office) -> None:
    await room.desk.save(WEI, room.case, 0, {"clinical_question": "why", "findings": " \n"})
    with pytest.raises(Refused, match="without findings"):
        await room.desk.sign(WEI, room.case, 1, PASSPHRASE)


async def test_a_lease_of_another_reader_holds_until_it_ends(room: Office) -> None:
    async def lease(minutes: int) -> None:
        until = rfc3339(CLOCK.now() + timedelta(minutes=minutes))
        async with room.database.writing() as connection:
            await connection.execute(update(cases).values(lease_by="anna", lease_until=until))

    await lease(5)
    with pytest.raises(Refused, match="anna has this case open"):
        await room.desk.save(WEI, room.case, 0, BODY)
    assert (await room.desk.save(ANNA, room.case, 0, BODY))["revision"] == 1
    await lease(-1)
    assert (await room.desk.save(WEI, room.case, 1, {"findings": "mine"}))["revision"] == 2


async def test_after_signing_only_an_addendum_can_follow(room: Office) -> None:
    first = await signed(room)
    with pytest.raises(Refused, match="addendum"):
        await room.desk.save(WEI, room.case, 1, {"findings": "other"})
    second = await room.desk.addendum(WEI, room.case, {"impression": "also a cyst"}, PASSPHRASE)
    assert (second["kind"], second["version"], second["supersedes"]) == ("addendum", 2, first["id"])
    again = await room.desk.addendum(WEI, room.case, {"impression": "also a cyst"}, PASSPHRASE)
    assert again["id"] == second["id"]
    third = await room.desk.addendum(WEI, room.case, {"impression": "no cyst"}, PASSPHRASE)
    assert third["supersedes"] == second["id"]
    states = [report["state"] for report in await room.desk.reports(WEI, room.case)]
    assert states == ["addended", "addended", "signed"]
    assert await count(room, deliveries) == 3
    assert room.worklist.reports == [(room.case, "wei")]
    pdf = await room.desk.pdf(ANNA, third["id"])
    found = await asyncio.to_thread(read, pdf, authority().trust, CLOCK.now())
    assert found.report.supersedes == second["id"]


async def test_nobody_writes_an_addendum_to_a_case_of_another_reader(room: Office) -> None:
    await signed(room)
    with pytest.raises(Refused, match="not yours"):
        await room.desk.addendum(ANNA, room.case, {"impression": "also a cyst"}, PASSPHRASE)
    assert await count(room, reports) == 1


async def test_no_addendum_without_a_report(room: Office) -> None:
    with pytest.raises(Refused, match="no signed report"):
        await room.desk.addendum(WEI, room.case, {"impression": "x"}, PASSPHRASE)


async def test_a_report_is_shown_to_nobody_who_may_not_see_its_case(room: Office) -> None:
    report = await signed(room)
    for call in (room.desk.report, room.desk.pdf):
        with pytest.raises(NotFound):
            await call(STRANGER, report["id"])
        with pytest.raises(NotFound):
            await call(WEI, "0" * 32)


async def test_a_body_that_is_none_is_refused(room: Office) -> None:
    for body in ({"findings": 5}, {"unknown": "x"}, {"language": "xx"}):
        with pytest.raises(Malformed):
            await room.desk.save(WEI, room.case, 0, body)


async def test_the_audit_finds_every_row_of_a_signed_report_and_its_addendum_right(room: Office) -> None:
    await signed(room)
    await room.desk.addendum(WEI, room.case, BODY | {"impression": "one more thing"}, PASSPHRASE)
    log = CustodyLog(room.database, None, CLOCK)
    async with room.database.writing() as connection:
        for event, site, subject, detail in room.custody.events:
            await log.append(connection, event, site=site, subject=subject, detail=detail)
    faults = await compare(room.database, None)
    assert all("names a parcel that was never stored" in fault for fault in faults)  # the double's own
    assert len(faults) == 3
    assert await Images(room.database, room.archive.store, KemKeys({})).look() == []
    async with room.database.writing() as connection:
        await connection.execute(update(reports).where(reports.c.version == 2).values(signed_by="anna"))
    assert any("another author" in fault for fault in await compare(room.database, None))

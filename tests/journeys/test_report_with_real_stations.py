"""The desk with the real worklist and the real custody log: what the hub builds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select, update

from gateway.errors import NotFound, Refused
from hub.archive.archive import Archive
from hub.assign.worklist import Worklist
from hub.custody import CustodyLog
from hub.reports.desk import Desk
from hub.reports.press import Press
from hub.tables.case import cases, reader_groups, readers
from hub.tables.custody import custody
from tests.doubles.desk import CLOCK, PASSPHRASE, STRANGER, WEI, Office, office
from tests.doubles.signed import authority


async def real(made: Office) -> tuple[Desk, Worklist]:
    log = CustodyLog(made.database, None, CLOCK)
    worklist = Worklist(made.database, log, CLOCK)
    archive = Archive(made.database, made.archive.store, log, CLOCK)
    press = Press(authority().material(), "Telerad", CLOCK)
    async with made.database.writing() as connection:
        await connection.execute(insert(readers).values(user="wei"))
        await connection.execute(insert(reader_groups).values(user="wei", group="neuro"))
        await connection.execute(update(cases).values(group="neuro", state="accepted"))
    return Desk(made.database, archive, worklist, log, press, made.unlock, CLOCK), worklist


async def test_open_write_sign_and_add(tmp_path: Path) -> None:
    async with office(tmp_path) as made:
        desk, worklist = await real(made)
        opened = await worklist.open(WEI, 1)
        assert opened["state"] == "reading"
        saved = await desk.save(WEI, 1, 0, {"impression": "No haemorrhage."})
        await worklist.release(WEI, 1)  # as if the lease had lapsed over a long thought
        report = await desk.sign(WEI, 1, saved["revision"], PASSPHRASE)
        shown: dict[str, Any] = await worklist.case(WEI, 1)
        assert shown["state"] == "reported"
        assert shown["report"]["id"] == report["id"]
        await desk.addendum(WEI, 1, {"impression": "And no fracture."}, PASSPHRASE)
        assert [one["kind"] for one in await desk.versions(1)] == ["report", "addendum"]
        with pytest.raises(NotFound):
            await desk.report(STRANGER, report["id"])
        with pytest.raises(Refused):
            await desk.save(WEI, 1, 1, {"impression": "x"})
        async with made.database.reading() as connection:
            events = (
                await connection.execute(select(custody.c.event).order_by(custody.c.position))
            ).scalars()
            assert list(events).count("report-signed") == 2

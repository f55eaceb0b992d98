"""What the custody log knows becomes a deed once, with the study it is about."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import select

from hub.audit.follower import Follower
from hub.custody import CustodyLog
from hub.record import subject_of
from hub.tables.audit import audit_events
from hub.tables.study import studies
from tests.doubles.people import Hub, open_hub
from tests.doubles.studies import Studies


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[Hub]:
    opened = await open_hub(tmp_path)
    yield opened
    await opened.database.close()


async def test_studies_alarms_and_edges_are_followed_once_and_the_rest_is_left(hub: Hub) -> None:
    await Studies(hub.database, hub.clock).add()
    log, follower = CustodyLog(hub.database, None, hub.clock), Follower(hub.database)
    async with hub.database.writing() as connection:
        row = (await connection.execute(select(studies))).mappings().one()
        subject = subject_of("study", row["id"])
        await log.append(connection, "login", subject=subject_of("user", "chen"))
        await log.append(
            connection, "study-complete", site=row["site"], subject=subject, detail={"instances": 3}
        )
        await log.append(connection, "edge-returned", site="H001", subject="ab" * 32, detail={"edge": "1"})
        await log.append(connection, "study-complete", site="H404", subject=subject)
    assert await follower.turn() == 4
    assert await follower.turn() == 0
    async with hub.database.reading() as connection:
        kept = (await connection.execute(select(audit_events).order_by(audit_events.c.id))).mappings().all()
    assert [(one["event"], one["site"], one["study_uid"]) for one in kept] == [
        ("study-received", row["site"], row["study_uid"]),
        ("edge-returned", "H001", ""),
        ("study-received", "H404", ""),
    ]
    assert kept[0]["patient_id"]
    async with hub.database.writing() as connection:
        await log.append(connection, "conflict", site="H001", subject="cd" * 32)
    assert await follower.turn() == 1

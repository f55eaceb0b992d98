"""The table of alerts: counted, ended, acknowledged, never deleted."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from gateway.errors import NotFound, Refused
from hub import alerts
from hub.alerts import ALARM, WARNING, Alert
from hub.people import Account, Role
from hub.record import subject_of, user
from hub.tables.alert import alerts as table
from hub.tables.audit import audit_events
from hub.trail import AuditTrail
from tests.doubles.people import Hub, open_hub

IDA = Account("ida", "Ida", Role.ADMIN)
COPIED = Alert("used-twice", "two runs take turns", "H001", "1")


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[Hub]:
    made = await open_hub(tmp_path)
    yield made
    await made.database.close()


async def tell(hub: Hub, alert: Alert = COPIED) -> bool:
    async with hub.database.writing() as connection:
        return await alerts.tell(connection, alert, hub.clock.now())


async def settle(hub: Hub, *standing: Alert, kinds: tuple[str, ...] = ("edge-silent",)) -> list[str]:
    async with hub.database.writing() as connection:
        return [one.about for one in await alerts.settle(connection, standing, kinds, hub.clock.now())]


async def acknowledge(hub: Hub, ident: int = 1, reason: str = "two lines, told by phone") -> None:
    logs = (hub.record, AuditTrail(hub.database, hub.clock))
    async with hub.database.writing() as connection:
        await alerts.acknowledge(connection, logs, ident, IDA, reason, hub.clock.now(), address="::1")


async def count(hub: Hub) -> dict[str, int]:
    async with hub.database.reading() as connection:
        return await alerts.count(connection)


async def listed(hub: Hub) -> list[dict[str, object]]:
    async with hub.database.reading() as connection:
        return await alerts.listed(connection)


async def test_what_happens_again_is_counted_until_somebody_has_looked(hub: Hub) -> None:
    assert await tell(hub)
    hub.clock.advance(60)
    assert not await tell(hub)
    assert await tell(hub, Alert("used-twice", "another edge", "H001", "2"))
    other, one = await listed(hub)
    assert (one["times"], one["at"] < one["last_at"], other["times"]) == (2, True, 1)
    await acknowledge(hub)
    assert await count(hub) == {ALARM: 1, WARNING: 0}
    assert await tell(hub), "after that it is a new one"
    newest, *_ = await listed(hub)
    assert (newest["id"], newest["times"]) == (3, 1)


async def test_what_was_told_lately_is_known(hub: Hub) -> None:
    await tell(hub)
    hub.clock.advance(1800)
    async with hub.database.reading() as connection:
        now = hub.clock.now()
        assert await alerts.told_since(connection, COPIED, now - timedelta(hours=1))
        assert not await alerts.told_since(connection, COPIED, now - timedelta(minutes=1))
        other = Alert("used-twice", "", "H001", "2")
        assert not await alerts.told_since(connection, other, now - timedelta(hours=1))


async def test_what_stands_begins_once_and_ends_by_itself(hub: Hub) -> None:
    silent = Alert("edge-silent", "not heard", "H001", "1", "a", WARNING, {"since": "x"})
    assert await settle(hub, silent) == ["a"]
    assert await settle(hub, silent) == []
    assert await count(hub) == {ALARM: 0, WARNING: 1}
    assert await settle(hub, kinds=("line-stalled",)) == [], "another kind ends nothing of this one"
    assert await count(hub) == {ALARM: 0, WARNING: 1}
    hub.clock.advance(60)
    await settle(hub)
    assert await count(hub) == {ALARM: 0, WARNING: 0}
    (one,) = await listed(hub)
    assert one["ended_at"] > one["at"]
    assert one["facts"] == {"since": "x"}
    assert await settle(hub, silent) == ["a"], "it stands again: a new one"


async def test_what_stands_and_is_acknowledged_rests_until_it_begins_anew(hub: Hub) -> None:
    silent = Alert("edge-silent", "not heard", "H001", "1")
    await settle(hub, silent)
    await acknowledge(hub)
    assert await settle(hub, silent) == []
    assert await count(hub) == {ALARM: 0, WARNING: 0}
    await settle(hub)
    assert await settle(hub, silent) == [""]


async def test_an_acknowledgement_is_recorded_with_its_reason_and_final(hub: Hub) -> None:
    await tell(hub)
    for reason in ("", " x ", "y" * 1001):
        with pytest.raises(Refused, match="say why"):
            await acknowledge(hub, reason=reason)
    with pytest.raises(NotFound):
        await acknowledge(hub, 7)
    await acknowledge(hub, reason="  two lines, told by phone ")
    with pytest.raises(Refused, match="ida has acknowledged it already"):
        await acknowledge(hub)
    assert hub.record.events == [
        (
            "alert-acknowledged",
            "H001",
            subject_of("alert", 1),
            {"kind": "used-twice", "edge": "1", "by": user("ida")},
        )
    ]
    async with hub.database.reading() as connection:
        (deed,) = (await connection.execute(select(audit_events))).mappings()
    assert (deed["event"], deed["person"], deed["address"]) == ("alert-acknowledged", "ida", "::1")
    assert "two lines, told by phone" in deed["detail"]
    (one,) = await listed(hub)
    assert (one["acknowledged_by"], one["reason"]) == ("ida", "two lines, told by phone")


async def test_alarms_come_before_warnings_and_both_before_what_is_over(hub: Hub) -> None:
    await settle(hub, Alert("edge-silent", "", about="over", severity=ALARM))
    await settle(hub, Alert("edge-silent", "", about="warns", severity=WARNING))
    await tell(hub, Alert("rows-edited", "first"))
    await tell(hub, Alert("used-twice", "second"))
    assert [one["words"] or one["severity"] for one in await listed(hub)] == [
        "second",
        "first",
        WARNING,
        ALARM,
    ]


async def test_words_without_end_are_cut(hub: Hub) -> None:
    await tell(hub, Alert("rows-edited", "x" * 5000))
    (one,) = await listed(hub)
    assert len(str(one["words"])) == alerts.WORDS_LIMIT


@settings(deadline=None, max_examples=25)
@given(st.lists(st.sets(st.sampled_from("abc")), max_size=6))
async def test_what_waits_is_always_what_stands(tmp_path_factory, history: list[set[str]]) -> None:
    hub = await open_hub(tmp_path_factory.mktemp("alerts"))
    try:
        begun = 0
        before: set[str] = set()
        for standing in history:
            new = await settle(hub, *(Alert("edge-silent", "", about=one) for one in standing))
            assert set(new) == standing - before
            begun += len(new)
            before = standing
            assert (await count(hub))[ALARM] == len(standing)
        async with hub.database.reading() as connection:
            kept = (await connection.execute(select(func.count()).select_from(table))).scalar()
        assert kept == begun, "none is ever deleted"
    finally:
        await hub.database.close()

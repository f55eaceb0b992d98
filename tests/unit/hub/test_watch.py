"""What stands becomes an alert and ends, over the hub's own tables."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import insert, update

from gateway.clock import rfc3339
from gateway.doctor import Finding, Level
from gateway.errors import UsageError
from hub import alerts
from hub.alerts import ALARM, WARNING
from hub.audit.exporter import MARK
from hub.intake import faults
from hub.record import Deed
from hub.tables.arrival import chain_findings, quarantine
from hub.tables.audit import audit_marks
from hub.tables.study import studies
from hub.trail import AuditTrail
from hub.watch import KINDS, Watch
from tests.doubles.fleet import SOMEBODY, fleet_desk, join
from tests.doubles.people import Hub, open_hub
from tests.doubles.studies import Studies

WORDS = Path(__file__).parents[3] / "hub/portal/web/src/i18n"


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[Hub]:
    made = await open_hub(tmp_path)
    yield made
    await made.database.close()


def watch(hub: Hub, *findings: Finding) -> Watch:
    return Watch(hub.database, lambda: findings, hub.clock)


async def waiting(hub: Hub) -> list[tuple[str, str, str]]:
    async with hub.database.reading() as connection:
        found = await alerts.listed(connection)
    return sorted((one["kind"], one["severity"], one["site"]) for one in found if not one["ended_at"])


async def test_an_edge_that_falls_silent_and_is_heard_again(hub: Hub, tmp_path: Path) -> None:
    desk = fleet_desk(tmp_path, hub.database, hub.record, hub.clock)
    await join(desk, hub.clock, "H001")
    assert await watch(hub).look() == []
    hub.clock.advance(3600)
    (told,) = await watch(hub).look()
    assert (told.kind, told.site, told.edge) == ("edge-silent", "H001", "1")
    assert await watch(hub).look() == [], "after a restart, too, it is told once"
    await desk.revoke("H001", "1", "test", by=SOMEBODY)
    await watch(hub).look()
    assert await waiting(hub) == []


async def test_broken_chains_things_put_aside_and_images_that_contradict(hub: Hub) -> None:
    await Studies(hub.database, hub.clock).add()
    now = rfc3339(hub.clock.now())
    row = {"site": "H001", "edge": "1", "first": 4, "last": 6, "words": "not come", "at": now}
    async with hub.database.writing() as connection:
        for kind in ("gap", "fork"):
            await connection.execute(insert(chain_findings).values(row | {"kind": kind}))
        for parcel in ("p", "q"):
            aside = {"site": "H002", "parcel_id": parcel, "path": "q/1", "reason": "digest", "at": now}
            await connection.execute(insert(quarantine).values(aside))
        await connection.execute(update(studies).values(conflicts=3))
    began = await watch(hub).look()
    assert {one.kind: one.facts.get("number") for one in began if one.kind in ("put-aside", "conflicts")} == {
        "put-aside": 2,
        "conflicts": 3,
    }
    assert await waiting(hub) == [
        ("chain-fork", ALARM, "H001"),
        ("chain-gap", WARNING, "H001"),
        ("conflicts", WARNING, "H001"),
        ("put-aside", ALARM, "H002"),
    ]
    async with hub.database.writing() as connection:
        await connection.execute(update(chain_findings).values(closed_at=now))
        await connection.execute(update(quarantine).values(resolved_at=now))
    await watch(hub).look()
    assert await waiting(hub) == [("conflicts", WARNING, "H001")]


async def test_what_the_hub_finds_at_itself(hub: Hub) -> None:
    disk = Finding("disk", Level.WARNING, "2 GB free")
    await watch(hub, disk, Finding("server", Level.GOOD, "good for 60 days")).look()
    assert await waiting(hub) == [("hub-check", WARNING, "")]
    (worse,) = await watch(hub, Finding("disk", Level.FAULT, "nothing is accepted")).look()
    assert (worse.severity, worse.words) == (ALARM, "disk: nothing is accepted")
    assert await waiting(hub) == [("hub-check", ALARM, "")]

    def unreadable() -> list[Finding]:
        raise UsageError("root.pem cannot be read")

    (told,) = await Watch(hub.database, unreadable, hub.clock).look()
    assert told.words == "files: root.pem cannot be read"


async def test_an_audit_repository_that_takes_nothing(hub: Hub) -> None:
    trail = AuditTrail(hub.database, hub.clock)
    await trail.note(Deed("login", person="ida"))
    hub.clock.advance(3599)
    assert await Watch(hub.database, list, hub.clock, exports=True).look() == []
    hub.clock.advance(1)
    assert await Watch(hub.database, list, hub.clock).look() == [], "there is none"
    (told,) = await Watch(hub.database, list, hub.clock, exports=True).look()
    assert told.kind == "audit-behind"
    async with hub.database.writing() as connection:
        await connection.execute(insert(audit_marks).values(name=MARK, position=1))
    await Watch(hub.database, list, hub.clock, exports=True).look()
    assert await waiting(hub) == []


def test_the_portal_has_words_for_every_kind_and_for_what_to_do() -> None:
    once = {"used-twice", "log-contradicted", "rows-edited", "chunks-lost"}
    for name in ("en", "zh"):
        words = json.loads((WORDS / f"{name}.json").read_text("utf-8"))
        for kind in {*KINDS, *faults.KINDS, *once}:
            assert words[f"alert.{kind}"], kind
            assert words[f"alert.{kind}.do"], kind

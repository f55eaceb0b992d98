"""Cases whose study still arrives, is reopened, or is taken as complete by hand."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select, update

from gateway.clock import rfc3339
from gateway.errors import NotAllowed, NotFound, Refused
from gateway.model import Priority
from hub.assign.dispatcher import Dispatcher
from hub.assign.told import rate_of
from hub.assign.worklist import Worklist
from hub.people import Role
from hub.rules.book import RuleBook
from hub.tables.case import case_events, cases
from hub.tables.fleet import edge_status
from hub.tables.study import series, studies
from hub.tables.told import study_progress
from tests.doubles.people import Hub, open_hub
from tests.doubles.studies import Studies

RULES = b"""
rules:
  - name: head
    when: {modality: [CT, MR], body_part: HEAD}
    then: {group: neuro, deadline: 1h}
default: {group: general, deadline: 24h}
"""


@dataclass
class Room:
    hub: Hub
    studies: Studies
    dispatcher: Dispatcher
    worklist: Worklist

    async def row(self) -> dict[str, Any]:
        async with self.hub.database.reading() as connection:
            return dict((await connection.execute(select(cases))).mappings().one())

    async def events(self) -> list[str]:
        async with self.hub.database.reading() as connection:
            return list((await connection.execute(select(case_events.c.event))).scalars())

    async def study(self, **values: Any) -> None:
        async with self.hub.database.writing() as connection:
            await connection.execute(update(studies).values(**values))

    async def complete(self) -> None:
        await self.study(state="complete", completed_at=rfc3339(self.hub.clock.now()))


@pytest.fixture
async def room(tmp_path: Path) -> AsyncIterator[Room]:
    hub = await open_hub(tmp_path)
    book = RuleBook.parse(RULES, Path("rules.yaml"))
    yield Room(
        hub,
        Studies(hub.database, hub.clock),
        Dispatcher(hub.database, book, hub.record, hub.clock),
        Worklist(hub.database, hub.record, hub.clock),
    )
    await hub.database.close()


async def test_an_urgent_study_is_offered_with_its_first_image(room: Room) -> None:
    ann = await room.hub.account("ann", groups=["neuro"])
    await room.studies.add(state="arriving", priority=Priority.STAT, images=1)
    await room.dispatcher.turn()
    row = await room.row()
    assert (row["state"], row["assignee"], row["deadline"]) == ("offered", "ann", None)
    opened = await room.worklist.open(ann, row["id"])
    assert (opened["state"], opened["arrival"], opened["complete"]) == ("reading", "arriving", False)

    room.hub.clock.advance(60)
    await room.complete()
    await room.dispatcher.turn()
    row = await room.row()
    assert (row["state"], row["settled_at"]) == ("reading", rfc3339(room.hub.clock.now()))
    assert row["deadline"] is not None, "time runs from when the study is complete"
    assert "complete" in await room.events()
    assert "late" not in await room.events(), "what was on its way is not late"
    assert await room.dispatcher.turn() == 0


async def test_a_routine_study_is_seen_early_and_offered_when_it_is_complete(room: Room) -> None:
    ann = await room.hub.account("ann", groups=["neuro"])
    await room.studies.add(state="arriving")
    assert await room.dispatcher.turn() == 0
    room.hub.clock.advance(11)
    await room.dispatcher.turn()
    assert (await room.row())["state"] == "unassigned"
    (shown,) = await room.worklist.cases(ann)
    assert shown["arrival"] == "arriving"
    await room.complete()
    await room.dispatcher.turn()
    assert ((await room.row())["state"], (await room.row())["assignee"]) == ("offered", "ann")


async def test_the_rules_are_asked_anew_when_all_of_it_has_been_seen(room: Room) -> None:
    await room.hub.account("ann", groups=["neuro"])
    await room.hub.account("bob", groups=["general"])
    await room.studies.add(state="arriving", priority=Priority.STAT, body_part="")
    await room.dispatcher.turn()
    assert ((await room.row())["group"], (await room.row())["assignee"]) == ("general", "bob")
    async with room.hub.database.writing() as connection:
        await connection.execute(update(series).values(body_part="HEAD"))
    await room.study(body_parts="HEAD")
    await room.complete()
    await room.dispatcher.turn()
    row = await room.row()
    assert (row["group"], row["rule"], row["assignee"]) == ("neuro", "head", "ann")
    assert await room.events() == ["created", "offer", "complete", "withdraw", "offer"]


async def test_a_case_somebody_reads_keeps_its_group(room: Room) -> None:
    bob = await room.hub.account("bob", groups=["general"])
    await room.studies.add(state="arriving", priority=Priority.STAT, body_part="")
    await room.dispatcher.turn()
    await room.worklist.open(bob, 1)
    async with room.hub.database.writing() as connection:
        await connection.execute(update(series).values(body_part="HEAD"))
    await room.study(body_parts="HEAD")
    await room.complete()
    await room.dispatcher.turn()
    assert ((await room.row())["group"], (await room.row())["state"]) == ("general", "reading")


async def test_a_case_returned_while_it_arrived_comes_back_complete(room: Room) -> None:
    ann = await room.hub.account("ann", groups=["neuro"])
    await room.studies.add(state="arriving", priority=Priority.STAT)
    await room.dispatcher.turn()
    await room.worklist.return_(ann, 1, "half of it is missing")
    await room.complete()
    await room.dispatcher.turn()
    row = await room.row()
    assert (row["state"], row["assignee"]) == ("offered", "ann")


async def test_a_late_series_is_told_at_once_and_by_name(room: Room) -> None:
    ann = await room.hub.account("ann", groups=["neuro"])
    study = await room.studies.add(images=2)
    await room.dispatcher.turn()
    await room.worklist.open(ann, 1)
    room.hub.clock.advance(5)
    await room.study(state="reopened")
    assert await room.dispatcher.turn() == 1
    assert await room.dispatcher.turn() == 0, "told once"
    assert (await room.worklist.case(ann, 1))["arrival"] == "reopened"
    async with room.hub.database.writing() as connection:
        row = {"study": study, "series_uid": "1.2.3.1.9", "modality": "CT", "number": 9}
        await connection.execute(insert(series).values(row | {"instance_count": 3, "description": "late"}))
        await connection.execute(update(series).where(series.c.number.is_(None)).values(instance_count=4))
    await room.complete()
    await room.dispatcher.turn()
    case = await room.worklist.case(ann, 1)
    told = [(one["description"], one["before"], one["now"]) for one in case["changes"]]
    assert told == [("late", 0, 3), ("axial", 2, 4)]
    assert any("(series ? CT +2, series 9 CT +3 (new))" in sentence for sentence in case["why"])
    assert (await room.events())[-2:] == ["reopened", "late"]
    room.hub.clock.advance(5)
    await room.study(state="reopened")
    await room.dispatcher.turn()
    assert (await room.events())[-1] == "reopened", "and again the next time"


async def test_by_hand_a_lead_or_an_administrator_completes_it(room: Room) -> None:
    ann = await room.hub.account("ann", groups=["neuro"])
    lead = await room.hub.account("lee", Role.LEAD, groups=["neuro"])
    stranger = await room.hub.account("lou", Role.LEAD, groups=["body"])
    admin = await room.hub.account("root", Role.ADMIN)
    await room.studies.add(state="arriving", priority=Priority.STAT, images=3)
    await room.study(expected_count=9)
    await room.dispatcher.turn()
    with pytest.raises(NotAllowed):
        await room.worklist.complete(ann, 1, "enough")
    with pytest.raises(NotFound):
        await room.worklist.complete(stranger, 1, "enough")
    with pytest.raises(Refused, match="say why"):
        await room.worklist.complete(lead, 1, "  ")
    await room.worklist.complete(lead, 1, "the scanner broke down")
    shown = await room.worklist.case(admin, 1)
    assert shown["completeness"] == (
        "3 of 9 known instances; taken as complete by lee: the scanner broke down"
    )
    with pytest.raises(Refused, match="complete already"):
        await room.worklist.complete(admin, 1, "again")
    name, detail = next((e[0], e[3]) for e in room.hub.record.events if e[0] == "study-complete")
    assert (name, detail["evidence"], detail["instances"]) == ("study-complete", "by hand", 3)
    assert "scanner" not in str(room.hub.record.events)
    assert "lee" not in str(room.hub.record.events)
    await room.dispatcher.turn()
    assert (await room.events())[-2:] == ["forced", "complete"]


async def test_the_list_says_how_far_a_study_is(room: Room) -> None:
    ann = await room.hub.account("ann", groups=["neuro"])
    await room.studies.add(state="arriving", priority=Priority.STAT, images=3)
    await room.dispatcher.turn()
    told = {
        "site": "H001", "study_uid": "1.2.3.1", "edge": "1", "received": 9, "confirmed": 3,
        "waiting_bytes": 1000, "eta_seconds": 240, "priority": 0, "told_at": rfc3339(room.hub.clock.now()),
    }  # fmt: skip
    async with room.hub.database.writing() as connection:
        await connection.execute(insert(study_progress).values(told))
        await connection.execute(insert(study_progress).values(told | {"site": "H999"}))
        for site, edge, status in (
            ("H001", "1", '{"rate": 61800.4}'),
            ("H001", "2", '{"rate": 7}'),
            ("H999", "1", "[]"),
        ):
            heard = {"site": site, "edge": edge, "last_seen": told["told_at"], "status": status}
            await connection.execute(insert(edge_status).values(heard))
    (shown,) = await room.worklist.cases(ann)
    assert shown["progress"]["rate"] == 61800, "of the line it comes by, and of no other"
    assert (shown["instances"], shown["expected"], shown["progress"]["eta_seconds"]) == (3, 9, 240)
    room.hub.clock.advance(200)
    (shown,) = await room.worklist.cases(ann)
    assert (shown["expected"], shown["progress"]) == (None, None), "too long ago"


@pytest.mark.parametrize(
    "status", [None, "", "[]", "no JSON", "{}", '{"rate": true}', '{"rate": -1}', '{"rate": "9"}']
)
def test_a_line_of_which_nothing_is_known_has_no_rate(status: str | None) -> None:
    assert rate_of(status) == 0

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from gateway.errors import NotAllowed, NotFound, Refused
from gateway.model import Priority
from hub.access.readers import Readers
from hub.archive.scope import Scope
from hub.assign.dispatcher import Dispatcher
from hub.assign.worklist import Worklist
from hub.people import Account, Role
from hub.rules.book import RuleBook
from hub.tables.case import case_events, cases
from tests.doubles.people import Hub, open_hub
from tests.doubles.studies import Studies

RULES = b"""
rules:
  - name: head
    when: {modality: [CT, MR], body_part: HEAD}
    then: {group: neuro, priority: urgent, deadline: {stat: 30m, urgent: 1h}, weight: 2}
  - name: tests
    when: {description: phantom}
    then: {group: neuro, hold: looks like a test}
default: {group: general, deadline: 24h}
"""


@dataclass
class Office:
    hub: Hub
    studies: Studies
    dispatcher: Dispatcher
    worklist: Worklist

    async def rows(self) -> list[dict[str, Any]]:
        async with self.hub.database.reading() as connection:
            found = await connection.execute(select(cases).order_by(cases.c.id))
            return [dict(row) for row in found.mappings()]

    async def events(self) -> list[str]:
        async with self.hub.database.reading() as connection:
            query = select(case_events.c.event).order_by(case_events.c.id)
            return list((await connection.execute(query)).scalars())

    async def scope(self, account: Account) -> Scope:
        async with self.hub.database.reading() as connection:
            return await self.hub.access.scope_of(connection, account)


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    hub = await open_hub(tmp_path)
    book = RuleBook.parse(RULES, Path("rules.yaml"))
    yield Office(
        hub,
        Studies(hub.database, hub.clock),
        Dispatcher(hub.database, book, hub.record, hub.clock),
        Worklist(hub.database, hub.record, hub.clock),
    )
    await hub.database.close()


async def test_a_complete_study_becomes_a_case_on_the_least_loaded_list(office: Office) -> None:
    await office.hub.account("ann", groups=["neuro"])
    await office.hub.account("bob", groups=["neuro"])
    for number in range(4):
        await office.studies.add(patient=f"P{number}")
        office.hub.clock.advance(1)
        await office.dispatcher.turn()
    rows = await office.rows()
    assert [row["assignee"] for row in rows] == ["ann", "bob", "ann", "bob"]
    first = rows[0]
    assert (first["state"], first["group"], first["rule"]) == ("offered", "neuro", "head")
    assert (first["priority"], first["weight"]) == (int(Priority.URGENT), 2)
    assert first["deadline"] > first["created_at"]
    assert first["why"].count("rule head (rules.yaml:3) matched: modality is CT; body part is HEAD") == 1
    assert "Dr Ann chosen: load 0 is the least of 0, 0" in first["why"]
    assert office.hub.record.names().count("case-offer") == 4
    assert "ann" not in str(office.hub.record.events)


async def test_a_study_that_has_just_begun_to_arrive_is_no_case(office: Office) -> None:
    await office.studies.add(state="arriving")
    assert await office.dispatcher.turn() == 0
    office.hub.clock.advance(11)
    assert await office.dispatcher.turn() > 0


async def test_a_turn_without_news_changes_nothing(office: Office) -> None:
    await office.hub.account("ann", groups=["neuro"])
    await office.studies.add()
    await office.studies.add(modality="US", patient="P2")  # group general has no reader
    assert await office.dispatcher.turn() == 4
    assert await office.dispatcher.turn() == 0
    assert [row["state"] for row in await office.rows()] == ["offered", "unassigned"]


async def test_a_case_that_nobody_can_take_says_why_and_goes_when_somebody_can(office: Office) -> None:
    await office.hub.account("ann", groups=["neuro"], sites=[("H001", "2026-11-21")])
    await office.studies.add()
    await office.dispatcher.turn()
    (row,) = await office.rows()
    assert row["state"] == "unassigned"
    assert "waiting: Dr Ann skipped: licence for H001 ended 2026-11-21" in row["why"]
    await Readers(office.hub.database, office.hub.access.standing).change(
        "ann", sites=[("H001", "2027-01-01")]
    )
    await office.dispatcher.turn()
    (row,) = await office.rows()
    assert (row["state"], row["assignee"]) == ("offered", "ann")
    assert "waiting" not in row["why"]


async def test_many_stuck_cases_do_not_hold_up_others(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hub.assign.dispatcher.BATCH", 3)
    for number in range(5):
        await office.studies.add(modality="US", patient=f"P{number}")
    for _ in range(3):
        await office.dispatcher.turn()
    await office.hub.account("ann", groups=["neuro"])
    await office.studies.add(patient="P9", priority=Priority.PRIOR, description="late")
    for _ in range(2):
        await office.dispatcher.turn()
    assert [row["assignee"] for row in await office.rows()] == [None] * 5 + ["ann"]


@pytest.mark.parametrize("how", ["away", "barred", "group", "licence"])
async def test_a_case_leaves_a_reader_who_is_gone(office: Office, how: str) -> None:
    await office.hub.account("ann", groups=["neuro"], sites=[("H001", "2026-11-22")])
    await office.hub.account("bob", groups=["neuro"])
    await Readers(office.hub.database, office.hub.access.standing).change("bob", available=False)
    await office.studies.add()
    await office.dispatcher.turn()
    assert (await office.rows())[0]["assignee"] == "ann"
    if how == "away":
        await Readers(office.hub.database, office.hub.access.standing).change("ann", available=False)
    elif how == "barred":
        await office.hub.access.accounts.set_disabled("ann", disabled=True)
    elif how == "group":
        await Readers(office.hub.database, office.hub.access.standing).change("ann", groups=["chest"])
    else:
        office.hub.clock.advance(86400)
    await office.dispatcher.turn()
    row = (await office.rows())[0]
    expected = "reassigned" if how != "licence" else "escalated"  # a day later the deadline has passed too
    assert (row["state"], row["assignee"]) == (expected, None)
    assert "taken from" in row["why"]
    await Readers(office.hub.database, office.hub.access.standing).change("bob", available=True)
    await office.dispatcher.turn()
    row = (await office.rows())[0]
    assert row["assignee"] == "bob"


async def test_a_full_reader_keeps_what_they_have(office: Office) -> None:
    await office.hub.account("ann", groups=["neuro"], capacity=2)
    await office.studies.add()
    await office.studies.add(patient="P2")
    for _ in range(3):
        await office.dispatcher.turn()
    assert [row["assignee"] for row in await office.rows()] == ["ann", None]


async def test_a_held_case_waits_for_a_person_who_takes_it(office: Office) -> None:
    ann = await office.hub.account("ann", groups=["neuro"])
    await office.studies.add(modality="US", description="phantom")
    for _ in range(2):
        await office.dispatcher.turn()
    (row,) = await office.rows()
    assert (row["state"], row["hold"]) == ("unassigned", "looks like a test")
    assert (await office.worklist.open(ann, row["id"]))["state"] == "reading"
    (row,) = await office.rows()
    assert (row["assignee"], row["hold"]) == ("ann", None)


async def test_a_late_case_is_escalated_and_still_offered(office: Office) -> None:
    await office.studies.add()
    await office.dispatcher.turn()
    office.hub.clock.advance(3601)
    await office.dispatcher.turn()
    await office.hub.account("ann", groups=["neuro"])
    await office.dispatcher.turn()
    (row,) = await office.rows()
    assert (row["state"], row["assignee"]) == ("escalated", "ann")
    assert (await office.events()) == ["created", "escalate", "offer"]
    assert await office.dispatcher.turn() == 0


async def test_a_lease_lapses_and_another_takes_over(office: Office) -> None:
    ann = await office.hub.account("ann", groups=["neuro"])
    bob = await office.hub.account("bob", groups=["neuro"])
    await office.studies.add()
    await office.dispatcher.turn()
    opened = await office.worklist.open(ann, 1)
    assert opened["lease"]["by"] == "Dr Ann"
    with pytest.raises(Refused, match="Dr Ann has this case open until 2026-11-22T09:15"):
        await office.worklist.open(bob, 1)
    with pytest.raises(Refused, match="Dr Ann"):
        await office.worklist.return_(bob, 1, "no head on it")
    office.hub.clock.advance(10 * 60)
    await office.worklist.renew(ann, 1)
    office.hub.clock.advance(10 * 60)
    with pytest.raises(Refused):
        await office.worklist.open(bob, 1)
    office.hub.clock.advance(6 * 60)
    taken = await office.worklist.open(bob, 1)
    assert (taken["state"], taken["assignee"]["name"], taken["lease"]["name"]) == ("reading", "bob", "bob")
    assert "takeover" in await office.events()
    await office.worklist.renew(ann, 1)
    assert (await office.rows())[0]["lease_by"] == "bob"
    office.hub.clock.advance(16 * 60)
    await office.dispatcher.turn()
    (row,) = await office.rows()
    assert (row["state"], row["assignee"], row["lease_by"]) == ("accepted", "bob", None)
    assert "lapse" in await office.events()


async def test_opening_again_is_a_sign_of_life_and_no_event(office: Office) -> None:
    ann = await office.hub.account("ann", groups=["neuro"])
    await office.studies.add()
    await office.dispatcher.turn()
    first = await office.worklist.open(ann, 1)
    office.hub.clock.advance(300)
    again = await office.worklist.open(ann, 1)
    assert again["lease"]["until"] > first["lease"]["until"]
    assert (await office.events()).count("open") == 1


async def test_release_keeps_it_on_the_list(office: Office) -> None:
    ann = await office.hub.account("ann", groups=["neuro"])
    await office.studies.add()
    await office.dispatcher.turn()
    with pytest.raises(Refused, match="do not have this case open"):
        await office.worklist.release(ann, 1)
    await office.worklist.open(ann, 1)
    await office.worklist.release(ann, 1)
    shown = await office.worklist.case(ann, 1)
    assert (shown["state"], shown["assignee"]["name"], shown["lease"]) == ("accepted", "ann", None)


async def test_a_returned_case_comes_back_with_what_was_missing(office: Office) -> None:
    ann = await office.hub.account("ann", groups=["neuro"])
    await office.hub.account("bob", groups=["neuro"])
    study = await office.studies.add()
    await office.dispatcher.turn()
    for empty in ("", "  ", "x" * 2001):
        with pytest.raises(Refused):
            await office.worklist.return_(ann, 1, empty)
    await office.worklist.return_(ann, 1, "the contrast series is missing")
    assert await office.dispatcher.turn() == 0
    assert (await office.worklist.case(ann, 1))["return_reason"] == "the contrast series is missing"
    office.hub.clock.advance(60)
    await office.studies.images(study, 3, settle=True)
    await office.dispatcher.turn()
    (row,) = await office.rows()
    assert (row["state"], row["assignee"]) == ("offered", "ann"), "preferred: has looked at it before"
    assert "the study changed after the case was made: +3 instances" in row["why"]


async def test_late_instances_of_a_reported_case_are_told(office: Office) -> None:
    ann = await office.hub.account("ann", groups=["neuro"])
    study = await office.studies.add()
    await office.dispatcher.turn()
    await office.worklist.open(ann, 1)
    async with office.hub.database.writing() as connection:
        await office.worklist.reported(connection, 1, "ann")
    await office.studies.images(study, 2, origin="hub")  # the report's own SR and PDF
    assert await office.dispatcher.turn() == 0
    office.hub.clock.advance(60)
    await office.studies.images(study, 5, settle=True)
    assert await office.dispatcher.turn() == 1
    shown = await office.worklist.case(ann, 1)
    assert (shown["state"], shown["late"]) == ("reported", 5)
    assert shown["events"][-1]["detail"] == "the study changed after the report: +5 instances"
    assert await office.dispatcher.turn() == 0


async def test_a_reported_case_is_shown_and_not_taken(office: Office) -> None:
    ann = await office.hub.account("ann", groups=["neuro"])
    bob = await office.hub.account("bob", groups=["neuro"])
    await office.studies.add()
    await office.dispatcher.turn()
    await office.worklist.open(ann, 1)
    async with office.hub.database.writing() as connection:
        await office.worklist.reported(connection, 1, "ann")
    shown = await office.worklist.open(bob, 1)
    assert (shown["state"], shown["assignee"]["name"], shown["lease"]) == ("reported", "ann", None)
    with pytest.raises(Refused):
        await office.worklist.return_(bob, 1, "too late")


async def test_nobody_finds_a_case_beyond_their_reach(office: Office) -> None:
    people = {
        "in": await office.hub.account("ann", groups=["neuro"]),
        "other group": await office.hub.account("bob", groups=["chest"]),
        "other site": await office.hub.account("cyd", groups=["neuro"], sites=[("H002", None)]),
        "expired": await office.hub.account("dan", groups=["neuro"], sites=[("H001", "2026-11-21")]),
        "lead": await office.hub.account("eve", Role.LEAD, groups=["neuro"]),
        "lead of others": await office.hub.account("fay", Role.LEAD, groups=["chest"]),
        "own hospital": await office.hub.account("gus", Role.SITE, site="H001"),
        "other hospital": await office.hub.account("hal", Role.SITE, site="H002"),
        "admin": await office.hub.account("ida", Role.ADMIN),
        "auditor": await office.hub.account("jon", Role.AUDITOR),
        "service": await office.hub.account("kit", Role.SERVICE),
    }
    prior = await office.studies.add(modality="US")
    study = await office.studies.add()
    await office.studies.add(site="H002", patient="P1")
    await office.dispatcher.turn()
    by_study = {row["study"]: row["id"] for row in await office.rows()}
    case = by_study[study]
    see = {"in", "lead", "own hospital", "admin", "auditor", "service"}
    for who, account in people.items():
        listed = {one["id"] for one in await office.worklist.cases(account)}
        assert (case in listed) is (who in see), who
        if who in see:
            assert (await office.worklist.case(account, case))["priors"][0]["study_uid"] == f"1.2.3.{prior}"
        else:
            with pytest.raises(NotFound):
                await office.worklist.case(account, case)
    with pytest.raises(NotFound):
        await office.worklist.open(people["other group"], case)
    for who in ("own hospital", "admin", "auditor", "service"):
        for act in (office.worklist.open, office.worklist.release):
            with pytest.raises(NotAllowed):
                await act(people[who], case)

    images = {who: await office.scope(account) for who, account in people.items()}
    assert images["in"].studies == {study, prior, 3}, "group neuro has the head of H002 too"
    assert images["other group"] == images["admin"] == images["auditor"] == Scope(studies=frozenset())
    assert images["other site"].studies == {3}
    assert images["expired"].studies == frozenset()
    assert images["own hospital"] == Scope(sites=frozenset({"H001"}))
    assert images["service"] == Scope(all=True)


async def test_searching_and_filtering(office: Office) -> None:
    ann = await office.hub.account("ann", groups=["neuro", "general"])
    await office.studies.add(name="Müller^Anna", patient="P1")
    await office.studies.add(name="100%^Sure", patient="P2", modality="US")
    await office.dispatcher.turn()

    async def found(**how: Any) -> list[int]:
        return [one["id"] for one in await office.worklist.cases(ann, **how)]

    assert await found() == [1, 2]
    assert await found(search="MÜLLER anna") == [1]
    assert await found(search="müller p2") == []
    assert await found(search="%") == [2]
    assert await found(search="a2") == [2]
    assert await found(state="offered") == [1, 2]
    assert await found(state="reading") == []
    assert await found(state="open", mine=True) == [1, 2]
    async with office.hub.database.writing() as connection:
        await office.worklist.reported(connection, 1, "ann")
    assert await found() == [2, 1]
    assert await found(state="open") == [2]


async def test_the_most_urgent_comes_first(office: Office) -> None:
    ann = await office.hub.account("ann", groups=["neuro", "general"])
    await office.studies.add(modality="US", patient="P1")
    await office.studies.add(modality="US", patient="P2", priority=Priority.STAT)
    await office.studies.add(patient="P3")
    await office.dispatcher.turn()
    listed = await office.worklist.cases(ann)
    assert [one["priority"] for one in listed] == ["stat", "urgent", "routine"]

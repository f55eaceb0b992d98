"""The hub's side of the conversation: once by its identifier, within reach, and back to the reader."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from gateway.clock import rfc3339
from gateway.envelope.layout import Notice
from gateway.errors import Malformed, NotFound
from gateway.message import Need, Purpose, SiteMessage, digest
from hub import conversation
from hub.assign.dispatcher import Dispatcher
from hub.assign.worklist import Worklist
from hub.dialogue.desk import Dialogue, seen_by_site
from hub.people import Account, Role
from hub.rules.book import RuleBook
from hub.tables.case import case_events, cases
from hub.tables.message import messages
from tests.doubles.people import Hub, open_hub
from tests.doubles.studies import Studies

RULES = b"rules: []\ndefault: {group: neuro, deadline: 1h}\n"


@dataclass
class Office:
    hub: Hub
    studies: Studies
    dispatcher: Dispatcher
    worklist: Worklist
    dialogue: Dialogue

    async def tell(self, purpose: str, text: str = "words", *, ident: int = 1, site: str = "H001") -> None:
        """A parcel of `site` brings a message."""
        at = rfc3339(self.hub.clock.now())
        told = SiteMessage.made(id=f"{ident:032x}", study="1.2.3.1", purpose=purpose, text=text, at=at)
        await self.take(site, told.notice())

    async def take(self, site: str, notice: Notice) -> None:
        async with self.hub.database.writing() as connection:
            now = rfc3339(self.hub.clock.now())
            await conversation.take(connection, self.hub.record, [(site, notice)], now)

    async def case(self) -> dict[str, Any]:
        async with self.hub.database.reading() as connection:
            return dict((await connection.execute(select(cases))).mappings().one())

    async def events(self) -> list[str]:
        async with self.hub.database.reading() as connection:
            return list((await connection.execute(select(case_events.c.event))).scalars())

    async def kept(self) -> list[dict[str, Any]]:
        async with self.hub.database.reading() as connection:
            rows = await connection.execute(select(messages).order_by(messages.c.id))
            return [dict(row) for row in rows.mappings()]


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    hub = await open_hub(tmp_path)
    made = Office(
        hub,
        Studies(hub.database, hub.clock),
        Dispatcher(hub.database, RuleBook.parse(RULES, Path("rules.yaml")), hub.record, hub.clock),
        Worklist(hub.database, hub.record, hub.clock),
        Dialogue(hub.database, hub.record, hub.clock),
    )
    yield made
    await hub.database.close()


@pytest.fixture
async def ann(office: Office) -> Account:
    ann = await office.hub.account("ann", groups=["neuro"])
    await office.hub.account("bob", groups=["neuro"])
    await office.studies.add()
    await office.dispatcher.turn()
    return ann


@pytest.mark.parametrize("purpose", ["done", "answer", "cannot"])
async def test_an_answer_gives_the_case_back_to_who_asked(office: Office, ann: Account, purpose: str) -> None:
    await office.worklist.open(ann, 1)
    await office.worklist.return_(ann, 1, "thin slices, please", need=Need.IMAGES)
    await office.tell("message", "we look into it", ident=1)
    assert await office.dispatcher.turn() == 0, "a message is no answer"
    assert (await office.case())["state"] == "returned"
    await office.tell(purpose, ident=2)
    assert await office.dispatcher.turn() == 1
    row = await office.case()
    assert (row["state"], row["assignee"]) == ("accepted", "ann")
    assert await office.dispatcher.turn() == 0
    assert (await office.events())[-4:] == ["reader-request", "site-message", f"site-{purpose}", "answer"]


async def test_a_second_request_waits_for_its_own_answer(office: Office, ann: Account) -> None:
    await office.worklist.return_(ann, 1, "first")
    await office.tell("done", ident=1)
    await office.dispatcher.turn()
    office.hub.clock.advance(1)
    await office.worklist.return_(ann, 1, "second")
    assert await office.dispatcher.turn() == 0
    assert (await office.case())["state"] == "returned"
    await office.tell("done", ident=1)  # the first answer once more, by a parcel sent again
    assert await office.dispatcher.turn() == 0
    await office.tell("cannot", ident=2)
    assert await office.dispatcher.turn() == 1
    assert (await office.case())["state"] == "accepted"


@pytest.mark.parametrize(("need", "state"), [(Need.IMAGES, "offered"), (Need.QUESTION, "returned")])
async def test_images_take_up_a_case_but_answer_no_question(
    office: Office, ann: Account, need: Need, state: str
) -> None:
    await office.worklist.return_(ann, 1, "please", need=need)
    office.hub.clock.advance(60)
    await office.studies.images(1, 3, settle=True)
    assert await office.dispatcher.turn() >= 1
    assert (await office.case())["state"] == state
    if need is Need.QUESTION:
        await office.tell("answer")
        await office.dispatcher.turn()
        assert (await office.case())["state"] == "accepted"


async def test_an_answered_case_of_nobody_seeks_a_reader(office: Office, ann: Account) -> None:
    await office.worklist.return_(ann, 1, "first")
    async with office.hub.database.writing() as connection:
        await connection.execute(update(cases).values(assignee=None))
    await office.tell("done")
    await office.dispatcher.turn()
    assert (await office.case())["state"] == "offered"


async def test_a_message_is_kept_once_and_in_the_log_by_digest(office: Office, ann: Account) -> None:
    for _ in range(3):
        await office.tell("message", "Muster^Max is ready", ident=9)
    (kept,) = await office.kept()
    assert (kept["text"], kept["sender"], kept["site"]) == ("Muster^Max is ready", "site", "H001")
    told = [one for one in office.hub.record.events if one[0] == "message"]
    assert len(told) == 1
    assert told[0][3]["sha256"] == digest(f"{9:032x}", "Muster^Max is ready")
    assert "Muster" not in str(office.hub.record.events)
    assert (await office.events()).count("site-message") == 1


async def test_what_is_no_message_changes_nothing(office: Office, ann: Account) -> None:
    for body in ({}, {"id": 1}, {"id": "x", "study": "1.2.3.1", "purpose": "done", "text": "", "at": ""}):
        await office.take("H001", Notice("message", body))
    await office.take("H001", Notice("association-closed", {"studies": {}}))
    assert await office.kept() == []


async def test_another_hospital_answers_nothing_here(office: Office, ann: Account) -> None:
    await office.worklist.return_(ann, 1, "please")
    await office.tell("done", site="H002")  # the same study's UID, from elsewhere
    assert await office.dispatcher.turn() == 0
    assert (await office.case())["state"] == "returned"
    shown = await office.dialogue.of_case(ann, 1)
    assert [one["sender"] for one in shown["messages"]] == ["reader"]


async def test_a_message_before_its_study_is_there_when_the_case_is(office: Office) -> None:
    ann = await office.hub.account("ann", groups=["neuro"])
    await office.tell("message", "the child could not lie still")
    await office.studies.add()
    await office.dispatcher.turn()
    (shown,) = await office.worklist.cases(ann)
    assert shown["messages"] == {"unread": 1, "asked": 0}
    talk = (await office.dialogue.of_case(ann, 1))["messages"]
    assert [one["text"] for one in talk] == ["the child could not lie still"]


async def test_a_report_closes_what_was_asked(office: Office, ann: Account) -> None:
    await office.worklist.return_(ann, 1, "please")
    assert (await office.worklist.cases(ann))[0]["messages"]["asked"] == 1
    await office.worklist.open(ann, 1)  # cannot wait any longer
    async with office.hub.database.writing() as connection:
        await office.worklist.reported(connection, 1, "ann")
    assert (await office.worklist.cases(ann))[0]["messages"]["asked"] == 0
    await office.tell("done")
    assert await office.dispatcher.turn() == 0
    assert (await office.case())["state"] == "reported"


async def test_images_after_a_request_are_told(office: Office, ann: Account) -> None:
    await office.worklist.return_(ann, 1, "more", need=Need.IMAGES)
    office.hub.clock.advance(60)
    await office.studies.images(1, 3)
    await office.studies.images(1, 2, origin="hub")  # not from the hospital
    (asked,) = (await office.dialogue.of_case(ann, 1))["messages"]
    assert asked["came_after"] == [
        {"series_uid": "1.2.3.1.1", "modality": "CT", "description": "axial", "instances": 3}
    ]
    assert (asked["need"], asked["author"], asked["purpose"]) == ("images", "Dr Ann", Purpose.REQUEST)


async def test_unread_until_seen_on_either_side(office: Office, ann: Account) -> None:
    await office.tell("message", ident=1)
    await office.dialogue.say(ann, 1, "why?\x07", "a" * 32)
    await office.dialogue.say(ann, 1, "why?", "a" * 32)  # sent twice
    await office.tell("message", ident=2)
    first, ours, last = await office.kept()
    assert ours["text"] == "why?"
    bob = Account("bob", "Dr Bob", Role.READER)
    await office.dialogue.seen(bob, 1, last["id"])
    assert (await office.worklist.cases(ann))[0]["messages"]["unread"] == 2, "it is Ann's case"
    await office.dialogue.seen(ann, 1, first["id"])
    assert (await office.worklist.cases(ann))[0]["messages"]["unread"] == 1
    await office.dialogue.seen(ann, 1, last["id"])
    assert (await office.worklist.cases(ann))[0]["messages"]["unread"] == 0
    assert (await office.kept())[1]["seen_at"] is None, "the hospital has not looked yet"
    for _ in range(2):
        async with office.hub.database.writing() as connection:
            await seen_by_site(connection, "H001", "1.2.3.1", ours["id"], "2026-11-22T10:00:00.000000Z")
    assert (await office.kept())[1]["seen_at"] == "2026-11-22T10:00:00.000000Z"
    assert (await office.events()).count("site-seen") == 1


async def test_who_has_no_reach_sees_and_says_nothing(office: Office, ann: Account) -> None:
    await office.tell("message")
    others = [
        await office.hub.account("cyd", groups=["chest"]),
        await office.hub.account("dan", Role.SITE, site="H002"),
    ]
    for other in others:
        with pytest.raises(NotFound):
            await office.dialogue.of_case(other, 1)
        with pytest.raises(NotFound):
            await office.dialogue.say(other, 1, "hello")
        with pytest.raises(NotFound):
            await office.dialogue.seen(other, 1, 99)
    staff = await office.hub.account("eve", Role.SITE, site="H001")
    assert len((await office.dialogue.of_case(staff, 1))["messages"]) == 1
    for empty in ("", "\x00", "x" * 2001):
        with pytest.raises(Malformed):
            await office.dialogue.say(ann, 1, empty)
    assert len(await office.kept()) == 1

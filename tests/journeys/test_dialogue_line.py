"""Messages over the real line: what a power cut, a dead line, a second parcel and another hospital do to them."""

from __future__ import annotations

import asyncio
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from edge.config import Messages
from edge.dialogue.desk import MessageDesk
from gateway.clock import rfc3339
from gateway.config import Seconds
from gateway.errors import Refused
from gateway.message import Purpose, SiteMessage
from hub import conversation
from hub.tables.custody import custody
from hub.tables.message import messages
from tests.doubles.edges import CLOCK, Edge, edge_of, until
from tests.doubles.lines import LineHub, line_hub
from tests.doubles.spools import SpoolWorld

STUDY = "2.25.8881"
FAST = Messages(poll=Seconds(30), retry_first=Seconds(0.05), retry_cap=Seconds(0.2))


@pytest.fixture
async def hub(tmp_path: Path):
    async with line_hub(tmp_path) as running:
        yield running


async def ask(hub: LineHub, text: str, *, site: str = "H001", purpose: Purpose = Purpose.REQUEST) -> None:
    """A reader writes."""
    now = rfc3339(CLOCK.now())
    draft = conversation.Draft(
        site=site, study_uid=STUDY, message_id=secrets.token_hex(16), sender="reader", purpose=purpose,
        need="images" if purpose is Purpose.REQUEST else "", text=text, author="ann", written_at=now,
    )  # fmt: skip
    async with hub.small.database.writing() as connection:
        await conversation.keep(connection, hub.archive.custody, draft, now)


async def kept(hub: LineHub, sender: str = "site") -> list[Any]:
    async with hub.small.database.reading() as connection:
        query = select(messages).where(messages.c.sender == sender).order_by(messages.c.id)
        return list((await connection.execute(query)).mappings())


class Talking:
    """A desk that runs on an edge."""

    def __init__(self, edge: Edge) -> None:
        self.desk = MessageDesk(edge.client, edge.spool, FAST, CLOCK)
        self.task = asyncio.create_task(self.desk.run())

    async def hears(self, text: str) -> float:
        """Until a line with this text is here; the seconds it took."""
        began = CLOCK.monotonic()

        async def look() -> bool:
            found = self.desk.about(STUDY)
            return found is not None and any(line.text == text for line in found.lines)

        await until(look)
        return CLOCK.monotonic() - began

    async def stop(self) -> None:
        self.task.cancel()
        with suppress(asyncio.CancelledError):
            await self.task


async def test_a_waiting_question_brings_the_readers_words_at_once_and_seeing_is_told(
    hub: LineHub, tmp_path: Path
) -> None:
    async with edge_of(hub, tmp_path / "edge") as edge:
        talking = Talking(edge)
        await ask(hub, "first")
        await talking.hears("first")
        await asyncio.sleep(0.3)  # the long question hangs at the hub now
        await ask(hub, "second", purpose=Purpose.MESSAGE)
        assert await talking.hears("second") < 5
        found = talking.desk.about(STUDY)
        assert (found.unread, found.waits) == (2, True)
        talking.desk.seen(STUDY)

        async def seen() -> bool:
            return all(one["seen_at"] for one in await kept(hub, "reader"))

        await until(seen)
        await talking.stop()


async def test_an_answer_survives_a_power_cut_and_comes_once(hub: LineHub, tmp_path: Path) -> None:
    async with edge_of(hub, tmp_path / "edge", line=False) as edge:
        await ask(hub, "more, please")
        talking = Talking(edge)
        await talking.hears("more, please")
        await talking.desk.say(STUDY, "done", "Muster^Max again", "ab" * 16)
        assert [line.at_hub for line in talking.desk.about(STUDY).lines] == [True, False]
        await talking.stop()
        await edge.stop()  # nothing was sent; memory is lost
        on_disk = b"".join(file.read_bytes() for file in edge.data.rglob("*") if file.is_file())
        assert b"Muster" not in on_disk
        assert b"more, please" not in on_disk

        edge.start()
        talking = Talking(edge)
        await talking.hears("more, please")  # asked for again
        await talking.desk.say(
            STUDY, "done", "Muster^Max again", "ab" * 16
        )  # the browser sends its form again
        await edge.emptied()
        await talking.hears("Muster^Max again")

        async def there() -> bool:
            lines = talking.desk.about(STUDY).lines
            return [line.at_hub for line in lines] == [True, True] and not any(line.waits for line in lines)

        await until(there)
        async with hub.small.database.writing() as connection:
            await connection.execute(
                update(messages).where(messages.c.sender == "site").values(seen_at=rfc3339(CLOCK.now()))
            )

        async def seen() -> bool:
            return talking.desk.about(STUDY).lines[-1].seen

        await until(seen, 5)  # by the question that waits, not by the next one
        (only,) = await kept(hub)
        assert (only["text"], only["purpose"], only["site"]) == ("Muster^Max again", "done", "H001")
        (asked,) = await kept(hub, "reader")
        assert asked["closed_at"]
        async with hub.small.database.reading() as connection:
            rows = (await connection.execute(select(custody.c.event, custody.c.leaf))).all()
        assert [row.event for row in rows].count("message") == 2
        assert not [row for row in rows if "Muster" in row.leaf]
        await talking.stop()


async def test_a_hospital_hears_and_answers_its_own_readers_alone(hub: LineHub, tmp_path: Path) -> None:
    async with edge_of(hub, tmp_path / "one") as one, edge_of(hub, tmp_path / "two", site="H002") as two:
        await ask(hub, "for the first")
        await ask(hub, "for the second", site="H002")
        first, second = Talking(one), Talking(two)
        await first.hears("for the first")
        await second.hears("for the second")
        for talking in (first, second):
            assert len(talking.desk.about(STUDY).lines) == 1
        theirs = SiteMessage.made(
            id="cd" * 16, study=STUDY, purpose="done", text="not ours", at=rfc3339(CLOCK.now())
        )
        await asyncio.to_thread(two.spool.notify, theirs.notice())
        await two.client.json("POST", "/v1/messages/seen", json_body={"study": STUDY, "upto": 2**31 - 1})
        await two.emptied()
        closed = {row["site"]: bool(row["closed_at"]) for row in await kept(hub, "reader")}
        assert closed == {"H001": False, "H002": True}
        unseen = {row["site"]: row["seen_at"] is None for row in await kept(hub, "reader")}
        assert unseen == {"H001": True, "H002": False}
        await first.stop()
        await second.stop()


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/messages?after=x", None),
        ("/v1/messages?after=1&wait=-1", None),
        ("/v1/messages?after=99999999999", None),
        ("/v1/messages?after=1&since=%27", None),
        ("/v1/messages/seen", {"study": "1.2"}),
        ("/v1/messages/seen", {"study": "1.2", "upto": True}),
        ("/v1/messages/seen", {"study": "x", "upto": 1}),
        ("/v1/messages/seen", {"study": "1.2", "upto": 1, "more": "x" * 5000}),
        ("/v1/messages/seen", []),
    ],
)
async def test_nonsense_is_refused(hub: LineHub, tmp_path: Path, path: str, body: Any) -> None:
    async with edge_of(hub, tmp_path / "edge", line=False) as edge:
        with pytest.raises(Refused):
            await edge.client.json("GET" if body is None else "POST", path, json_body=body)


def test_the_notice_of_a_message_is_small(tmp_path: Path) -> None:
    """What a message costs the line: the parcel is little more than its key wraps."""
    world = SpoolWorld(tmp_path / "data")
    told = SiteMessage.made(id="ab" * 16, study=STUDY, purpose="done", text="", at=rfc3339(CLOCK.now()))
    item = world.spool.notify(told.notice())
    assert item.sealed_size < 2048
    world.spool.close()

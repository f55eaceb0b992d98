"""The pages for messages: texts as text alone, forms that come twice, and what is seen."""

from __future__ import annotations

import re

import pytest
from aiohttp.test_utils import TestClient, TestServer

from edge.config import Messages
from edge.console.app import console_app
from edge.console.sources import Sources
from edge.dialogue.desk import MessageDesk
from edge.spool.budget import Budget
from edge.spool.view import StudyFacts
from gateway.message import LONGEST, Subject, Told
from gateway.model import Priority
from tests.doubles.spools import SpoolWorld

STUDY, ELSEWHERE = "2.25.888", "1.2.77"
EVIL = '<script>alert(1)</script>"><img src=x onerror=alert(1)>'


class Away:
    """A hub that is never there."""

    async def json(self, method, path, **options):
        raise AssertionError("the page asks no hub")


@pytest.fixture
async def world(tmp_path):
    world = SpoolWorld(tmp_path / "data")
    world.desk = MessageDesk(Away(), world.spool, Messages(), world.clock)
    yield world
    world.spool.close()


@pytest.fixture
async def client(world):
    sources = Sources(talks=world.desk)
    app = console_app(world.spool, lambda: None, world.clock, sources=sources)
    async with TestClient(TestServer(app)) as client:
        yield client


def asks(world, study=STUDY, text="thin slices", number=1, purpose="request") -> None:
    told = Told(
        number=number, id=f"{number:032x}", study=study, sender="reader", purpose=purpose,
        need="images" if purpose == "request" else "", text=text, author="Dr <b>Ann</b>",
        at="2026-11-22T09:00:00.000000Z", seen=False, waits=purpose == "request",
    )  # fmt: skip
    subject = Subject(
        patient_name="Hub^Name", patient_id="P7", accession="A7", description="", priority="stat"
    )
    world.desk._book.learn([told], {study: subject})


async def form_of(client, study=STUDY) -> dict[str, str]:
    text = await (await client.get(f"/messages/{study}")).text()
    return {"id": re.search(r'name="id" value="([0-9a-f]{32})"', text)[1], "purpose": "message"}


async def test_without_anything_said_a_study_here_can_be_written_about(world, client):
    world.receive()
    assert f'href="/messages/{STUDY}"' in await (await client.get("/")).text()
    shown = await (await client.get(f"/messages/{STUDY}")).text()
    assert "Sample, Patient" in shown
    assert "<select" not in shown, "nothing is asked, so there is nothing to answer"
    assert (await client.get("/messages/9.9")).status == 404
    assert (await client.post("/messages/9.9", data={"text": "x"})).status == 404
    assert "Nothing has been written yet." in await (await client.get("/messages")).text()


async def test_texts_are_text(world, client):
    asks(world, text=EVIL)
    for path in ("/", "/messages", f"/messages/{STUDY}"):
        shown = await (await client.get(path)).text()
        assert "&lt;script&gt;" in shown
        assert "<script" not in shown
        assert "<img" not in shown
    assert "Dr &lt;b&gt;Ann" in shown
    form = await form_of(client)
    bad = await client.post(f"/messages/{STUDY}", data=form | {"text": EVIL, "purpose": "</select><script>"})
    assert bad.status == 400
    assert "<script" not in await bad.text()


async def test_opening_is_seeing_and_looking_at_the_list_is_not(world, client):
    asks(world)
    assert (await (await client.get("/status.json")).json())["messages"] == [
        {"study_uid": STUDY, "unread": 1, "waits": True, "messages": 1}
    ]
    front = await (await client.get("/")).text()
    assert "1 unread, needs an answer" in front
    assert "<b>(1)</b>" in front
    assert "1 unread" in await (await client.get("/messages")).text()
    conversation = await client.get(f"/messages/{STUDY}")
    assert "Refresh" not in conversation.headers, "somebody may be writing"
    assert "· new<" in await conversation.text()
    assert "unread" not in await (await client.get("/")).text()


async def test_a_form_sent_twice_is_one_message_with_the_studys_priority(world, client):
    world.receive(priority=Priority.URGENT)
    asks(world)
    form = await form_of(client) | {"purpose": "done", "text": "张^小东 sent again"}
    for _ in range(2):
        answer = await client.post(f"/messages/{STUDY}", data=form, allow_redirects=False)
        assert (answer.status, answer.headers["Location"]) == (303, f"/messages/{STUDY}")
    notices = [item for item, _ in (await world.spool.status()).first if not item.instances]
    assert [item.priority for item in notices] == [Priority.URGENT]
    shown = await (await client.get(f"/messages/{STUDY}")).text()
    assert shown.count("张^小东 sent again") == 1
    assert "waits for the line" in shown
    assert "needs an answer" not in shown
    world.packer.seal(notices[0])
    manifest, _ = world.content(notices[0].parcel_id)
    assert manifest.notices[0].body["text"] == "张^小东 sent again"
    for file in world.data.rglob("*"):
        assert not file.is_file() or "张^小东".encode() not in file.read_bytes(), file


async def test_a_study_of_before_the_restart_takes_the_hubs_priority_and_name(world, client):
    asks(world, ELSEWHERE)
    assert "Hub, Name · P7 · A7" in await (await client.get("/messages")).text()
    await client.post(f"/messages/{ELSEWHERE}", data=await form_of(client, ELSEWHERE) | {"text": "yes"})
    ((item, _),) = (await world.spool.status()).first
    assert item.priority is Priority.STAT


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"text": ""}, "write something"),
        ({"text": "\x07\x00"}, "write something"),
        ({"text": "x" * (LONGEST + 1)}, "too many"),
        ({"text": "x", "purpose": "request"}, "not for a hospital"),
        ({"text": "x", "purpose": "cannot", "id": "1"}, "identifier"),
        ({"text": " ", "purpose": "cannot"}, "write something"),
    ],
)
async def test_what_is_wrong_is_said_and_the_text_stays(world, client, wrong, words):
    asks(world)
    answer = await client.post(f"/messages/{STUDY}", data=await form_of(client) | wrong)
    assert answer.status == 400
    shown = await answer.text()
    assert words in shown
    assert wrong["text"].strip("\x07\x00 ")[:50] in shown
    assert (await world.spool.status()).first == ()


async def test_two_thousand_chinese_characters_fit(world, client):
    world.receive(study=StudyFacts(STUDY))
    form = await form_of(client) | {"text": "片" * LONGEST}
    answer = await client.post(f"/messages/{STUDY}", data=form, allow_redirects=False)
    assert answer.status == 303


async def test_a_full_disk_is_said(world, client):
    asks(world)
    world.spool._budget = Budget(1 << 60)
    answer = await client.post(f"/messages/{STUDY}", data=await form_of(client) | {"text": "kept words"})
    assert answer.status == 507
    assert "kept words" in await answer.text()


async def test_other_pages_cannot_write(world, client):
    asks(world)
    form = await form_of(client) | {"text": "x"}
    headers = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
    assert (await client.post(f"/messages/{STUDY}", data=form, headers=headers)).status == 403


async def test_chinese(world, client):
    asks(world)
    shown = await (await client.get(f"/messages/{STUDY}?lang=zh")).text()
    assert "需要补充影像" in shown
    assert "已完成，影像已重新发送" in shown


async def test_what_is_wrong_is_said_in_chinese_too(world, client):
    asks(world)
    form = await form_of(client) | {"text": " ", "purpose": "cannot"}
    answer = await client.post(f"/messages/{STUDY}?lang=zh", data=form)
    assert answer.status == 400
    text = await answer.text()
    assert "请填写内容" in text
    assert "write something" not in text
    world.spool._budget = Budget(1 << 60)
    full = await client.post(f"/messages/{STUDY}?lang=zh", data=form | {"text": "片"})
    assert full.status == 507
    assert "磁盘" in await full.text()

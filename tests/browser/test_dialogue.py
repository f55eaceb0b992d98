"""Messages in a real browser: the reader's case view, and the technician's page on a desk and a telephone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp import web
from playwright.async_api import Browser, expect

from edge.config import Messages
from edge.console.app import console_app
from edge.console.sources import Sources
from edge.dialogue.desk import MessageDesk
from edge.spool.view import StudyFacts
from gateway.message import Subject, Told
from tests.browser.conftest import Desk
from tests.browser.portal import AXE, violations
from tests.browser.test_edge_page import faults, opened, picture
from tests.doubles.portal_cases import HOSTILE_NAME
from tests.doubles.spools import SpoolWorld

pytestmark = pytest.mark.asyncio(loop_scope="module")

# -- the reader ------------------------------------------------------------------------------------


async def test_the_list_says_who_wrote_and_who_is_waited_for(desk: Desk) -> None:
    await desk.log_in()
    page = desk.page
    await expect(page.locator("tr[data-case='5'] [data-messages]")).to_have_text("2 new")
    await expect(page.locator("tr[data-case='6'] [data-messages]")).to_have_text("waits for the site")
    assert await violations(page) == set()
    await picture(page, "portal-worklist-messages")
    await page.get_by_label("Language", exact=True).select_option("zh")
    await expect(page.locator("tr[data-case='5'] [data-messages]")).to_have_text("2 条新消息")


async def test_the_conversation_is_shown_as_text_and_counts_as_seen(desk: Desk) -> None:
    await desk.log_in()
    await desk.open_case(5)
    page = desk.page
    talk = page.locator("tr-conversation")
    lines = talk.locator("li")
    await expect(lines).to_have_count(3)
    await expect(lines.nth(0)).to_contain_text("asks for more: More images")
    await expect(lines.nth(0)).to_contain_text("Came after this request: 144 images")
    await expect(lines.nth(1)).to_contain_text(HOSTILE_NAME)
    await expect(lines.nth(2)).to_contain_text("Site H001")
    await expect(talk.locator("li .chip", has_text="new")).to_have_count(2)
    assert await talk.locator("img, script").count() == 0
    assert await page.evaluate("window.hacked") is None
    assert await violations(page) == set()
    await picture(page, "portal-conversation")
    assert desk.hub.cases[5]["messages"]["unread"] == 0


async def test_an_answer_appears_by_itself_and_a_message_goes_by_the_keyboard(desk: Desk) -> None:
    await desk.log_in()
    await desk.open_case(1)
    page = desk.page
    talk = page.locator("tr-conversation")
    await talk.locator("summary").focus()
    await page.keyboard.press("Enter")
    await talk.get_by_label("Message to the site").focus()
    await page.keyboard.type("Is there an older CT?")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await expect(talk.locator("li")).to_contain_text(["Is there an older CT?"])
    await expect(talk.get_by_label("Message to the site")).to_have_value("")
    desk.hub.hear(1, sender="site", purpose="answer", text="No, none.")
    await expect(talk.locator("li").nth(1)).to_contain_text("No, none.")
    await expect(talk.locator("li").nth(1)).to_contain_text("answers")


async def test_more_is_asked_for_with_a_kind(desk: Desk) -> None:
    await desk.log_in()
    await desk.open_case(1)
    page = desk.page
    await page.get_by_role("button", name="Ask the site for more").click()
    await page.get_by_label("What is needed?").select_option("quality")
    await page.get_by_label("What is missing or wrong?").fill("Motion; please repeat.")
    assert await violations(page) == set()
    await picture(page, "portal-ask")
    await page.get_by_role("button", name="Ask, and return the case").click()
    await expect(page.locator("tr[data-case='1']")).to_contain_text("waits for the site")
    (asked,) = desk.hub.talks[1]
    assert (asked["need"], asked["text"]) == ("quality", "Motion; please repeat.")


# -- the technician --------------------------------------------------------------------------------


@dataclass
class Edge:
    world: SpoolWorld
    desk: MessageDesk
    url: str
    complaints: list[str] = field(default_factory=list)


class Away:
    """A line that is down."""

    async def json(self, method: str, path: str, **options: object) -> None:
        raise AssertionError("the page asks no hub")


def told(number: int, text: str, **more: object) -> Told:
    purpose = str(more.pop("purpose", "message"))
    values = {
        "sender": "reader", "need": "quality" if purpose == "request" else "", "author": "Dr Elena Vega", "seen": False,
        "waits": purpose == "request", "study": "2.25.1", "at": f"2026-11-22T08:{number:02}:00.000000Z", **more,
    }  # fmt: skip
    return Told.read({"number": number, "id": f"{number:032x}", "purpose": purpose, "text": text, **values})


@pytest_asyncio.fixture(loop_scope="module")
async def edge(tmp_path: Path) -> AsyncIterator[Edge]:
    world = SpoolWorld(tmp_path / "data")
    for number, name in enumerate(["Sample^Anna", "张^小东"], 1):
        study = StudyFacts(f"2.25.{number}", name, f"P-{number}", f"ACC{number}", "胸部平扫 CHEST", "CT")
        world.receive(number=number, study=study)
    desk = MessageDesk(Away(), world.spool, Messages(), world.clock)
    about = Subject(
        patient_name="Old^Study", patient_id="P-9", accession="ACC9", description="Hand", priority="routine"
    )
    desk._book.learn(
        [
            told(
                1, "The images are blurred by motion; can the apical region be repeated?", purpose="request"
            ),
            told(2, HOSTILE_NAME, study="2.25.9"),
            told(3, "谢谢", study="2.25.9", sender="site", seen=True),
        ],
        {"2.25.9": about},
    )
    app = console_app(world.spool, lambda: None, world.clock, sources=Sources(talks=desk))
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
    yield Edge(world, desk, f"http://127.0.0.1:{port}")
    await runner.cleanup()
    world.spool.close()


@pytest.mark.parametrize("path", ["/?still=1", "/messages", "/messages/2.25.1", "/messages/2.25.9"])
@pytest.mark.parametrize("locale", ["en-GB", "zh-CN"])
@pytest.mark.parametrize("width", [1280, 360])
async def test_every_page_with_messages_is_readable_by_all(
    chromium: Browser, edge: Edge, width: int, locale: str, path: str
) -> None:
    if not AXE.is_file():
        pytest.skip("axe-core is not installed")
    page = await opened(chromium, edge, width, locale, path)  # type: ignore[arg-type]  # has what it asks for
    name = path.strip("/").partition("?")[0].replace("/", "-") or "waits"
    await picture(page, f"edge-dialogue-{name}-{locale[:2]}-{width}")
    assert await faults(page) == []
    assert await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert await page.locator("main img, main script").count() == 0
    assert edge.complaints == []
    await page.context.close()


async def test_a_request_is_answered_with_the_keyboard_alone(chromium: Browser, edge: Edge) -> None:
    page = await opened(chromium, edge, 360, "en-GB")  # type: ignore[arg-type]  # has what it asks for
    await page.get_by_role("table", name="The reader writes").get_by_role("link").first.focus()
    await page.keyboard.press("Enter")
    await expect(page.get_by_text("needs an answer")).to_be_visible()
    await page.get_by_label("Your reply").focus()
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("Tab")
    await page.keyboard.type("The patient has left for the city hospital.")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await expect(page.get_by_text("waits for the line")).to_be_visible()
    await picture(page, "edge-dialogue-answered-en-360")
    await expect(page.get_by_label("Your reply")).to_have_count(0)
    (line,) = [line for line in edge.desk.about("2.25.1").lines if line.ours]  # type: ignore[union-attr]
    assert (line.purpose, line.text) == ("cannot", "The patient has left for the city hospital.")
    await page.context.close()

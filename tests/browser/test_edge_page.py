"""The technician's page in a real browser: both languages, a desk and a telephone, the keyboard alone."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from io import BytesIO
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp import web
from PIL import Image
from playwright.async_api import Browser, Page, async_playwright, expect

from edge.acquire.desk import ImportDesk
from edge.config import Acquire
from edge.console.app import console_app
from edge.console.sources import Sources
from edge.known import known
from edge.quality.words import TAKEN
from edge.shown import Hint, ReportShown, SeriesTaken, StudyTaken, StudyWarning
from edge.spool.item import LinkState
from edge.spool.view import StudyFacts
from edge.uplink.disk import REPEATED, Disk
from gateway.clock import rfc3339
from tests.browser.conftest import ARGUMENTS, CHROMIUM
from tests.browser.portal import AXE
from tests.doubles.acquired import kept, part10
from tests.doubles.spools import SpoolWorld

pytestmark = pytest.mark.asyncio(loop_scope="module")
PICTURES = os.environ.get("TELERAD_SCREENSHOTS")


@dataclass
class Edge:
    """An edge with something of everything."""

    world: SpoolWorld
    url: str
    desk: ImportDesk
    medium: Path
    complaints: list[str] = field(default_factory=list)


BROKEN_HEADINGS = """[...document.querySelectorAll("thead th")]
  .filter(head => head.offsetWidth > 1 && /^\\S+$/.test(head.textContent))
  .filter(head => {
    const range = document.createRange();
    range.selectNodeContents(head);
    return new Set([...range.getClientRects()].map(box => box.top)).size > 1;
  })
  .map(head => head.textContent)"""
"""Single words at the head of a column that are broken over lines."""


def _words(name: str) -> dict[str, str]:
    english, chinese = TAKEN[name]
    return {"en": english, "zh": chinese}


TAKEN_CT = StudyTaken(
    (
        SeriesTaken("2.25.11", "CT · 1 Topogram", 1),
        SeriesTaken(
            "2.25.12",
            "CT · 2 胸部平扫 5.0 B31f",
            148,
            tuple(
                (_words(name), value)
                for name, value in (
                    ("ProtocolName", "Thorax_Routine (Adult)"),
                    ("KVP", "120"),
                    ("XRayTubeCurrent", "96–310"),
                    ("Exposure", "48–155"),
                    ("CTDIvol", "62.4"),
                    ("ConvolutionKernel", "B31f"),
                    ("SliceThickness", "5"),
                )
            ),
            ("120 kVp", "48–155 mAs", "CTDIvol 62.4 mGy"),
        ),
    ),
    (
        Hint(
            {
                "en": "CTDIvol 62 mGy is above the reference of 50 mGy",
                "zh": "CTDIvol 62 mGy 高于参考水平 50 mGy",
            },
            warns=False,
            series_uid="2.25.12",
        ),
    ),
)


def _disk() -> str:
    """What the uplink says of a disk that does not keep receipts."""
    disk = Disk()
    for at in range(REPEATED):
        disk.fails(OSError(errno.EIO, os.strerror(errno.EIO)), float(at))
    return disk.look(0.0)


def _fill(world: SpoolWorld) -> Sources:
    now = world.clock.now()
    for number, (name, modality, text) in enumerate(
        [
            ("张^小东", "CT", "胸部平扫 CHEST"),
            ("Sample^Anna", "DX", "Hand, two views"),
            ("<b>Li^Na</b>", "US", ""),
        ]
    ):
        facts = StudyFacts(f"2.25.{number}", name, f"P-{number}", f"ACC{number}", text, modality)
        for one in range(3):
            world.receive(number=number * 10 + one, study=facts)
    until = now + timedelta(days=63)
    return Sources(
        warnings=lambda: [
            StudyWarning(
                "2.25.0",
                "slices-missing",
                {"en": "4 slice(s) seem to be missing", "zh": "疑似缺少 4 层"},
                rfc3339(now),
            ),
            StudyWarning(
                "2.25.1",
                "laterality-absent",
                dict.fromkeys(("en", "zh"), "<i>No side</i> is told: left or right hand?"),
                rfc3339(now),
            ),
        ],
        reports=lambda: [
            ReportShown("a" * 16, "2.25.1", "acknowledged", rfc3339(now), ("PACS", "RIS")),
            ReportShown("b" * 16, "", "verified", rfc3339(now), ("PACS",), (("RIS", "connection refused"),)),
        ],
        certificate_until=lambda: until,
        troubles=lambda: ["/srv/incoming: No such file or directory", _disk()],
        known=lambda: known(world.spool.view.studies(), lambda _: {"PatientBirthDate": "19701231"}),
        taken=lambda study: TAKEN_CT if study == "2.25.0" else StudyTaken(),
    )


@pytest_asyncio.fixture(loop_scope="module")
async def edge(tmp_path: Path) -> AsyncIterator[Edge]:
    world = SpoolWorld(tmp_path / "data")
    sources = _fill(world)
    medium = tmp_path / "media" / "CD 1"
    medium.mkdir(parents=True)
    (medium / "DICOMDIR").write_bytes(b"broken")
    for number in range(4):
        (medium / f"IM{number}").write_bytes(part10(f"1.2.3.{number + 1}"))
    desk = ImportDesk(world.spool, world.clock, Acquire(media=(medium.parent,)), world.data)
    link = LinkState(online=True, since=world.clock.now(), rate=250_000.0)
    sources = replace(sources, importer=desk)
    app = console_app(world.spool, lambda: link, world.clock, sources=sources)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
    task = asyncio.create_task(desk.run())
    yield Edge(world, f"http://127.0.0.1:{port}", desk, medium)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await runner.cleanup()
    world.spool.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("chromium is not installed")
    async with async_playwright() as playwright:
        started = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield started
        await started.close()


async def opened(browser: Browser, edge: Edge, width: int, locale: str, path: str = "/") -> Page:
    # axe is put in by the test; the page itself allows no script at all
    context = await browser.new_context(
        viewport={"width": width, "height": 800}, locale=locale, bypass_csp=True
    )
    page = await context.new_page()
    page.set_default_timeout(10_000)
    page.on(
        "console", lambda message: edge.complaints.append(message.text) if message.type == "error" else None
    )
    await page.goto(edge.url + path)
    return page


async def picture(page: Page, name: str) -> None:
    if PICTURES:
        await page.screenshot(path=Path(PICTURES) / f"{name}.png", full_page=True)


async def faults(page: Page) -> list[str]:
    await page.add_script_tag(path=AXE)
    found = await page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [f"{one['id']}: {one['nodes'][0]['html']}" for one in found["violations"]]


@pytest.mark.parametrize("path", ["/?still=1", "/import?of=2.25.0", "/study/2.25.0"])
@pytest.mark.parametrize("locale", ["en-GB", "zh-CN"])
@pytest.mark.parametrize("width", [1280, 360])
async def test_every_page_is_readable_by_all(
    browser: Browser, edge: Edge, width: int, locale: str, path: str
) -> None:
    if not AXE.is_file():
        pytest.skip("axe-core is not installed")
    page = await opened(browser, edge, width, locale, path)
    await picture(
        page, f"edge-{path.strip('/').partition('?')[0].partition('/')[0] or 'waits'}-{locale[:2]}-{width}"
    )
    assert await faults(page) == []
    assert await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert await page.evaluate(BROKEN_HEADINGS) == []
    assert await page.evaluate("document.documentElement.lang") == locale[:2]
    assert edge.complaints == []
    await page.context.close()


@pytest.mark.parametrize(
    ("locale", "words"),
    [
        ("en-GB", "disk does not keep what the hub says (Input/output error): have it looked at"),
        ("zh-CN", "本机磁盘无法保存中心的应答（输入/输出错误）：请管理员检查磁盘"),
    ],
)
async def test_a_disk_that_keeps_no_receipts_is_told(
    browser: Browser, edge: Edge, locale: str, words: str
) -> None:
    page = await opened(browser, edge, 1280, locale)
    assert words in await page.inner_text("body")


async def test_the_page_shows_text_as_text(browser: Browser, edge: Edge) -> None:
    page = await opened(browser, edge, 1280, "en-GB")
    await expect(page.get_by_text("<b>Li, Na</b>")).to_be_visible()
    await expect(page.get_by_text("<i>No side</i> is told")).to_be_visible()
    assert await page.locator("main i, main script").count() == 0
    await page.context.close()


async def test_how_it_was_taken_unfolds_with_the_keyboard_alone(browser: Browser, edge: Edge) -> None:
    page = await opened(browser, edge, 360, "en-GB", "/?still=1")
    await page.get_by_role("link", name="How it was taken: 120 kVp").focus()
    await page.keyboard.press("Enter")
    dose = page.get_by_text("62.4", exact=True)
    await expect(dose).to_be_visible()
    await expect(page.get_by_role("list", name="What was noticed")).to_contain_text("Note: CTDIvol 62 mGy")
    await page.locator("summary", has_text="B31f").focus()
    await page.keyboard.press("Enter")
    await expect(dose).to_be_hidden()
    await page.context.close()


async def test_a_picture_is_imported_with_the_keyboard_alone(
    browser: Browser, edge: Edge, tmp_path: Path
) -> None:
    buffer = BytesIO()
    Image.linear_gradient("L").save(buffer, "JPEG")
    (tmp_path / "film.jpg").write_bytes(buffer.getvalue())
    page = await opened(browser, edge, 360, "en-GB", "/import")
    await page.get_by_label("Files").set_input_files(tmp_path / "film.jpg")
    await page.get_by_label("Files").focus()
    await page.keyboard.press("Tab")
    await page.keyboard.type("王^小东")
    await page.keyboard.press("Tab")
    await page.keyboard.type("P-77")
    await page.get_by_label("Modality").select_option("DX")
    await page.get_by_label("Body part").select_option("CHEST")
    await page.get_by_label("Patient ID").press("Enter")
    await expect(page.get_by_role("status")).to_have_text("done: 1 kept, 0 refused", timeout=15_000)
    await picture(page, "edge-job-en-360")
    entry, data = kept(edge.world)[-1]
    assert entry.sop_class_uid == "1.2.840.10008.5.1.4.1.1.7"
    assert "王^小东".encode() in data
    assert buffer.getvalue() in data
    await page.goto(edge.url)
    await expect(page.get_by_role("cell", name="王小东 P-77")).to_be_visible()
    await page.context.close()


async def test_a_picture_joins_a_study_that_was_chosen_with_the_keyboard_alone(
    browser: Browser, edge: Edge, tmp_path: Path
) -> None:
    buffer = BytesIO()
    Image.linear_gradient("L").save(buffer, "PNG")
    (tmp_path / "film.png").write_bytes(buffer.getvalue())
    page = await opened(browser, edge, 360, "en-GB", "/import")
    await page.get_by_label("Patient and order of").focus()
    await page.keyboard.type("Sample")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await expect(page.get_by_label("Patient ID")).to_have_value("P-1")
    await expect(page.get_by_label("Date of birth")).to_have_value("1970-12-31")
    await expect(page.get_by_label("These files belong to")).to_have_value("same")
    await page.get_by_label("Files", exact=False).first.set_input_files(tmp_path / "film.png")
    await page.get_by_label("Patient ID").press("Enter")
    await expect(page.get_by_role("status")).to_have_text("done: 1 kept, 0 refused", timeout=15_000)
    assert kept(edge.world)[-1][0].study_uid == "2.25.1"
    await page.context.close()


async def test_a_disc_is_imported_and_a_bad_form_is_told(
    browser: Browser, edge: Edge, tmp_path: Path
) -> None:
    page = await opened(browser, edge, 1280, "zh-CN", "/import")
    await page.get_by_role("button", name="CD 1").click()
    await expect(page.get_by_role("status")).to_have_text(
        "完成：保存 4 幅影像，拒绝 0 个文件", timeout=15_000
    )
    await page.get_by_role("link", name="返回导入").click()
    (tmp_path / "a.png").write_bytes(b"x")
    await page.get_by_label("文件 *").set_input_files(tmp_path / "a.png")
    await page.get_by_label("姓名").fill("李^娜")
    await page.get_by_role("button", name="导入", exact=True).click()
    await expect(page.get_by_role("alert")).to_contain_text("须填写姓名和患者编号")
    await expect(page.get_by_label("姓名")).to_have_value("李^娜")
    await page.context.close()

"""A real headless Chromium before the portal's double."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, async_playwright

from tests.browser.portal import ASKED, REFUSED, listening, log_in, unexpected
from tests.doubles.portal_api import CODE, PASSWORD, STATIC, PortalDouble, serve
from tests.doubles.reading_room import ReadingRoom, reading_room

CHROMIUM = next((path for name in ("chromium", "chromium-browser") if (path := shutil.which(name))), None)
ARGUMENTS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
    "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader",
]  # fmt: skip


@dataclass
class Desk:
    """A browser page, the double behind it, and which of its complaints are expected."""

    page: Page
    hub: PortalDouble
    url: str
    expected: tuple[str, ...] = (ASKED,)

    async def log_in(self, name: str = "vega") -> None:
        await log_in(self.page, self.url, name, PASSWORD, CODE if self.hub.enrolled else "")

    async def open_case(self, number: int) -> None:
        await self.page.locator(f"tr[data-case='{number}']").click()
        await self.page.locator("tr-facts").wait_for()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def chromium() -> AsyncIterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("chromium is not installed")
    if not (STATIC / "app" / "index.html").is_file():
        pytest.fail("the front end is not built: python -m build_steps.run")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="module")
async def desk(chromium: Browser) -> AsyncIterator[Desk]:
    runner, hub, url = await serve()
    complaints: list[str] = []
    async with listening(chromium, complaints) as page:
        made = Desk(page, hub, url)
        yield made
    await asyncio.wait_for(runner.cleanup(), 10)
    assert unexpected(complaints, made.expected) == []


@pytest_asyncio.fixture(loop_scope="module")
async def room(tmp_path: Path) -> AsyncIterator[ReadingRoom]:
    async with reading_room(tmp_path) as room:
        yield room


@pytest_asyncio.fixture(loop_scope="module")
async def page(chromium: Browser, room: ReadingRoom) -> AsyncIterator[Page]:
    complaints: list[str] = []
    async with listening(chromium, complaints, width=1400, height=900) as page:
        yield page
    assert unexpected(complaints, REFUSED) == []

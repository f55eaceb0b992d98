"""A real headless Chromium before the portal's double."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, ConsoleMessage, Page, async_playwright

from tests.doubles.portal_api import CODE, PASSWORD, STATIC, PortalDouble, serve

CHROMIUM = next((path for name in ("chromium", "chromium-browser") if (path := shutil.which(name))), None)
ARGUMENTS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
    "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader",
]  # fmt: skip
AXE = Path(__file__).parents[2] / "hub/portal/web/node_modules/axe-core/axe.min.js"


@dataclass
class Desk:
    """A browser page, the double behind it, and everything the browser complained about."""

    page: Page
    hub: PortalDouble
    url: str
    complaints: list[str] = field(default_factory=list)
    expected: tuple[str, ...] = ("401 (Unauthorized)",)  # the question whether anyone is logged in

    def hear(self, message: ConsoleMessage) -> None:
        if message.type == "error" and not any(words in message.text for words in self.expected):
            self.complaints.append(message.text)

    async def log_in(self, name: str = "vega") -> None:
        await self.page.goto(self.url)
        await self.page.get_by_label("User name").fill(name)
        await self.page.get_by_label("Password").fill(PASSWORD)
        await self.page.keyboard.press("Enter")
        if self.hub.enrolled:
            await self.page.get_by_label("Six-digit code").fill(CODE)
            await self.page.keyboard.press("Enter")

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
    context = await chromium.new_context(viewport={"width": 1600, "height": 950}, locale="en-GB")
    page = await context.new_page()
    page.set_default_timeout(15_000)
    made = Desk(page, hub, url)
    page.on("console", made.hear)
    page.on("pageerror", lambda error: made.complaints.append(str(error)))
    yield made
    await context.close()
    await asyncio.wait_for(runner.cleanup(), 10)
    assert made.complaints == [], "the browser complained (content security policy, script errors)"

"""What every test before the portal does: a page that hears complaints, logging in, looking, axe-core."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page

from tests.doubles.people import PASSWORD

AXE = Path(__file__).parents[2] / "hub/portal/web/node_modules/axe-core/axe.min.js"
PICTURES = os.environ.get("TELERAD_PICTURES")
"""A folder for pictures of the pages, for whoever wants to look."""

ASKED = "401 (Unauthorized)"
"""The question whether anyone is logged in; a browser calls the answer an error."""

REFUSED = (ASKED, "403 (Forbidden)", "404 (Not Found)", "409 (Conflict)")
"""What a test of refusals hears."""


@asynccontextmanager
async def listening(
    chromium: Browser, complaints: list[str], *, width: int = 1600, height: int = 950
) -> AsyncIterator[Page]:
    """A page of its own; everything it complains about goes into `complaints`."""
    context = await chromium.new_context(viewport={"width": width, "height": height}, locale="en-GB")
    page = await context.new_page()
    page.set_default_timeout(15_000)
    page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield page
    await context.close()


def unexpected(complaints: Sequence[str], expected: Sequence[str] = (ASKED,)) -> list[str]:
    """Complaints that are none of those: the content security policy, errors of scripts."""
    return [said for said in complaints if not any(words in said for words in expected)]


async def log_in(page: Page, url: str, name: str, password: str = PASSWORD, code: str = "") -> None:
    """From the first page to the worklist; `code` where a second factor is asked for."""
    await page.goto(url)
    await page.get_by_label("User name").fill(name)
    await page.get_by_label("Password").fill(password)
    await page.keyboard.press("Enter")
    field, inside = page.get_by_label("Six-digit code"), page.get_by_role("button", name="Log out")
    await field.or_(inside).first.wait_for()
    if await field.count():
        await field.fill(code)
        await page.keyboard.press("Enter")
        await inside.or_(page.get_by_role("img", name="QR code")).first.wait_for()


async def authenticator(page: Page) -> None:
    """A device with a fingerprint reader, in software (WebDriver virtual authenticators, by CDP)."""
    session = await page.context.new_cdp_session(page)
    await session.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": True,
        "automaticPresenceSimulation": True,
    }
    await session.send("WebAuthn.addVirtualAuthenticator", {"options": options})


async def picture(page: Page, name: str) -> None:
    """Keep a picture for whoever wants to look."""
    if PICTURES:
        await page.screenshot(path=f"{PICTURES}/{name}.png")


async def violations(page: Page) -> set[str]:
    """What shuts somebody out, as axe-core sees it."""
    if not AXE.is_file():
        pytest.fail("axe-core is not here: python -m build_steps.run")
    await page.evaluate(AXE.read_text("utf-8"))
    result = await page.evaluate(
        "axe.run({exclude: [['tr-viewer']]}, {iframes: false, resultTypes: ['violations']})"
    )
    return {
        f"{each['id']}: {each['nodes'][0]['target']} {each['nodes'][0]['failureSummary']}"
        for each in result["violations"]
    }

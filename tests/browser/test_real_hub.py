"""One report from list to signed PDF over the hub's real stations, in a real browser."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect
from pydicom import Dataset

from tests.browser.looking import image_shown
from tests.browser.portal import log_in
from tests.doubles.reading_room import PASSPHRASE, ReadingRoom, reading_room

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_report_is_written_beside_real_images_and_signed(page: Page, room: ReadingRoom) -> None:
    await log_in(page, room.url, "wei")
    row = page.locator("tbody tr")
    await expect(row).to_have_count(1)
    await expect(row).to_contain_text("STAT")
    await expect(row).to_contain_text("CT head without contrast")
    await expect(row).to_contain_text("24 images")
    await page.keyboard.press("Enter")
    await expect(page.locator("tr-facts")).to_contain_text("Haemorrhage?")
    await image_shown(page)

    await page.get_by_label("Findings", exact=True).fill("Haemorrhage, 20 mm. 左侧基底节出血。")
    await page.get_by_label("Impression").fill("Acute haemorrhage.")
    await expect(page.locator("tr-editor .status")).to_contain_text("Saved ")
    await page.get_by_role("button", name="Sign…").click()
    await page.get_by_label("Signing passphrase").fill(PASSPHRASE)
    await page.keyboard.press("Enter")
    report = page.locator("tr-report")
    await expect(report).to_contain_text("Signed by Dr Wei Lin", timeout=30_000)
    await expect(report).to_contain_text("左侧基底节出血")
    link = await report.get_by_role("link", name="Signed PDF").get_attribute("href")
    pdf = await page.request.get(f"{room.url}{link}")
    assert pdf.status == 200
    assert (await pdf.body()).startswith(b"%PDF-")
    await page.keyboard.press("Escape")
    await page.get_by_role("button", name="Reported").click()
    await expect(row).to_contain_text("signed by Dr Wei Lin")


HOSTILE = "<img src=x onerror=top.hacked=1>"
"""Short enough for LO; `top` is the portal's page, whichever frame it stands in."""


def hostile(image: Dataset) -> None:
    """Every text of an image that the portal or OHIF shows, as somebody at a modality could type it."""
    for name in ("PatientID", "StudyDescription", "SeriesDescription", "AccessionNumber", "InstitutionName"):
        setattr(image, name, HOSTILE[:16] if name == "AccessionNumber" else HOSTILE)
    image.PatientName = f"{HOSTILE}^Test"
    image.Manufacturer = image.ProtocolName = image.BodyPartExamined = HOSTILE


async def test_attack_16_stored_xss_in_a_study_shown_by_portal_and_viewer(
    chromium: Browser, tmp_path: Path
) -> None:
    async with reading_room(tmp_path, hostile) as room:
        context = await chromium.new_context(viewport={"width": 1600, "height": 950}, locale="en-GB")
        page = await context.new_page()
        page.set_default_timeout(15_000)
        said: list[str] = []
        page.on("console", lambda one: said.append(one.text))
        page.on("dialog", lambda dialog: said.append(f"dialog: {dialog.message}"))
        await log_in(page, room.url, "wei")
        await expect(page.locator("tbody tr")).to_contain_text("<img src=x")
        await page.keyboard.press("Enter")
        await expect(page.locator("tr-reading h1")).to_contain_text("<img src")  # = parts a PN
        viewer = await image_shown(page)
        await page.wait_for_timeout(1000)  # a picture that fails to load tells so a moment later
        assert await page.evaluate("window.hacked") is None
        assert await page.locator("img[src='x']").count() == await viewer.locator("img[src='x']").count() == 0
        assert [one for one in said if "Content Security Policy" in one or one.startswith("dialog")] == []
        await context.close()

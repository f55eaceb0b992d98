"""One report from list to signed PDF over the hub's real stations, in a real browser."""

from __future__ import annotations

import pytest
from playwright.async_api import Page, expect

from tests.browser.looking import image_shown
from tests.browser.portal import log_in
from tests.doubles.reading_room import PASSPHRASE, ReadingRoom

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

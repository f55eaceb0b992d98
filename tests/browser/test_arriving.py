"""What a reader sees of studies that arrive, change, or have something wrong with them."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import expect

from tests.browser.conftest import Desk
from tests.browser.portal import violations
from tests.doubles.portal_cases import now, progress

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_the_list_says_how_far_a_study_is_and_goes_on_by_itself(desk: Desk) -> None:
    await desk.log_in()
    row = desk.page.locator("tr[data-case='2']")
    await expect(row).to_contain_text("312 of 940, about 4 min 1.25 MB/s")
    await expect(row.locator("[data-arrival]")).to_have_text("arriving")
    case = desk.hub.cases[2]
    case["instances"] = 700
    progress(case, now(), seconds=20)
    desk.hub.tell("worklist", {})
    await expect(row).to_contain_text("700 of 940, about 20 s")
    await desk.page.get_by_label("Language", exact=True).select_option("zh")
    await expect(row).to_contain_text("700 / 940 幅，约 20 秒")
    await expect(row.locator("[data-arrival]")).to_have_text("传输中")


async def test_a_badge_says_what_is_wrong_with_the_images(desk: Desk) -> None:
    page = desk.page
    await desk.log_in()
    badge = page.locator("tr[data-case='7'] [data-noticed]")
    await expect(badge).to_have_text("slices missing +1")
    await expect(badge).to_have_attribute("title", re.compile(r"2 slice\(s\) seem to be missing"))
    await expect(page.locator("[data-noticed]")).to_have_count(1)
    assert await violations(page) == set()
    await desk.open_case(7)
    noticed = page.locator("tr-facts .noticed-list")
    await expect(noticed).to_contain_text("2 slice(s) seem to be missing (usual step 2.50 mm)")
    await expect(noticed).to_contain_text("Left or right is not stated for HAND")
    await expect(noticed.locator("li")).to_have_count(3)
    assert await violations(page) == set()
    await page.get_by_label("Language", exact=True).select_option("zh")
    await expect(noticed).to_contain_text("疑似缺少 2 层（常规层间距 2.50 毫米）")


async def test_how_it_was_taken_is_one_key_away(desk: Desk) -> None:
    page = desk.page
    await desk.log_in()
    await desk.open_case(1)
    taken = page.locator("tr-facts details.taken")
    await taken.locator("summary").focus()
    await page.keyboard.press("Enter")
    await expect(taken).to_contain_text("Tube current (mA)")
    await expect(taken).to_contain_text("180–240")


async def test_a_study_that_arrives_can_be_read(desk: Desk) -> None:
    page = desk.page
    await desk.log_in()
    await desk.open_case(2)
    await expect(page.get_by_label("Findings", exact=True)).to_be_visible()
    await expect(page.locator(".side .notice.warn")).to_contain_text("not complete: 312 of 940, about 4 min")
    await expect(page.get_by_role("button", name="Take as complete")).to_have_count(0)
    case = desk.hub.cases[2]
    frame = page.locator("tr-viewer iframe")
    case["instances"] = 500
    desk.hub.tell("worklist", {})
    behind = page.locator(".behind")
    await expect(behind).to_contain_text("The viewer was opened with 312 of 500 images.")
    assert await violations(page) == set()
    await behind.get_by_role("button", name="Load the new images").click()
    await expect(behind).to_have_count(0)
    await expect(frame).to_have_attribute("src", re.compile("images=500"))
    case["instances"] = 940
    case |= {"complete": True, "arrival": "complete", "progress": None}
    desk.hub.tell("worklist", {})
    await expect(page.locator(".side .notice.warn")).to_have_count(0)


async def test_who_writes_is_told_of_images_that_come_late(desk: Desk) -> None:
    page = desk.page
    await desk.log_in()
    await desk.open_case(1)
    await page.get_by_label("Findings", exact=True).fill("Nothing so far.")
    desk.hub.grow(1, 24)
    news = page.locator(".news")
    await expect(news).to_have_attribute("role", "alert")
    await expect(news).to_contain_text("New images came while you had this case open:")
    await expect(news).to_contain_text("Series 3 CT Head 2.0 mm: 24 → 48 images")
    assert await violations(page) == set()
    await expect(page.get_by_label("Findings", exact=True)).to_have_value("Nothing so far.")
    await page.get_by_role("button", name="I have seen this").click()
    await expect(news).to_have_count(0)
    await expect(page.locator("tr-facts .changes")).to_contain_text("24 → 48")
    desk.hub.grow(1, 1)
    await expect(news).to_contain_text("48 → 49")


async def test_an_administrator_takes_a_study_as_complete(desk: Desk) -> None:
    page = desk.page
    await desk.log_in("root")
    await desk.open_case(2)
    await page.get_by_role("button", name="Take as complete").click()
    await expect(page.get_by_role("dialog")).to_contain_text("Why is nothing more to be waited for?")
    assert await violations(page) == set()
    await page.keyboard.type("The scanner broke down.")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("button", name="Take as complete")).to_have_count(0)
    assert desk.hub.cases[2]["completeness"] == "The scanner broke down."


async def test_the_page_of_edges_shows_the_line_and_what_is_on_its_way(desk: Desk) -> None:
    page = desk.page
    await desk.log_in("root")
    await page.get_by_role("link", name="Administration").click()
    edge = page.locator("tbody tr").first
    await expect(edge.locator("[data-stalled]")).to_contain_text("line stands still no byte for 42 s")
    await expect(edge).to_contain_text("1.25 MB/s")
    await expect(edge).to_contain_text("118 ms")
    await expect(edge.locator("[data-study='2.25.99']")).to_contain_text("312 of 940, about 4 min · 331 MB")
    await expect(edge.locator("[data-study='2.25.98']")).to_contain_text("nothing here yet")
    assert await violations(page) == set()
    await page.get_by_label("Language", exact=True).select_option("zh")
    await expect(edge.locator("[data-study='2.25.98']")).to_contain_text("尚未到达")

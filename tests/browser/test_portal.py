"""The reading room in a real browser: what a radiologist does, and what must never happen."""

from __future__ import annotations

import asyncio
import re
from copy import deepcopy
from typing import Any

import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import Desk
from tests.browser.looking import image_shown
from tests.browser.portal import violations
from tests.doubles.dicomweb_phantom import SIZE, SPACING_MM
from tests.doubles.portal_api import CODE, PASSPHRASE, PASSWORD

pytestmark = pytest.mark.asyncio(loop_scope="module")

SAVED = re.compile(r"^Saved \d\d:\d\d:\d\d$")


def status(page: Page) -> Any:
    return page.locator("tr-editor .status")


async def write(page: Page, text: str, field: str = "Findings") -> None:
    await page.get_by_label(field, exact=True).fill(text)


async def sign(page: Page, passphrase: str = PASSPHRASE) -> None:
    await page.get_by_role("button", name="Sign…").click()
    await page.get_by_label("Signing passphrase").fill(passphrase)
    await page.get_by_role("button", name="Sign as Dr Elena Vega").click()


async def test_logging_in_takes_password_and_code(desk: Desk) -> None:
    page = desk.page
    await page.goto(desk.url)
    await page.get_by_label("User name").fill("vega")
    await page.get_by_label("Password").fill("wrong")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("alert")).to_have_text("User name, password or code is wrong.")
    await page.get_by_label("Password").fill(PASSWORD)
    await page.keyboard.press("Enter")
    await expect(page.get_by_label("Six-digit code")).to_be_focused()
    await page.keyboard.type(CODE)
    await page.keyboard.press("Enter")
    await expect(page.locator("tbody tr")).to_have_count(7)
    await page.get_by_role("button", name="Log out").click()
    await expect(page.get_by_label("Password")).to_be_visible()


async def test_the_second_factor_is_set_up_with_a_code_drawn_here(desk: Desk) -> None:
    desk.hub.enrolled = False
    await desk.log_in()
    code = desk.page.get_by_role("img", name="QR code")
    await expect(code).to_be_visible()
    assert len(await code.locator("path").get_attribute("d") or "") > 1000
    await desk.page.get_by_label("Six-digit code").fill("000000")
    await desk.page.keyboard.press("Enter")
    await expect(desk.page.get_by_role("alert")).to_contain_text("The code is wrong")
    await desk.page.get_by_label("Six-digit code").fill(CODE)
    await desk.page.get_by_role("button", name="Confirm").click()
    await expect(desk.page.locator("tbody tr")).to_have_count(7)


async def test_the_worklist_tells_what_waits(desk: Desk) -> None:
    await desk.log_in()
    rows = desk.page.locator("tbody tr")
    await expect(rows.nth(0)).to_contain_text("STAT")
    await expect(rows.nth(0)).to_contain_text("Phantom, Head 幻影头")
    await expect(rows.nth(1)).to_contain_text("312 of 940")
    await expect(desk.page.locator("tr[data-case='7']")).to_contain_text("overdue")
    await desk.page.get_by_role("button", name="Mine").click()
    await expect(rows).to_have_count(3)
    await desk.page.get_by_role("button", name="All cases").click()
    await desk.page.get_by_role("searchbox").fill("ct h001")
    await expect(rows).to_have_count(1)
    await desk.page.get_by_role("searchbox").fill("")
    await desk.page.get_by_role("button", name="Patient").click()
    await expect(rows.nth(1)).to_contain_text("Beispiel, Jonas")
    await desk.page.get_by_role("button", name="Reported").click()
    await expect(rows).to_have_count(1)
    await expect(rows).to_contain_text("delivered")


async def test_the_worklist_is_live(desk: Desk) -> None:
    await desk.log_in()
    await expect(desk.page.locator("tbody tr")).to_have_count(7)
    desk.hub.cases[9] = deepcopy(desk.hub.cases[1]) | {"id": 9, "description": "CT just arrived"}
    desk.hub.tell("worklist", {})
    await expect(desk.page.locator("tr[data-case='9']")).to_contain_text("CT just arrived")


async def test_attack_16_stored_xss_in_list_and_reading_page_is_text(desk: Desk) -> None:
    await desk.log_in()
    await expect(desk.page.locator("tr[data-case='3']")).to_contain_text("<img src")
    await desk.open_case(3)
    await expect(desk.page.locator("tr-reading h1")).to_contain_text("<img src")
    assert await desk.page.evaluate("window.hacked") is None


async def test_a_case_is_read_signed_and_delivered(desk: Desk) -> None:
    page = desk.page
    await desk.log_in()
    await desk.open_case(1)
    await expect(page.locator("tr-facts")).to_contain_text("Sudden right-sided weakness")
    await image_shown(page)
    await write(page, "Haemorrhage in the left basal ganglia. 左侧基底节出血。")
    await write(page, "Acute haemorrhage.", "Impression")
    await page.get_by_label("Critical result").check()
    await expect(status(page)).to_have_text(SAVED)
    await page.reload()
    await expect(page.get_by_label("Findings")).to_have_value(
        "Haemorrhage in the left basal ganglia. 左侧基底节出血。"
    )
    await expect(page.get_by_label("Critical result")).to_be_checked()

    desk.expected += ("409 (Conflict)",)
    await sign(page, "wrong words")
    await expect(page.locator("tr-sign [role=alert]")).to_have_text("the signing passphrase is wrong")
    await page.get_by_label("Signing passphrase").fill(PASSPHRASE)
    await page.keyboard.press("Enter")
    report = page.locator("tr-report")
    await expect(report).to_contain_text("Signed by Dr Elena Vega")
    await expect(report.locator("li.step.done")).to_have_count(4)
    await expect(report).to_contain_text("connection refused, next try in 30 s")
    assert desk.hub.reports[1][0]["body"]["clinical_question"].startswith("Sudden")

    await page.get_by_role("button", name="Addendum").click()
    await page.get_by_label("Text of the addendum").fill("Discussed with Dr Demo at 14:20.")
    await page.get_by_label("Signing passphrase").fill(PASSPHRASE)
    await page.keyboard.press("Enter")
    await expect(report).to_have_count(2)
    await page.get_by_role("button", name="Back to the worklist").click()
    await expect(page.locator("tr[data-case='1']")).to_have_count(0)


async def test_text_survives_a_hub_that_does_not_save(desk: Desk) -> None:
    page = desk.page
    desk.expected += ("503 (Service Unavailable)",)
    await desk.log_in()
    await desk.open_case(1)
    await expect(page.get_by_label("Findings")).to_be_visible()
    desk.hub.fail_saves = True
    await write(page, "typed while the hub was ill")
    await expect(status(page)).to_contain_text("the database is locked")
    page.once(
        "dialog", lambda dialog: asyncio.ensure_future(dialog.accept())
    )  # the browser warns before leaving
    await page.reload()
    await expect(page.get_by_label("Findings")).to_have_value("typed while the hub was ill")
    desk.hub.fail_saves = False
    await expect(status(page)).to_have_text(SAVED, timeout=20_000)
    assert desk.hub.drafts[1][-1]["body"]["findings"] == "typed while the hub was ill"
    assert await page.evaluate("Object.keys(localStorage).filter((key) => key.includes('draft'))") == []


async def test_two_texts_of_one_draft_are_both_shown_and_kept(desk: Desk) -> None:
    page = desk.page
    desk.expected += ("409 (Conflict)",)
    await desk.log_in()
    await desk.open_case(1)
    await write(page, "my text")
    await expect(status(page)).to_have_text(SAVED)
    desk.hub.save_elsewhere(1, findings="their text")
    await write(page, "my text, longer")
    await expect(page.locator("tr-conflict [data-text=mine]")).to_have_text("my text, longer")
    await expect(page.locator("tr-conflict [data-text=theirs]")).to_have_text("their text")
    await page.keyboard.press("Escape")
    await page.get_by_role("button", name="Join both").click()
    await expect(status(page)).to_have_text(SAVED)
    kept = [revision["body"]["findings"] for revision in desk.hub.drafts[1]]
    assert kept[:2] == ["my text", "their text"]
    assert "my text, longer" in kept[2]
    assert "their text" in kept[2]


async def test_a_case_someone_else_reads_is_looked_at_only(desk: Desk) -> None:
    desk.expected += ("409 (Conflict)",)
    await desk.log_in()
    await desk.open_case(4)
    await expect(desk.page.get_by_role("alert")).to_contain_text("Dr Kofi Osei is reading this study")
    await expect(desk.page.locator("tr-editor")).to_have_count(0)
    await expect(desk.page.get_by_role("button", name="Sign…")).to_be_disabled()


async def test_a_case_goes_back_to_the_site_with_its_reason(desk: Desk) -> None:
    await desk.log_in()
    await desk.open_case(3)
    await desk.page.get_by_role("button", name="Ask the site for more").click()
    await desk.page.get_by_label("What is missing").fill("The lateral view is missing.")
    await desk.page.get_by_role("button", name="Ask, and return the case").click()
    await expect(desk.page.locator("tr[data-case='3']")).to_contain_text("asked for more")


async def test_everything_can_be_done_by_keyboard(desk: Desk) -> None:
    page, keys = desk.page, desk.page.keyboard
    await page.goto(desk.url)
    await expect(page.get_by_label("User name")).to_be_focused()
    await keys.type("vega")
    await keys.press("Tab")
    await keys.type(PASSWORD)
    await keys.press("Enter")
    await expect(page.get_by_label("Six-digit code")).to_be_focused()
    await keys.type(CODE)
    await keys.press("Enter")
    await expect(page.locator("tbody tr")).to_have_count(7)
    await keys.press("j")
    await expect(page.locator("tr[data-case='2']")).to_be_focused()
    await keys.press("k")
    await keys.press("Enter")
    await expect(page.get_by_label("Findings")).to_be_visible()
    for _ in range(40):
        await keys.press("Tab")
        if await page.evaluate(FOCUSED) == "impression":
            break
    await keys.type("Normal.")
    await keys.press("Control+Enter")
    await expect(page.get_by_label("Signing passphrase")).to_be_focused()
    await keys.type(PASSPHRASE)
    await keys.press("Enter")
    await expect(page.locator("tr-report")).to_contain_text("Normal.")
    await keys.press("Escape")
    await expect(page.locator("tbody tr").first).to_be_visible()


FOCUSED = """() => {
  let element = document.activeElement;
  while (element?.shadowRoot?.activeElement) element = element.shadowRoot.activeElement;
  return element?.getAttribute('name');
}"""


async def test_the_language_changes_at_once_and_stays(desk: Desk) -> None:
    page = desk.page
    await desk.log_in()
    await page.get_by_label("Language").select_option("zh")
    await expect(page.get_by_role("columnheader", name="优先级")).to_be_visible()
    await expect(page.locator("tr[data-case='1']")).to_contain_text("危急")
    assert desk.hub.language == "zh"
    await page.reload()
    await expect(page.get_by_role("columnheader", name="优先级")).to_be_visible()
    assert await page.evaluate("document.documentElement.lang") == "zh"


async def test_the_viewer_keeps_its_size_while_the_report_grows(desk: Desk) -> None:
    await desk.log_in()
    await desk.open_case(1)
    frame = desk.page.locator("iframe")
    before = await frame.bounding_box()
    await write(desk.page, "\n".join(f"line {number}" for number in range(120)))
    await expect(status(desk.page)).to_have_text(SAVED)
    assert await frame.bounding_box() == before


async def test_a_measurement_enters_the_report_as_it_is_stored(desk: Desk) -> None:
    page, mouse = desk.page, desk.page.mouse
    await desk.log_in()
    await desk.open_case(1)
    viewer = await image_shown(page)
    await viewer.locator("[data-cy='MeasurementTools-split-button-primary']").click()
    box = await viewer.locator("canvas").first.bounding_box()
    assert box
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    await mouse.move(x - 60, y)
    await mouse.down()
    await mouse.move(x + 60, y, steps=12)
    await page.wait_for_timeout(500)  # software rendering may lag a step behind the hand
    await mouse.move(x + 60, y)
    await mouse.up()
    await page.get_by_role("button", name="Insert 1 measurement").click()
    text = await page.get_by_label("Findings", exact=True).input_value()
    measured = re.fullmatch(r"- Length: ([\d.]+) mm", text)
    assert measured, text
    shown = SIZE * SPACING_MM / min(box["height"], box["width"])  # millimetres a pixel of the screen
    assert float(measured[1]) == pytest.approx(120 * shown, rel=0.02)


async def test_an_administrator_sees_edges_and_faults(desk: Desk) -> None:
    await desk.log_in("root")
    await desk.page.get_by_role("link", name="Administration").click()
    await expect(desk.page.locator("tbody tr")).to_have_count(2)
    await expect(desk.page.locator("tbody tr").first).to_contain_text("bytes waiting 41 MB")
    await desk.page.get_by_role("link", name="Quarantine").click()
    await expect(desk.page.locator("tbody")).to_contain_text("digest differs")
    await desk.page.get_by_role("link", name="Conflicts").click()
    await expect(desk.page.locator("tr-admin")).to_contain_text("Nothing here.")
    await desk.page.get_by_role("link", name="Rules").click()
    await expect(desk.page.get_by_role("alert")).to_contain_text("Line 3: rule has no group")


@pytest.mark.parametrize("theme", ["dark", "light"])
async def test_nothing_shuts_anyone_out(desk: Desk, theme: str) -> None:
    """axe-core over every page: contrast, labels, roles, order."""
    page = desk.page
    await page.goto(desk.url)
    await page.evaluate("theme => localStorage.setItem('telerad.theme', theme)", theme)
    await page.reload()
    await expect(page.get_by_label("User name")).to_be_visible()
    found = await violations(page)
    await desk.log_in("root")
    await expect(page.locator("tbody tr")).to_have_count(7)
    found |= await violations(page)
    await desk.open_case(1)
    await expect(page.get_by_label("Findings")).to_be_visible()
    found |= await violations(page)
    await write(page, "x")
    await page.get_by_role("button", name="Sign…").click()
    await expect(page.get_by_label("Signing passphrase")).to_be_visible()
    found |= await violations(page)
    assert found == set()


async def test_a_signed_report_fits_its_pane(desk: Desk) -> None:
    page = desk.page
    await desk.log_in()
    await desk.open_case(1)
    await page.get_by_label("Impression").fill("No acute abnormality.")
    await page.get_by_role("button", name="Sign…").click()
    await page.get_by_label("Signing passphrase").fill(PASSPHRASE)
    await page.keyboard.press("Enter")
    await expect(page.locator("tr-report")).to_contain_text("SHA-256")
    side = page.locator("tr-reading .side")
    assert await side.evaluate("side => side.scrollWidth - side.clientWidth") == 0
    await page.get_by_role("button", name="Addendum").click()
    await expect(page.get_by_label("Text of the addendum")).to_be_focused()
    await page.get_by_role("button", name="Cancel").last.click()


async def test_a_narrow_window_keeps_room_for_images_and_report(desk: Desk) -> None:
    await desk.page.set_viewport_size({"width": 800, "height": 1000})
    await desk.log_in()
    await desk.open_case(1)
    for part in ("tr-viewer", "tr-editor"):
        box = await desk.page.locator(part).bounding_box()
        assert box is not None
        assert box["width"] > 700


async def test_logging_out_works_in_a_second_tab_too(desk: Desk) -> None:
    await desk.log_in()
    other = await desk.page.context.new_page()
    await other.goto(desk.url)
    await other.get_by_role("button", name="Log out").click()
    await expect(other.get_by_label("User name")).to_be_visible()
    await desk.page.get_by_role("button", name="Log out").click()
    await expect(desk.page.get_by_label("User name")).to_be_visible()

"""Edges and alerts in a real browser over the real stations: what an administrator does, and sees."""

from __future__ import annotations

import errno
import os
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect
from sqlalchemy import select

from gateway.doctor import Finding, Level
from gateway.errors import NotAllowed
from gateway.invitation import Invitation
from hub import alerts
from hub.access.accounts import NewAccount
from hub.alerts import Alert
from hub.fleet import devices, tokens
from hub.intake import faults
from hub.intake.disk_alerts import alert_of
from hub.intake.faults import Fault
from hub.people import Role
from hub.tables.alert import alerts as alert_rows
from hub.tables.audit import audit_events
from hub.tables.fleet import edge_returns
from hub.watch import Watch
from tests.browser.portal import authenticator, log_in, picture, violations
from tests.doubles.fleet import SOMEBODY, asks, join
from tests.doubles.people import PASSWORD
from tests.doubles.reading_room import CLOCK, ReadingRoom, reading_room

pytestmark = pytest.mark.asyncio(loop_scope="module")

HOSTILE = "<img src=x onerror=document.title='owned'>"
GOOD = {
    "version": "0.1.0",
    "waiting": 2,
    "waiting_bytes": 41_000_000,
    "rate": 1_250_000,
    "round_trip": 0.118,
    "disk_free": 812_000_000_000,
    "accepting": True,
}
MARK = "5" * 64


@pytest_asyncio.fixture(loop_scope="module")
async def room(tmp_path: Path) -> AsyncIterator[ReadingRoom]:
    async with reading_room(tmp_path) as room:
        for name, role in (("ida", Role.ADMIN), ("audrey", Role.AUDITOR)):
            new = NewAccount(name=name, display_name=name.title(), email="x@example.org", role=role)
            await room.access.accounts.create(new, PASSWORD)
        await furnish(room)
        yield room


async def furnish(room: ReadingRoom) -> None:
    """Edges in every state, and every kind of alert that these give."""
    days, desk = timedelta(days=1), room.fleet
    await join(desk, CLOCK, "H001", status=GOOD)
    await join(desk, CLOCK, "H001", "2", status=GOOD | {"version": HOSTILE, "stalled": "no byte for 42 s"})
    await join(desk, CLOCK, "H002", begun=-26 * days, seen=-3 * days)
    await join(desk, CLOCK, "H003", begun=-33 * days, seen=-4 * days)
    gone = await join(desk, CLOCK, "H004", begun=-40 * days, seen=-21 * days)
    await asks(desk, CLOCK, "H004", "1", gone, MARK)
    gone = await join(desk, CLOCK, "H005", begun=-35 * days, seen=-9 * days)
    await asks(desk, CLOCK, "H005", "1", gone, "a1" * 32)
    await asks(desk, CLOCK, "H005", "1", gone, "b2" * 32)
    await join(desk, CLOCK, "H006", status=GOOD)
    await desk.revoke("H006", "1", f"stolen {HOSTILE}", by=SOMEBODY)
    root = Finding("root key", Level.WARNING, "root.key is on this machine; move it to a disk in a safe")
    await Watch(room.archive.database, lambda: [root], CLOCK).look()
    async with room.archive.database.writing() as connection:
        words = f"its key is used in two places at once: two runs of the edge take turns (now from {HOSTILE})"
        for _ in range(3):
            await alerts.tell(connection, Alert("used-twice", words, "H001", "2"), CLOCK.now())


async def entered(page: Page, room: ReadingRoom, name: str = "ida") -> None:
    await log_in(page, room.url, name)
    await page.get_by_role("link", name="Administration").click()
    await expect(page.locator("tr[data-edge]")).to_have_count(7)


async def rows(room: ReadingRoom, table: Any) -> list[Any]:
    async with room.archive.database.reading() as connection:
        return list((await connection.execute(select(table))).mappings())


async def test_how_each_edge_stands(page: Page, room: ReadingRoom) -> None:
    await entered(page, room)
    one = page.locator("tr[data-edge='H001/1']")
    await expect(one).to_contain_text("renews by itself; 12 days left")
    await expect(one).to_contain_text("just now")
    await expect(one).to_contain_text("bytes waiting 41 MB")
    await expect(page.locator("tr[data-edge='H001/2'] [data-stalled]")).to_contain_text("no byte for 42 s")
    await expect(page.locator("tr[data-edge='H002/1']")).to_contain_text("not renewed yet; 4 days left")
    await expect(page.locator("tr[data-edge='H003/1']")).to_contain_text("expired, known")
    await expect(page.locator("tr[data-edge='H004/1']")).to_contain_text("key 555555555555")
    await expect(page.locator("tr[data-edge='H005/1'] [class*=bad]")).to_contain_text("one of them is a copy")
    out = page.locator("tr[data-edge='H006/1']")
    await expect(out).to_contain_text(HOSTILE)
    await expect(out.get_by_role("button")).to_have_count(0)
    await nothing_came_alive(page)
    assert await violations(page) == set()
    await picture(page, "fleet")
    await page.get_by_label("Language").select_option("zh")
    await expect(one).to_contain_text("自动续期；剩余 12 天")
    await picture(page, "fleet-zh")
    await page.get_by_role("button", name="浅色").click()
    assert await violations(page) == set()
    await picture(page, "fleet-light")


async def test_on_a_telephone_nothing_is_out_of_reach(page: Page, room: ReadingRoom) -> None:
    await entered(page, room)
    await page.set_viewport_size({"width": 420, "height": 860})
    assert await page.evaluate("document.documentElement.scrollWidth") == 420
    make = page.get_by_role("button", name="New enrolment code…")
    await expect(make).to_be_in_viewport()
    await make.click()
    await page.get_by_label("Site").fill("H009")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("img", name="QR code")).to_be_visible()
    await picture(page, "code-telephone")


async def nothing_came_alive(page: Page) -> None:
    assert await page.locator("tr-app img[src=x]").count() == 0
    assert await page.title() != "owned"


async def test_a_code_is_shown_once_copied_and_printed(page: Page, room: ReadingRoom) -> None:
    await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await page.add_init_script("window.printed = 0; window.print = () => { window.printed += 1; };")
    await entered(page, room)
    await page.get_by_role("button", name="New enrolment code…").focus()
    await page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="Enrolment code for one edge")
    await expect(dialog.get_by_label("Site")).to_be_focused()
    await page.keyboard.type("H001")
    await page.keyboard.press("Tab")
    await page.keyboard.type("1")
    await expect(dialog.get_by_role("status")).to_contain_text("H001/1 is there already")
    assert await violations(page) == set()
    await picture(page, "code-asked")
    await dialog.get_by_label("Good for").select_option("8")
    await page.keyboard.press("Enter")
    shown = page.get_by_role("dialog", name="Enrolment code for H001/1")
    code = await shown.locator("[data-code]").inner_text()
    made = Invitation.of_code(code)
    assert made.hub == "https://hub.example.org:8443"
    async with room.archive.database.reading() as connection:
        grant = await tokens.look(connection, made.token, CLOCK.now())
    assert (grant.site, grant.edge) == ("H001", "1")
    assert await violations(page) == set()
    await picture(page, "code-made")
    await shown.get_by_role("button", name="Copy the code").click()
    await expect(shown.get_by_role("status")).to_have_text("Copied.")
    assert await page.evaluate("navigator.clipboard.readText()") == code
    await shown.get_by_role("button", name="Print a sheet…").click()
    await expect(page.locator("tr-sheet")).to_have_count(1)
    assert await page.evaluate("window.printed") == 1
    await page.emulate_media(media="print")
    await expect(page.locator("tr-sheet")).to_contain_text(code)
    await expect(page.locator("tr-app")).to_be_hidden()
    await picture(page, "code-sheet")
    await page.emulate_media(media="screen")
    await expect(page.locator("tr-sheet")).to_be_hidden()
    await shown.get_by_role("button", name="Close").click()
    await expect(page.locator("tr-sheet")).to_have_count(0)
    assert code not in await page.content()
    await expect(page.get_by_role("list", name="Codes not used yet")).to_contain_text("Code for H001/1")
    await page.get_by_role("button", name="New enrolment code…").click()
    await expect(page.locator("[data-code]")).to_have_count(0)


async def test_a_code_that_nobody_used_is_withdrawn(page: Page, room: ReadingRoom) -> None:
    made = [await room.fleet.invite("H001", edge, timedelta(hours=8), by=SOMEBODY) for edge in ("7", None)]
    await entered(page, room)
    unused = page.get_by_role("list", name="Codes not used yet")
    await expect(unused.get_by_role("listitem")).to_have_count(2)
    assert await violations(page) == set()
    await unused.get_by_role("button", name="Withdraw… H001/7").click()
    dialog = page.get_by_role("dialog", name="Withdraw the code for H001/7")
    await expect(dialog).to_contain_text("has not been used")
    assert await violations(page) == set()
    await picture(page, "code-withdraw")
    await dialog.get_by_role("button", name="Withdraw the code").click()
    await expect(unused.get_by_role("listitem")).to_have_count(1)
    async with room.archive.database.reading() as connection:
        with pytest.raises(NotAllowed, match="withdrawn"):
            await tokens.look(connection, made[0].invitation.token, CLOCK.now())
        await tokens.look(connection, made[1].invitation.token, CLOCK.now())
    assert (await rows(room, audit_events))[-1]["event"] == "token-withdrawn"
    await page.get_by_label("Language").select_option("zh")
    await expect(page.get_by_role("button", name="撤回… H001")).to_be_visible()
    revoke = page.locator("tr[data-edge='H001/1'] button")
    await expect(revoke).to_have_text("吊销… H001/1")
    words = "node => { const range = document.createRange();"
    words += " range.selectNode([...node.childNodes].find(one => one.nodeType === 3 && one.data.trim()));"
    lines = await revoke.evaluate(
        f"{words} return new Set([...range.getClientRects()].map(one => one.top)).size; }}"
    )
    assert lines == 1, "the words of the button stand in one line"
    await picture(page, "codes-zh")


async def test_an_edge_is_revoked_with_reason_name_and_second_factor(page: Page, room: ReadingRoom) -> None:
    await authenticator(page)
    await log_in(page, room.url, "ida")
    await page.get_by_role("link", name="Ida").click()
    await page.get_by_label("Name of the device").fill("Key")
    await page.get_by_role("button", name="Add a passkey").click()
    await expect(page.get_by_role("button", name="Remove Key")).to_be_visible()
    room.access._step_up = 0.0
    await page.get_by_role("link", name="Administration").click()
    await page.get_by_role("button", name="Revoke… H001/2").click()
    dialog = page.get_by_role("dialog", name="Revoke H001/2")
    await dialog.get_by_label("Why?").fill(f"Stolen on Sunday {HOSTILE}")
    await dialog.get_by_label("Type H001/2").fill("H001/1")
    await dialog.get_by_role("button", name="Revoke for good").click()
    await expect(dialog.get_by_role("alert")).to_have_text("This is not H001/2.")
    assert await violations(page) == set()
    await picture(page, "revoke")
    await dialog.get_by_label("Type H001/2").fill("H001/2")
    room.access._step_up = 300.0
    await page.wait_for_timeout(50)
    room.access._step_up = 0.0
    await page.keyboard.press("Enter")
    asked = page.get_by_role("dialog", name="Show your second factor")
    await expect(asked).to_be_visible()
    assert [one["revoked"] for one in await rows(room, devices.devices)].count(True) == 1, "nothing before it"
    room.access._step_up = 300.0
    await asked.get_by_role("button", name="Use a passkey").click()
    row = page.locator("tr[data-edge='H001/2']")
    await expect(row).to_contain_text("revoked")
    await expect(row).to_contain_text(HOSTILE)
    await nothing_came_alive(page)
    record = room.archive.custody.events[-1]  # type: ignore[attr-defined]
    assert record[0] == "edge-revoked"
    assert "Sunday" not in str(record), "somebody's own words stand in no leaf"
    assert "Stolen on Sunday" in (await rows(room, audit_events))[-1]["detail"]


async def test_an_edge_is_let_back_in_and_another_turned_down(page: Page, room: ReadingRoom) -> None:
    await entered(page, room)
    await page.get_by_role("button", name="Let back in… H004/1").click()
    dialog = page.get_by_role("dialog", name="Let H004/1 back in")
    await expect(dialog).to_contain_text("key 555555555555")
    await expect(dialog).to_contain_text("Make sure that the machine stands where it should.")
    assert await violations(page) == set()
    await picture(page, "let-in")
    await dialog.get_by_role("button", name="Let it back in").click()
    await expect(page.locator("tr[data-edge='H004/1']")).to_contain_text("may come back")
    await page.get_by_role("button", name="Turn down… H005/1 b2b2b2b2b2b2").click()
    await page.get_by_role("button", name="Turn it down").click()
    await expect(page.locator("tr[data-edge='H005/1'] [class*=bad]")).to_have_count(0)
    decided = {row["request"]: row["decision"] for row in await rows(room, edge_returns)}
    assert decided == {MARK: "approved", "a1" * 32: "asked", "b2" * 32: "refused"}


async def test_an_alert_is_seen_everywhere_and_rests_with_a_reason(page: Page, room: ReadingRoom) -> None:
    await log_in(page, room.url, "ida")
    count = page.locator("tr-alert-count").get_by_role("link")
    await expect(count).to_contain_text("8 waiting")
    await count.click()
    waiting = page.locator("tr[data-alert]")
    await expect(waiting).to_have_count(8)
    await expect(waiting.first).to_contain_text("An edge's key is used in two places")
    await expect(waiting.first).to_contain_text(HOSTILE)
    await expect(waiting.first).to_contain_text("3 times")
    await expect(waiting.first).to_contain_text("revoke the edge and enrol it anew")
    await nothing_came_alive(page)
    assert await violations(page) == set()
    await picture(page, "alerts")
    await waiting.first.get_by_role("button").focus()
    await page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="Acknowledge an alert")
    await expect(dialog.get_by_label("What was found")).to_be_focused()
    assert await violations(page) == set()
    await picture(page, "acknowledge")
    await page.keyboard.type(f"Two lines at H001, by turns. {HOSTILE}")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await expect(count).to_contain_text("7 waiting")
    await page.get_by_text("Over or acknowledged (1)").click()
    await expect(page.locator("details tr[data-alert]")).to_contain_text("Two lines at H001, by turns.")
    await expect(page.locator("details tr[data-alert]")).to_contain_text("Acknowledged by ida")
    await nothing_came_alive(page)
    (kept,) = [row for row in await rows(room, alert_rows) if row["acknowledged_by"]]
    assert kept["reason"].endswith(HOSTILE)
    (deed,) = [row for row in await rows(room, audit_events) if row["event"] == "alert-acknowledged"]
    assert deed["person"] == "ida"
    assert deed["address"]
    async with room.archive.database.writing() as connection:
        await alerts.tell(connection, Alert("used-twice", "again", "H001", "2"), CLOCK.now())
    await expect(count).to_contain_text("8 waiting")  # told by the hub, without asking
    await page.get_by_label("Language").select_option("zh")
    await expect(page.locator("tr[data-alert]").first).to_contain_text("边缘设备密钥在两处使用")
    await picture(page, "alerts-zh")


async def test_an_auditor_looks_and_changes_nothing(page: Page, room: ReadingRoom) -> None:
    await entered(page, room, "audrey")
    await expect(page.get_by_role("button", name="New enrolment code…")).to_have_count(0)
    await expect(page.locator("tr[data-edge] button")).to_have_count(0)
    await page.get_by_role("link", name="Alerts").first.click()
    await expect(page.locator("tr[data-alert]")).to_have_count(8)
    await expect(page.locator("tr-alerts button")).to_have_count(0)
    assert await violations(page) == set()


@pytest.mark.parametrize(
    ("code", "title", "remedy", "chinese", "advice"),
    [
        (errno.EIO, "A disk of this hub fails", "SMART, cables", "本中心的磁盘出现故障", "SMART、线缆"),
        (errno.EROFS, "A disk of this hub can only be read", "fsck", "本中心的磁盘变为只读", "fsck"),
        (errno.EDQUOT, "A disk of this hub has no room", "df -i", "本中心的磁盘没有空间", "df -i"),
        (
            errno.EACCES,
            "A folder of this hub cannot be used",
            "hub's user",
            "本中心的文件夹无法使用",
            "运行用户",
        ),
    ],
)
async def test_a_disk_that_fails_what_came(
    page: Page, room: ReadingRoom, code: int, title: str, remedy: str, chinese: str, advice: str
) -> None:
    found = alert_of(Fault(Path("/var/lib/telerad/archive"), code), 12)
    async with room.archive.database.writing() as connection:
        await alerts.settle(connection, [found], faults.KINDS, CLOCK.now())
    await entered(page, room)
    await page.locator("tr-alert-count").get_by_role("link").click()
    row = page.locator("tr[data-alert]", has_text="/var/lib/telerad/archive")
    await expect(row.locator(".found")).to_have_text(
        f"{errno.errorcode[code]}, {os.strerror(code)}, in /var/lib/telerad/archive (volume /)."
        " Parcels that wait: 12."
    )
    for words in (title, remedy, "Parcels that wait: 12.", "this hub", "Nothing is lost"):
        await expect(row).to_contain_text(words)
    assert await violations(page) == set()
    await picture(page, f"{found.kind}")
    await page.get_by_label("Language").select_option("zh")
    for words in (chinese, advice, "等待中的数据包：12 个。", "本中心", "数据没有丢失"):
        await expect(row).to_contain_text(words)
    assert await violations(page) == set()
    await picture(page, f"{found.kind}-zh")
    fewer = alert_of(Fault(Path("/var/lib/telerad/archive"), code), 11)
    async with room.archive.database.writing() as connection:
        await alerts.settle(connection, [fewer], faults.KINDS, CLOCK.now())
    await expect(row).to_contain_text("等待中的数据包：11 个。")  # without being asked for
    async with room.archive.database.writing() as connection:
        await alerts.settle(connection, [], faults.KINDS, CLOCK.now())
    await expect(page.locator("details tr[data-alert]")).to_contain_text("自行结束")


async def test_a_reader_is_not_told_of_alerts(page: Page, room: ReadingRoom) -> None:
    await log_in(page, room.url, "wei")
    await expect(page.locator("tbody tr")).to_have_count(1)
    await expect(page.get_by_role("link", name="Alerts")).to_have_count(0)

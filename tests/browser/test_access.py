"""Passkeys, stepping up, emergency access and the auditor's page, in a real browser over the real stations."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Page, Request, expect
from sqlalchemy import select

from hub.access.accounts import NewAccount
from hub.people import Role
from hub.record import Deed
from hub.tables.study import studies
from hub.trail import AuditTrail
from tests.browser.portal import authenticator, log_in, picture, violations
from tests.doubles.people import PASSWORD
from tests.doubles.reading_room import CLOCK, PASSPHRASE, ReadingRoom, reading_room

pytestmark = pytest.mark.asyncio(loop_scope="module")

HOSTILE = "<img src=x onerror=document.title='owned'>"


@pytest_asyncio.fixture(loop_scope="module")
async def room(tmp_path: Path) -> AsyncIterator[ReadingRoom]:
    async with reading_room(tmp_path) as room:
        for name, role, groups in (
            ("chen", Role.READER, ["chest"]),
            ("lead", Role.LEAD, ["neuro"]),
            ("audrey", Role.AUDITOR, []),
        ):
            new = NewAccount(
                name=name, display_name=f"Dr {name.title()}", email="x@example.org", role=role, groups=groups
            )
            await room.access.accounts.create(new, PASSWORD)
        yield room


async def test_a_passkey_is_added_logs_in_and_confirms_a_signature(page: Page, room: ReadingRoom) -> None:
    await authenticator(page)
    await log_in(page, room.url, "wei")
    await page.get_by_role("link", name="Dr Wei Lin").click()
    await page.get_by_label("Name of the device").fill("Reading room 2")
    await page.get_by_role("button", name="Add a passkey").click()
    await expect(page.get_by_text("Reading room 2")).to_be_visible()
    await page.get_by_role("button", name="Make new codes").click()
    await expect(page.locator(".codes code")).to_have_count(10)
    await expect(page.get_by_text("this one")).to_be_visible()
    assert await violations(page) == set()
    await picture(page, "account")

    await page.get_by_role("button", name="Log out").click()
    await page.get_by_label("User name").fill("wei")
    await page.get_by_label("Password").fill(PASSWORD)
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("alert")).to_contain_text("This account has a passkey")
    await picture(page, "login")
    await page.get_by_role("button", name="Use a passkey").click()
    await expect(page.locator("tbody tr")).to_have_count(1)

    room.access._step_up = 6.0
    await page.locator("tbody tr").click()
    await page.get_by_label("Findings", exact=True).fill("Haemorrhage, 20 mm.")
    await page.get_by_label("Impression").fill("Acute haemorrhage.")
    await expect(page.locator("tr-editor .status")).to_contain_text("Saved ")
    await page.wait_for_timeout(6_000)
    await page.get_by_role("button", name="Sign…").click()
    await page.get_by_label("Signing passphrase").fill(PASSPHRASE)
    await page.keyboard.press("Enter")
    asked = page.get_by_role("dialog", name="Show your second factor")
    await expect(asked).to_be_visible()
    await picture(page, "step-up")
    await asked.get_by_role("button", name="Use a passkey").click()
    await expect(page.locator("tr-report")).to_contain_text("Signed by Dr Wei Lin", timeout=30_000)


async def test_the_glass_is_broken_with_a_reason_and_the_lead_and_the_auditor_see_it(
    page: Page, room: ReadingRoom
) -> None:
    await log_in(page, room.url, "chen")
    await expect(page.locator("tbody tr")).to_have_count(0)
    await page.get_by_role("button", name="Emergency access…").click()
    await page.get_by_label("Accession number or Study").fill("no such study")
    await page.get_by_label("Reason").fill("Trauma call, nobody else answers")
    await page.get_by_role("button", name="Open the study").click()
    await expect(page.get_by_role("alert")).to_contain_text("no such study")
    await picture(page, "glass")
    async with room.archive.database.reading() as connection:
        uid = str((await connection.execute(select(studies.c.study_uid))).scalar_one())
    await page.get_by_label("Accession number or Study").fill(uid)
    await page.get_by_role("button", name="Open the study").click()
    await expect(page.locator("tr-facts")).to_contain_text("Haemorrhage?")
    for name in ("lead", "audrey"):
        await page.get_by_role("button", name="Log out").click()
        await expect(page.get_by_label("User name")).to_be_visible()
        await log_in(page, room.url, name)
        await page.goto(f"{room.url}/#/admin/emergencies")
        await expect(page.locator("tr-oversight tbody tr")).to_contain_text(
            "Trauma call, nobody else answers"
        )
        await expect(page.locator("tr-oversight tbody tr")).to_contain_text("Dr Chen")
    assert await violations(page) == set()
    await picture(page, "emergencies")


async def test_attack_16_stored_xss_in_what_the_auditor_reads(page: Page, room: ReadingRoom) -> None:
    trail = AuditTrail(room.archive.database, CLOCK)
    deed = Deed(
        "login-refused",
        person=HOSTILE,
        patient_id=HOSTILE,
        refused=True,
        detail={HOSTILE: HOSTILE, "why": "=cmd()"},
    )
    await trail.note(deed)
    await log_in(page, room.url, "audrey")
    await page.get_by_role("link", name="Administration").click()
    await page.get_by_role("link", name="Audit trail").click()
    row = page.locator("tr-audit tbody tr", has_text="log-in refused")
    await expect(row).to_contain_text(HOSTILE)
    await expect(row).to_contain_text("110114 User Authentication")
    assert await page.locator("tr-audit img").count() == 0
    assert await page.title() != "owned"
    assert await violations(page) == set()
    await picture(page, "audit")
    await page.get_by_role("textbox", name="Person").fill("audrey")
    await page.keyboard.press("Enter")
    await expect(page.locator("tr-audit tbody")).to_contain_text("audit trail used")
    await expect(page.locator("tr-audit tbody")).not_to_contain_text("log-in refused")
    async with page.expect_download() as coming:
        await page.get_by_role("link", name="As a table (CSV)").click()
    download = await coming.value
    assert download.suggested_filename == "audit.csv"
    assert Path(await download.path()).read_text("utf-8-sig").startswith('"at","event"')
    await page.get_by_label("Language").select_option("zh")
    await expect(page.get_by_role("button", name="查询")).to_be_visible()
    await picture(page, "audit-zh")


async def test_what_the_page_asks_by_itself_is_no_sign_of_life(page: Page, room: ReadingRoom) -> None:
    asked: list[tuple[str, str | None]] = []

    def hear(request: Request) -> None:
        if "/api/worklist" in request.url:
            asked.append((request.method, request.headers.get("x-background")))

    page.on("request", hear)
    await page.clock.install()
    await log_in(page, room.url, "wei")
    await expect(page.locator("tbody tr")).to_have_count(1)
    assert asked[0] == ("GET", None)
    before = len(asked)
    await page.clock.run_for(10 * 60 * 1000)
    await page.wait_for_timeout(500)
    assert len(asked) > before
    assert {mark for _, mark in asked[before:]} == {"1"}

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import insert, select, update

from gateway.clock import rfc3339
from hub.access import totp
from hub.access.sessions import COOKIE
from hub.access.vault import Vault
from hub.people import Role
from hub.tables.account import users
from hub.tables.arrival import chain_findings, quarantine
from hub.tables.fleet import devices, edge_status
from hub.tables.report import deliveries, reports
from hub.tables.study import studies
from tests.doubles.portal_hub import REPORT_ID, PortalHub, portal_hub


@pytest.fixture
async def portal(tmp_path: Path) -> AsyncIterator[PortalHub]:
    async with portal_hub(tmp_path) as made:
        await made.hub.account("ann", groups=["neuro"])
        yield made


async def code_of(portal: PortalHub, name: str) -> str:
    async with portal.hub.database.reading() as connection:
        row = (await connection.execute(select(users).where(users.c.name == name))).mappings().one()
    return totp.generate(
        Vault(b"v" * 32).open(row["totp_secret"] or row["totp_pending"], f"totp:{row['name']}"),
        at=portal.hub.clock.now().timestamp(),
    )


async def test_a_session_from_login_to_logout(portal: PortalHub) -> None:
    browser = portal.browser()
    assert (await browser.call("GET", "/api/session"))[0] == 401
    told = await browser.log_in("ann")
    assert told == {
        "user": {"name": "ann", "display_name": "Dr Ann", "role": "reader", "language": "en", "site": None},
        "csrf": told["csrf"],
        "factors": 1,
        "second_factor": "none",
    }
    assert (await browser.call("GET", "/api/session")) == (200, told)
    assert (await browser.call("PUT", "/api/session/language", {"language": "zh"}))[0] == 204
    assert (await browser.call("GET", "/api/session"))[1]["user"]["language"] == "zh"
    assert (await browser.call("PUT", "/api/session/language", {"language": "tlh"}))[0] == 400
    old = browser.token
    assert (await browser.call("DELETE", "/api/session"))[0] == 204
    assert browser.token == ""
    browser.token = old
    for method, path in (("GET", "/api/session"), ("GET", "/api/worklist"), ("DELETE", "/api/session")):
        assert (await browser.call(method, path))[0] == 401, "a cookie replayed after logging out"


async def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(portal: PortalHub) -> None:
    browser = portal.browser()
    login = {"username": "ann", "password": "correct horse battery"}
    async with browser.raw("POST", "/api/session", login) as response:
        header = response.headers["Set-Cookie"]
    assert header.startswith(f"{COOKIE}=")
    for part in ("HttpOnly", "Secure", "SameSite=Strict", "Path=/"):
        assert part in header
    assert "Domain" not in header


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 204),
        ({"X-CSRF-Token": ""}, 403),
        ({"X-CSRF-Token": "guess"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "none"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
    ],
)
async def test_what_did_not_come_from_our_own_page_is_refused(
    portal: PortalHub, headers: dict[str, str], status: int
) -> None:
    browser = await portal.logged_in("ann")
    found = await browser.call("PUT", "/api/session/language", {"language": "zh"}, headers)
    assert found[0] == status
    if status == 403:
        assert found[1]["error"]["code"] == "cross_site"
        assert (await browser.call("GET", "/api/session"))[1]["user"]["language"] == "en"


async def test_another_sessions_token_is_no_token_of_mine(portal: PortalHub) -> None:
    mine, other = await portal.logged_in("ann"), await portal.logged_in("ann")
    status, _ = await mine.call("DELETE", "/api/session", headers={"X-CSRF-Token": other.csrf})
    assert status == 403


async def test_a_login_from_elsewhere_is_refused(portal: PortalHub) -> None:
    login = {"username": "ann", "password": "correct horse battery"}
    headers = {"Sec-Fetch-Site": "cross-site"}
    assert (await portal.browser().call("POST", "/api/session", login, headers))[0] == 403


async def test_lock_out_tells_when_to_come_back_and_ends(portal: PortalHub) -> None:
    browser = portal.browser()
    for _ in range(5):
        wrong = {"username": "ann", "password": "wrong"}
        status, told = await browser.call("POST", "/api/session", wrong)
        assert (status, told["error"]["code"]) == (401, "bad_credentials")
    right = {"username": "ann", "password": "correct horse battery"}
    async with browser.raw("POST", "/api/session", right) as response:
        assert (response.status, response.headers["Retry-After"]) == (429, "30")
    portal.hub.clock.advance(31)
    await browser.log_in("ann")


async def test_the_second_factor_from_enrolment_to_replay(portal: PortalHub) -> None:
    browser = await portal.logged_in("ann")
    old = browser.token
    status, told = await browser.call("POST", "/api/session/totp", {})
    assert status == 200
    assert told["uri"].startswith("otpauth://totp/")
    assert told["secret"] in told["uri"]
    assert (await browser.call("POST", "/api/session/totp/confirm", {"code": "000000"}))[0] == 401
    code = await code_of(portal, "ann")
    assert (await browser.call("POST", "/api/session/totp/confirm", {"code": code}))[0] == 204
    assert browser.token != old
    status, told = await browser.call("GET", "/api/session")
    assert (told["factors"], told["second_factor"]) == (2, "enrolled")
    stale = portal.browser()
    stale.token = old
    assert (await stale.call("GET", "/api/session"))[0] == 401
    assert (await browser.call("POST", "/api/session/totp", {}))[0] == 409

    portal.hub.clock.advance(30)
    fresh = portal.browser()
    login = {"username": "ann", "password": "correct horse battery"}
    status, told = await fresh.call("POST", "/api/session", login)
    assert (status, told["error"]["code"]) == (401, "code_required")
    code = await code_of(portal, "ann")
    assert (await fresh.log_in("ann", code=code))["factors"] == 2
    status, told = await portal.browser().call("POST", "/api/session", {**login, "code": code})
    assert (status, told["error"]["code"]) == (401, "bad_credentials"), "the code was used"


@pytest.mark.parametrize(
    "given", ["", "[]", "{", "1", '{"username": 1, "password": "x"}', '{"username": "x"}']
)
async def test_a_body_that_is_none_is_told_so(portal: PortalHub, given: str) -> None:
    browser = portal.browser()
    url = f"{portal.url}/api/session"
    async with browser.session.post(url, data=given.encode()) as response:
        assert response.status == 400
        assert (await response.json())["error"]["code"] == "malformed"


async def test_a_body_beyond_all_measure_is_not_read(portal: PortalHub) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(32):
            yield b"x" * 65536

    async with portal.browser().session.post(f"{portal.url}/api/session", data=pieces()) as response:
        assert response.status == 400
        assert "larger than" in await response.text()


async def test_the_worklist_and_a_case(portal: PortalHub) -> None:
    browser = await portal.logged_in("ann")
    await portal.studies.add(name="Wang^Xiaoming=王^小明")
    await portal.dispatcher.turn()
    status, told = await browser.call("GET", "/api/worklist?mine=1&state=open&q=wang")
    assert status == 200
    (case,) = told["cases"]
    assert told["now"] == rfc3339(portal.hub.clock.now())
    assert case | {"received_at": "", "deadline": ""} == {
        "id": 1,
        "state": "offered",
        "priority": "routine",
        "study_uid": "1.2.3.1",
        "patient": {"name": "Wang^Xiaoming=王^小明", "id": "P1", "birth_date": "19800101", "sex": "M"},
        "site": "H001",
        "modalities": ["CT"],
        "body_parts": ["HEAD"],
        "description": "CT head",
        "study_date": "20261122",
        "study_time": "",
        "utc_offset": "",
        "institution": "",
        "accession": "A1",
        "instances": 2,
        "expected": None,
        "series": 1,
        "complete": True,
        "completeness": "all are here",
        "received_at": "",
        "deadline": "",
        "group": "neuro",
        "assignee": {"name": "ann", "display_name": "Dr Ann"},
        "rule": "default",
        "conflicts": 0,
        "late": 0,
        "messages": {"unread": 0, "asked": 0},
        "warnings": [],
        "report": None,
        "arrival": "complete",
        "progress": None,
    }
    assert (await browser.call("GET", "/api/worklist?state=lost"))[0] == 400
    status, detail = await browser.call("GET", "/api/cases/1")
    assert detail["viewer"] == "/ohif/viewer?StudyInstanceUIDs=1.2.3.1"
    assert detail["clinical_question"] == "bleeding?"
    assert detail["series_list"] == [
        {"series_uid": "1.2.3.1.1", "modality": "CT", "description": "axial", "instances": 2}
    ]
    assert (detail["priors"], detail["reports"], detail["lease"]) == ([], [], None)
    assert len(detail["why"]) == 2
    status, opened = await browser.call("POST", "/api/cases/1/open", {})
    assert (status, opened["state"], opened["lease"]["by"]) == (200, "reading", "Dr Ann")
    assert (await browser.call("POST", "/api/cases/1/release", {}))[0] == 204
    assert (await browser.call("POST", "/api/cases/1/release", {}))[0] == 409
    assert (await browser.call("POST", "/api/cases/1/return", {"reason": "blurred"}))[0] == 204
    assert (await browser.call("GET", "/api/cases/1"))[1]["return_reason"] == "blurred"


async def test_one_readers_case_is_not_found_by_another(portal: PortalHub) -> None:
    await portal.hub.account("bob", groups=["chest"])
    await portal.studies.add()
    await portal.dispatcher.turn()
    bob = await portal.logged_in("bob")
    ann = await portal.logged_in("ann")
    await ann.call("POST", "/api/cases/1/open", {})
    await ann.call("POST", "/api/cases/1/sign", {"revision": 0, "passphrase": "x"})
    assert (await bob.call("GET", "/api/worklist"))[1]["cases"] == []
    for method, path in (
        ("GET", "/api/cases/1"),
        ("POST", "/api/cases/1/open"),
        ("POST", "/api/cases/1/release"),
        ("POST", "/api/cases/1/return"),
        ("GET", "/api/cases/1/draft"),
        ("PUT", "/api/cases/1/draft"),
        ("POST", "/api/cases/1/sign"),
        ("POST", "/api/cases/1/addendum"),
        ("GET", f"/api/reports/{REPORT_ID}"),
        ("GET", f"/api/reports/{REPORT_ID}/pdf"),
    ):
        given = {"reason": "x", "base_revision": 0, "body": {}, "revision": 0, "passphrase": "x"}
        for who, expected in ((bob, 404), (ann, 200)):
            if who is ann and method != "GET":
                continue
            status, _ = await who.call(method, path, given if method != "GET" else None)
            assert status == expected, path
    missing, theirs = await bob.call("GET", "/api/cases/999"), await bob.call("GET", "/api/cases/1")
    assert missing == theirs, "what is not there and what is not theirs look the same"


async def test_a_case_open_elsewhere_says_by_whom(portal: PortalHub) -> None:
    await portal.hub.account("bob", groups=["neuro"])
    await portal.studies.add()
    await portal.dispatcher.turn()
    ann, bob = await portal.logged_in("ann"), await portal.logged_in("bob")
    assert (await ann.call("POST", "/api/cases/1/open", {}))[0] == 200
    status, told = await bob.call("POST", "/api/cases/1/open", {})
    assert (status, told["error"]["code"]) == (409, "refused")
    assert "Dr Ann has this case open until" in told["error"]["message"]
    portal.hub.clock.advance(10 * 60)
    saved = await ann.call("PUT", "/api/cases/1/draft", {"base_revision": 0, "body": {"findings": "x"}})
    assert saved == (200, {"revision": 1, "at": "now"})
    await bob.call("GET", "/api/session")
    portal.hub.clock.advance(10 * 60)
    assert (await bob.call("POST", "/api/cases/1/open", {}))[0] == 409, "saving renewed the lease"


async def test_a_stale_draft_is_answered_with_the_current_one(portal: PortalHub) -> None:
    await portal.studies.add()
    await portal.dispatcher.turn()
    ann = await portal.logged_in("ann")
    draft = {"base_revision": 0, "body": {"findings": "one"}}
    assert (await ann.call("PUT", "/api/cases/1/draft", draft))[0] == 200
    status, told = await ann.call("PUT", "/api/cases/1/draft", draft)
    assert (status, told["error"]["code"]) == (409, "stale")
    assert told["current"]["body"] == {"findings": "one"}
    for wrong in (
        {},
        {"base_revision": -1, "body": {}},
        {"base_revision": True, "body": {}},
        {"base_revision": 0, "body": []},
    ):
        assert (await ann.call("PUT", "/api/cases/1/draft", wrong))[0] == 400


async def test_a_pdf_may_stand_in_a_frame_of_ours_and_nothing_else_may(portal: PortalHub) -> None:
    await portal.studies.add()
    await portal.dispatcher.turn()
    ann = await portal.logged_in("ann")
    await ann.call("POST", "/api/cases/1/open", {})
    await ann.call("POST", "/api/cases/1/sign", {"revision": 0, "passphrase": "x"})
    async with ann.raw("GET", f"/api/reports/{REPORT_ID}/pdf") as response:
        assert response.content_type == "application/pdf"
        assert await response.read() == b"%PDF-1.7 made up"
        assert response.headers["Content-Security-Policy"] == "frame-ancestors 'self'"
        assert response.headers["Cache-Control"] == "no-store"
    async with ann.raw("GET", "/api/session") as response:
        assert "frame-ancestors 'none'" in response.headers["Content-Security-Policy"]
        assert "sandbox" in response.headers["Content-Security-Policy"]
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["Referrer-Policy"] == "no-referrer"
        assert "Server" not in response.headers


async def test_unknown_paths_of_the_api_are_no_pages(portal: PortalHub) -> None:
    ann = await portal.logged_in("ann")
    for path in ("/api/nothing", "/api/cases/x", "/api/cases/1/../../x", "/dicomweb/nothing", "/v1/x"):
        status, _ = await ann.call("GET", path)
        assert status == 404, path
    assert (await ann.call("POST", "/api/worklist", {}))[0] == 405


async def test_polling_does_not_keep_a_session_alive(portal: PortalHub) -> None:
    ann = await portal.logged_in("ann")
    for _ in range(15):
        portal.hub.clock.advance(60)
        await ann.call("GET", "/api/worklist", headers={"X-Background": "1"})
    assert (await ann.call("GET", "/api/worklist"))[0] == 401


async def listen(response, wanted: int) -> list[str]:
    lines: list[str] = []
    while len(lines) < wanted:
        line = (await asyncio.wait_for(response.content.readline(), 10)).decode().strip()
        if line and not line.startswith(":"):
            lines.append(line)
    return lines


async def test_pages_hear_what_changed_within_their_reach(portal: PortalHub) -> None:
    await portal.hub.account("bob", groups=["chest"])
    ann, bob = await portal.logged_in("ann"), await portal.logged_in("bob")
    async with ann.raw("GET", "/api/events") as mine, bob.raw("GET", "/api/events") as other:
        assert mine.content_type == "text/event-stream"
        for response in (mine, other):
            assert await response.content.readline() == b": connected\n"
        await asyncio.sleep(0.7)  # the first look remembers where the counters stand
        await portal.studies.add()
        await portal.dispatcher.turn()
        heard = await listen(mine, 4)
        assert heard == ["event: worklist", "data: {}", "event: case", 'data: {"id": 1}']
        async with portal.hub.database.writing() as connection:
            await connection.execute(
                insert(reports).values(
                    id=REPORT_ID, case=1, version=1, state="signed", kind="report", canonical="{}",
                    canonical_sha256="0" * 64, pdf_sha256="0" * 64, sr_uid="1.2", pdf_uid="1.3",
                    signed_by="ann", signed_at=rfc3339(portal.hub.clock.now()),
                )
            )  # fmt: skip
            await connection.execute(
                insert(deliveries).values(
                    id="1" * 32, report=REPORT_ID, site="H001", state="queued",
                    queued_at=rfc3339(portal.hub.clock.now()),
                )
            )  # fmt: skip
        heard = await listen(mine, 2)
        assert heard == ["event: delivery", f'data: {{"case": 1, "report": "{REPORT_ID}"}}']
        async with portal.hub.database.writing() as connection:
            now = rfc3339(portal.hub.clock.now())
            await connection.execute(update(deliveries).values(state="acknowledged", acknowledged_at=now))
        assert (await listen(mine, 2))[0] == "event: delivery"
        assert await listen(other, 2) == ["event: worklist", "data: {}"]
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(listen(other, 1), 1)


async def test_what_an_administrator_is_shown(portal: PortalHub) -> None:
    await portal.hub.account("ida", Role.ADMIN)
    await portal.studies.add()
    now = rfc3339(portal.hub.clock.now())
    async with portal.hub.database.writing() as connection:
        for number, when in enumerate(("2026-01-01", "2026-02-01")):
            await connection.execute(
                insert(devices).values(
                    fingerprint=f"{number:064}", site="H001", edge="1", serial=str(number), certificate=b"x",
                    issued_at=when, not_after=when, revoked=False,
                )
            )  # fmt: skip
        await connection.execute(
            insert(edge_status).values(site="H001", edge="1", last_seen=now, status='{"waiting": 3}')
        )
        await connection.execute(
            insert(quarantine).values(site="H001", parcel_id="p", path="q/1", reason="digest differs", at=now)
        )
        await connection.execute(update(studies).values(conflicts=1))
        for number in range(7):
            finding = {"site": "H001", "edge": "1", "kind": "gap", "first": number, "last": number, "at": now}
            closed = now if number == 0 else None
            await connection.execute(
                insert(chain_findings).values(
                    words=f"header {number} has not come", closed_at=closed, **finding
                )
            )
    ida = await portal.logged_in("ida")
    _, told = await ida.call("GET", "/api/admin/edges")
    (edge,) = told["edges"]
    assert (edge["not_after"], edge["last_seen"], edge["status"]) == ("2026-02-01", now, {"waiting": 3})
    assert edge["chain"] == [*(f"header {number} has not come" for number in range(1, 6)), "… 1 more"]
    _, told = await ida.call("GET", "/api/admin/quarantine")
    assert told["quarantine"][0]["reason"] == "digest differs"
    assert "path" not in told["quarantine"][0]
    _, told = await ida.call("GET", "/api/admin/conflicts")
    assert told["conflicts"][0]["study_uid"] == "1.2.3.1"
    _, told = await ida.call("GET", "/api/admin/rules")
    assert told["text"].startswith("rules: []")
    assert told["faults"] == []
    assert "Muster" not in str(told)


async def test_an_older_session_of_the_same_browser_ends_at_log_in(portal: PortalHub) -> None:
    browser = await portal.logged_in("ann")
    older, other = browser.token, await portal.logged_in("ann")
    await browser.log_in("ann")
    assert browser.token != older
    assert await portal.hub.access.sessions.find(older, kind="browser") is None
    assert (await browser.call("GET", "/api/session"))[0] == 200
    assert (await other.call("GET", "/api/session"))[0] == 200, "another browser's goes on"


async def test_proofs_of_custody_are_not_asked_for_without_end(portal: PortalHub) -> None:
    ann = await portal.logged_in("ann")
    for _ in range(20):
        assert (await ann.call("GET", "/api/cases/1/custody"))[0] != 429
    async with ann.raw("GET", "/api/cases/1/custody") as answer:
        assert (answer.status, answer.headers["Retry-After"]) == (429, "2")
        assert "wait 2 s" in (await answer.json())["error"]["message"]
    portal.hub.clock.advance(2)
    assert (await ann.call("GET", "/api/cases/1/custody"))[0] != 429

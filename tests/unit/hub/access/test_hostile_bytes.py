"""Bytes that are no text, at every place a stranger can put them: refused in plain words, and noted."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import select

from gateway import jsontext
from gateway.errors import Malformed
from hub.tables.audit import audit_events
from tests.doubles.people import PASSWORD
from tests.doubles.portal_hub import PortalHub, portal_hub

HALF = "\ud800"


@pytest.fixture
async def portal(tmp_path: Path) -> AsyncIterator[PortalHub]:
    async with portal_hub(tmp_path) as made:
        await made.hub.account("chen", groups=["neuro"])
        yield made


async def refused(portal: PortalHub) -> int:
    async with portal.hub.database.reading() as connection:
        query = select(audit_events.c.id).where(audit_events.c.event == "login-refused")
        return len((await connection.execute(query)).all())


@pytest.mark.parametrize("field", ["username", "password", "code"])
async def test_half_a_surrogate_pair_in_a_log_in_is_refused_and_noted(portal: PortalHub, field: str) -> None:
    given = {"username": "chen", "password": PASSWORD, field: f"x{HALF}"}
    status, told = await portal.browser().call("POST", "/api/session", given)
    assert (status, told["error"]["code"]) == (400, "malformed")
    assert "no text" in told["error"]["message"]
    assert await refused(portal) == 1


async def test_a_passkey_of_such_bytes_is_refused_and_noted(portal: PortalHub) -> None:
    given = {"credential": {"id": HALF, "response": {"clientDataJSON": HALF}}}
    assert (await portal.browser().call("POST", "/api/session/passkey", given))[0] == 400
    assert await refused(portal) == 1


async def test_unreadable_log_ins_are_braked_too(portal: PortalHub) -> None:
    browser = portal.browser()
    answers = [(await browser.call("POST", "/api/session", {"username": HALF}))[0] for _ in range(21)]
    assert answers == [400] * 20 + [429]


@pytest.mark.parametrize(
    ("header", "status"),
    [
        (b"X-CSRF-Token: \xff", b"403"),
        (b"Origin: https://[", b"403"),
        (b"Origin: \xff", b"403"),
    ],
)
async def test_any_byte_in_a_header_is_refused(portal: PortalHub, header: bytes, status: bytes) -> None:
    browser = await portal.logged_in("chen")
    cookie = b"Cookie: __Host-telerad=" + browser.token.encode()
    head = await portal.raw(b"DELETE /api/session HTTP/1.1\r\n" + cookie + b"\r\n" + header + b"\r\n")
    assert head.split()[1] == status


@pytest.mark.parametrize("credential", [b"Cookie: __Host-telerad=\xff", b"Authorization: Bearer \xff"])
async def test_any_byte_in_a_token_is_nobody(portal: PortalHub, credential: bytes) -> None:
    head = await portal.raw(b"GET /api/session HTTP/1.1\r\n" + credential + b"\r\n")
    assert head.split()[1] == b"401"


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b"[" * 100_000, b'"\\ud800"', b'{"\\udfff": 1}'])
def test_what_is_no_json_of_text_is_malformed(data: bytes) -> None:
    with pytest.raises(Malformed):
        jsontext.load(data)


def test_what_is_text_stays() -> None:
    assert jsontext.load(b'{"a": "\\ud83d\\ude00"}') == {"a": "\U0001f600"}


async def test_a_browser_that_calls_itself_by_any_bytes_logs_in(portal: PortalHub) -> None:
    body = json.dumps({"username": "chen", "password": PASSWORD}).encode()
    head = await portal.raw(b"POST /api/session HTTP/1.1\r\nUser-Agent: x\xff\r\n", body)
    assert head.split()[1] == b"200"
    assert [one["agent"] for one in await portal.hub.access.sessions.of("chen")] == ["x?"]

"""Recovery codes, the sealed secrets, stepping up, one's own sessions — at the real routes."""

from __future__ import annotations

import base64
import contextlib
import json
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from gateway.errors import Unverified, UsageError
from hub.access import passkeys as module
from hub.access import totp
from hub.access.vault import Vault
from hub.people import Role
from hub.tables.account import recovery_codes, sessions, users
from hub.tables.audit import audit_events
from tests.doubles.passkey import SoftPasskey
from tests.doubles.portal_hub import Browser, PortalHub, portal_hub


@pytest.fixture
async def portal(tmp_path: Path) -> AsyncIterator[PortalHub]:
    async with portal_hub(tmp_path) as made:
        await made.hub.account("chen", groups=["neuro"])
        yield made


async def add_passkey(browser: Browser, key: SoftPasskey, label: str = "key") -> tuple[int, Any]:
    status, options = await browser.call("POST", "/api/passkeys/options", {})
    assert status == 200, options
    return await browser.call("POST", "/api/passkeys", {"credential": key.create(options), "label": label})


async def log_in_with(browser: Browser, key: SoftPasskey, **bent: Any) -> tuple[int, Any]:
    _, options = await browser.call("POST", "/api/session/passkey/options", {})
    status, told = await browser.call(
        "POST", "/api/session/passkey", {"credential": key.get(options, **bent)}
    )
    if status == 200:
        browser.csrf = told["csrf"]
    return status, told


async def deeds(portal: PortalHub) -> list[str]:
    async with portal.hub.database.reading() as connection:
        return list((await connection.execute(select(audit_events.c.event))).scalars())


async def test_a_passkey_is_two_factors_and_logs_in_alone(portal: PortalHub) -> None:
    browser, key = await portal.logged_in("chen"), SoftPasskey(portal.origin)
    before = browser.token
    status, told = await add_passkey(browser, key)
    assert (status, told["factors"], told["second_factor"]) == (200, 2, "enrolled")
    assert browser.token != before, "the session goes on under a new token"
    assert await portal.hub.access.sessions.find(before, kind="browser") is None
    other = portal.browser()
    status, told = await log_in_with(other, key)
    assert (status, told["user"]["name"], told["factors"]) == (200, "chen", 2)
    status, told = await other.call(
        "POST", "/api/session", {"username": "chen", "password": "correct horse battery"}
    )
    assert (status, told["error"]["code"]) == (401, "passkey_required")
    assert {"passkey-added", "login"} <= set(await deeds(portal))


@pytest.mark.parametrize(
    "bent",
    [
        {"origin": "https://evil.example"},
        {"rp_id": "evil.example"},
        {"verified": False},
        {"challenge": b"another challenge, not the hub's"},
        {"signature": b"nonsense"},
        {"kind": "webauthn.create"},
    ],
    ids=lambda bent: next(iter(bent)),
)
async def test_an_answer_that_is_bent_is_refused(portal: PortalHub, bent: dict[str, Any]) -> None:
    browser, key = await portal.logged_in("chen"), SoftPasskey(portal.origin)
    await add_passkey(browser, key)
    status, told = await log_in_with(portal.browser(), key, **bent)
    assert (status, told["error"]["code"]) == (401, "bad_credentials")


async def test_an_answer_works_once_and_only_while_it_is_fresh(portal: PortalHub) -> None:
    browser, key = await portal.logged_in("chen"), SoftPasskey(portal.origin)
    await add_passkey(browser, key)
    _, options = await browser.call("POST", "/api/session/passkey/options", {})
    answer = key.get(options)
    assert (await portal.browser().call("POST", "/api/session/passkey", {"credential": answer}))[0] == 200
    assert (await portal.browser().call("POST", "/api/session/passkey", {"credential": answer}))[0] == 401
    _, options = await browser.call("POST", "/api/session/passkey/options", {})
    portal.hub.clock.advance(301)
    late = key.get(options)
    assert (await portal.browser().call("POST", "/api/session/passkey", {"credential": late}))[0] == 401


async def test_a_copied_authenticator_whose_counter_falls_back_is_noticed(portal: PortalHub) -> None:
    browser, key = await portal.logged_in("chen"), SoftPasskey(portal.origin)
    await add_passkey(browser, key)
    key.counter = 10
    assert (await log_in_with(portal.browser(), key))[0] == 200
    key.counter = 5
    assert (await log_in_with(portal.browser(), key))[0] == 401


async def test_a_counter_that_a_copy_raised_at_the_same_moment_is_noticed(
    portal: PortalHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser, key = await portal.logged_in("chen"), SoftPasskey(portal.origin)
    await add_passkey(browser, key)
    verify = module.verify_authentication_response

    def meanwhile(**given: Any) -> Any:
        """Between the question and the answer's row, the copy logs in with the same count."""
        found = verify(**given)
        with contextlib.closing(sqlite3.connect(tmp_path / "hub.db")) as other, other:
            other.execute("UPDATE passkeys SET sign_count = ?", (found.new_sign_count,))
        return found

    monkeypatch.setattr(module, "verify_authentication_response", meanwhile)
    key.counter = 10
    assert (await log_in_with(portal.browser(), key))[0] == 401


async def test_a_new_passkey_ends_every_other_session(portal: PortalHub) -> None:
    other, browser = await portal.logged_in("chen"), await portal.logged_in("chen")
    await add_passkey(browser, SoftPasskey(portal.origin))
    assert (await other.call("GET", "/api/session"))[0] == 401
    assert (await browser.call("GET", "/api/session"))[0] == 200


async def test_nobody_steps_up_with_another_persons_passkey(portal: PortalHub) -> None:
    await portal.hub.account("ann", groups=["neuro"])
    chens, anns = SoftPasskey(portal.origin), SoftPasskey(portal.origin)
    chen, ann = await portal.logged_in("chen"), await portal.logged_in("ann")
    await add_passkey(chen, chens)
    await add_passkey(ann, anns)
    _, options = await ann.call("POST", "/api/session/step-up/options", {})
    stolen = {"credential": chens.get(options["passkey"])}
    assert (await ann.call("POST", "/api/session/step-up", stolen))[0] == 401


async def test_signing_wants_a_factor_shown_just_now_and_the_token_changes(portal: PortalHub) -> None:
    browser, key = await portal.logged_in("chen"), SoftPasskey(portal.origin)
    await add_passkey(browser, key)
    sign = ("POST", "/api/cases/1/sign", {"revision": 1, "passphrase": "x"})
    assert (await browser.call(*sign))[0] == 404, "fresh: it gets as far as the case"
    portal.hub.clock.advance(10 * 60)
    await browser.call("GET", "/api/worklist")
    portal.hub.clock.advance(6 * 60)
    status, told = await browser.call(*sign)
    assert (status, told["error"]["code"]) == (403, "step_up_required")
    before = browser.token
    _, options = await browser.call("POST", "/api/session/step-up/options", {})
    status, told = await browser.call(
        "POST", "/api/session/step-up", {"credential": key.get(options["passkey"])}
    )
    assert (status, told["csrf"]) == (200, browser.csrf)
    assert browser.token != before
    assert (await browser.call(*sign))[0] == 404


async def test_recovery_codes_work_once_each_and_new_ones_end_the_old(portal: PortalHub) -> None:
    browser = await portal.logged_in("chen")
    secret = await enrol_app(portal, browser)
    status, told = await browser.call("POST", "/api/recovery", {})
    codes = told["codes"]
    assert (status, len(set(codes))) == (200, 10)
    async with portal.hub.database.reading() as connection:
        kept = str((await connection.execute(select(recovery_codes))).mappings().all())
    assert not any(code in kept for code in codes)
    logged = await portal.browser().log_in("chen", code=codes[0].lower().replace("-", " "))
    assert logged["factors"] == 2
    wrong = {"username": "chen", "password": "correct horse battery", "code": codes[0]}
    assert (await portal.browser().call("POST", "/api/session", wrong))[0] == 401
    await browser.call("POST", "/api/recovery", {})
    assert (await portal.browser().call("POST", "/api/session", {**wrong, "code": codes[1]}))[0] == 401
    assert secret not in kept.encode()


async def enrol_app(portal: PortalHub, browser: Browser) -> bytes:
    _, told = await browser.call("POST", "/api/session/totp", {})
    secret = base64.b32decode(told["secret"] + "=" * (-len(told["secret"]) % 8))
    code = totp.generate(secret, at=portal.hub.clock.now().timestamp())
    assert (await browser.call("POST", "/api/session/totp/confirm", {"code": code}))[0] == 204
    return secret


async def test_the_database_shows_no_secret_of_the_app(portal: PortalHub, tmp_path: Path) -> None:
    browser = await portal.logged_in("chen")
    secret = await enrol_app(portal, browser)
    async with portal.hub.database.reading() as connection:
        sealed = (await connection.execute(select(users.c.totp_secret))).scalar_one()
    await portal.hub.database.engine.dispose()
    for file in tmp_path.rglob("hub.db*"):
        assert secret not in file.read_bytes()
    vault = Vault(b"v" * 32)
    assert vault.open(sealed, "totp:chen") == secret
    for wrong in (lambda: vault.open(sealed, "totp:ann"), lambda: Vault(b"w" * 32).open(sealed, "totp:chen")):
        with pytest.raises(Unverified):
            wrong()


def test_the_vaults_key_is_made_once_and_is_nobody_elses(tmp_path: Path) -> None:
    sealed = Vault.load(tmp_path / "keys" / "access.key").seal(b"secret", "x")
    assert Vault.load(tmp_path / "keys" / "access.key").open(sealed, "x") == b"secret"
    assert (tmp_path / "keys" / "access.key").stat().st_mode & 0o777 == 0o600
    (tmp_path / "keys" / "access.key").chmod(0o640)
    with pytest.raises(UsageError, match="can be read by others"):
        Vault.load(tmp_path / "keys" / "access.key")


async def test_wrong_step_ups_wait_like_wrong_log_ins(portal: PortalHub) -> None:
    browser = await portal.logged_in("chen")
    await enrol_app(portal, browser)
    for _ in range(5):
        assert (await browser.call("POST", "/api/session/step-up", {"code": "000000"}))[0] == 401
    assert (await browser.call("POST", "/api/session/step-up", {"code": "000000"}))[0] == 429


async def test_attack_15_stolen_reader_session(portal: PortalHub) -> None:
    """The cookie is strict, goes idle, dies at log-out, step-up and by the owner's hand, and cannot sign."""
    browser, key = await portal.logged_in("chen"), SoftPasskey(portal.origin)
    async with portal.browser().raw(
        "POST", "/api/session", {"username": "chen", "password": "correct horse battery"}
    ) as first:
        assert {"Secure", "HttpOnly", "SameSite=Strict", "Path=/"} <= set(
            first.headers["Set-Cookie"].split("; ")
        )
        assert first.headers["Set-Cookie"].startswith("__Host-")
    stolen = portal.browser()
    stolen.token, stolen.csrf = browser.token, browser.csrf
    await add_passkey(browser, key)  # a step-up: the copy dies
    assert (await stolen.call("GET", "/api/worklist"))[0] == 401
    stolen.token = browser.token
    portal.hub.clock.advance(14 * 60)
    assert (await stolen.call("GET", "/api/worklist"))[0] == 200, "a copy made now works for a while"
    portal.hub.clock.advance(2 * 60)
    status, told = await stolen.call("POST", "/api/cases/1/sign", {"revision": 1, "passphrase": "x"})
    assert (status, told["error"]["code"]) == (403, "step_up_required"), "but it cannot sign"
    _, account = await browser.call("GET", "/api/account")
    elsewhere = portal.browser()
    await log_in_with(elsewhere, key)
    here = next(one for one in account["sessions"] if one["current"])
    assert (await elsewhere.call("DELETE", f"/api/sessions/{here['id']}"))[0] == 204
    assert (await stolen.call("GET", "/api/worklist"))[0] == 401, "the owner ended it from elsewhere"
    portal.hub.clock.advance(16 * 60)
    assert (await elsewhere.call("GET", "/api/worklist"))[0] == 401, "idle"


async def test_a_background_request_is_no_sign_of_life(portal: PortalHub) -> None:
    browser = await portal.logged_in("chen")
    for _ in range(3):
        portal.hub.clock.advance(5 * 60 - 1)
        status, _ = await browser.call("GET", "/api/worklist", headers={"X-Background": "1"})
        assert status == 200
    portal.hub.clock.advance(10)
    assert (await browser.call("GET", "/api/worklist", headers={"X-Background": "1"}))[0] == 401


async def test_nobody_ends_another_persons_session_or_removes_their_passkey(portal: PortalHub) -> None:
    await portal.hub.account("ann", Role.LEAD, groups=["neuro"])
    chen, key = await portal.logged_in("chen"), SoftPasskey(portal.origin)
    await add_passkey(chen, key)
    ann = await portal.logged_in("ann")
    _, account = await chen.call("GET", "/api/account")
    assert (await ann.call("DELETE", f"/api/sessions/{account['sessions'][0]['id']}"))[0] == 404
    assert (await ann.call("DELETE", f"/api/passkeys/{account['passkeys'][0]['id']}"))[0] == 404
    assert (await chen.call("GET", "/api/account"))[0] == 200
    async with portal.hub.database.reading() as connection:
        tokens = (await connection.execute(select(sessions.c.token_sha256))).scalars().all()
    assert chen.token not in tokens
    assert "public_key" not in json.dumps(account)

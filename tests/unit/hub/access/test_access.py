from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import select

from gateway.brake import TooMany
from gateway.errors import NotAllowed, Refused
from hub.access import totp
from hub.access.accounts import BadCredentials, CodeRequired, NewAccount
from hub.access.sessions import token_digest
from hub.access.vault import Vault
from hub.people import Role
from hub.tables.account import sessions, users
from tests.doubles.people import PASSWORD, Hub, open_hub


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[Hub]:
    opened = await open_hub(tmp_path)
    yield opened
    await opened.database.close()


async def login(hub: Hub, name: str = "chen", password: str = PASSWORD, code: str | None = None):
    return await hub.access.login(name, password, code, address="192.0.2.1")


async def enrol(hub: Hub, name: str = "chen") -> bytes:
    """Give an account a second factor; its first code is used up."""
    secret = await hub.access.accounts.begin_second_factor(name)
    code = totp.generate(secret, at=hub.clock.now().timestamp())
    await hub.access.accounts.confirm_second_factor(name, code)
    return secret


async def test_a_login_opens_a_session_and_the_table_keeps_no_token(hub: Hub) -> None:
    await hub.account("chen")
    opened = await login(hub)
    assert opened.session.account.name == "chen"
    assert opened.session.account.factors == 1
    async with hub.database.reading() as connection:
        kept = (await connection.execute(select(sessions))).mappings().one()
    assert kept["token_sha256"] == token_digest(opened.token)
    assert opened.token not in str(dict(kept))
    assert hub.record.names() == ["login"]
    assert "chen" not in str(hub.record.events)


@pytest.mark.parametrize("password", ["", "wrong", PASSWORD + "x"])
async def test_a_wrong_password_and_an_unknown_name_look_the_same(hub: Hub, password: str) -> None:
    await hub.account("chen")
    with pytest.raises(BadCredentials) as known:
        await login(hub, "chen", password)
    with pytest.raises(BadCredentials) as unknown:
        await login(hub, "nobody", password)
    assert str(known.value) == str(unknown.value)


async def test_many_wrong_tries_wait_and_the_wait_ends(hub: Hub) -> None:
    await hub.account("chen")
    for name in ("chen", "nobody"):
        for _ in range(5):
            with pytest.raises(BadCredentials):
                await login(hub, name, "wrong")
        with pytest.raises(TooMany) as told:
            await login(hub, name, PASSWORD)
        assert told.value.retry_after == pytest.approx(30, abs=0.1)
        hub.clock.advance(31)
    assert (await login(hub)).session.account.name == "chen"


async def test_one_address_cannot_flood(hub: Hub) -> None:
    for number in range(20):
        with pytest.raises(BadCredentials):
            await login(hub, f"nobody{number}", "x")
    with pytest.raises(TooMany):
        await login(hub, "nobody", "x")


async def test_idle_and_old_sessions_end(hub: Hub) -> None:
    await hub.account("chen")
    find = hub.access.sessions.find
    token = (await login(hub)).token
    hub.clock.advance(14 * 60)
    assert await find(token, kind="browser")
    hub.clock.advance(14 * 60)
    assert await find(token, kind="browser", touch=False)
    hub.clock.advance(2 * 60)
    assert await find(token, kind="browser") is None, "an untouched quarter of an hour"
    token = (await login(hub)).token
    for _ in range(12 * 6 - 1):
        hub.clock.advance(600)
        assert await find(token, kind="browser")
    hub.clock.advance(600)
    assert await find(token, kind="browser") is None, "twelve hours"


async def test_a_cookie_is_dead_after_logging_out(hub: Hub) -> None:
    await hub.account("chen")
    opened = await login(hub)
    await hub.access.logout(opened.session)
    assert await hub.access.sessions.find(opened.token, kind="browser") is None


async def test_a_new_password_and_a_bar_end_every_session(hub: Hub) -> None:
    await hub.account("chen")
    first = await login(hub)
    await hub.access.accounts.set_password("chen", "another good one")
    assert await hub.access.sessions.find(first.token, kind="browser") is None
    second = await login(hub, password="another good one")
    await hub.access.accounts.set_disabled("chen", disabled=True)
    assert await hub.access.sessions.find(second.token, kind="browser") is None
    with pytest.raises(BadCredentials):
        await login(hub, password="another good one")


async def test_a_second_factor_is_asked_for_and_each_code_works_once(hub: Hub) -> None:
    await hub.account("chen")
    secret = await enrol(hub)
    hub.clock.advance(60)
    with pytest.raises(CodeRequired):
        await login(hub)
    with pytest.raises(BadCredentials):
        await login(hub, password="wrong")
    code = totp.generate(secret, at=hub.clock.now().timestamp())
    assert (await login(hub, code=code)).session.account.factors == 2
    with pytest.raises(BadCredentials):
        await login(hub, code=code)
    hub.clock.advance(30)
    fresh = totp.generate(secret, at=hub.clock.now().timestamp())
    assert (await login(hub, code=fresh)).session.account.factors == 2


async def test_the_code_that_enrolled_does_not_log_in(hub: Hub) -> None:
    await hub.account("chen")
    secret = await enrol(hub)
    with pytest.raises(BadCredentials):
        await login(hub, code=totp.generate(secret, at=hub.clock.now().timestamp()))


async def test_enrolling_rotates_the_session_and_keeps_its_age(hub: Hub) -> None:
    await hub.account("chen")
    opened = await login(hub)
    await hub.access.begin_second_factor(opened.session)
    async with hub.database.reading() as connection:
        sealed = (await connection.execute(select(users.c.totp_pending))).scalar_one()
    secret = Vault(b"v" * 32).open(sealed, "totp:chen")
    with pytest.raises(BadCredentials):
        await hub.access.confirm_second_factor(opened.session, "000000", address="")
    hub.clock.advance(300)
    code = totp.generate(secret, at=hub.clock.now().timestamp())
    token = await hub.access.confirm_second_factor(opened.session, code, address="")
    assert await hub.access.sessions.find(opened.token, kind="browser") is None
    fresh = await hub.access.sessions.find(token, kind="browser")
    assert fresh is not None
    assert (fresh.account.factors, fresh.csrf) == (2, opened.session.csrf)
    assert fresh.expires_at == opened.session.expires_at
    assert hub.access.second_factor(fresh) == "enrolled"
    with pytest.raises(Refused):
        await hub.access.begin_second_factor(fresh)


async def test_a_bearer_token_is_no_cookie(hub: Hub) -> None:
    await hub.account("viewer", Role.SERVICE)
    token = await hub.access.sessions.bearer("viewer", life=3600)
    assert await hub.access.sessions.find(token, kind="bearer")
    assert await hub.access.sessions.find(token, kind="browser") is None
    hub.clock.advance(3601)
    assert await hub.access.sessions.find(token, kind="bearer") is None


async def test_senseless_accounts_are_refused(hub: Hub) -> None:
    create = hub.access.accounts.create
    for wrong in (
        NewAccount("", "Dr X", Role.ADMIN),
        NewAccount("a b", "Dr X", Role.ADMIN),
        NewAccount("x", " ", Role.ADMIN),
        NewAccount("x", "Dr X", Role.READER),
        NewAccount("x", "X", Role.SITE),
        NewAccount("x", "X", Role.ADMIN, site="H001"),
        NewAccount("x", "X", Role.AUDITOR, groups=("neuro",)),
    ):
        with pytest.raises(Refused):
            await create(wrong, PASSWORD)
    await hub.account("chen")
    with pytest.raises(Refused, match="already"):
        await hub.account("chen")


@pytest.mark.parametrize("role", list(Role))
async def test_which_roles_owe_a_second_factor(tmp_path: Path, role: Role) -> None:
    hub = await open_hub(tmp_path, require_second_factor=True)
    await hub.account("x", role, site="H001" if role is Role.SITE else None)
    token, _ = await hub.access.sessions.open("x", factors=1, address="")
    session = await hub.access.sessions.find(token, kind="browser")
    assert session is not None
    owed = role in (Role.READER, Role.LEAD, Role.ADMIN)
    assert hub.access.second_factor(session) == ("required" if owed else "none")
    await hub.database.close()


async def test_the_wrong_code_counts_towards_the_wait(hub: Hub) -> None:
    await hub.account("chen")
    await enrol(hub)
    for _ in range(5):
        with pytest.raises(NotAllowed):
            await login(hub, code="000000")
    with pytest.raises(TooMany):
        await login(hub, code="000000")

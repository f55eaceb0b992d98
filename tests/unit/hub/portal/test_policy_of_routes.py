"""Every route declares who may use it, and every role is let in or kept out accordingly."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hub.access import roles
from hub.access.roles import Policy
from hub.people import Role
from tests.doubles.portal_hub import PortalHub, portal_hub

FREE = {"/", "/ohif"}
SESSION_ONLY = {
    "/api/session",
    "/api/session/totp",
    "/api/session/totp/confirm",
    "/api/session/language",
    "/api/session/step-up",
    "/api/session/step-up/options",
    "/api/account",
    "/api/passkeys",
    "/api/passkeys/options",
    "/api/passkeys/{id}",
    "/api/recovery",
}


@pytest.fixture
async def portal(tmp_path: Path) -> AsyncIterator[PortalHub]:
    async with portal_hub(tmp_path) as made:
        yield made


def table(portal: PortalHub) -> list[tuple[str, str, Policy]]:
    found = []
    for route in portal.app.router.routes():
        assert route.resource is not None
        policy = getattr(route.handler, "policy", None)
        assert isinstance(policy, Policy), f"{route.method} {route.resource.canonical} has no policy"
        if route.method != "HEAD":
            found.append((route.method, route.resource.canonical, policy))
    return found


def path_of(canonical: str) -> str:
    specimen = "0" * 64 if "sessions" in canonical else "0" * 32 if "reports" in canonical else "1"
    return canonical.replace("{id}", specimen).replace("{path}", "x.js")


async def test_every_route_has_a_policy_and_only_the_pages_and_the_login_are_public(
    portal: PortalHub,
) -> None:
    public = {(method, path) for method, path, policy in table(portal) if policy.roles is None}
    assert public == {
        ("POST", "/api/session"),
        ("POST", "/api/session/passkey/options"),
        ("POST", "/api/session/passkey"),
        ("GET", "/api/login"),
        ("GET", "/api/oidc/login"),
        ("GET", "/api/oidc/callback"),
        ("GET", "/ohif"),
        ("GET", "/ohif/{path}"),
        ("GET", "/{path}"),
    }
    assert len(table(portal)) >= 25


async def test_nobody_without_a_session_gets_past_the_door(portal: PortalHub) -> None:
    browser = portal.browser()
    for method, canonical, policy in table(portal):
        if policy.roles is not None:
            status, told = await browser.call(method, path_of(canonical))
            assert (status, told["error"]["code"]) == (401, "not_logged_in"), canonical


@pytest.mark.parametrize("role", list(Role))
async def test_every_role_at_every_route(portal: PortalHub, role: Role) -> None:
    await portal.hub.account("x", role, site="H001" if role is Role.SITE else None)
    for method, canonical, policy in table(portal):
        if policy.roles is None or canonical == "/api/events":
            continue
        browser = portal.browser()
        browser.token, browser.csrf = await portal.hub.access.sessions.open("x", factors=1, address="")
        status, told = await browser.call(method, path_of(canonical), {})
        if canonical == "/api/session/step-up" and role in policy.roles:
            assert (status, told["error"]["code"]) == (401, "bad_credentials")  # let in; no code was given
        elif role in policy.roles:
            assert status not in (401, 403), (canonical, told)
        else:
            assert (status, told["error"]["code"]) == (403, "not_allowed"), canonical


@pytest.mark.parametrize("role", sorted(roles.SECOND_FACTOR))
async def test_who_owes_a_second_factor_can_do_nothing_but_set_it_up(tmp_path: Path, role: Role) -> None:
    async with portal_hub(tmp_path / "strict", require_second_factor=True) as portal:
        await portal.hub.account("x", role)
        browser = portal.browser()
        assert (await browser.log_in("x"))["second_factor"] == "required"
        for method, canonical, policy in table(portal):
            if policy.roles is None or canonical in SESSION_ONLY:
                continue
            status, told = await browser.call(method, path_of(canonical), {})
            if role in policy.roles or canonical == "/api/events":
                assert (status, told["error"]["code"]) == (403, "second_factor_required"), canonical
            else:
                assert status == 403, canonical
        assert (await browser.call("GET", "/api/session"))[0] == 200
        assert (await browser.call("POST", "/api/session/totp", {}))[0] == 200


def test_no_role_that_sees_no_pixels_reads_or_signs() -> None:
    for policy in (roles.READING, roles.SIGNING):
        assert policy.roles is not None
        assert policy.roles <= roles.PIXELS
    assert roles.SIGNING.roles == roles.SIGNERS

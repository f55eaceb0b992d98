"""Single sign-on against a provider that runs: the honest way, every bent token, and where it may not reach."""

from __future__ import annotations

import base64
import hmac
import ipaddress
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from sqlalchemy import insert

from gateway.clock import rfc3339
from gateway.errors import Malformed, NotAllowed, UsageError
from hub.access import totp
from hub.access.oidc import Provider as Ours
from hub.access.oidc import SingleSignOn
from hub.access.outbound import Outbound, permitted
from hub.access.sessions import COOKIE
from hub.access.sso import single_sign_on
from hub.config import Access, HubConfig, Oidc, Web
from hub.people import Role
from hub.portal.routes_oidc import STATE_COOKIE
from hub.tables.account import identities
from tests.doubles.oidc_provider import CLIENT, CURVE_KEY, OTHER_KEY, SECRET, SHARED_KEY, Provider, provider
from tests.doubles.portal_hub import Browser, PortalHub, portal_hub
from tests.doubles.tls_pair import tls_pair

LOOPBACK = ("127.0.0.0/8",)


@dataclass
class Desk:
    portal: PortalHub
    provider: Provider
    sso: SingleSignOn

    async def begin(self, browser: Browser) -> tuple[str, str]:
        """(address of the log-in, state cookie)."""
        async with browser.raw("GET", "/api/oidc/login") as answer:
            assert answer.status == 303
            cookie = answer.cookies[STATE_COOKIE]
            assert (cookie["samesite"], cookie["secure"], cookie["httponly"]) == ("Lax", True, True)
            return answer.headers["Location"], cookie.value

    async def finish(self, browser: Browser, back: dict[str, str], state: str) -> tuple[str, bool]:
        """(where the browser is sent, whether it has a session)."""
        path = f"/api/oidc/callback?{urlencode(back)}"
        headers = {"Cookie": f"{STATE_COOKIE}={state}", "Sec-Fetch-Site": "cross-site"}
        async with browser.raw("GET", path, headers=headers) as answer:
            assert answer.status == 303
            if COOKIE in answer.cookies:
                browser.token = answer.cookies[COOKIE].value
            return answer.headers["Location"], COOKIE in answer.cookies

    async def sign_on(self, subject: str = "s-1") -> tuple[Browser, bool]:
        browser = self.portal.browser()
        url, state = await self.begin(browser)
        _, entered = await self.finish(browser, self.provider.log_in(url, subject), state)
        return browser, entered


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    server, client, _ = tls_pair(tmp_path)
    async with provider(server) as told:
        made: list[SingleSignOn] = []

        def build(hub: Any) -> SingleSignOn:
            told.now = lambda: hub.clock.now().timestamp()
            host = told.issuer.removeprefix("https://")
            ours = Ours(
                told.issuer, CLIENT, SECRET, "https://hub.example.org:8443/api/oidc/callback", "email"
            )
            sso = SingleSignOn(
                ours,
                Outbound([host], LOOPBACK, client),
                hub.access.flows,
                hub.database,
                hub.clock,
                hub.access.standing,
            )
            made.append(sso)
            return sso

        async with portal_hub(tmp_path / "hub", sso=build) as portal:
            await portal.hub.account("chen")
            yield Desk(portal, told, made[0])


async def test_an_account_is_found_once_by_a_verified_claim_and_then_by_its_subject(desk: Desk) -> None:
    browser, entered = await desk.sign_on()
    assert entered
    status, told = await browser.call("GET", "/api/session")
    assert (status, told["user"]["name"], told["factors"]) == (200, "chen", 1)
    desk.provider.claims = {"email": "moved@example.org", "email_verified": False}
    assert (await desk.sign_on())[1], "linked now: the claim no longer matters"
    desk.provider.claims = {}
    assert not (await desk.sign_on("s-2"))[1], "another subject cannot take the same account over"


@pytest.mark.parametrize(
    "claims",
    [
        {"email_verified": False},
        {"email_verified": None},
        {"email_verified": "true"},
        {"email": "x@example.org"},
    ],
    ids=str,
)
async def test_a_claim_the_issuer_has_not_verified_links_nobody(desk: Desk, claims: dict[str, Any]) -> None:
    desk.provider.claims = claims
    assert not (await desk.sign_on())[1]


async def test_who_was_provisioned_needs_no_claim(desk: Desk) -> None:
    hub = desk.portal.hub
    row = {
        "issuer": desk.provider.issuer,
        "subject": "s-9",
        "user": "chen",
        "linked_at": rfc3339(hub.clock.now()),
    }
    async with hub.database.writing() as connection:
        await connection.execute(insert(identities).values(row))
        await hub.access.standing.enter(connection, "chen")
    desk.sso.provider = replace(desk.sso.provider, link_claim="")
    desk.provider.claims = {"email": None}
    assert (await desk.sign_on("s-9"))[1]
    assert not (await desk.sign_on("s-8"))[1]


@pytest.mark.parametrize(
    "bend",
    [
        {"claims": {"aud": "another"}},
        {"claims": {"aud": [CLIENT, "another"]}},
        {"claims": {"azp": "another"}},
        {"claims": {"nonce": "another"}},
        {"claims": {"nonce": None}},
        {"claims": {"iss": "https://evil.example"}},
        {"claims": {"exp": 1}},
        {"claims": {"exp": None}},
        {"claims": {"iat": 9999999999}},
        {"claims": {"sub": None}},
        {"claims": {"sub": 7}},
        {"claims": {"sub": ""}},
        {"signer": OTHER_KEY},
        {"signer": CURVE_KEY, "header": {"alg": "ES256"}},
        {"signer": SHARED_KEY, "header": {"alg": "HS256"}},
        {"raw": "eyJhbGciOiJub25lIn0.eyJzdWIiOiJzLTEifQ."},
        {"raw": "no token"},
        {"raw": "a.b.c"},
    ],
    ids=str,
)
async def test_a_token_that_is_bent_lets_nobody_in(desk: Desk, bend: dict[str, Any]) -> None:
    for name, value in bend.items():
        setattr(desk.provider, name, value)
    browser, entered = await desk.sign_on()
    assert not entered
    assert (await browser.call("GET", "/api/session"))[0] == 401


async def test_a_token_signed_by_hmac_with_the_issuers_public_key_lets_nobody_in(desk: Desk) -> None:
    """The confusion of algorithms: the published key, taken for a shared secret."""

    def part(told: dict[str, Any]) -> bytes:
        return base64.urlsafe_b64encode(json.dumps(told).encode()).rstrip(b"=")

    now = int(desk.portal.hub.clock.now().timestamp())
    browser = desk.portal.browser()
    url, state = await desk.begin(browser)
    nonce = parse_qs(urlsplit(url).query)["nonce"][0]
    claims = {
        "iss": desk.provider.issuer,
        "sub": "s-1",
        "aud": CLIENT,
        "nonce": nonce,
        "iat": now,
        "exp": now + 60,
    }
    signed = (
        part({"alg": "HS256", "kid": "1"})
        + b"."
        + part({**claims, "email": "chen@example.org", "email_verified": True})
    )
    mac = hmac.new(desk.provider.key.as_pem(private=False), signed, "sha256").digest()
    desk.provider.raw = (signed + b"." + base64.urlsafe_b64encode(mac).rstrip(b"=")).decode()
    assert not (await desk.finish(browser, desk.provider.log_in(url), state))[1]


async def test_state_is_of_this_browser_and_good_once(desk: Desk) -> None:
    browser = desk.portal.browser()
    url, state = await desk.begin(browser)
    back = desk.provider.log_in(url)
    assert not (await desk.finish(desk.portal.browser(), back, ""))[1], "no cookie"
    assert not (await desk.finish(desk.portal.browser(), back, "x" + state[1:]))[1], "another browser's"
    assert (await desk.finish(browser, back, state))[1]
    again = desk.provider.log_in(url)
    assert not (await desk.finish(desk.portal.browser(), again, state))[1], "replayed"


async def test_a_flow_that_is_too_old_or_another_issuers_is_refused(desk: Desk) -> None:
    browser = desk.portal.browser()
    url, state = await desk.begin(browser)
    assert not (
        await desk.finish(browser, desk.provider.log_in(url) | {"iss": "https://evil.example"}, state)
    )[1]
    url, state = await desk.begin(browser)
    desk.portal.hub.clock.advance(601)
    assert not (await desk.finish(browser, desk.provider.log_in(url), state))[1]


async def test_a_code_of_another_flow_is_refused_by_pkce(desk: Desk) -> None:
    mine, theirs = desk.portal.browser(), desk.portal.browser()
    url, _ = await desk.begin(theirs)
    injected = desk.provider.log_in(url)
    url, state = await desk.begin(mine)
    back = desk.provider.log_in(url) | {"code": injected["code"]}
    assert not (await desk.finish(mine, back, state))[1]


async def test_a_barred_account_is_not_let_in(desk: Desk) -> None:
    await desk.portal.hub.access.accounts.set_disabled("chen", disabled=True)
    assert not (await desk.sign_on())[1]


async def test_the_issuers_word_on_factors_counts_only_if_it_is_trusted(desk: Desk) -> None:
    desk.provider.claims = {"amr": ["pwd", "otp"]}
    browser, _ = await desk.sign_on()
    assert (await browser.call("GET", "/api/session"))[1]["factors"] == 1
    desk.sso.provider = replace(desk.sso.provider, trust_factors=True)
    browser, _ = await desk.sign_on()
    assert (await browser.call("GET", "/api/session"))[1]["factors"] == 2
    desk.provider.claims = {"amr": ["pwd"]}
    browser, _ = await desk.sign_on()
    assert (await browser.call("GET", "/api/session"))[1]["factors"] == 1


async def test_single_sign_on_does_not_get_round_a_factor_that_is_set_up_here(desk: Desk) -> None:
    hub = desk.portal.hub
    await hub.access.accounts.recovery.renew("chen")
    own = await desk.portal.logged_in("chen")
    _, told = await own.call("POST", "/api/session/totp", {})

    secret = base64.b32decode(told["secret"] + "=" * (-len(told["secret"]) % 8))
    code = totp.generate(secret, at=hub.clock.now().timestamp())
    assert (await own.call("POST", "/api/session/totp/confirm", {"code": code}))[0] == 204
    browser, entered = await desk.sign_on()
    assert entered
    _status, told = await browser.call("GET", "/api/session")
    browser.csrf = told["csrf"]
    assert told["second_factor"] == "unproved"
    assert (await browser.call("GET", "/api/worklist"))[0] == 403
    assert (await browser.call("POST", "/api/passkeys/options", {}))[0] == 403, (
        "nor is a new factor added by it"
    )
    assert (await browser.call("POST", "/api/session/totp", {}))[0] == 403
    hub.clock.advance(60)
    code = totp.generate(secret, at=hub.clock.now().timestamp())
    assert (await browser.call("POST", "/api/session/step-up", {"code": code}))[0] == 200
    assert (await browser.call("GET", "/api/worklist"))[0] == 200


async def test_an_account_of_a_program_is_never_linked(desk: Desk) -> None:
    await desk.portal.hub.account("robot", Role.SERVICE)
    desk.sso.provider = replace(desk.sso.provider, link_claim="preferred_username")
    desk.provider.claims = {"preferred_username": "robot"}
    assert not (await desk.sign_on())[1]


@pytest.mark.parametrize("role", [Role.ADMIN, Role.LEAD])
async def test_a_name_that_anybody_may_choose_makes_nobody_administrator(desk: Desk, role: Role) -> None:
    await desk.portal.hub.account("root", role)
    desk.sso.provider = replace(desk.sso.provider, link_claim="preferred_username")
    desk.provider.claims = {"preferred_username": "root"}
    assert (await desk.sign_on())[1] == (role is not Role.ADMIN)


async def test_an_issuer_that_says_it_names_itself_must(desk: Desk) -> None:
    browser = desk.portal.browser()
    url, state = await desk.begin(browser)
    back = desk.provider.log_in(url)
    del back["iss"]
    assert (await desk.finish(browser, back, state))[1], "it says nothing of the kind"
    desk.sso._found = None
    desk.provider.document = {"authorization_response_iss_parameter_supported": True}
    url, state = await desk.begin(browser)
    back = desk.provider.log_in(url)
    assert not (await desk.finish(browser, {k: v for k, v in back.items() if k != "iss"}, state))[1]
    url, state = await desk.begin(browser)
    assert (await desk.finish(browser, desk.provider.log_in(url), state))[1]


async def test_a_cookie_of_any_bytes_is_refused_in_plain_words(desk: Desk) -> None:
    head = await desk.portal.raw(
        b"GET /api/oidc/callback?code=x&state=y HTTP/1.1\r\nCookie: __Host-telerad-sso=\xff\r\n"
    )
    assert head.startswith(b"HTTP/1.1 303 ")
    assert b"Location: /#/sso-refused" in head


@pytest.mark.parametrize(
    "document",
    [
        {"issuer": "https://evil.example"},
        {"token_endpoint": "https://evil.example/token"},
        {"token_endpoint": "http://localhost/token"},
        {"jwks_uri": "https://169.254.169.254/latest/meta-data"},
        {"jwks_uri": "file:///etc/passwd"},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"authorization_endpoint": None},
    ],
    ids=str,
)
async def test_attack_17_ssrf_a_discovery_document_that_leads_elsewhere_is_not_followed(
    desk: Desk, document: dict[str, Any]
) -> None:
    desk.provider.document = document
    async with desk.portal.browser().raw("GET", "/api/oidc/login") as answer:
        assert (answer.status, answer.headers["Location"]) == (303, "/#/sso-unavailable")


async def test_attack_17_ssrf_a_name_that_leads_to_loopback_is_not_asked(desk: Desk, tmp_path: Path) -> None:
    """The very same provider, without its network in the configuration."""
    _, client, _ = tls_pair(tmp_path)
    host = desk.provider.issuer.removeprefix("https://")
    with pytest.raises(NotAllowed):
        await Outbound([host], [], client).json(f"{desk.provider.issuer}/.well-known/openid-configuration")
    assert desk.provider.asked == []
    literal = host.replace("localhost", "127.0.0.1")
    with pytest.raises(NotAllowed):
        await Outbound([literal], [], client).json(f"https://{literal}/keys")


async def test_attack_17_ssrf_redirects_are_not_followed_and_answers_are_small(desk: Desk) -> None:
    desk.provider.document = {"padding": "x" * (300 << 10)}
    with pytest.raises(Malformed):
        await desk.sso.begin()


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.0.0.1", "192.168.1.1", "169.254.169.254", "::1", "fe80::1", "fd00::1", "0.0.0.0",
     "::ffff:127.0.0.1", "100.64.0.1", "224.0.0.1"],
)  # fmt: skip
def test_attack_17_ssrf_networks_that_are_not_asked(address: str) -> None:
    assert not permitted(ipaddress.ip_address(address), [])
    assert permitted(ipaddress.ip_address("203.0.114.1"), [])


def test_a_client_secret_that_others_can_read_is_refused(tmp_path: Path) -> None:
    secret = tmp_path / "oidc.secret"
    secret.write_text("s3cret\n")
    told = Oidc("https://login.example.org", CLIENT, client_secret=secret, networks=LOOPBACK)
    settings = HubConfig(
        tmp_path / "hub",
        tmp_path / "pki",
        tmp_path / "rules.yaml",
        web=Web(url="https://hub.example.org"),
        access=Access(oidc=told),
    )
    secret.chmod(0o600)
    unused: Any = None
    found = single_sign_on(settings, unused, unused, unused, unused)
    assert found is not None
    assert found.provider.client_secret == "s3cret"
    secret.chmod(0o644)
    with pytest.raises(UsageError, match=r"the client secret .* can be read by others"):
        single_sign_on(settings, unused, unused, unused, unused)

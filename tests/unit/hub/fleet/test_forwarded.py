"""An edge's certificate, forwarded by a proxy: from whom it is taken, how, and what is a forgery."""

from __future__ import annotations

import base64
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

import aiohttp
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict, CIMultiDictProxy

from edge.enroll import enroll
from edge.identity import EdgeIdentity
from gateway import tls
from gateway.certificate import pem
from gateway.clock import SystemClock
from gateway.config import parse
from gateway.errors import ConfigError, DataError, Malformed, Unverified
from hub.config import Line
from hub.fleet import devices
from hub.fleet.middleware import caller
from hub.forwarded import ESCAPED, HEADERS, RFC_9440, Forwarding
from tests.doubles.signers import MemoryAuthority
from tests.doubles.small_hub import SmallHub, small_hub

CLOCK = SystemClock()
HERE = ("127.0.0.1",)


def structured(certificate) -> str:
    return f":{base64.b64encode(certificate.public_bytes(Encoding.DER)).decode()}:"


def escaped(certificate) -> str:
    return quote(certificate.public_bytes(Encoding.PEM))


WRITTEN = {RFC_9440: structured, ESCAPED: escaped}


def routes(_: SmallHub) -> list[web.RouteDef]:
    async def whose(request: web.Request) -> web.Response:
        return web.json_response({"site": caller(request).site, "edge": caller(request).edge})

    return [web.get("/whose", whose)]


async def told(hub: SmallHub, context: ssl.SSLContext, headers) -> tuple[int, dict]:
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session,
        session.get(f"{hub.config.line.url}/whose", headers=headers) as response,
    ):
        return response.status, await response.json()


@pytest.fixture(params=HEADERS)
async def proxied(request, tmp_path: Path) -> AsyncIterator[SmallHub]:
    line = {"trusted_proxies": HERE, "client_cert_header": request.param}
    async with small_hub(tmp_path, routes, line=line) as hub:
        yield hub


@pytest.fixture
async def edge(proxied: SmallHub, tmp_path: Path) -> EdgeIdentity:
    return await enroll(await proxied.invitation(), tmp_path / "edge", CLOCK)


def bare(edge: EdgeIdentity) -> ssl.SSLContext:
    """The proxy's own connection: no certificate is shown."""
    return tls.web_client_context(edge.roots)


async def test_the_proxy_speaks_for_the_edge_whose_certificate_it_forwards(proxied, edge) -> None:
    name = proxied.config.line.client_cert_header
    leaf = edge.signer.chain[0]
    status, answer = await told(proxied, bare(edge), {name: WRITTEN[name](leaf)})
    assert (status, answer) == (200, {"site": "H001", "edge": "1"})
    context = tls.line_client_context(edge.device_file, edge.device_file, edge.roots)
    assert (await told(proxied, context, {}))[
        0
    ] == 200  # and an edge beside the proxy still speaks for itself


async def test_the_hub_judges_the_certificate_itself(proxied, edge) -> None:
    name = proxied.config.line.client_cert_header
    stranger = MemoryAuthority("Other").device("H001", "1").chain[0]
    hubs_own = proxied.keys.receipt_signer.chain[0]
    for certificate in (stranger, hubs_own, proxied.authority.root):
        status, _ = await told(proxied, bare(edge), {name: WRITTEN[name](certificate)})
        assert status == 403
    leaf = edge.signer.chain[0]
    async with proxied.database.writing() as connection:
        await devices.revoke(connection, "H001", "1", CLOCK.now(), "stolen")
    status, answer = await told(proxied, bare(edge), {name: WRITTEN[name](leaf)})
    assert status == 403
    assert "revoked" in answer["error"]["message"]


async def test_without_any_certificate_nobody_comes_in(proxied, edge) -> None:
    status, answer = await told(proxied, bare(edge), {})
    assert status == 403
    assert "showed no certificate" in answer["error"]["message"]


async def test_a_header_the_proxy_does_not_write_is_the_callers_own(proxied, edge) -> None:
    """The proxy adds the true one; the edge has put another's into the header the proxy lets through."""
    name = proxied.config.line.client_cert_header
    other = next(one for one in HEADERS if one != name)
    leaf = edge.signer.chain[0]
    for headers in (
        {other: WRITTEN[other](leaf)},
        {name: WRITTEN[name](leaf), other: WRITTEN[other](leaf)},
        CIMultiDict([(name, WRITTEN[name](leaf)), (name, WRITTEN[name](leaf))]),
    ):
        status, answer = await told(proxied, bare(edge), headers)
        assert status == 403
        assert "once" in answer["error"]["message"]


@pytest.mark.parametrize("trusted", [(), ("192.0.2.7", "2001:db8::/32")])
async def test_a_forged_header_from_elsewhere_is_refused(tmp_path: Path, trusted: tuple[str, ...]) -> None:
    """Even of an edge with a good certificate of its own: it would be another hospital's."""
    async with small_hub(tmp_path, routes, line={"trusted_proxies": trusted}) as hub:
        thief = await enroll(await hub.invitation("H666"), tmp_path / "thief", CLOCK)
        victim = await enroll(await hub.invitation("H001"), tmp_path / "victim", CLOCK)
        context = tls.line_client_context(thief.device_file, thief.device_file, thief.roots)
        assert await told(hub, context, {}) == (200, {"site": "H666", "edge": "1"})
        for name, written in WRITTEN.items():
            for spoofed in ({}, {"X-Forwarded-For": "192.0.2.7", "Forwarded": "for=192.0.2.7"}):
                status, answer = await told(hub, context, {name: written(victim.signer.chain[0]), **spoofed})
                assert status == 403
                assert "may not forward" in answer["error"]["message"]
        if not trusted:  # then the handshake itself asks for a certificate
            with pytest.raises(aiohttp.ClientError):
                await told(hub, bare(victim), {RFC_9440: structured(victim.signer.chain[0])})


def read(header: str, value: str, address: str = "127.0.0.1"):
    return Forwarding.of(HERE, header).certificate(CIMultiDictProxy(CIMultiDict({header: value})), address)


def test_both_forms_are_read() -> None:
    certificate = MemoryAuthority().root
    assert read(RFC_9440, structured(certificate)) == certificate
    assert read(ESCAPED, escaped(certificate)) == certificate
    assert read(RFC_9440, structured(certificate), "::ffff:127.0.0.1") == certificate


@pytest.mark.parametrize(
    ("header", "value"),
    [
        (RFC_9440, ""),
        (RFC_9440, "::"),
        (RFC_9440, ":!!:"),
        (RFC_9440, ":AAAA:"),
        (RFC_9440, "AAAA"),
        (RFC_9440, ":" + "A" * 20_000 + ":"),
        (ESCAPED, ""),
        (ESCAPED, "%00"),
        (ESCAPED, quote(pem([MemoryAuthority().root] * 2))),
    ],
)
def test_what_is_no_certificate_is_malformed(header: str, value: str) -> None:
    with pytest.raises(Malformed):
        read(header, value)


@given(header=st.sampled_from(HEADERS), value=st.text(max_size=200), address=st.text(max_size=20))
def test_whatever_is_in_it_nothing_else_is_raised(header: str, value: str, address: str) -> None:
    with pytest.raises(DataError):
        read(header, value)
    with pytest.raises(Unverified):
        read(header, value, address)


@pytest.mark.parametrize(
    "text",
    [
        "trusted_proxies: [proxy.example]",
        "trusted_proxies: [10.0.0.1/8]",
        "trusted_proxies: [0.0.0.0/0]",
        "client_cert_header: X-Cert",
    ],
)
def test_a_configuration_that_would_trust_amiss_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        parse(text.encode(), Line)

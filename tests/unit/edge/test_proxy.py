"""Through a hospital's proxy: the same line inside CONNECT, its refusals in plain words, no password told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from edge.checks import ask
from edge.config import EdgeConfig, Uplink
from edge.enroll import enroll
from edge.hub_client import HubClient
from edge.identity import Addresses, EdgeIdentity
from edge.proxy import Proxy
from gateway.clock import SystemClock
from gateway.config import parse
from gateway.doctor import Level
from gateway.errors import ConfigError, Unavailable, Unverified, UsageError
from hub.fleet import devices
from tests.doubles.relay import connect_proxy, mute
from tests.doubles.small_hub import SmallHub, small_hub

CLOCK = SystemClock()
KEYS = "/v1/keys"


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[SmallHub]:
    async with small_hub(tmp_path) as running:
        yield running


@pytest.fixture
async def identity(hub: SmallHub, tmp_path: Path) -> EdgeIdentity:
    return await enroll(await hub.invitation(), tmp_path / "edge", CLOCK)


def through(port: int, user: str = "") -> Proxy:
    proxy = Proxy.configured(Uplink(proxy=f"http://{user}127.0.0.1:{port}"))
    assert proxy is not None
    return proxy


async def test_requests_go_through_the_proxy_with_its_password(identity: EdgeIdentity) -> None:
    async with connect_proxy(credentials="ward 3:pä:ss") as proxy:
        way = through(proxy.port, "ward%203:p%C3%A4%3Ass@")
        async with HubClient(identity, CLOCK, proxy=way) as client:
            for _ in range(3):
                assert await client.read("GET", KEYS)
        assert [target for target, _ in proxy.asked] == [identity.line_url.removeprefix("https://")]
        assert proxy.up.carried > 1000


async def test_enrolment_and_doctor_go_through_it_too(hub: SmallHub, tmp_path: Path) -> None:
    async with connect_proxy() as proxy:
        way = through(proxy.port)
        identity = await enroll(await hub.invitation(), tmp_path / "edge", CLOCK, proxy=way)
        found, _ = await ask(identity, way)
        assert found.level is Level.GOOD
        assert len(proxy.asked) == 3
        assert {target for target, _ in proxy.asked} == {
            url.removeprefix("https://") for url in (hub.config.web.url, hub.config.line.url)
        }


@pytest.mark.parametrize(
    ("refuse", "user", "words"),
    [
        (None, "", "asks for a user and a password"),
        (None, "ward:wrong@", "does not accept our user and password"),
        (403, "ward:right@", "does not let us connect to https://localhost:"),
        (502, "ward:right@", "cannot reach https://localhost:"),
        (418, "ward:right@", r"refused to connect to .* \(status 418\)"),
    ],
)
async def test_a_proxy_that_refuses_is_told_in_plain_words(
    hub: SmallHub, identity: EdgeIdentity, refuse: int | None, user: str, words: str, tmp_path: Path
) -> None:
    async with connect_proxy(credentials="ward:right", refuse=refuse) as proxy:
        way = through(proxy.port, user)
        async with HubClient(identity, CLOCK, proxy=way) as client:
            with pytest.raises(Unavailable, match=words) as caught:
                await client.read("GET", KEYS)
        assert "wrong" not in str(caught.value)
        assert "right" not in repr(way)
        with pytest.raises(Unavailable, match=words):
            await enroll(await hub.invitation(), tmp_path / "other", CLOCK, proxy=way)


async def test_a_proxy_that_is_not_there(identity: EdgeIdentity) -> None:
    async with HubClient(identity, CLOCK, proxy=through(1)) as client:
        with pytest.raises(Unavailable, match=r"the proxy http://127\.0\.0\.1:1 cannot be reached"):
            await client.read("GET", KEYS)


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 Connection established\r\n\r\n"])
async def test_a_proxy_or_hub_that_says_nothing_is_given_up_and_told(
    identity: EdgeIdentity, answer: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes the connection and answers neither CONNECT nor, behind it, TLS."""
    monkeypatch.setattr("edge.hub_client.REACHED_SECONDS", 0.5)
    async with mute(answer) as proxy, HubClient(identity, CLOCK, proxy=through(proxy.port)) as client:
        words = rf"the proxy 127\.0\.0\.1:{proxy.port} or https://localhost:\d+ behind it does not answer"
        with pytest.raises(Unavailable, match=words):
            async with asyncio.timeout(10):
                await client.read("GET", KEYS)


async def test_behind_the_proxy_the_hub_must_still_prove_itself(
    hub: SmallHub, identity: EdgeIdentity, tmp_path: Path
) -> None:
    async with small_hub(tmp_path / "other") as stranger, connect_proxy() as proxy:
        identity.addresses = Addresses(hub.config.web.url, stranger.config.line.url)
        async with HubClient(identity, CLOCK, proxy=through(proxy.port)) as client:
            with pytest.raises(Unverified, match="does not prove to be the hub"):
                await client.read("GET", KEYS)


async def test_a_revoked_edge_learns_it_through_the_proxy(hub: SmallHub, identity: EdgeIdentity) -> None:
    async with hub.database.writing() as connection:
        await devices.revoke(connection, "H001", "1", CLOCK.now(), "stolen")
    async with connect_proxy() as proxy:
        async with HubClient(identity, CLOCK, proxy=through(proxy.port)) as client:
            assert "revoked" in (await client.diagnose() or "")
        assert proxy.asked


def test_the_password_may_stand_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "proxy"
    file.write_text("ward:a:b\n")
    from_file = Proxy.configured(Uplink(proxy="http://proxy.example:3128", proxy_credentials=file))
    from_url = Proxy.configured(Uplink(proxy="http://ward:a%3Ab@proxy.example:3128/"))
    assert from_file == from_url
    assert from_file is not None
    assert from_file.url == "http://proxy.example:3128"
    assert Proxy.configured(Uplink()) is None
    for bad in ("ward", "a:b\nc:d"):
        file.write_text(bad)
        with pytest.raises(UsageError, match="must hold one line user:password"):
            Proxy.configured(Uplink(proxy="http://proxy.example:3128", proxy_credentials=file))
    with pytest.raises(UsageError, match="cannot be read"):
        Proxy.configured(Uplink(proxy="http://proxy.example:3128", proxy_credentials=tmp_path / "none"))


@pytest.mark.parametrize(
    "uplink",
    [
        "proxy: https://proxy.example:3128",
        "proxy: proxy.example:3128",
        "proxy: http://proxy.example",
        "proxy: http://proxy.example:port",
        "{proxy: 'http://a:b@proxy.example:3128', proxy_credentials: file}",
    ],
)
def test_a_proxy_that_cannot_be_one_is_told_with_its_line(uplink: str) -> None:
    with pytest.raises(ConfigError, match="proxy") as caught:
        parse(f"data: x\nuplink:\n  {uplink}\n".encode(), EdgeConfig)
    assert caught.value.line == 3

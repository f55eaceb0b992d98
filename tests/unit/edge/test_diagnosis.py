"""Each trouble of TLS, provoked: what the person at the edge is told, in the client and in enrolment."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path

import aiohttp
import pytest

from edge.diagnosis import hub_time
from edge.enroll import enroll
from edge.hub_client import HubClient
from edge.identity import Addresses, EdgeIdentity
from gateway.clock import SystemClock
from gateway.errors import Unverified
from tests.doubles.small_hub import SmallHub, small_hub

CLOCK = SystemClock()
KEYS = "/v1/keys"


class Jumping(SystemClock):
    """The hub's clock. Seen from there it is this machine's that is off."""

    ahead = timedelta()

    def now(self) -> datetime:
        return super().now() + self.ahead


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Jumping:
    clock = Jumping()
    monkeypatch.setattr("tests.doubles.small_hub.SystemClock", lambda: clock)
    return clock


@pytest.fixture
async def hub(tmp_path: Path, clock: Jumping) -> AsyncIterator[SmallHub]:
    async with small_hub(tmp_path) as running:
        yield running


@pytest.fixture
async def identity(hub: SmallHub, tmp_path: Path) -> EdgeIdentity:
    return await enroll(await hub.invitation(), tmp_path / "edge", CLOCK)


def certify(hub: SmallHub) -> None:
    """A server certificate of just now, by the hub's clock, for its running listeners."""
    (hub.keys.folder / "server.pem").unlink()
    hub.keys.maintain()


async def told(identity: EdgeIdentity) -> str:
    async with HubClient(identity, CLOCK) as client:
        with pytest.raises(Unverified) as caught:
            await client.read("GET", KEYS)
    return str(caught.value)


@pytest.mark.parametrize(("days", "way"), [(400, "behind"), (-400, "ahead of")])
async def test_a_clock_that_is_off_is_told_with_how_much(
    hub: SmallHub, identity: EdgeIdentity, clock: Jumping, tmp_path: Path, days: int, way: str
) -> None:
    clock.ahead = timedelta(days=days)
    certify(hub)
    words = await told(identity)
    assert f"this machine's clock is {abs(days)} d {way} the hub's" in words
    assert "set it, best by NTP" in words
    with pytest.raises(Unverified, match=rf"does not prove its name: .* {way} the hub's"):
        await enroll(await hub.invitation(), tmp_path / "other", CLOCK)


async def test_a_certificate_of_the_hub_that_really_ended_is_told_as_that(
    hub: SmallHub, identity: EdgeIdentity, clock: Jumping
) -> None:
    clock.ahead = timedelta(days=-400)
    certify(hub)
    clock.ahead = timedelta()
    words = await told(identity)
    assert (
        "has expired (the clocks agree: it is the hub's certificate; tell the hub's administrator)" in words
    )


async def test_only_the_hub_is_asked_what_time_it_is(
    hub: SmallHub, identity: EdgeIdentity, clock: Jumping, tmp_path: Path
) -> None:
    """A stranger could make somebody set a clock wrong."""
    clock.ahead = timedelta(days=400)
    certify(hub)
    there = await hub_time(hub.config.web.url, identity.roots)
    assert there is not None
    assert abs(there - CLOCK.now() - clock.ahead) < timedelta(minutes=1)
    async with small_hub(tmp_path / "other") as stranger:
        assert await hub_time(stranger.config.web.url, identity.roots) is None
        identity.addresses = Addresses(stranger.config.web.url, hub.config.line.url)
        assert "is this machine's clock right? it says" in await told(identity)


async def test_a_clock_off_by_hours_is_told_while_the_line_works(
    hub: SmallHub, identity: EdgeIdentity
) -> None:
    class Slow(SystemClock):
        def now(self) -> datetime:
            return super().now() - timedelta(hours=3, minutes=1)

    slow = Slow()
    async with HubClient(identity, slow) as client:
        assert client.clock_trouble(slow.now()) == []
        await client.read("GET", KEYS)
        (words,) = client.clock_trouble(slow.now())
    assert words.startswith("this machine's clock is 3 h")
    assert "behind the hub's" in words


async def test_a_certificate_issued_in_the_hubs_future_is_no_mystery(
    hub: SmallHub, identity: EdgeIdentity, clock: Jumping
) -> None:
    clock.ahead = timedelta(days=-2)
    async with HubClient(identity, CLOCK) as client:
        words = await client.diagnose()
    assert words is not None
    assert "the hub's clock is or was wrong" in words
    assert "ahead of the hub's" in words


async def test_answers_that_do_not_fit_are_no_diagnosis(
    hub: SmallHub, identity: EdgeIdentity, monkeypatch: pytest.MonkeyPatch
) -> None:
    for answer in ([], {}, {"verdict": "good", "now": "noon"}, {"verdict": "good", "now": 5}):

        async def said(_: aiohttp.ClientResponse, answer: object = answer) -> object:
            return answer

        monkeypatch.setattr(aiohttp.ClientResponse, "json", said)
        assert await hub_time(hub.config.web.url, identity.roots) is None
        async with HubClient(identity, CLOCK) as client:
            assert await client.diagnose() is None

"""On a thin line: the urgent overtakes, the small are not starved, budgets hold, and every wait has its reason."""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from sqlalchemy import select

from edge.budget import Budgets
from edge.config import Budget
from edge.config import Uplink as Settings
from edge.console.facts import status_json
from edge.console.outlook import outlook
from edge.console.page import page
from edge.identity import Addresses
from gateway.clock import parse_rfc3339
from gateway.config import BitRate, Seconds
from gateway.model import Priority
from hub.tables.study import instances
from tests.doubles.edges import CLOCK, Edge, edge_of, until
from tests.doubles.lines import LineHub, line_hub
from tests.doubles.relay import Relay, thin_line

RATE = 20_000_000 / 8
LINE = Settings(streams=4, retry_first=Seconds(0.1), retry_cap=Seconds(0.5))
MIB = os.urandom(1 << 20)


@pytest.fixture
async def hub(tmp_path: Path):
    async with line_hub(tmp_path) as running:
        yield running


@pytest.fixture
async def thin(hub: LineHub) -> AsyncIterator[Relay]:
    port = urlsplit(hub.small.config.line.url).port
    assert port is not None
    async with thin_line(port, RATE) as relay:
        yield relay


@pytest.fixture
async def edge(hub: LineHub, thin: Relay, tmp_path: Path):
    async with edge_of(hub, tmp_path / "edge", settings=LINE) as running:
        through(hub, running, thin)
        yield running


def through(hub: LineHub, edge: Edge, relay: Relay) -> None:
    edge.identity.addresses = Addresses(hub.small.config.web.url, f"https://localhost:{relay.port}")


async def receive(edge: Edge, numbers: range, size: int, priority: Priority, modality: str) -> set[str]:
    """Instances that differ and do not compress."""
    whole = MIB * -(-size // len(MIB))

    def one(number: int) -> str:
        data = number.to_bytes(8, "big") + whole[8:size]
        edge.receive(number, data, priority, modality)
        return hashlib.sha256(data).hexdigest()

    return {await asyncio.to_thread(one, number) for number in numbers}


async def indexed(hub: LineHub, digests: set[str]) -> int:
    async with hub.small.database.reading() as connection:
        rows = await connection.execute(select(instances.c.sha256))
        return sum(row.sha256 in digests for row in rows)


async def running(thin: Relay, size: int = 1_000_000) -> None:
    before = thin.up.carried

    async def look() -> bool:
        return thin.up.carried > before + size

    await until(look)


async def test_stat_overtakes_a_running_study_within_two_seconds(
    hub: LineHub, edge: Edge, thin: Relay
) -> None:
    routine = await receive(edge, range(50), 4 << 20, Priority.ROUTINE, "CT")  # 200 MB: 84 s of this line
    await running(thin, 2_000_000)
    came = time.monotonic()
    stat = await receive(edge, range(100, 104), 60_000, Priority.STAT, "CT")

    async def there() -> bool:
        return await indexed(hub, stat) == len(stat)

    await until(there)
    took = time.monotonic() - came
    print(f"stat after {took:.2f} s, {await indexed(hub, routine)} of {len(routine)} routine parcels")
    assert took < 2.0
    assert await indexed(hub, routine) < 10


async def test_a_radiograph_does_not_wait_for_a_whole_ct(hub: LineHub, edge: Edge, thin: Relay) -> None:
    study = await receive(edge, range(20), 2 << 20, Priority.ROUTINE, "CT")  # 40 MB: 17 s
    await running(thin)
    radiograph = await receive(edge, range(100, 102), 500_000, Priority.ROUTINE, "CR")

    async def there() -> bool:
        return await indexed(hub, radiograph) == len(radiograph)

    await until(there)
    assert await indexed(hub, study) < 15


async def test_every_wait_has_a_true_reason_and_a_time(hub: LineHub, edge: Edge, thin: Relay) -> None:
    """While it runs; while the budget holds it back; while the hub is away."""
    budgets = Budgets()
    await edge.stop()
    edge.start(settings=LINE, budgets=budgets)
    await receive(edge, range(40), 1 << 20, Priority.ROUTINE, "CT")
    await running(thin, 8_000_000)

    async def facts() -> dict:
        link = edge.uplink.link
        status = await edge.spool.status(link)
        ahead = outlook(status, edge.uplink.blocked, edge.uplink.takes, "line 3: faulty")
        told = status_json(status, link, CLOCK.now(), studies=True, ahead=ahead)
        for language, words in (("en", "line 3: faulty"), ("zh", "line 3：faulty")):
            assert words in page(status, link, CLOCK.now(), language, ahead)
        return told

    told = await facts()
    assert {item["why"] for item in told["items"]} <= {"sending", "in_line", "receipt"}
    goes = [parse_rfc3339(item["next_try"]) for item in told["items"] if item["why"] == "in_line"]
    assert goes
    assert goes == sorted(goes)
    ahead = (goes[-1] - CLOCK.now()).total_seconds()
    assert 2 < ahead < 40
    assert 0.4 * RATE < told["link"]["rate"] < 1.8 * RATE
    assert 4 < told["eta_seconds"] < 40
    (study,) = told["studies"]
    assert study["received"] == 40
    assert 4 < study["eta_seconds"] < 40
    budgets.replace([Budget(BitRate(0))])

    async def held_back():
        told = await facts()
        return told if {item["why"] for item in told["items"]} == {"paused"} else None

    told = await until(held_back)
    assert all("nothing" in item["words"] for item in told["items"])
    assert all(item["next_try"] is None for item in told["items"])  # it never ends
    assert told["eta_seconds"] is None  # such a budget never ends
    assert told["studies"][0]["eta_seconds"] is None
    await asyncio.sleep(1.5)  # what the sockets hold already drains
    carried = thin.up.carried
    await asyncio.sleep(1.0)
    assert thin.up.carried - carried < 300_000  # asking goes on, sending does not
    budgets.replace([])
    edge.identity.addresses = Addresses(hub.small.config.web.url, "https://localhost:1")
    for stream in list(edge.uplink._flow.streams.values()):
        stream.cut()  # or what goes on there would go on

    async def away():
        told = await facts()
        gone = {item["why"] for item in told["items"]} == {"away"}
        return gone and all(
            item["next_try"] and "cannot be reached" in item["words"] for item in told["items"]
        )

    assert await until(away)
    edge.identity.addresses = Addresses(hub.small.config.web.url, hub.small.config.line.url)
    await edge.emptied()


async def test_a_budget_that_is_lifted_lets_go_at_once(hub: LineHub, edge: Edge, thin: Relay) -> None:
    edge.uplink.budget([Budget(BitRate(0))])
    sent = await receive(edge, range(3), 60_000, Priority.ROUTINE, "CT")

    async def ready():
        taken_on = edge.uplink._board.parcels.values()
        return sum(one.item.instances for one in taken_on) == 3

    await until(ready)
    await asyncio.sleep(1.0)
    assert await indexed(hub, sent) == 0
    edge.uplink.budget([])

    async def there() -> bool:
        return await indexed(hub, sent) == 3

    await until(there, 5)


async def test_a_budget_holds_for_its_priorities_and_lets_the_others_through(
    hub: LineHub, edge: Edge, thin: Relay
) -> None:
    budgets = Budgets()
    budgets.replace([Budget(BitRate(4_000_000), priorities=(Priority.ROUTINE, Priority.PRIOR))])
    await edge.stop()
    edge.start(settings=LINE, budgets=budgets)
    await receive(edge, range(12), 1 << 20, Priority.ROUTINE, "CT")
    await running(thin)
    began, carried = time.monotonic(), thin.up.carried
    await asyncio.sleep(4.0)
    rate = (thin.up.carried - carried) / (time.monotonic() - began)
    assert rate < 2.2 * 500_000  # bytes per second; a chunk too many at either end of so short a time
    assert 0.4 * 500_000 < edge.uplink.link.rate < 2.2 * 500_000  # what arrives, pauses and all
    left = edge.uplink.takes(Priority.ROUTINE, 5_000_000)
    assert left is not None
    assert 9 < left < 13  # by what the budget lets through, not by what the line carries
    stat = await receive(edge, range(100, 103), 1 << 20, Priority.STAT, "CT")

    async def there() -> bool:
        return await indexed(hub, stat) == len(stat)

    await until(there, 5)  # 3 MB in a second or two
    budgets.replace([])
    await edge.emptied()

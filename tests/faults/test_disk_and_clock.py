"""ENOSPC and EIO at both ends, and clocks that jump: nothing is lost, and it goes on by itself."""

from __future__ import annotations

import asyncio
import errno
import os
import time
from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from edge.spool.confirmed import Confirmed
from edge.spool.spool import Spool
from edge.spool.states import State
from edge.uplink.board import Board
from edge.uplink.parcel import Parcel
from gateway.clock import SystemClock
from gateway.errors import StorageFull
from gateway.model import ParcelId
from hub.intake import partials
from hub.intake.conveyor import Conveyor
from hub.intake.partials import Partials
from tests.doubles.edges import Edge, edge_of, until
from tests.doubles.lines import LineHub, line_hub


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[LineHub]:
    async with line_hub(tmp_path) as running:
        yield running


def failing(
    monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, error: Callable[[], Exception], times: int
):
    """Let a method fail so often, then work. What it returns counts the failures."""
    real, left = getattr(owner, name), [times]

    def sometimes(*args: Any, **options: Any) -> Any:
        if left[0] > 0:
            left[0] -= 1
            raise error()
        return real(*args, **options)

    monkeypatch.setattr(owner, name, sometimes)
    return left


async def arrive(edge: Edge, numbers: range) -> None:
    for number in numbers:
        await asyncio.to_thread(edge.receive, number, os.urandom(30_000))
    await edge.emptied(60)


def full() -> Exception:
    return StorageFull("no space left on the device")


def broken() -> Exception:
    return OSError(errno.EIO, os.strerror(errno.EIO))


@pytest.mark.parametrize("error", [full, broken])
async def test_the_hub_cannot_write_chunks_for_a_while(
    hub: LineHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Callable[[], Exception]
) -> None:
    monkeypatch.setattr("hub.intake.desk.FULL_SECONDS", 1)
    left = failing(monkeypatch, Partials, "keep", error, 2)
    async with edge_of(hub, tmp_path / "edge") as edge:
        await arrive(edge, range(4))
    assert left == [0]
    assert set((await hub.rows()).values()) == {"indexed"}


@pytest.mark.parametrize("error", [full, broken])
async def test_the_hub_cannot_store_for_a_while(hub: LineHub, tmp_path: Path, monkeypatch, error) -> None:
    monkeypatch.setattr("hub.intake.conveyor.FULL_SECONDS", 0.1)
    left = failing(monkeypatch, Conveyor, "_open", error, 3)
    async with edge_of(hub, tmp_path / "edge") as edge:
        await arrive(edge, range(3))
    assert left == [0]


async def test_the_hub_cannot_read_a_chunk_back_and_asks_for_it_again(
    hub: LineHub, tmp_path: Path, monkeypatch
) -> None:
    left = failing(monkeypatch, partials, "_read", broken, 2)  # to open it, and to see which chunk it is
    async with edge_of(hub, tmp_path / "edge") as edge:
        await arrive(edge, range(3))
    assert left == [0]
    assert set((await hub.rows()).values()) == {"indexed"}


@pytest.mark.parametrize("error", [full, broken])
async def test_the_edge_cannot_note_what_it_must_hold(
    hub: LineHub, tmp_path: Path, monkeypatch, error
) -> None:
    """Its body has rotted, and the disk does not take that down at once; the others go on."""
    monkeypatch.setattr("edge.uplink.worker.LOOK_SECONDS", 0.2)
    failing(monkeypatch, Spool, "body", broken, 3)
    left = failing(monkeypatch, Spool, "_hold", error, 2)
    async with edge_of(hub, tmp_path / "edge") as edge:
        await asyncio.to_thread(edge.receive, 1, os.urandom(30_000))

        async def held() -> Any:
            return (await edge.spool.status()).held

        (one,) = await until(held)
        assert left == [0]
        assert "Input/output error" in one.reason
        await edge.spool.release(one.parcel_id)
        await arrive(edge, range(2, 4))


@pytest.mark.parametrize("error", [full, broken])
async def test_the_edge_cannot_keep_a_receipt_for_a_while(
    hub: LineHub, tmp_path: Path, monkeypatch, error
) -> None:
    monkeypatch.setattr("edge.uplink.worker.LOOK_SECONDS", 0.2)
    left = failing(monkeypatch, Confirmed, "confirm", error, 2)
    async with edge_of(hub, tmp_path / "edge") as edge:
        await arrive(edge, range(3))
        assert len(list(edge.spool.files.receipts.rglob("*.receipt"))) == len(await hub.rows())
    assert left == [0]


async def test_an_edge_that_can_keep_no_receipt_says_so_on_its_page(
    hub: LineHub, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr("edge.uplink.worker.LOOK_SECONDS", 0.2)
    monkeypatch.setattr("edge.uplink.disk.REST_SECONDS", 0.5)
    async with edge_of(hub, tmp_path / "edge") as edge:

        async def said() -> list[str]:
            return edge.uplink.troubles

        async def well() -> bool:
            return not edge.uplink.troubles

        with monkeypatch.context() as sick:
            failing(sick, Confirmed, "confirm", broken, 1_000_000)
            await asyncio.to_thread(edge.receive, 1, os.urandom(30_000))
            (words,) = await until(said)
            assert "does not keep what the hub says (Input/output error)" in words
        await edge.emptied()
        await until(well)


async def test_a_slow_disk_while_receipts_are_kept(hub: LineHub, tmp_path: Path, monkeypatch) -> None:
    """Until the receipt is durable the spool still lists the parcel: it must not be taken on a second time."""
    monkeypatch.setattr("edge.uplink.worker.LOOK_SECONDS", 0.01)
    real, added = Confirmed.confirm, []

    def slow(self: Confirmed, parcel: ParcelId, receipt: bytes) -> Any:
        time.sleep(0.3)
        return real(self, parcel, receipt)

    def add(self: Board, parcel: Parcel) -> None:
        added.append(parcel.id)
        board_add(self, parcel)

    board_add = Board.add
    monkeypatch.setattr(Confirmed, "confirm", slow)
    monkeypatch.setattr(Board, "add", add)
    async with edge_of(hub, tmp_path / "edge") as edge:
        await arrive(edge, range(5))
    assert len(added) == len(set(added))


async def test_the_edge_cannot_read_a_body_and_a_person_lets_it_try_again(
    hub: LineHub, tmp_path: Path, monkeypatch
) -> None:
    left = failing(monkeypatch, Spool, "body", broken, 1)
    async with edge_of(hub, tmp_path / "edge") as edge:
        item = await asyncio.to_thread(edge.receive, 1, os.urandom(30_000))

        async def held() -> bool:
            return bool((await edge.spool.status()).held)

        await until(held)
        assert left == [0]
        await edge.spool.release(item.parcel_id)
        await edge.emptied()


async def test_only_a_person_gives_up_and_the_body_stays(hub: LineHub, tmp_path: Path) -> None:
    async with edge_of(hub, tmp_path / "edge") as edge:
        line = edge.identity.addresses
        edge.identity.addresses = type(line)(line.web, "https://localhost:1")
        item = await asyncio.to_thread(edge.receive, 1, os.urandom(30_000))
        await until(edge.spool.waiting)
        await edge.uplink.give_up(item.parcel_id, "given up by A at noon: a phantom")
        found = await edge.spool.item(item.parcel_id)
        assert found is not None
        assert (found.state, found.reason) == (State.GIVEN_UP, "given up by A at noon: a phantom")
        assert edge.spool.files.body(item.parcel_id).exists()
        await edge.stop()
        edge.identity.addresses = line
        edge.start()
        await arrive_others(edge)
        assert (await edge.spool.item(item.parcel_id)).state is State.GIVEN_UP
        await edge.spool.release(item.parcel_id)  # and thinks better of it
        await edge.emptied()


async def test_a_person_gives_up_just_when_the_line_takes_it_up(
    hub: LineHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, go_on, real = asyncio.Event(), asyncio.Event(), Spool.item

    async def slow(self: Spool, parcel: ParcelId) -> Any:
        found = await real(self, parcel)  # as the uplink sees it before it takes it up
        if not seen.is_set():
            seen.set()
            await go_on.wait()
        return found

    monkeypatch.setattr(Spool, "item", slow)
    async with edge_of(hub, tmp_path / "edge") as edge:
        line = edge.identity.addresses
        edge.identity.addresses = type(line)(line.web, "https://localhost:1")
        item = await asyncio.to_thread(edge.receive, 1, os.urandom(30_000))
        await seen.wait()
        giving_up = asyncio.create_task(edge.uplink.give_up(item.parcel_id, "given up by A"))
        await asyncio.sleep(0.2)
        go_on.set()
        await giving_up
        edge.identity.addresses = line
        await arrive_others(edge)
        assert (await edge.spool.item(item.parcel_id)).state is State.GIVEN_UP


async def arrive_others(edge: Edge) -> None:
    await asyncio.to_thread(edge.receive, 2, os.urandom(30_000))

    async def gone() -> bool:
        return State.PURGED in (await edge.spool.status()).states

    await until(gone)


class JumpingClock(SystemClock):
    """The wall clock jumps; monotonic time does not (PTP, NTP after a dead battery, a person)."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def now(self) -> datetime:
        return super().now() + self.ahead


@pytest.mark.parametrize("jumps", [(3, -3), (24 * 365 * 12, 0), (-24 * 365 * 12, 0, 5)])
async def test_the_edges_clock_jumps_and_nothing_stalls(
    hub: LineHub, tmp_path: Path, monkeypatch, jumps: tuple[int, ...]
) -> None:
    """By hours and by years, either way, while parcels are on their way."""
    clock = JumpingClock()
    monkeypatch.setattr("tests.doubles.edges.CLOCK", clock)
    monkeypatch.setattr("edge.uplink.recheck.LOOK_SECONDS", 0.2)
    async with edge_of(hub, tmp_path / "edge", keep_confirmed=3600) as edge:
        await arrive(edge, range(2))
        for step, hours in enumerate(jumps):
            clock.ahead = timedelta(hours=hours)
            await arrive(edge, range(10 * step + 10, 10 * step + 13))
            assert not (await edge.spool.status()).held
        assert edge.uplink.link.online
    assert set((await hub.rows()).values()) == {"indexed"}


@pytest.fixture
async def jumping(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[LineHub, JumpingClock]]:
    """A hub whose clock can jump."""
    clock = JumpingClock()
    monkeypatch.setattr("tests.doubles.small_hub.SystemClock", lambda: clock)
    monkeypatch.setattr("tests.doubles.lines.CLOCK", clock)
    async with line_hub(tmp_path) as running:
        yield running, clock


@pytest.mark.parametrize("hours", [5, -5])
async def test_the_hubs_clock_jumps_by_hours_and_all_goes_on(jumping, tmp_path: Path, hours: int) -> None:
    """Receipts bear the wrong time then, and are judged by the hub's own clock."""
    hub, clock = jumping
    async with edge_of(hub, tmp_path / "edge") as edge:
        await arrive(edge, range(3))
        clock.ahead = timedelta(hours=hours if hours > 0 else -0.05)  # certificates are a few minutes older
        await arrive(edge, range(10, 13))
        clock.ahead = timedelta()
        await arrive(edge, range(20, 23))
        assert not (await edge.spool.status()).held
    assert set((await hub.rows()).values()) == {"indexed"}


@pytest.mark.parametrize("years", [12, -12])
async def test_the_hubs_clock_is_years_off_and_all_goes_on_when_it_is_set(
    jumping, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, years: int
) -> None:
    """By its clock no certificate is valid, in an exchange that is open and in new ones; nothing is held for that."""
    monkeypatch.setattr("hub.intake.judge.EARLY_SECONDS", 1)
    hub, clock = jumping
    async with edge_of(hub, tmp_path / "edge") as edge:
        await arrive(edge, range(3))
        clock.ahead = timedelta(days=365 * years)
        for number in range(10, 14):
            await asyncio.to_thread(edge.receive, number, os.urandom(30_000))
            await asyncio.sleep(0.5)
        status = await edge.spool.status(edge.uplink.link)
        assert not status.held
        if years < 0:
            assert State.PURGED in status.states
            assert set(status.states) - {State.PURGED}, "by such a clock nothing can be judged"
        clock.ahead = timedelta()
        await edge.emptied(60)
    assert set((await hub.rows()).values()) == {"indexed"}

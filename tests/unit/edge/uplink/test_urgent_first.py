"""What is urgent on one stream holds the others back, as long as it moves."""

from __future__ import annotations

import asyncio

import pytest

from edge.uplink import flow as flow_module
from edge.uplink.flow import HOLD_SECONDS, Flow, Stream
from gateway.model import Priority
from tests.doubles.hand_clock import HandClock

STAT, ROUTINE = (int(Priority.STAT), 1), (int(Priority.ROUTINE), 1)


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def flow(clock: HandClock) -> Flow:
    return Flow(clock, 4)


async def waits(flow: Flow, stream: Stream, rank: tuple[int, int]) -> bool:
    """Whether a piece may not be written on `stream` now."""
    try:
        await asyncio.wait_for(flow.room(stream, rank, 100), 0.05)
    except TimeoutError:
        return True
    return False


async def test_the_less_urgent_stands_still_while_the_urgent_moves(flow: Flow, clock: HandClock) -> None:
    study, urgent = flow.open(1), flow.open(2)
    assert not await waits(flow, study, ROUTINE)
    urgent.rank = STAT
    assert await waits(flow, study, ROUTINE)
    assert not await waits(flow, urgent, STAT)
    clock.advance(seconds=HOLD_SECONDS + 0.1)  # nothing moves there: its connection may be dead
    assert not await waits(flow, study, ROUTINE)
    flow.heard(2)
    assert await waits(flow, study, ROUTINE)
    urgent.rank = None  # it is sent
    assert not await waits(flow, study, ROUTINE)


async def test_what_reading_begins_with_goes_before_its_equals(flow: Flow) -> None:
    lead, other = flow.open(1), flow.open(2)
    lead.rank = (int(Priority.ROUTINE), 0)
    assert await waits(flow, other, ROUTINE)
    lead.rank = ROUTINE
    assert not await waits(flow, other, ROUTINE)


async def test_nobody_is_held_back_so_long_that_the_hub_gives_it_up(
    flow: Flow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flow_module, "TRICKLE_SECONDS", 0.0)
    study, urgent = flow.open(1), flow.open(2)
    urgent.rank = STAT
    assert not await waits(flow, study, ROUTINE)

"""How the line's measures become streams, exchanges, pieces and a rate; and when it counts as stuck."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.uplink import pacing
from edge.uplink.pacing import (
    Allowance,
    Lately,
    Meter,
    exchange_bytes,
    piece_bytes,
    streams_wanted,
    unsent_bytes,
)
from edge.uplink.stall import STALL_SECONDS, Stall

MBIT = 1e6 / 8


@pytest.mark.parametrize(
    ("congestion", "loss", "rate", "round_trip", "most", "wanted"),
    [
        ("bbr", 0.0, 20 * MBIT, 0.1, 16, 2),
        ("bbr", 0.02, 20 * MBIT, 0.6, 16, 2),
        ("cubic", 0.0, 20 * MBIT, 0.1, 16, 4),
        ("cubic", 0.002, 20 * MBIT, 0.1, 16, 8),
        ("cubic", 0.02, 20 * MBIT, 0.1, 16, 16),
        ("cubic", 0.02, 20 * MBIT, 0.1, 3, 3),
        ("bbr", 0.0, 500 * MBIT, 0.1, 16, 3),  # one connection's window holds 2 MiB
        ("", 0.0, 0.0, 0.0, 0, 1),
    ],
)
def test_streams(
    congestion: str, loss: float, rate: float, round_trip: float, most: int, wanted: int
) -> None:
    assert streams_wanted(congestion, loss, rate, round_trip, most) == wanted


@given(st.floats(0, 2e8), st.integers(1, 16))
def test_sizes_stay_in_their_bounds(rate: float, streams: int) -> None:
    unsent = unsent_bytes(rate, streams)
    assert pacing.LEAST_UNSENT <= unsent <= pacing.MOST_UNSENT
    assert unsent <= max(pacing.UNSENT_AT_FIRST, rate / streams * 0.25 + 1)
    assert pacing.LEAST_PIECE <= piece_bytes(unsent) <= pacing.MOST_PIECE
    assert pacing.MIN_EXCHANGE <= exchange_bytes(rate, streams) <= pacing.MAX_EXCHANGE


def test_tcp_always_finds_something_to_send() -> None:
    startup = 2.9 * 10 * MBIT  # BBR looks for the rate
    assert unsent_bytes(0, 1, startup) > startup * 0.09
    assert unsent_bytes(10 * MBIT, 2, startup) > startup * 0.09
    assert unsent_bytes(0.384 * MBIT, 2, 0.384 * MBIT) == pacing.LEAST_UNSENT


def test_loss_that_we_cause_ourselves_for_a_moment_is_none() -> None:
    loss = pacing.Loss()
    for repeated in (200, 0, 0, 180, 0, 0):
        loss.add(pacing.LOSS_SECONDS, 1000, repeated)
    assert loss.share == 0
    for _ in range(pacing.WINDOWS):
        loss.add(pacing.LOSS_SECONDS, 1000, 20)
    assert loss.share == pytest.approx(0.02)
    loss.add(pacing.LOSS_SECONDS, 1000, 150)
    assert loss.share == pytest.approx(0.02)
    for _ in range(pacing.WINDOWS):
        loss.add(pacing.LOSS_SECONDS, 1000, 1)
    assert loss.share == pytest.approx(0.001)


def test_loss_is_not_told_of_a_few_segments() -> None:
    loss = pacing.Loss()
    for _ in range(20):
        loss.add(0.25, 10, 5)
    assert loss.share == 0


def test_the_rate_is_of_busy_seconds_alone() -> None:
    meter = Meter()
    meter.add(0.25, 100_000)
    assert meter.rate == 0
    for _ in range(60):
        meter.add(0.25, 50_000)
    assert meter.rate == pytest.approx(200_000)


def test_what_arrived_of_late_counts_the_pauses_of_a_budget_too() -> None:
    lately = Lately()
    assert lately.rate == 0
    for quarter in range(200):  # a megabyte at once, every four seconds
        lately.look(quarter / 4, quarter // 16 * 1_000_000)
    assert lately.rate == pytest.approx(250_000, rel=0.25)
    for quarter in range(200, 260):
        lately.look(quarter / 4, 12_000_000)
    assert lately.rate == 0


def test_what_the_line_can_carry_is_the_best_of_its_seconds() -> None:
    meter = Meter()
    for size in (10_000, 20_000, 40_000, 80_000):  # it finds its rate
        meter.add(0.25, size)
    assert meter.best == meter.rate == pytest.approx(150_000)
    for _ in range(12):
        meter.add(0.25, 250_000)
    for _ in range(12):
        meter.add(0.25, 50_000)  # it was given no more
    assert meter.best == pytest.approx(1_000_000)
    assert meter.rate < 600_000
    for _ in range(40):
        meter.add(0.25, 50_000)  # now it carries no more
    assert meter.best == pytest.approx(200_000)


def test_what_is_sent_twice_is_a_small_share() -> None:
    allowance = Allowance(0)
    allowance.sent(1_000_000)
    assert allowance.left == pytest.approx(20_000)
    allowance.again(25_000)
    assert allowance.left < 0


def test_a_stall_is_told_once_and_so_is_its_end() -> None:
    stall = Stall()
    assert not stall.look(0, busy=True, progress_at=0)
    assert not stall.look(STALL_SECONDS - 1, busy=True, progress_at=0)
    assert stall.look(STALL_SECONDS, busy=True, progress_at=0)
    assert stall.since == 0
    assert not stall.look(STALL_SECONDS + 5, busy=True, progress_at=0)
    assert stall.look(STALL_SECONDS + 6, busy=True, progress_at=STALL_SECONDS + 6)
    assert stall.since is None


def test_an_idle_line_is_no_stall() -> None:
    stall = Stall()
    for now in range(0, 1000, 10):
        assert not stall.look(now, busy=False, progress_at=0)
    assert not stall.look(1000, busy=True, progress_at=0)  # only now there is something to send
    assert stall.look(1000 + STALL_SECONDS, busy=True, progress_at=0)

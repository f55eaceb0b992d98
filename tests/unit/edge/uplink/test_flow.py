"""What the flow makes of what the kernel tells: how fast the line is, and when BBR begins anew."""

from __future__ import annotations

import pytest

from edge.uplink.anew import EVERY
from edge.uplink.flow import SAMPLE_SECONDS, SURE_SECONDS, Flow
from edge.uplink.stream import Stream
from tests.doubles.hand_clock import HandClock
from tests.doubles.kernel import Connection, Kernel

RATE = 1_250_000
ROUTINE = (2, 1)


class Line:
    """Streams that always have something to write, and kernels that acknowledge `RATE` in all."""

    def __init__(self, *kernels: Kernel) -> None:
        self.clock, self.kernels, self.rate = HandClock(), kernels, RATE
        self.flow = Flow(self.clock, 16)
        self.connections = [Connection(kernel) for kernel in kernels]
        self.streams = [self.join(number, one) for number, one in enumerate(self.connections, 1)]

    def join(self, number: int, connection: Connection) -> Stream:
        stream = self.flow.open(number)
        self.flow.connected(stream)(connection)
        stream.rank = ROUTINE
        return stream

    def goes_on(self, seconds: float) -> None:
        for _ in range(int(seconds / SAMPLE_SECONDS)):
            self.clock.advance(seconds=SAMPLE_SECONDS)
            for kernel in self.kernels:
                kernel.acknowledged += int(self.rate * SAMPLE_SECONDS / len(self.kernels))
            self.flow.sample()


def test_a_connection_seen_for_the_first_time_begins_anew_as_others_may_have_used_it() -> None:
    kernel = Kernel()
    line = Line(kernel)
    assert kernel.begun_anew == 1
    line.join(2, line.connections[0])
    assert kernel.begun_anew == 1


def test_one_that_was_kept_warm_with_a_few_words_is_free_to_find_the_rate() -> None:
    kernel = Kernel(found=2330, looking=True)
    Line(kernel).goes_on(3 * EVERY)
    assert (kernel.begun_anew, kernel.limit) == (1, None)


def test_a_connection_that_is_no_bbr_leaves_nobody_held() -> None:
    kernel = Kernel(found=RATE)
    line = Line(kernel)
    line.goes_on(EVERY)
    assert kernel.limit is not None
    line.join(2, Connection(Kernel(congestion=b"reno", unsent=0)))
    line.goes_on(2.0)
    assert kernel.limit is None


def test_with_another_congestion_control_nothing_is_done() -> None:
    kernel = Kernel(congestion=b"cubic", found=RATE)
    Line(kernel).goes_on(3 * EVERY)
    assert kernel.set == []


def test_it_begins_anew_in_time_held_to_what_it_had_and_is_let_go_again() -> None:
    kernel = Kernel(found=2 * RATE)
    line = Line(kernel)
    line.goes_on(EVERY - SAMPLE_SECONDS)
    assert (kernel.begun_anew, kernel.limit) == (1, None)
    line.goes_on(SAMPLE_SECONDS)
    assert (kernel.begun_anew, kernel.limit) == (2, 2 * RATE)
    kernel.found, kernel.looking = 0, True
    line.goes_on(1.0)
    assert kernel.limit == 2 * RATE
    kernel.found, kernel.looking = RATE, False
    line.goes_on(1.0)
    assert kernel.limit is None
    line.goes_on(EVERY - 2.0)
    assert kernel.begun_anew == 3


def test_of_two_the_one_that_found_little_gets_what_the_other_leaves() -> None:
    rich, poor = Kernel(found=RATE * 3 // 4), Kernel(found=RATE // 100)
    line = Line(rich, poor)
    line.goes_on(2.0)
    assert (rich.begun_anew, poor.begun_anew) == (1, 2)
    assert poor.limit == pytest.approx(1.1 * RATE - RATE * 3 // 4, rel=0.01)


def test_of_two_that_found_little_one_looks_for_all_and_the_other_keeps_what_it_has() -> None:
    one, other = Kernel(found=RATE // 10), Kernel(found=RATE // 10)
    Line(one, other).goes_on(2.0)
    assert (one.begun_anew, other.begun_anew) == (2, 1)
    assert one.limit == pytest.approx(RATE, rel=0.01)


def test_a_line_that_became_ten_times_slower_is_soon_believed() -> None:
    kernel = Kernel(found=RATE)
    line = Line(kernel)
    line.goes_on(EVERY)
    line.rate, kernel.found = RATE // 10, RATE // 10
    line.goes_on(30.0)
    before = kernel.begun_anew
    line.goes_on(3 * EVERY)
    assert kernel.begun_anew - before <= 3
    assert (kernel.limit or 0) < RATE // 4


def test_one_that_passed_the_rate_is_held_and_the_next_exchange_is_not() -> None:
    kernel = Kernel(found=RATE, looking=True, round_trip=0.5, flying=800, acknowledged=1 << 20)
    line = Line(kernel)
    line.goes_on(2 * SAMPLE_SECONDS)
    assert kernel.limit is None
    line.goes_on(SAMPLE_SECONDS)
    assert (kernel.begun_anew, kernel.limit) == (1, RATE)
    line.flow.close(1)
    assert kernel.limit is None


def test_while_bbr_looks_on_a_new_line_its_rate_is_unknown() -> None:
    kernel = Kernel(found=RATE // 10, looking=True)
    line = Line(kernel)
    line.goes_on(2.0)
    assert line.flow.capacity == 0
    kernel.looking = False
    line.goes_on(SAMPLE_SECONDS)
    assert line.flow.capacity == pytest.approx(RATE, rel=0.1)
    kernel.looking = True  # later it only looks again
    line.goes_on(SURE_SECONDS)
    assert line.flow.capacity == pytest.approx(RATE, rel=0.1)


def test_idle_connections_are_counted_up_to_what_the_line_is_worth() -> None:
    line = Line(*(Kernel() for _ in range(5)))
    assert line.flow.idle == 0
    for number in range(1, 6):
        line.flow.close(number)
    assert line.flow.idle == line.flow.wanted == 2


def test_on_a_new_line_with_room_nobody_waits_for_one_that_has_only_just_begun() -> None:
    first, second = Kernel(looking=True, found=20_000), Kernel(looking=True, found=300_000)
    line = Line(first, second)
    line.rate = 320_000
    line.flow.streams[1].rank = (2, 1)
    later, stat = (2, 2), (1, 1)
    line.goes_on(SAMPLE_SECONDS)
    assert not line.flow._held(line.streams[1], later)
    line.streams[0].rank = stat
    assert line.flow._held(line.streams[1], later)
    line.streams[0].rank = (2, 1)
    first.round_trip = 2 * first.least_trip  # a queue: now they take it from each other
    line.goes_on(SAMPLE_SECONDS)
    assert line.flow._held(line.streams[1], later)
    first.round_trip = first.least_trip
    second.found = first.found  # it has shown nothing more of the line: the first image has it alone
    line.goes_on(SAMPLE_SECONDS)
    assert line.flow._held(line.streams[1], later)
    second.found = 300_000
    line.goes_on(SAMPLE_SECONDS)
    assert not line.flow._held(line.streams[1], later)
    line.goes_on(SURE_SECONDS)
    assert line.flow._held(line.streams[1], later)

"""Which stream takes what has become urgent."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from edge.uplink.flow import Flow, Stream
from edge.uplink.overtaking import NEW_TRIPS, Frame, nearest
from gateway.model import Priority
from tests.doubles.clock import SetClock

STAT, ROUTINE = int(Priority.STAT), int(Priority.ROUTINE)
FRAMES = st.lists(
    st.builds(Frame, st.integers(1, 9), st.integers(0, 3), st.integers(0, 1 << 20)),
    unique_by=lambda frame: frame.number,
    max_size=6,
)


@given(FRAMES, st.integers(0, 3))
def test_it_is_the_frame_with_the_least_left_unless_something_as_urgent_is_sent(
    frames: list[Frame], urgent: int
) -> None:
    found = nearest(frames, urgent)
    if not frames or min(frame.priority for frame in frames) <= urgent:
        assert found is None
    else:
        assert found in frames
        assert found.left == min(frame.left for frame in frames)


def test_where_two_have_as_much_left_both_streams_find_the_same_one() -> None:
    frames = [Frame(2, ROUTINE, 5), Frame(1, ROUTINE, 5)]
    assert nearest(frames, STAT) == nearest(reversed(frames), STAT) == Frame(1, ROUTINE, 5)


class Line:
    """Two streams in the middle of their frames, on a line of 1 MB/s and a tenth of a second."""

    def __init__(self, *left: int) -> None:
        self.waits: Priority | None = None
        self.clock = SetClock()
        self.flow = Flow(self.clock, 4, urgent=lambda: self.waits, round_trip=0.1)
        self.flow._meter.add(1.0, 1_000_000)  # as samples of real sockets would
        self.streams = [self.stream(number, size) for number, size in enumerate(left, 1)]

    def stream(self, number: int, left: int) -> Stream:
        stream = self.flow.open(number)
        stream.rank, stream.left = (ROUTINE, 1), left
        return stream

    def goes_on(self, stream: Stream) -> bool:
        async def tried() -> bool:
            try:
                await asyncio.wait_for(self.flow.room(stream, (ROUTINE, 1), 1), 0.1)
            except TimeoutError:
                return False
            return True

        return asyncio.run(tried())


def test_the_others_stand_still_until_the_one_nearest_its_end_is_free() -> None:
    line = Line(200_000, 100_000)
    line.waits = Priority.STAT
    assert [line.goes_on(stream) for stream in line.streams] == [False, True]


def test_nobody_stands_still_for_what_is_no_more_urgent() -> None:
    line = Line(200_000, 100_000)
    line.waits = Priority.ROUTINE
    assert [line.goes_on(stream) for stream in line.streams] == [True, True]


def test_where_a_new_connection_is_sooner_there_nobody_stands_still() -> None:
    enough = int(NEW_TRIPS * 0.1 * 1e6)
    line = Line(enough + 1, enough + 2)
    line.waits = Priority.STAT
    assert not line.flow.soon_free(STAT)
    assert [line.goes_on(stream) for stream in line.streams] == [True, True]


def test_a_stream_on_which_nothing_moves_is_not_waited_for() -> None:
    line = Line(200_000, 100_000)
    line.waits = Priority.STAT
    line.clock.advance(10.0)
    line.streams[0].moved_at = line.clock.monotonic()
    assert line.goes_on(line.streams[0])

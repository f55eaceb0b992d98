"""BBR begins anew before it would empty the line, or when it found too little; and overflows no queue meanwhile."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.uplink.anew import EVERY, FAR, GIVEN_UP, LITTLE, MEMORY_SECONDS, SPARE, SURE, Found, Standing, left
from gateway.sockets import TcpInfo

MBYTE = 1_000_000
BBR_SECONDS = 10.0
SETTLED = TcpInfo(0.31, 50 * MBYTE, 100_000, 0, 0, 200, found=MBYTE // 2, least_trip=0.3, on_way=200_000)
LOOKING = replace(SETTLED, looking=True)


def test_before_bbr_would_look_for_the_shortest_round_trip_it_begins_anew() -> None:
    assert Standing(SETTLED, 7.9).begins is None
    assert Standing(SETTLED, EVERY).begins == SETTLED.found
    assert EVERY + 1 < BBR_SECONDS


def test_it_may_find_what_the_others_leave() -> None:
    assert Standing(SETTLED, EVERY, left=0.9 * MBYTE).begins == 0.9 * MBYTE
    assert Standing(SETTLED, EVERY, left=0.1 * MBYTE).begins == SETTLED.found


def test_one_that_found_too_little_need_not_wait() -> None:
    poor = SETTLED.found / LITTLE + 2
    assert Standing(SETTLED, 3.0, left=poor).begins == int(poor)
    assert Standing(SETTLED, 3.0, left=poor - 4).begins is None
    assert Standing(SETTLED, 1.0, left=poor).begins is None  # four round trips are what it takes to find it


@pytest.mark.parametrize(
    "info",
    [
        replace(SETTLED, unsent=0),  # there is nothing to send with which it could look
        replace(SETTLED, found=0),  # not BBR
        replace(SETTLED, looking=True),  # what it has found may be of a few words on an idle line
        replace(SETTLED, least_trip=0.0),
        replace(SETTLED, round_trip=FAR * 0.3 + 0.01),  # another line by now: BBR looks for itself
    ],
)
def test_who_is_left_alone(info: TcpInfo) -> None:
    assert Standing(info, 100.0, left=10 * MBYTE).begins is None


def test_who_is_held_does_not_begin_again_before_it_is_let_go() -> None:
    assert Standing(SETTLED, EVERY, limit=5).begins is None


def test_it_is_let_go_when_it_has_looked_or_after_three_times_that() -> None:
    assert not Standing(SETTLED, 9.0).ends
    assert not Standing(SETTLED, 9.0, limit=5, held=1.4).ends
    assert Standing(SETTLED, 9.0, limit=5, held=1.5).ends
    assert not Standing(LOOKING, 9.0, limit=5, held=GIVEN_UP * 1.4).ends
    assert Standing(LOOKING, 9.0, limit=5, held=GIVEN_UP * 1.5).ends


def test_who_found_little_of_what_it_was_let_look_for() -> None:
    assert Standing(SETTLED, 9.0, limit=int(SETTLED.found / LITTLE) + 2).failed
    assert not Standing(SETTLED, 9.0, limit=int(SETTLED.found / LITTLE) - 2).failed
    assert not Standing(SETTLED, 9.0).failed


QUEUE = replace(LOOKING, round_trip=0.4)


def passed(info: TcpInfo, *, limit: int | None = None, before: int = SETTLED.found) -> int | None:
    return Standing(info, 1.0, limit, before=before).overflows


def test_one_that_has_passed_the_rate_is_held_to_it() -> None:
    assert passed(QUEUE) == QUEUE.found
    assert passed(replace(QUEUE, looking=False)) is None  # BBR sees to it
    assert passed(LOOKING) is None  # no queue yet
    assert passed(QUEUE, limit=5) is None
    assert passed(replace(QUEUE, round_trip=0.04, least_trip=0.02)) is None  # it is brief


def test_one_that_still_finds_more_has_not_passed_it_however_long_a_round_trip() -> None:
    assert passed(QUEUE, before=int(QUEUE.found / 1.25)) is None
    assert passed(QUEUE, before=int(QUEUE.found / 1.25) + 1) == QUEUE.found
    assert passed(QUEUE, before=0) is None  # nobody knows


def test_a_first_round_trip_that_was_long_by_chance_holds_nobody() -> None:
    """A repeated SYN shows as a round trip of 1.5 s, with next to nothing on its way."""
    bogus = replace(LOOKING, round_trip=1.5, on_way=1448, found=2330, acknowledged=5000)
    assert passed(bogus) is None
    assert passed(replace(QUEUE, acknowledged=SURE - 1)) is None


def test_what_was_found_a_round_trip_ago() -> None:
    found = Found()
    told = [found.look(tick / 4, 100 * tick, 0.5) for tick in range(40)]
    assert told[:4] == [0, 0, 0, 100]
    assert told[39] == 3700
    assert found.look(9.75, 0, MEMORY_SECONDS + 1) == 0


@given(st.lists(st.floats(0, 2 * MBYTE), min_size=1, max_size=4), st.floats(0, 3 * MBYTE))
def test_together_they_never_look_for_much_more_than_the_line_or_what_they_had(
    found: list[float], full: float
) -> None:
    for number, mine in enumerate(found):
        others = sum(found) - mine
        info = replace(SETTLED, found=int(mine) + 1)
        limit = Standing(info, EVERY, left=left(full, others)).begins
        assert limit is not None
        assert limit + others <= max(SPARE * full, sum(found)) + 2, number
        assert limit >= int(mine)

"""Which connections know the line: by what they carried and would send, not by how long they are there."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.uplink.found import Line
from gateway.sockets import TcpInfo

MBYTE = 1_000_000
LINE = Line(full=1.25 * MBYTE, round_trip=0.6, sharing=2)
WHOLE = int(4 * 0.6 * 1.25 * MBYTE / 2)


def tcp(acknowledged: int, pacing: float, window: int = 800_000) -> TcpInfo:
    return TcpInfo(0.6, acknowledged, 0, 0, 0, 0, pacing=int(pacing), window=window)


def test_one_that_has_carried_little_is_still_looking() -> None:
    fresh = tcp(WHOLE - 1, 0.07 * MBYTE)
    assert not LINE.looked(fresh)
    assert not LINE.knows(fresh)
    assert LINE.worth(fresh) > 0  # it may find it yet, and has shaken hands already


def test_one_that_found_too_little_is_worth_less_than_a_new_one() -> None:
    slow = tcp(WHOLE, 0.1 * MBYTE)
    assert LINE.looked(slow)
    assert not LINE.knows(slow)
    assert LINE.worth(slow) == 0


def test_one_that_sends_its_share_knows_the_line_and_the_wider_its_window_the_better() -> None:
    good, wide = tcp(WHOLE, 0.6 * MBYTE), tcp(WHOLE, 0.6 * MBYTE, window=900_000)
    assert LINE.knows(good)
    assert LINE.knows(tcp(WHOLE, 0.6 * 0.625 * MBYTE))  # BBR may just be sending less, to empty a queue
    assert LINE.worth(wide) > LINE.worth(good) > LINE.worth(tcp(0, 0, window=15_000)) > 0


def test_two_that_fill_the_line_unevenly_do() -> None:
    assert LINE.enough([tcp(WHOLE, 1.0 * MBYTE), tcp(WHOLE, 0.2 * MBYTE)])
    assert LINE.found(tcp(WHOLE, 0.2 * MBYTE), little=True)
    assert not LINE.found(tcp(WHOLE, 0.1 * MBYTE), little=True)
    assert not LINE.enough([tcp(WHOLE, 0.6 * MBYTE), tcp(WHOLE, 0.2 * MBYTE)])


def test_before_anything_is_known_nobody_knows_and_nobody_is_refused() -> None:
    unknown = Line(0.0, 0.0, 1)
    assert not unknown.knows(tcp(10 * MBYTE, MBYTE))
    assert unknown.worth(tcp(10 * MBYTE, 1)) > 0
    assert unknown.worth(None) > 0


def bbr(found: float, *, looking: bool = False) -> TcpInfo:
    return TcpInfo(0.6, 0, 0, 0, 0, 0, found=int(found), looking=looking)


def test_bbr_itself_says_when_it_has_done_looking() -> None:
    assert not LINE.looked(bbr(0.1 * MBYTE, looking=True))
    assert LINE.looked(bbr(0.1 * MBYTE))
    assert not LINE.knows(bbr(0.1 * MBYTE))
    assert LINE.knows(bbr(0.5 * MBYTE))


def test_newcomers_get_their_part_and_the_others_what_is_left() -> None:
    senders = {1: bbr(0.9 * MBYTE), 2: bbr(0.3 * MBYTE)}
    nobody = LINE.limits(senders, {})
    assert nobody == pytest.approx({1: 1.1 * 1.25 * MBYTE * 0.75, 2: 1.1 * 1.25 * MBYTE * 0.25}, abs=2)
    beside = LINE.limits(senders, {3: bbr(0.1 * MBYTE, looking=True), 4: bbr(0)})
    part = int(1.1 * 1.25 * MBYTE / 2)
    assert beside[3] == beside[4] == part
    assert (beside[1] or 0) + (beside[2] or 0) in range(int(1.175 * MBYTE) - 2, int(1.175 * MBYTE) + 1)


@given(
    st.lists(st.floats(0, 3 * MBYTE), min_size=1, max_size=4), st.lists(st.floats(0, 3 * MBYTE), max_size=4)
)
def test_those_who_send_keep_something_and_together_never_send_much_more_than_the_line(
    senders: list[float], newcomers: list[float]
) -> None:
    told = LINE.limits(
        {number: bbr(found) for number, found in enumerate(senders)},
        {number: bbr(found, looking=True) for number, found in enumerate(newcomers, 10)},
    )
    kept = sum(told[number] or 0 for number in range(len(senders)))
    assert 0.2 * LINE.full - len(senders) <= kept <= 1.1 * LINE.full


def test_on_an_unknown_line_nobody_is_held_back() -> None:
    assert Line(0.0, 0.0, 1).limits({1: bbr(5)}, {2: bbr(5)}) == {1: None, 2: None}


def test_who_reaches_its_limit_without_a_queue_is_held_back() -> None:
    free = TcpInfo(0.61, 0, 0, 0, 0, 0, found=MBYTE, least_trip=0.6)
    assert Line.held_back(free, MBYTE)
    assert not Line.held_back(free, 2 * MBYTE)
    assert not Line.held_back(free, None)
    assert not Line.held_back(replace(free, round_trip=0.8), MBYTE)

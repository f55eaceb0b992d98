"""Which connections know the line: by what they carried and would send, not by how long they are there."""

from __future__ import annotations

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
    assert not LINE.enough([tcp(WHOLE, 0.6 * MBYTE), tcp(WHOLE, 0.2 * MBYTE)])


def test_before_anything_is_known_nobody_knows_and_nobody_is_refused() -> None:
    unknown = Line(0.0, 0.0, 1)
    assert not unknown.knows(tcp(10 * MBYTE, MBYTE))
    assert unknown.worth(tcp(10 * MBYTE, 1)) > 0
    assert unknown.worth(None) > 0

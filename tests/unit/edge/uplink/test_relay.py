"""Teams take turns: who waits is let on when a turn is over, a silent team gives way, no turn is too long for BBR."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from edge.uplink.relay import LONGEST_TURN, OPENING, QUIET, TURN, Relay

BBR_SECONDS = 10.0
STREAMS = 3


def three() -> Relay:
    """A team sends; the others are opened as their time comes."""
    relay = Relay()
    relay.join(1, STREAMS)
    return relay


def pour(relay: Relay, seconds: float) -> list[tuple[float, int]]:
    """Everybody has something to write all the time, and knows the line when it has sent: whose turn it is."""
    begun: list[tuple[float, int]] = []
    there = [1]
    for step in range(int(seconds * 20)):
        now = step / 20
        if relay.has_place(STREAMS, now):
            there.append(len(there) + 1)
            relay.join(there[-1], STREAMS)
        for number in there:
            relay.wants(number, now)
        new = relay.newcomers
        allowed = {number for number in there if relay.may_send(number, now)}
        assert allowed == relay.sending | relay.newcomers
        assert len(relay.sending) == 1 >= len(new)
        for number in allowed:
            relay.knows(number)
        (mine,) = relay.sending
        if not begun or mine != begun[-1][1]:
            begun.append((now, mine))
    return begun


def test_teams_take_turns_shorter_than_what_bbr_remembers() -> None:
    begun = pour(three(), 11 * TURN)
    assert [number for _, number in begun] == [1, 2, 3, 1, 2, 3, 1, 2, 3, 1, 2]
    lengths = [after - before for (before, _), (after, _) in pairwise(begun)]
    assert all(TURN <= length < BBR_SECONDS for length in lengths), lengths


def test_newcomers_begin_beside_a_team_that_knows_the_line_one_team_after_the_other() -> None:
    relay = three()
    assert relay.may_send(1, 0.0)
    assert not relay.has_place(STREAMS, 1.0)  # the first looks for the rate itself
    relay.knows(1)
    assert not relay.has_place(STREAMS, 1.0, known=1)  # one that stands ready need not begin before its turn
    assert relay.has_place(STREAMS, 1.0)
    relay.join(2, STREAMS)
    assert not relay.has_place(STREAMS, 1.0)
    relay.wants(1, 1.0)
    assert relay.may_send(1, 1.0)
    assert relay.may_send(2, 1.0)
    assert (relay.sending, relay.newcomers) == ({1}, {2})
    relay.knows(2)
    assert not relay.may_send(2, 1.0)  # it rests until its turn
    assert relay.has_place(STREAMS, 1.0)
    relay.join(3, STREAMS)
    assert relay.newcomers == {3}


def test_a_newcomer_has_no_turn_before_it_knows_the_line_unless_it_takes_very_long() -> None:
    relay = three()
    relay.may_send(1, 0.0)
    relay.knows(1)
    relay.join(2, STREAMS)
    for now, turn in ((TURN, 1), (LONGEST_TURN - 0.1, 1), (LONGEST_TURN, 2)):
        relay.wants(1, now)
        relay.wants(2, now)
        relay.may_send(1, now)
        assert relay.sending == {turn}


def test_a_stream_that_joins_those_who_send_is_a_newcomer_too() -> None:
    relay = Relay()
    relay.join(1, 6)
    relay.join(2, 6)
    assert not relay.newcomers  # nobody is there to leave them room
    relay.knows(1)
    assert relay.newcomers == {2}
    assert relay.knowing == {1}


def test_a_team_that_is_not_there_is_not_waited_for_long() -> None:
    relay = three()
    pour(relay, 2.5 * TURN)
    assert relay.sending == {3}
    relay.leave(1)  # its turn would be next
    for number in (2, 3):
        relay.wants(number, 3 * TURN)
    assert relay.may_send(3, 3 * TURN)
    for number in (2, 3):
        relay.wants(number, 3 * TURN + OPENING)
    assert relay.may_send(2, 3 * TURN + OPENING)


def test_connections_that_know_the_line_are_left_to_teams_without_one() -> None:
    relay = Relay()
    relay.join(1, 6)
    assert not relay.keeps(1, known=1)  # the first of its team takes what there is
    relay.knows(1)
    relay.join(2, 6)
    assert relay.keeps(2, known=2)
    assert not relay.keeps(2, known=3)


def test_what_was_before_is_over_when_all_have_left() -> None:
    relay = three()
    pour(relay, 1.5 * TURN)
    for number in (1, 2, 3):
        relay.leave(number)
    relay.join(4, STREAMS)
    assert relay.since is None
    relay.wants(4, 1000.0)
    assert relay.may_send(4, 1000.0)
    assert relay.since == 1000.0


def test_a_pause_is_longer_than_what_bbr_remembers() -> None:
    begun = pour(three(), 13 * TURN)
    for number in (1, 2, 3):
        turns = [(at, begun[place + 1][0]) for place, (at, one) in enumerate(begun[:-1]) if one == number]
        assert len(turns) > 2
        for (_, ended), (began, _) in pairwise(turns):
            assert began - ended > BBR_SECONDS


def test_who_is_alone_never_rests() -> None:
    relay = three()
    for step in range(1000):
        relay.wants(1, step / 10)
        assert relay.may_send(1, step / 10)


def test_a_silent_team_gives_way_at_once() -> None:
    relay = three()
    relay.wants(1, 0.0)
    assert relay.may_send(1, 0.0)
    relay.join(2, STREAMS)
    relay.wants(2, 0.1)
    assert not relay.may_send(2, 0.1)
    relay.wants(2, 0.1 + QUIET)
    assert relay.may_send(2, 0.1 + QUIET)
    assert not relay.may_send(1, 0.1 + QUIET)


def test_places_are_filled_where_it_is_sent_and_elsewhere_only_when_it_is_time() -> None:
    relay = Relay()
    for number in range(3):
        assert relay.has_place(9, 0.0)
        relay.join(number, 9)
        relay.may_send(number, 0.0)
    assert not relay.has_place(9, TURN - 1)
    assert relay.has_place(9, TURN)
    relay.join(9, 9)
    assert relay.resting == {9}


def test_one_that_left_is_not_waited_for() -> None:
    relay = three()
    pour(relay, TURN + 1)
    assert relay.resting == {1, 3}
    for number in (1, 2, 3):
        relay.leave(number)
    relay.join(4, STREAMS)
    assert relay.may_send(4, TURN + 2)


@given(
    st.lists(
        st.tuples(st.sampled_from(["join", "leave", "wants", "look"]), st.integers(1, 6), st.floats(0, 4))
    )
)
def test_somebody_who_waits_may_send_soon(steps: list[tuple[str, int, float]]) -> None:
    relay, now, there = Relay(), 0.0, set[int]()
    for what, number, pause in steps:
        now += pause
        if what == "join" and number not in there:
            relay.join(number, 4)
            there.add(number)
        elif what == "leave":
            relay.leave(number)
            there.discard(number)
        elif what == "wants":
            relay.wants(number, now)
        else:
            relay.may_send(number, now)
    for number in there:
        allowed = False
        for step in range(int((3 * LONGEST_TURN + 3) * 10)):
            relay.wants(number, now + step / 10)
            allowed = allowed or relay.may_send(number, now + step / 10)
        now += 3 * LONGEST_TURN + 3
        assert allowed, number

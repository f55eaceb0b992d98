"""Fairness: by bytes among flows of one priority, nothing saved up, words behind what they speak of."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge.uplink.turns import Turns


def order(turns: Turns, come: list[tuple[str | None, int]]) -> list[int]:
    given_ = [(turns.give(2, flow, size), number) for number, (flow, size) in enumerate(come)]
    return [number for _, number in sorted(given_)]


def test_one_flow_goes_in_the_order_it_came() -> None:
    assert order(Turns(), [("CT", 100)] * 5) == [0, 1, 2, 3, 4]


def test_a_radiograph_goes_behind_the_present_parcel_and_not_behind_the_whole_study() -> None:
    turns = Turns()
    study = [turns.give(2, "CT", 1000) for _ in range(100)]
    turns.sent(2, study[10])
    radiograph = turns.give(2, "CR", 1000)
    assert study[10] <= radiograph < study[11]


def test_whoever_was_silent_has_saved_nothing_up() -> None:
    turns = Turns()
    for _ in range(50):
        turns.sent(2, turns.give(2, "CT", 1000))
    late = [turns.give(2, "CR", 1000) for _ in range(3)]
    following = [turns.give(2, "CT", 1000) for _ in range(3)]
    assert order_of(late, following) == ["late", "late", "following", "late", "following", "following"]


def order_of(late: list[float], following: list[float]) -> list[str]:
    pairs = [(turn, "late") for turn in late] + [(turn, "following") for turn in following]
    return [name for _, name in sorted(pairs, key=lambda pair: pair[0])]


def test_a_word_goes_behind_all_that_came_before_it() -> None:
    turns = Turns()
    before = [turns.give(2, flow, 500) for flow in ("CT", "CT", "MR")]
    assert turns.give(2, None, 4096) > max(before)
    assert Turns().give(2, None, 1) == 0.0


def test_priorities_do_not_share() -> None:
    turns = Turns()
    turns.sent(2, turns.give(2, "CT", 10**9))
    assert turns.give(0, "CT", 10) == 0.0


@given(st.lists(st.tuples(st.sampled_from(["CT", "MR", "CR"]), st.integers(1, 1000)), max_size=200))
def test_among_flows_that_always_have_something_the_bytes_are_shared(come: list[tuple[str, int]]) -> None:
    sent = {"CT": 0, "MR": 0, "CR": 0}
    left = {flow: sum(size for other, size in come if other == flow) for flow in sent}
    for number in order(Turns(), list(come)):
        flow, size = come[number]
        waiting = [sent[other] for other in sent if left[other] > 0]
        assert sent[flow] <= min(waiting) + 1000  # nobody is ahead by more than one parcel
        sent[flow] += size
        left[flow] -= size

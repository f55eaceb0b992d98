"""The table of arrivals: every state × event."""

from __future__ import annotations

import itertools

import pytest

from gateway.errors import Broken
from hub.intake.states import TRANSITIONS, Event, State, follow


@pytest.mark.parametrize(("state", "event"), list(itertools.product(State, Event)))
def test_every_state_and_event(state: State, event: Event) -> None:
    following = TRANSITIONS[state].get(event)
    if following is None:
        with pytest.raises(Broken):
            follow(state, event)
        return
    assert follow(state, event) is following
    if event is Event.FAILED:
        assert following is State.QUARANTINED
    if following is State.INDEXED:
        assert (state, event) == (State.STORED, Event.INDEXED)  # nothing skips verification


def test_the_way_in() -> None:
    way = (Event.COMPLETED, Event.VERIFIED, Event.STORED, Event.INDEXED)
    assert follow(State.RECEIVING, *way) is State.INDEXED
    assert TRANSITIONS[State.INDEXED] == {}

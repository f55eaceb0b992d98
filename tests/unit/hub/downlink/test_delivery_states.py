from __future__ import annotations

from itertools import product

import pytest

from gateway.errors import Refused
from hub.downlink.states import OPEN, TRANSITIONS, Event, State, step
from hub.reports.desk import QUEUED


@pytest.mark.parametrize(("state", "event"), list(product(State, Event)))
def test_every_state_with_every_event(state: State, event: Event) -> None:
    if (state, event) in TRANSITIONS:
        assert step(state, event) is TRANSITIONS[state, event]
    else:
        with pytest.raises(Refused, match=state.value):
            step(state, event)


def test_an_acknowledged_delivery_stays_acknowledged() -> None:
    after = {TRANSITIONS.get((State.ACKNOWLEDGED, event), State.ACKNOWLEDGED) for event in Event}
    assert after == {State.ACKNOWLEDGED}


def test_the_desk_begins_where_this_machine_begins() -> None:
    assert State.QUEUED.value == QUEUED
    assert State.QUEUED in OPEN

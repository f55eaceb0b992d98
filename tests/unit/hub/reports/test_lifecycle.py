from __future__ import annotations

from itertools import product

import pytest

from gateway.errors import Refused
from hub.reports.lifecycle import IMMUTABLE, TRANSITIONS, Event, State, step


@pytest.mark.parametrize(("state", "event"), list(product(State, Event)))
def test_every_state_with_every_event(state: State, event: Event) -> None:
    if (state, event) in TRANSITIONS:
        assert step(state, event) is TRANSITIONS[state, event]
    else:
        with pytest.raises(Refused, match=state.value):
            step(state, event)


def test_what_is_signed_is_never_a_draft_again() -> None:
    for (state, event), after in TRANSITIONS.items():
        if state in IMMUTABLE:
            assert after in IMMUTABLE
            assert event not in (Event.SAVE, Event.RELEASE, Event.SIGN)


def test_a_retracted_report_stays_retracted() -> None:
    assert not [key for key in TRANSITIONS if key[0] is State.RETRACTED]

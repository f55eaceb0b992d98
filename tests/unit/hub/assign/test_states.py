from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import Refused
from hub.assign.states import LOADS, SEEKING, TRANSITIONS, WAITING, CaseEvent, CaseState, after

S, E = CaseState, CaseEvent


@pytest.mark.parametrize(("state", "event"), list(product(CaseState, CaseEvent)))
def test_every_state_and_event(state: CaseState, event: CaseEvent) -> None:
    if (state, event) in TRANSITIONS:
        assert after(state, event) is TRANSITIONS[state, event]
    else:
        with pytest.raises(Refused, match=state.value):
            after(state, event)


@given(st.lists(st.sampled_from(CaseEvent)))
def test_a_reported_case_stays_reported(events: list[CaseEvent]) -> None:
    state = S.REPORTED
    for event in events:
        if (state, event) in TRANSITIONS:
            state = after(state, event)
    assert state is S.REPORTED


@given(st.lists(st.sampled_from(CaseEvent), max_size=30))
def test_no_case_is_lost_on_its_way(events: list[CaseEvent]) -> None:
    state = S.UNASSIGNED
    for event in events:
        if (state, event) in TRANSITIONS:
            state = after(state, event)
    assert state is S.REPORTED or after(after(state, E.OPEN), E.SIGN) is S.REPORTED


def test_only_signing_reports() -> None:
    assert {event for (_, event), to in TRANSITIONS.items() if to is S.REPORTED} == {E.SIGN}
    assert {event for (_, event), to in TRANSITIONS.items() if to is S.READING} == {E.OPEN}


def test_the_named_sets_fit_the_table() -> None:
    assert all((state, E.ESCALATE) in TRANSITIONS for state in WAITING)
    assert all((state, E.OFFER) in TRANSITIONS for state in SEEKING)
    assert S.REPORTED not in LOADS | WAITING | SEEKING

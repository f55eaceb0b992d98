from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.downlink.states import TRANSITIONS, Event, Stage, State, step, summary


@pytest.mark.parametrize(("stage", "event"), list(product(Stage, Event)))
def test_every_stage_with_every_event(stage: Stage, event: Event) -> None:
    after = step(stage, event)
    assert after is TRANSITIONS[stage, event]
    if stage is Stage.DELIVERED or event is Event.DELIVER:
        assert after is Stage.DELIVERED
    elif event is Event.REFUSE:
        assert after is Stage.REFUSED
    else:
        assert after is stage


@given(st.lists(st.sampled_from(Stage), min_size=1))
def test_the_summary_never_says_more_than_its_parts(stages: list[Stage]) -> None:
    state = summary(stages)
    assert (state is State.ACKNOWLEDGED) == (set(stages) == {Stage.DELIVERED})
    assert (state is State.REFUSED) == (set(stages) == {Stage.REFUSED})
    assert (state is State.VERIFIED) == (Stage.DELIVERED not in stages and Stage.WAITING in stages)

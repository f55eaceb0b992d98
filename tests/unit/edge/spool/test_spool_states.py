import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.spool.states import TABLE, UNSENT, WAITING, Event, State, after
from gateway.errors import Broken


@given(st.sampled_from(State), st.sampled_from(Event))
def test_every_state_and_event_has_one_answer(state, event):
    if (state, event) in TABLE:
        assert after(state, event) is TABLE[state, event]
    else:
        with pytest.raises(Broken, match=event.value):
            after(state, event)


@pytest.mark.parametrize("state", State)
def test_a_body_is_purged_only_after_a_receipt(state):
    to_purged = TABLE.get((state, Event.PURGE))
    assert (to_purged is State.PURGED) == (state is State.CONFIRMED)


@given(st.lists(st.sampled_from(Event), max_size=30))
def test_no_way_to_purged_goes_around_a_receipt_or_a_signature(events):
    state, seen = State.RECEIVED, []
    for event in events:
        if (state, event) in TABLE:
            state = after(state, event)
            seen.append(event)
    if state is State.PURGED:
        assert Event.CONFIRM in seen
        assert seen[-1] in (Event.PURGE, Event.CONFIRM, Event.INTERRUPT)
    if state in UNSENT:
        assert {Event.SIGN, Event.RELEASE, Event.LOSE} & set(
            seen
        )  # what was lost had a receipt, so a signature


@pytest.mark.parametrize("state", UNSENT | {State.HELD})
def test_a_receipt_ends_every_signed_state(state):
    assert after(state, Event.CONFIRM) is State.CONFIRMED


@pytest.mark.parametrize("state", WAITING)
def test_every_waiting_state_can_be_held_and_come_back(state):
    assert after(state, Event.HOLD) is State.HELD
    assert after(State.HELD, Event.RELEASE) in WAITING
    assert after(State.HELD, Event.REOPEN) in WAITING


@pytest.mark.parametrize("state", State)
def test_only_what_is_kept_and_confirmed_can_be_lost_by_the_hub(state):
    assert ((state, Event.LOSE) in TABLE) == (state is State.CONFIRMED)


@pytest.mark.parametrize("state", State)
def test_a_person_gives_up_on_what_is_held_and_can_think_better_of_it(state):
    assert ((state, Event.GIVE_UP) in TABLE) == (state in (State.HELD, State.GIVEN_UP))
    assert after(State.GIVEN_UP, Event.RELEASE) is State.SEALED
    assert after(State.GIVEN_UP, Event.CONFIRM) is State.CONFIRMED
    assert State.GIVEN_UP not in WAITING

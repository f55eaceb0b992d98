"""The life of a study: a table of what may follow what.

A study arrives, is complete by some evidence, and is reopened by every late instance: nobody may
believe a study whole after more of it came. Pure.
"""

from __future__ import annotations

from enum import Enum

from gateway.errors import Broken


class StudyState(Enum):
    """Where a study stands."""

    ARRIVING = "arriving"
    """Instances are coming; what is here can be read already."""

    COMPLETE = "complete"
    """Evidence says that all of it is here; ``studies.completeness`` says which."""

    REOPENED = "reopened"
    """Something new came after it had been complete."""


class StudyEvent(Enum):
    """What may happen to a study."""

    ARRIVED = "arrived"
    """An instance came whose bytes were not here."""

    SETTLED = "settled"
    """The evidence says that nothing more is on its way."""

    FORCED = "forced"
    """A person says: take it as complete with what is here."""


TRANSITIONS: dict[tuple[StudyState, StudyEvent], StudyState] = {
    (StudyState.ARRIVING, StudyEvent.ARRIVED): StudyState.ARRIVING,
    (StudyState.ARRIVING, StudyEvent.SETTLED): StudyState.COMPLETE,
    (StudyState.ARRIVING, StudyEvent.FORCED): StudyState.COMPLETE,
    (StudyState.COMPLETE, StudyEvent.ARRIVED): StudyState.REOPENED,
    (StudyState.REOPENED, StudyEvent.ARRIVED): StudyState.REOPENED,
    (StudyState.REOPENED, StudyEvent.SETTLED): StudyState.COMPLETE,
    (StudyState.REOPENED, StudyEvent.FORCED): StudyState.COMPLETE,
}


def step(state: StudyState, event: StudyEvent) -> StudyState:
    """The state after `event`.

    Raises:
        Broken: the table has no such step.
    """
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise Broken(f"a study that is {state.value} cannot be {event.value}") from None

"""The states of a report, and what may follow what. Pure.

::

    DRAFT ──release──► PRELIMINARY ──sign──► SIGNED ──add──► ADDENDED
      └──────────────sign──────────────────────┘└──retract──► RETRACTED ◄──retract──┘

A signed version is never edited: an addendum is a new version of its own that names the one
before, and that one becomes ADDENDED. A draft is saved as often as one likes.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

from gateway.errors import Refused


class State(Enum):
    """Of one version of a report."""

    DRAFT = "draft"
    """Being written; belongs to the study and survives a change of reader."""
    PRELIMINARY = "preliminary"
    """Shown to the hospital before it is signed."""
    SIGNED = "signed"
    """Signed; the last word so far."""
    ADDENDED = "addended"
    """Signed, and completed by a later version."""
    RETRACTED = "retracted"
    """Signed, and declared void by a later version."""


class Event(Enum):
    """What happens to a version."""

    SAVE = "save"
    RELEASE = "release"
    SIGN = "sign"
    ADD = "add"
    RETRACT = "retract"


TRANSITIONS: Mapping[tuple[State, Event], State] = {
    (State.DRAFT, Event.SAVE): State.DRAFT,
    (State.DRAFT, Event.RELEASE): State.PRELIMINARY,
    (State.DRAFT, Event.SIGN): State.SIGNED,
    (State.PRELIMINARY, Event.SAVE): State.PRELIMINARY,
    (State.PRELIMINARY, Event.SIGN): State.SIGNED,
    (State.SIGNED, Event.ADD): State.ADDENDED,
    (State.SIGNED, Event.RETRACT): State.RETRACTED,
    (State.ADDENDED, Event.ADD): State.ADDENDED,
    (State.ADDENDED, Event.RETRACT): State.RETRACTED,
}

IMMUTABLE = frozenset({State.SIGNED, State.ADDENDED, State.RETRACTED})


def step(state: State, event: Event) -> State:
    """The state after `event`. Raises Refused if it may not happen now."""
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise Refused(f"a {state.value} report cannot be changed by {event.value!r}") from None

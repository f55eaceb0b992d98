"""The states of a delivery, as the hub knows them. Pure.

::

    QUEUED ─fetch─► FETCHED ─verified─► VERIFIED ─some─► DELIVERED ─all─► ACKNOWLEDGED
                       └──────────refused──► REFUSED ──(any later word of the edge)──►

What the edge says is signed and numbered, so an older word never undoes a newer one, and it counts in
every state but the last: a hub restored from a backup may know less than the edge. REFUSED is not the
end: the edge goes on trying, and a later acknowledgement may say that it went well after all.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

from gateway.errors import Refused


class State(Enum):
    """How far a delivery is."""

    QUEUED = "queued"
    """Signed; the edge has not fetched it."""
    FETCHED = "fetched"
    """The edge has the bytes."""
    VERIFIED = "verified"
    """The edge has checked them, and delivers."""
    DELIVERED = "delivered"
    """At least one destination has it; another is still waiting or refuses."""
    ACKNOWLEDGED = "acknowledged"
    """Every destination has it."""
    REFUSED = "refused"
    """The edge did not accept the package, or every destination refuses; in its own words."""


class Event(Enum):
    """What happens to it: fetched, or a word of the edge."""

    FETCH = "fetch"
    VERIFIED = "verified"
    DELIVERED = "delivered"
    ACKNOWLEDGED = "acknowledged"
    REFUSED = "refused"


_NOT_ENDED = tuple(state for state in State if state is not State.ACKNOWLEDGED)
_WORDS = {
    Event.VERIFIED: State.VERIFIED,
    Event.DELIVERED: State.DELIVERED,
    Event.ACKNOWLEDGED: State.ACKNOWLEDGED,
    Event.REFUSED: State.REFUSED,
}

TRANSITIONS: Mapping[tuple[State, Event], State] = {
    (State.QUEUED, Event.FETCH): State.FETCHED,
    **{
        (state, Event.FETCH): state for state in State if state is not State.QUEUED
    },  # fetched again: a restart
    **{(state, event): after for state in _NOT_ENDED for event, after in _WORDS.items()},
    (State.ACKNOWLEDGED, Event.ACKNOWLEDGED): State.ACKNOWLEDGED,
}

OPEN = frozenset({State.QUEUED, State.FETCHED})
"""What the edge has not taken over yet."""


def step(state: State, event: Event) -> State:
    """The state after `event`. Raises Refused if it cannot happen."""
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise Refused(f"a {state.value} delivery cannot become {event.value}") from None

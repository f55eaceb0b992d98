"""Where a parcel stands on the hub's side, as the table `arrivals` records it. Pure.

States:
    RECEIVING    the header is kept; chunks are missing
    WHOLE        every chunk is durable
    VERIFIED     opened; every instance has the SHA-256 the edge signed
    STORED       every instance lies durably in the archive's store
    INDEXED      its rows and its receipt are committed; the part file may go
    QUARANTINED  it does not hold what was signed; kept aside with the reason

VERIFIED, STORED and INDEXED are committed in one transaction: a crash before it leads back to
WHOLE, from where the same steps give the same result.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

from gateway.errors import Broken


class State(Enum):
    """One word of the column `state`."""

    RECEIVING = "receiving"
    WHOLE = "whole"
    VERIFIED = "verified"
    STORED = "stored"
    INDEXED = "indexed"
    QUARANTINED = "quarantined"


class Event(Enum):
    """What happens to an arrival."""

    COMPLETED = "completed"  # the last chunk became durable
    LOST = "lost"  # a chunk can no longer be read back as it was
    VERIFIED = "verified"
    STORED = "stored"
    INDEXED = "indexed"
    FAILED = "failed"  # it does not hold what was signed
    RELEASED = "released"  # a person says: try again (a missing key was restored, say)


TRANSITIONS: Mapping[State, Mapping[Event, State]] = {
    State.RECEIVING: {Event.COMPLETED: State.WHOLE},
    State.WHOLE: {
        Event.VERIFIED: State.VERIFIED,
        Event.LOST: State.RECEIVING,
        Event.FAILED: State.QUARANTINED,
    },
    State.VERIFIED: {Event.STORED: State.STORED},
    State.STORED: {Event.INDEXED: State.INDEXED},
    State.INDEXED: {},
    State.QUARANTINED: {Event.RELEASED: State.WHOLE},
}


def follow(state: State, *events: Event) -> State:
    """The state after `events`. Raises Broken if one of them cannot happen."""
    for event in events:
        try:
            state = TRANSITIONS[state][event]
        except KeyError:
            raise Broken(f"an arrival cannot be {event.value} when it is {state.value}") from None
    return state

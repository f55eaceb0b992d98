"""The life of a spool item: one table, every state and event.

Pure. ::

    RECEIVED ─SIGN─▶ SEALED ─START─▶ SENDING ─ARRIVE─▶ ARRIVED
                        ▲               │                 │
                        └──INTERRUPT────┴─────────────────┤
                                                          ▼
                     CONFIRM (a verified receipt; from any signed state) ─▶ CONFIRMED ─PURGE─▶ PURGED

HELD needs a person: HOLD leads there from every waiting state; RELEASE leads back to SEALED, or to
RECEIVED if there is no signed header yet (REOPEN). A receipt ends even a held item. While a confirmed
body is kept, LOSE leads back to SEALED: the hub was restored from a backup that is older than its receipt.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

from gateway.errors import Broken


class State(Enum):
    """Where an item is."""

    RECEIVED = "received"  # durable here, not yet signed
    SEALED = "sealed"  # signed, waits for the line
    SENDING = "sending"  # some chunks are on their way
    ARRIVED = "arrived"  # all chunks are durable at the hub; the receipt is awaited
    CONFIRMED = "confirmed"  # the hub's receipt is verified and kept, the body too for a while
    PURGED = "purged"  # the body is removed here
    HELD = "held"  # needs a person; `reason` says why
    GIVEN_UP = "given_up"  # a person has said, by name, that it need not arrive; the body stays here


class Event(Enum):
    """What happens to an item."""

    SIGN = "sign"  # its signed header is durable
    START = "start"  # its first chunk is being sent
    INTERRUPT = "interrupt"  # the line broke, or the process was restarted
    ARRIVE = "arrive"  # the hub has every chunk
    CONFIRM = "confirm"  # the hub's verified receipt is durable here
    PURGE = "purge"  # the body has been removed
    HOLD = "hold"  # the hub refused it for good, or it cannot be read here
    GIVE_UP = "give-up"  # a person says: it need not arrive
    LOSE = "lose"  # the hub no longer knows it: it was restored from an old backup
    RELEASE = "release"  # a person says: try again (signed)
    REOPEN = "reopen"  # a person says: try again (not yet signed)


TABLE: Mapping[tuple[State, Event], State] = {
    (State.RECEIVED, Event.SIGN): State.SEALED,
    (State.RECEIVED, Event.HOLD): State.HELD,
    (State.SEALED, Event.START): State.SENDING,
    (State.SEALED, Event.INTERRUPT): State.SEALED,
    (State.SEALED, Event.ARRIVE): State.ARRIVED,
    (State.SEALED, Event.CONFIRM): State.CONFIRMED,
    (State.SEALED, Event.HOLD): State.HELD,
    (State.SENDING, Event.START): State.SENDING,
    (State.SENDING, Event.INTERRUPT): State.SEALED,
    (State.SENDING, Event.ARRIVE): State.ARRIVED,
    (State.SENDING, Event.CONFIRM): State.CONFIRMED,
    (State.SENDING, Event.HOLD): State.HELD,
    (State.ARRIVED, Event.START): State.SENDING,
    (State.ARRIVED, Event.INTERRUPT): State.SEALED,
    (State.ARRIVED, Event.ARRIVE): State.ARRIVED,
    (State.ARRIVED, Event.CONFIRM): State.CONFIRMED,
    (State.ARRIVED, Event.HOLD): State.HELD,
    (State.CONFIRMED, Event.CONFIRM): State.CONFIRMED,
    (State.CONFIRMED, Event.INTERRUPT): State.CONFIRMED,
    (State.CONFIRMED, Event.PURGE): State.PURGED,
    (State.CONFIRMED, Event.LOSE): State.SEALED,
    (State.PURGED, Event.CONFIRM): State.PURGED,
    (State.PURGED, Event.INTERRUPT): State.PURGED,
    (State.HELD, Event.HOLD): State.HELD,
    (State.HELD, Event.CONFIRM): State.CONFIRMED,
    (State.HELD, Event.RELEASE): State.SEALED,
    (State.HELD, Event.REOPEN): State.RECEIVED,
    (State.HELD, Event.GIVE_UP): State.GIVEN_UP,
    (State.GIVEN_UP, Event.GIVE_UP): State.GIVEN_UP,
    (State.GIVEN_UP, Event.CONFIRM): State.CONFIRMED,
    (State.GIVEN_UP, Event.RELEASE): State.SEALED,
    (State.GIVEN_UP, Event.REOPEN): State.RECEIVED,
}

UNSENT = frozenset((State.SEALED, State.SENDING, State.ARRIVED))
"""Signed, and no receipt yet."""

WAITING = UNSENT | {State.RECEIVED}
"""Will go on by itself."""


def after(state: State, event: Event) -> State:
    """The next state.

    Raises:
        Broken: this cannot happen in `state`; the program is wrong.
    """
    try:
        return TABLE[state, event]
    except KeyError:
        raise Broken(f"a spool item that is {state.value} cannot {event.value}") from None

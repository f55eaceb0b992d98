"""How far a report is at each destination, and what that makes of the whole delivery. Pure.

::

    a destination:   WAITING ─deliver─► DELIVERED          WAITING ─refuse─► REFUSED ─deliver─► DELIVERED

    the delivery:    LISTED ─accept─► VERIFIED ─► DELIVERED ─► ACKNOWLEDGED   (from its destinations)
                        └─reject─► REFUSED ─accept─► …

A destination is tried for ever: REFUSED keeps the receiver's words for people to read, and somebody
may mend its settings. DELIVERED is final, so nothing arrives twice because of a later failure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum


class Stage(Enum):
    """Of one destination."""

    WAITING = "waiting"
    DELIVERED = "delivered"
    REFUSED = "refused"


class Event(Enum):
    """What a try came to."""

    DELIVER = "deliver"
    """The destination has it, and said so."""
    REFUSE = "refuse"
    """The destination was there and does not want it."""
    FAIL = "fail"
    """The destination was not there, or gave no clear answer."""


TRANSITIONS: Mapping[tuple[Stage, Event], Stage] = {
    (Stage.WAITING, Event.DELIVER): Stage.DELIVERED,
    (Stage.WAITING, Event.REFUSE): Stage.REFUSED,
    (Stage.WAITING, Event.FAIL): Stage.WAITING,
    (Stage.REFUSED, Event.DELIVER): Stage.DELIVERED,
    (Stage.REFUSED, Event.REFUSE): Stage.REFUSED,
    (Stage.REFUSED, Event.FAIL): Stage.REFUSED,
    (Stage.DELIVERED, Event.DELIVER): Stage.DELIVERED,
    (Stage.DELIVERED, Event.REFUSE): Stage.DELIVERED,
    (Stage.DELIVERED, Event.FAIL): Stage.DELIVERED,
}


def step(stage: Stage, event: Event) -> Stage:
    """The stage after `event`."""
    return TRANSITIONS[stage, event]


class State(Enum):
    """Of a delivery; the words of the acknowledgement but for `LISTED`."""

    LISTED = "listed"
    """The hub has it for us."""
    VERIFIED = "verified"
    """Its package holds; no destination has it yet."""
    DELIVERED = "delivered"
    """Some destination has it."""
    ACKNOWLEDGED = "acknowledged"
    """Every destination has it."""
    REFUSED = "refused"
    """Its package does not hold, or every destination refuses it."""


def summary(stages: Iterable[Stage]) -> State:
    """What the stages of all destinations make of a verified delivery."""
    found = list(stages)
    if all(stage is Stage.DELIVERED for stage in found):
        return State.ACKNOWLEDGED
    if any(stage is Stage.DELIVERED for stage in found):
        return State.DELIVERED
    if all(stage is Stage.REFUSED for stage in found):
        return State.REFUSED
    return State.VERIFIED

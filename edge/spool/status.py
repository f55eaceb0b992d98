"""What the spool holds and why it waits, as data. Pure; the console puts it into words."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from edge.spool.item import LinkState, SpoolItem
from edge.spool.states import State
from edge.spool.view import StudyProgress
from gateway.clock import parse_rfc3339


class Why(Enum):
    """Why an item has not arrived yet."""

    TO_SIGN = "to_sign"  # just received; its header is about to be signed
    IN_LINE = "in_line"  # more urgent or earlier items go first
    SENDING = "sending"  # on the line
    RECEIPT = "receipt"  # whole at the hub; the receipt is awaited
    PAUSED = "paused"  # the hub or the line asked for a pause
    AWAY = "away"  # the hub cannot be reached
    PERSON = "person"  # a person is needed
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Reason:
    """Why, since when, when it goes on, and the words of whoever said so."""

    why: Why
    words: str = ""
    since: datetime | None = None
    next_try: datetime | None = None


@dataclass(frozen=True, slots=True)
class Load:
    """How much is in one state."""

    items: int = 0
    instances: int = 0
    size: int = 0  # sealed bytes


@dataclass(frozen=True, slots=True)
class SpoolStatus:
    """The whole spool at one moment.

    Attributes:
        states: how much is in each state.
        oldest_waiting: when the oldest unconfirmed item was received, RFC 3339.
        first: what goes next, at most a hundred items, each with its reason.
        held: what needs a person.
        studies: what was received since the start, by study (from memory).
        free: bytes free on the disk; `reserve` of them are not for images.
        days_left: until the disk is full, if nothing leaves and it goes on as in the last day.
        accepting: whether the disk has room.
        ahead: bytes that lie ready for a burst, and how many shall.
    """

    states: dict[State, Load]
    oldest_waiting: str | None
    first: tuple[tuple[SpoolItem, Reason], ...]
    held: tuple[SpoolItem, ...]
    studies: tuple[StudyProgress, ...]
    free: int
    reserve: int
    days_left: float | None
    accepting: bool
    ahead: tuple[int, int]

    def load(self, *states: State) -> Load:
        """Several states together."""
        loads = [self.states.get(state, Load()) for state in states]
        return Load(
            sum(load.items for load in loads),
            sum(load.instances for load in loads),
            sum(load.size for load in loads),
        )


def reason(item: SpoolItem, link: LinkState | None) -> Reason:
    """Why `item` waits, by its state and the line's."""
    if item.state is State.HELD:
        return Reason(Why.PERSON, item.reason)
    if item.state in (State.CONFIRMED, State.PURGED, State.GIVEN_UP):
        return Reason(Why.DONE, item.reason)
    if item.state is State.RECEIVED:
        return Reason(Why.TO_SIGN, item.reason)
    if link is not None and not link.online:
        return Reason(Why.AWAY, link.reason, link.since, link.next_try)
    if item.state is State.SENDING:
        return Reason(Why.SENDING)
    if item.state is State.ARRIVED:
        return Reason(Why.RECEIPT)
    if item.next_try is not None:
        return Reason(Why.PAUSED, item.reason, None, parse_rfc3339(item.next_try))
    return Reason(Why.IN_LINE, item.reason)

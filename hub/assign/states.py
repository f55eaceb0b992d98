"""The life of a case, as one table. Pure.

::

    UNASSIGNED ──OFFER──▶ OFFERED ──ACCEPT──▶ ACCEPTED ──OPEN──▶ READING ──SIGN──▶ REPORTED
        ▲                    │  └──────────────OPEN─────────────────▲ │
        │                    └─WITHDRAW─▶ REASSIGNED ──OFFER─▶ …    │ ├─RELEASE, LAPSE─▶ ACCEPTED
        └──RESUME── RETURNED ◀──RETURN── (any but REPORTED)         │ └─RETURN─▶ RETURNED ──ANSWER─▶ ACCEPTED
                    ESCALATED ◀──ESCALATE── (waiting ones)──────────┘

Reading is under a lease, not a lock: it LAPSEs if nothing is heard of the reader, and the draft,
which belongs to the study, survives. A case that is nobody's and was opened in an emergency is
WITHDRAWN from reading instead, and seeks a reader (REASSIGNED). ESCALATED stays so, whoever it is
offered to, until opened.
"""

from __future__ import annotations

from enum import StrEnum

from gateway.errors import Refused


class CaseState(StrEnum):
    """Where a case stands."""

    UNASSIGNED = "unassigned"
    """Nobody's yet: no reader can take it just now, or the rules hold it for a person."""
    OFFERED = "offered"
    """On one reader's list."""
    ACCEPTED = "accepted"
    """That reader has said yes, or has read in it before."""
    READING = "reading"
    """Open, under a lease."""
    REPORTED = "reported"
    """A signed report exists. Instances that come later are noted; addenda are reports of their own."""
    RETURNED = "returned"
    """Cannot be read as it is; the hospital is asked for more, and its answer gives it back."""
    ESCALATED = "escalated"
    """Past its deadline and not open."""
    REASSIGNED = "reassigned"
    """Taken from a reader who is not there; looks for another."""


class CaseEvent(StrEnum):
    """What happens to a case."""

    OFFER = "offer"
    ACCEPT = "accept"
    OPEN = "open"
    RELEASE = "release"
    LAPSE = "lapse"
    WITHDRAW = "withdraw"
    RETURN = "return"
    RESUME = "resume"
    ANSWER = "answer"
    ESCALATE = "escalate"
    SIGN = "sign"


S, E = CaseState, CaseEvent

TRANSITIONS: dict[tuple[CaseState, CaseEvent], CaseState] = {
    (S.UNASSIGNED, E.OFFER): S.OFFERED,
    (S.REASSIGNED, E.OFFER): S.OFFERED,
    (S.ESCALATED, E.OFFER): S.ESCALATED,
    (S.OFFERED, E.ACCEPT): S.ACCEPTED,
    (S.UNASSIGNED, E.OPEN): S.READING,
    (S.OFFERED, E.OPEN): S.READING,
    (S.ACCEPTED, E.OPEN): S.READING,
    (S.READING, E.OPEN): S.READING,
    (S.RETURNED, E.OPEN): S.READING,
    (S.ESCALATED, E.OPEN): S.READING,
    (S.REASSIGNED, E.OPEN): S.READING,
    (S.READING, E.RELEASE): S.ACCEPTED,
    (S.READING, E.LAPSE): S.ACCEPTED,
    (S.OFFERED, E.WITHDRAW): S.REASSIGNED,
    (S.ACCEPTED, E.WITHDRAW): S.REASSIGNED,
    (S.READING, E.WITHDRAW): S.REASSIGNED,
    (S.ESCALATED, E.WITHDRAW): S.ESCALATED,
    (S.UNASSIGNED, E.RETURN): S.RETURNED,
    (S.OFFERED, E.RETURN): S.RETURNED,
    (S.ACCEPTED, E.RETURN): S.RETURNED,
    (S.READING, E.RETURN): S.RETURNED,
    (S.ESCALATED, E.RETURN): S.RETURNED,
    (S.REASSIGNED, E.RETURN): S.RETURNED,
    (S.RETURNED, E.RESUME): S.UNASSIGNED,
    (S.RETURNED, E.ANSWER): S.ACCEPTED,  # to the reader who asked
    (S.UNASSIGNED, E.ESCALATE): S.ESCALATED,
    (S.OFFERED, E.ESCALATE): S.ESCALATED,
    (S.ACCEPTED, E.ESCALATE): S.ESCALATED,
    (S.REASSIGNED, E.ESCALATE): S.ESCALATED,
    (S.OFFERED, E.SIGN): S.REPORTED,  # the lease may lapse between the last save and the signature
    (S.ACCEPTED, E.SIGN): S.REPORTED,
    (S.READING, E.SIGN): S.REPORTED,
    (S.ESCALATED, E.SIGN): S.REPORTED,
    (S.REPORTED, E.SIGN): S.REPORTED,  # a repeated signature changes nothing
}

LOADS = frozenset({S.OFFERED, S.ACCEPTED, S.READING, S.ESCALATED})
"""States whose cases count towards their assignee's load."""

WAITING = frozenset({S.UNASSIGNED, S.OFFERED, S.ACCEPTED, S.REASSIGNED})
"""States in which a deadline can pass unseen."""

SEEKING = frozenset({S.UNASSIGNED, S.REASSIGNED, S.ESCALATED})
"""States from which a case without an assignee is offered."""


def after(state: CaseState, event: CaseEvent) -> CaseState:
    """The state that follows.

    Raises:
        Refused: this event means nothing in this state.
    """
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise Refused(f"a case that is {state} cannot be the subject of “{event}”") from None

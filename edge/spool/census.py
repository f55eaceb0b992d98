"""Counts what the spool holds, for its status."""

from __future__ import annotations

from datetime import datetime, timedelta

from edge.spool.budget import Budget
from edge.spool.item import LinkState
from edge.spool.journal import Journal
from edge.spool.states import WAITING, State
from edge.spool.status import Load, SpoolStatus, reason
from edge.spool.view import StudyView
from gateway.clock import rfc3339

SHOWN = 100


def census(
    journal: Journal,
    view: StudyView,
    budget: Budget,
    free: int,
    ahead: tuple[int, int],
    now: datetime,
    link: LinkState | None,
) -> SpoolStatus:
    """The whole spool at one moment. Blocks.

    Args:
        journal: the index.
        view: studies in memory.
        budget: how much of the disk may be used.
        free: bytes free on the disk.
        ahead: bytes that lie ready for a burst, and how many shall.
        now: the time.
        link: how the line is, if that is known.
    """
    counts = journal.counts()
    per_day = journal.received_since(rfc3339(now - timedelta(days=1)))
    return SpoolStatus(
        states={state: Load(*counts[state]) for state in counts},
        oldest_waiting=journal.oldest(WAITING),
        first=tuple((item, reason(item, link)) for item in journal.in_states(WAITING, SHOWN)),
        held=tuple(journal.in_states((State.HELD,), SHOWN)),
        studies=tuple(view.studies()),
        free=free,
        reserve=budget.reserve,
        days_left=budget.days_left(free, per_day),
        accepting=free > budget.reserve,
        ahead=ahead,
    )

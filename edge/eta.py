"""When studies will be at the hub: what goes before them, the rate of late, and the budgets. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from edge.spool.view import StudyProgress
from gateway.model import Priority

SOON = 60.0
"""Seconds: what the budgets let go within so many goes before the less urgent."""


class Takes(Protocol):
    """How long the line takes."""

    def __call__(self, priority: Priority, size: int, after: float = 0.0) -> float | None:
        """Seconds from now until so many bytes of a priority have gone.

        Args:
            priority: of the parcels.
            size: sealed bytes.
            after: seconds from now before which they cannot begin.

        Returns:
            The seconds; None: nobody knows, as the line is down or its rate not known.
        """


def by_study(studies: Sequence[StudyProgress], takes: Takes) -> dict[str, float]:
    """Study UID → seconds until all of it is at the hub, of those of which that is known.

    A study is there when what goes before it is there too. One that the budgets hold back for now lets the
    less urgent ones by.
    """
    found: dict[str, float] = {}
    free = 0.0  # seconds until the line has carried what is more urgent
    for priority in Priority:
        own = [one for one in studies if one.priority is priority and one.sent < one.received]
        ends = free
        for one in sorted(own, key=lambda one: one.first_at):
            seconds = takes(priority, one.waiting_bytes, ends)
            if seconds is None:
                break
            found[one.facts.study_uid] = ends = seconds
        waits = takes(priority, 1)
        if waits is not None and waits < SOON:
            free = ends
    return found


def of_all(
    found: Mapping[str, float], studies: Sequence[StudyProgress], size: int, takes: Takes
) -> float | None:
    """Seconds until all `size` bytes that wait are at the hub, those of no study that is known last.

    Args:
        found: what `by_study` told of the `studies`.
        studies: all.
        size: sealed bytes.
        takes: how long the line takes.
    """
    waiting = [one for one in studies if one.sent < one.received]
    if len(found) < len(waiting):
        return None
    rest = max(0, size - sum(one.waiting_bytes for one in waiting))
    last = max(found.values(), default=0.0)
    return takes(Priority.ROUTINE, rest, last) if rest else last

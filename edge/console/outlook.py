"""When things will be at the hub, and what the budgets hold back, beside the spool's status. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from math import isinf

from edge import eta
from edge.budget import Blocked
from edge.eta import Takes
from edge.spool.item import SpoolItem
from edge.spool.states import WAITING
from edge.spool.status import Reason, SpoolStatus, Why
from gateway.model import ParcelId, Priority


@dataclass(frozen=True, slots=True)
class Outlook:
    """What is ahead.

    Attributes:
        seconds: until all that waits now is at the hub, at the rate of late and within the budgets; None:
            nobody knows.
        studies: study UID → the same for one study.
        blocked: priorities of which the budgets let nothing go now.
        goes: parcel → seconds until the line has carried what goes before it, of the first that wait.
        fault: what is wrong with the configuration file; empty if nothing is.
    """

    seconds: float | None = None
    studies: Mapping[str, float] = field(default_factory=dict)
    blocked: Mapping[Priority, Blocked] = field(default_factory=dict)
    goes: Mapping[ParcelId, float] = field(default_factory=dict)
    fault: str = ""

    def reason(self, item: SpoolItem, why: Reason, now: datetime) -> Reason:
        """Why an item waits, the budgets included; they hold back the rest of what was begun, too."""
        blocked = self.blocked.get(item.priority)
        if blocked is None or why.why not in (Why.IN_LINE, Why.SENDING):
            seconds = self.goes.get(item.parcel_id) if why.why is Why.IN_LINE else None
            return why if seconds is None else replace(why, next_try=now + timedelta(seconds=seconds))
        opens = None if isinf(blocked.seconds) else now + timedelta(seconds=blocked.seconds)
        return Reason(Why.PAUSED, blocked.words, None, opens)


def outlook(
    status: SpoolStatus,
    blocked: Callable[[Priority], Blocked | None],
    takes: Takes,
    fault: str,
) -> Outlook:
    """Look ahead.

    Args:
        status: of the spool.
        blocked: why the budgets let nothing of a priority go now.
        takes: how long the line takes.
        fault: what is wrong with the configuration file.
    """
    held = {priority: found for priority in Priority if (found := blocked(priority)) is not None}
    studies = eta.by_study(status.studies, takes)
    seconds = eta.of_all(studies, status.studies, status.load(*WAITING).size, takes)
    return Outlook(seconds, studies, held, _goes(status, takes), fault)


def _goes(status: SpoolStatus, takes: Takes) -> dict[ParcelId, float]:
    found, before = {}, 0
    for item, why in status.first:  # in the order in which they go
        if why.why is Why.IN_LINE and (seconds := takes(item.priority, before)) is not None:
            found[item.parcel_id] = seconds
        if why.why in (Why.IN_LINE, Why.SENDING):
            before += item.sealed_size
    return found

"""What an edge tells every few seconds: how it is, and how far its studies are.

Tolerant: another version of the edge may tell more or less, so unknown keys and values of another
kind are left out. Bounded: nothing an edge says can grow the database. An edge speaks for its own
site alone, whatever it writes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.clock import parse_rfc3339, rfc3339
from gateway.model import Priority
from hub.tables.told import study_progress

MOST_STUDIES = 500
LONGEST_TEXT = 300
LARGEST = 2**53
_UID = re.compile(r"[0-9.]{1,64}")

_NUMBER, _TEXT, _YES, _ANY = "number", "text", "yes or no", "any of these"
KNOWN = {
    "version": _TEXT,
    "waiting": _NUMBER,
    "waiting_bytes": _NUMBER,
    "oldest_waiting": _TEXT,
    "held": _NUMBER,
    "disk_free": _NUMBER,
    "disk_days_left": _NUMBER,
    "accepting": _YES,
    "certificate_days": _NUMBER,
    "rate": _NUMBER,
    "round_trip": _NUMBER,
    "congestion": _TEXT,
    "streams": _NUMBER,
    "stalled": _ANY,
    "warnings": _NUMBER,
    "clock_ahead": _NUMBER,
}
"""Keys of a status that are kept. ``rate`` bytes per second, ``round_trip`` seconds, ``congestion`` the
algorithm's name; ``stalled``: whether the line stands still, since when, or why; ``clock_ahead``: seconds by
which its clock is ahead of ours, as we reckon."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one study is.

    Args:
        study_uid: its UID.
        received: instances the edge has.
        confirmed: those of them with this hub's receipt.
        waiting_bytes: still to be sent.
        eta_seconds: until all of it is here, as the edge reckons; None: it cannot say.
        priority: how soon it travels.
    """

    study_uid: str
    received: int
    confirmed: int
    waiting_bytes: int
    eta_seconds: int | None
    priority: Priority


def status_of(told: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """The known keys of a status; ``stalled_since`` is one way to say ``stalled``. Pure.

    Args:
        told: as it came; ``now`` says what time it was there when it was sent.
        now: the time here.
    """
    told = {name: value for name, value in told.items() if name != "clock_ahead"}
    if (ahead := _ahead(told.get("now"), now)) is not None:
        told["clock_ahead"] = ahead
    if "stalled" not in told and "stalled_since" in told:
        told = {**told, "stalled": told["stalled_since"]}
    return {name: told[name] for name, kind in KNOWN.items() if name in told and _fits(told[name], kind)}


def _ahead(theirs: Any, now: datetime) -> float | None:
    """Seconds; None: it did not say. What it takes to arrive counts as being behind, seconds mostly."""
    try:
        return round((parse_rfc3339(theirs) - now).total_seconds(), 1)
    except (TypeError, ValueError, OverflowError):
        return None


def _fits(value: Any, kind: str) -> bool:
    if value is None:
        return True
    if isinstance(value, bool):
        return kind in (_YES, _ANY)
    if isinstance(value, (int, float)):
        return kind in (_NUMBER, _ANY) and math.isfinite(value) and abs(value) <= LARGEST
    return isinstance(value, str) and kind in (_TEXT, _ANY) and len(value) <= LONGEST_TEXT


def studies_of(told: Mapping[str, Any]) -> list[Progress]:
    """The studies of a status, the most urgent first where there are too many. Pure."""
    items = told.get("studies")
    if not isinstance(items, list):
        return []
    found = {
        one.study_uid: one for item in items[: 20 * MOST_STUDIES] if (one := _progress(item)) is not None
    }
    return sorted(found.values(), key=lambda one: one.priority)[:MOST_STUDIES]


def _progress(item: Any) -> Progress | None:
    if not isinstance(item, Mapping):
        return None
    uid = item.get("study_uid")
    received, confirmed = _count(item.get("received")), _count(item.get("confirmed"))
    if not isinstance(uid, str) or not _UID.fullmatch(uid) or received is None:
        return None
    return Progress(
        uid,
        received,
        min(confirmed or 0, received),
        _count(item.get("waiting_bytes"), LARGEST) or 0,
        _count(item.get("eta_seconds")),
        _priority(item.get("priority")),
    )


def _count(value: Any, largest: int = 2**31 - 1) -> int | None:
    """A number from 0, cut to what a column holds; None for anything else."""
    if (
        isinstance(value, bool)
        or not isinstance(value, (int, float))
        or not math.isfinite(value)
        or value < 0
    ):
        return None
    return min(int(value), largest)


def _priority(value: Any) -> Priority:
    if isinstance(value, str) and value.strip().upper() in Priority.__members__:
        return Priority[value.strip().upper()]
    if isinstance(value, int) and not isinstance(value, bool) and value in tuple(map(int, Priority)):
        return Priority(value)
    return Priority.ROUTINE


async def keep(
    connection: AsyncConnection, site: str, edge: str, studies: list[Progress], now: datetime
) -> None:
    """Write the progress of an edge's studies in place of what it told before."""
    mine = (study_progress.c.site == site) & (study_progress.c.edge == edge)
    await connection.execute(delete(study_progress).where(mine))
    rows = [
        {
            "site": site,
            "edge": edge,
            "study_uid": one.study_uid,
            "received": one.received,
            "confirmed": one.confirmed,
            "waiting_bytes": one.waiting_bytes,
            "eta_seconds": one.eta_seconds,
            "priority": int(one.priority),
            "told_at": rfc3339(now),
        }
        for one in studies
    ]
    if rows:
        await connection.execute(insert(study_progress), rows)

"""How each edge stands, and what about it a person must look at. Pure.

=================  ============================================================================
state              an edge whose newest certificate …
=================  ============================================================================
``enrolled``       is good
``expired``        has ended; it may ask to come back
``returning``      has ended, and it asks: somebody must decide
``approved``       has ended, and it may come back; it has not asked again yet
``revoked``        was put out for good
=================  ============================================================================
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from gateway.clock import parse_rfc3339, rfc3339
from gateway.unreached import off
from hub.alerts import ALARM, WARNING, Alert

Row = Mapping[Any, Any]

LATE = 4 / 5
"""Of a certificate's life; an edge renews it by itself after two thirds."""

SILENT = timedelta(minutes=30)
"""An edge tells how it is every few seconds."""

STALLED = timedelta(minutes=5)
"""A line that stands still for less may be a shower of rain."""

FEW_DAYS = 3
"""Days in which an edge's disk will be full."""

CLOCK_OFF, CLOCK_RIGHT = timedelta(minutes=5), timedelta(minutes=1)
"""An edge's clock is off from the one on (its own page tells it then, too), and right again within the other:
between the two it stays what it was."""

CLOCKS = {True: "clock-ahead", False: "clock-behind"}
"""Kind of alert, by whether the edge's clock is ahead of ours."""

KINDS = (
    *CLOCKS.values(),
    "edge-silent",
    "line-stalled",
    "certificate-late",
    "certificate-ended",
    "return-asked",
    "return-twice",
    "edge-refuses",
    "edge-disk",
    "edge-held",
)
"""Every kind `conditions` gives."""


def state(edge: Row, returns: Sequence[Row], now: datetime) -> str:
    """The state of an edge, by its newest certificate and its requests to come back."""
    if edge["revoked"]:
        return "revoked"
    if edge["not_after"] >= rfc3339(now):
        return "enrolled"
    decisions = {one["decision"] for one in _of(edge, returns)}
    if "asked" in decisions:
        return "returning"
    return "approved" if "approved" in decisions else "expired"


def is_late(edge: Row, now: datetime) -> bool:
    """Whether a good certificate should have been renewed long ago."""
    try:
        start, end = parse_rfc3339(edge["issued_at"]), parse_rfc3339(edge["not_after"])
    except ValueError:
        return False  # an edited row: `hub.rows` tells of it
    return start + (end - start) * LATE <= now <= end


def conditions(
    edges: Iterable[Row],
    returns: Sequence[Row],
    now: datetime,
    before: Collection[tuple[str, str, str]] = (),
) -> list[Alert]:
    """What stands at `now`.

    Args:
        edges: as `hub.fleet.devices.listed` gives them.
        returns: as `hub.fleet.returns.pending` gives them.
        now: the time of day.
        before: kind, site and edge of alerts that stood before.
    """
    return [
        alert
        for edge in edges
        if not edge["revoked"]
        for alert in (*_certificate(edge, returns, now), *_heard(edge, now, before))
    ]


def _of(edge: Row, returns: Sequence[Row]) -> list[Row]:
    return [one for one in returns if (one["site"], one["edge"]) == (edge["site"], edge["edge"])]


def _certificate(edge: Row, returns: Sequence[Row], now: datetime) -> list[Alert]:
    who, until = (edge["site"], edge["edge"]), edge["not_after"]
    stands, facts = state(edge, returns, now), {"until": until}
    if stands == "enrolled" and is_late(edge, now):
        words = f"its certificate ends at {until}, and it has not renewed it"
        return [Alert("certificate-late", words, *who, until, WARNING, facts)]
    if stands in ("expired", "approved"):
        words = f"its certificate ended at {until}; it cannot send until it comes back"
        return [Alert("certificate-ended", words, *who, until, WARNING, facts)]
    if stands != "returning":
        return []
    asked = [one for one in _of(edge, returns) if one["decision"] == "asked"]
    if len(asked) > 1:
        words = f"{len(asked)} different requests to come back: one of them holds a copied key"
        about = ",".join(sorted(one["request"][:12] for one in asked))[:128]
        return [Alert("return-twice", words, *who, about, ALARM, {"number": len(asked)})]
    (one,) = asked
    words = f"its certificate has ended, and it asks to come back since {one['asked_at']}"
    return [Alert("return-asked", words, *who, one["request"], WARNING, {"since": one["asked_at"]})]


def _heard(edge: Row, now: datetime, before: Collection[tuple[str, str, str]]) -> list[Alert]:
    who, last = (edge["site"], edge["edge"]), edge["last_seen"] or edge["issued_at"]
    if edge["not_after"] < rfc3339(now):
        return []  # it cannot be heard; that is told
    if last < rfc3339(now - SILENT):
        return [Alert("edge-silent", f"not heard since {last}", *who, last, WARNING, {"since": last})]
    told = _told(edge["status"])
    found = _clock(edge, _number(told.get("clock_ahead"), 0), before)
    if (since := _stalled(told.get("stalled"), now)) is not None:
        words = f"its line stands still, though it reaches this hub {since}".rstrip()
        found.append(Alert("line-stalled", words, *who, "", WARNING, {"since": since or "—"}))
    if told.get("accepting") is False:
        words = "it takes no images from the modalities"
        found.append(Alert("edge-refuses", words, *who, "", ALARM))
    if _number(told.get("disk_days_left"), FEW_DAYS) < FEW_DAYS:
        found.append(Alert("edge-disk", f"its disk is full in fewer than {FEW_DAYS} days", *who, "", WARNING))
    if _number(told.get("held"), 0) > 0:
        words = "some of its items wait for a person at the hospital"
        found.append(Alert("edge-held", words, *who, "", WARNING))
    return found


def _clock(edge: Row, ahead: float, before: Collection[tuple[str, str, str]]) -> list[Alert]:
    """Whether its clock is off, by so many seconds ahead of ours."""
    who, kind = (edge["site"], edge["edge"]), CLOCKS[ahead > 0]
    limit = CLOCK_RIGHT if (kind, *who) in before else CLOCK_OFF
    if abs(ahead) <= limit.total_seconds():
        return []
    words = f"its clock is {off(timedelta(seconds=ahead))} {'ahead of' if ahead > 0 else 'behind'} this hub's"
    return [Alert(kind, words, *who, "", WARNING, {"seconds": round(abs(ahead))})]


def _stalled(told: Any, now: datetime) -> str | None:
    """Since when, or in the edge's words; None if it does not stand still, or not for long."""
    if not told:
        return None
    if not isinstance(told, str):
        return ""
    try:
        return told if parse_rfc3339(told) <= now - STALLED else None
    except ValueError:
        return told


def _told(status: str | None) -> Mapping[str, Any]:
    try:
        told = json.loads(status) if status else {}
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


def _number(value: Any, otherwise: float) -> float:
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else otherwise

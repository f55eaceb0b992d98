"""Rows and objects as the portal's JSON. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gateway.model import Priority
from hub.access.sessions import Session
from hub.rules.nodes import Fault

Row = Mapping[Any, Any]

LONGEST_CHAIN = 5
"""Findings shown of one edge's chain; the rest is counted."""


def session(opened: Session, second_factor: str) -> dict[str, Any]:
    """A session, for the browser that holds it."""
    account = opened.account
    return {
        "user": {
            "name": account.name,
            "display_name": account.display_name,
            "role": account.role.value,
            "language": account.language,
            "site": account.site,
        },
        "csrf": opened.csrf,
        "factors": account.factors,
        "second_factor": second_factor,
    }


def passkey(row: Row) -> dict[str, Any]:
    """One passkey, without its key."""
    return {name: row[name] for name in ("id", "label", "created_at", "used_at")}


def edge(row: Row, status: Any, findings: Sequence[Row], coming: Sequence[Row]) -> dict[str, Any]:
    """One edge of the fleet, with what was found in its chain of parcels and the studies on their way."""
    names = ("site", "edge", "serial", "last_seen", "issued_at", "not_after", "revoked_at", "revoked_why")
    own = [one for one in findings if is_of(row, one)]
    chain = [one["words"] for one in own[:LONGEST_CHAIN]]
    if len(own) > len(chain):
        chain.append(f"… {len(own) - len(chain)} more")
    return {
        **{name: row[name] for name in names},
        "chain": chain,
        "status": status,
        "studies": on_the_way(row, coming),
    }


def on_the_way(row: Row, coming: Sequence[Row]) -> list[dict[str, Any]]:
    """An edge's studies that are not here whole, the most urgent first; `here` is 0 for one not begun."""
    names = ("study_uid", "received", "confirmed", "waiting_bytes", "eta_seconds")
    own = [one for one in coming if is_of(row, one)]
    return [
        {"priority": Priority(one["priority"]).word}
        | {name: one[name] for name in names}
        | {"here": one["instance_count"] or 0}
        for one in own
    ]


def is_of(edge: Row, row: Row) -> bool:
    """Whether a row is about this edge."""
    return (edge["site"], edge["edge"]) == (row["site"], row["edge"])


def asked(row: Row) -> dict[str, Any]:
    """An edge's request to come back."""
    return {name: row[name] for name in ("request", "asked_at", "decision")}


def quarantined(row: Row) -> dict[str, Any]:
    """One thing put aside."""
    return {name: row[name] for name in ("id", "site", "parcel_id", "reason", "at", "resolved_at")}


def conflict(row: Row, versions: Sequence[Row]) -> dict[str, Any]:
    """One study with conflicting instances."""
    names = ("sop_instance_uid", "series_uid", "sha256", "size", "current", "received_at")
    return {
        "study_uid": row["study_uid"],
        "site": row["site"],
        "conflicts": row["conflicts"],
        "last_at": row["last_at"],
        "instances": [{name: one[name] for name in names} for one in versions],
    }


def fault(found: Fault) -> dict[str, Any]:
    """Something noticed in the rules."""
    severity = "warning" if found.warning else "fault"
    return {"line": found.line, "message": found.message, "severity": severity}

"""Alerts: what the hub found that a person must look at, kept in one table and never deleted.

Two ways to write one, each inside the transaction in which the thing was found:

- `tell`: something happened (a key used in two places). Found again while nobody has acknowledged it, it is
  counted, not repeated; found again after that, it is a new alert.
- `settle`: something stands (a site is silent). It ends by itself when it stands no more.

An alert waits for a person until it is acknowledged, or until it has ended.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, case, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.clock import rfc3339
from gateway.errors import NotFound, Refused
from gateway.log import logger
from hub.people import Account
from hub.record import Deed, Record, Trail, subject_of, user
from hub.tables.alert import alerts

ALARM, WARNING = "alarm", "warning"
"""Somebody may be at work against us, or images are at risk; something will go wrong if nobody acts."""

WORDS_LIMIT = 1000
REASON = (3, 1000)
"""Characters of a reason: fewest and most."""

LONGEST_LIST = 500

log = logger("hub.alerts")


@dataclass(frozen=True, slots=True)
class Alert:
    """One thing to look at.

    Args:
        kind: at most 32 characters, such as ``used-twice``; the portal has words for it.
        words: a sentence for the administrator; UIDs and digests at most, never names.
        site: the hospital it is about; empty: the hub itself.
        edge: the edge's number there.
        about: what tells two of one kind and edge apart; an opaque identifier.
        severity: `ALARM` or `WARNING`.
        facts: what the words say, for a page in another language; JSON.
    """

    kind: str
    words: str
    site: str = ""
    edge: str = ""
    about: str = ""
    severity: str = ALARM
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> tuple[str, str, str, str]:
        """Two with one key are the same thing."""
        return self.kind, self.site, self.edge, self.about


def _same(alert: Alert) -> ColumnElement[bool]:
    here = alerts.c
    return (
        (here.kind == alert.kind)
        & (here.site == alert.site)
        & (here.edge == alert.edge)
        & (here.about == alert.about)
    )


async def tell(connection: AsyncConnection, alert: Alert, now: datetime) -> bool:
    """Write down that something happened.

    Args:
        connection: of a writing transaction.
        alert: what.
        now: the time of day.

    Returns:
        Whether it is a new alert; otherwise one that nobody has acknowledged was counted once more.
    """
    at = rfc3339(now)
    again = {**_said(alert), "last_at": at}
    waits = _same(alert) & alerts.c.acknowledged_at.is_(None)
    done = await connection.execute(
        update(alerts).where(waits).values(**again, changed_at=at, times=alerts.c.times + 1)
    )
    if done.rowcount:
        return False
    await _enter(connection, alert, at)
    return True


async def told_since(connection: AsyncConnection, alert: Alert, moment: datetime) -> bool:
    """Whether the same was told since then."""
    query = select(alerts.c.id).where(_same(alert), alerts.c.last_at >= rfc3339(moment)).limit(1)
    return (await connection.execute(query)).first() is not None


async def settle(
    connection: AsyncConnection, standing: Iterable[Alert], kinds: Collection[str], now: datetime
) -> list[Alert]:
    """Bring what stands up to now: new alerts begin, old ones say what is so now, others end.

    Args:
        connection: of a writing transaction.
        standing: all that stands at this moment.
        kinds: of alert, of which `standing` is the whole list.
        now: the time of day.

    Returns:
        The new ones.
    """
    at, wanted = rfc3339(now), {alert.key: alert for alert in standing}
    here = alerts.c
    query = select(here.id, here.kind, here.site, here.edge, here.about, here.words).where(
        here.kind.in_(sorted(kinds)), here.ended_at.is_(None)
    )
    for row in (await connection.execute(query)).all():
        stands = wanted.pop((row.kind, row.site, row.edge, row.about), None)
        if stands is None:
            await connection.execute(
                update(alerts).where(here.id == row.id).values(ended_at=at, changed_at=at)
            )
        elif stands.words[:WORDS_LIMIT] != row.words:
            now_so = {**_said(stands), "last_at": at, "changed_at": at}
            await connection.execute(update(alerts).where(here.id == row.id).values(**now_so))
    for alert in wanted.values():
        await _enter(connection, alert, at)
    return list(wanted.values())


async def standing(connection: AsyncConnection, kinds: Iterable[str]) -> set[tuple[str, str, str]]:
    """Kind, site and edge of those of `kinds` that stand."""
    here = alerts.c
    query = select(here.kind, here.site, here.edge).where(
        here.kind.in_(sorted(kinds)), here.ended_at.is_(None)
    )
    return {(row.kind, row.site, row.edge) for row in (await connection.execute(query)).all()}


async def _enter(connection: AsyncConnection, alert: Alert, at: str) -> None:
    row = {name: getattr(alert, name) for name in ("kind", "severity", "site", "edge", "about")}
    row |= _said(alert)
    row |= {"at": at, "last_at": at, "changed_at": at, "times": 1}
    await connection.execute(insert(alerts).values(row))


def _said(alert: Alert) -> dict[str, str]:
    return {"words": alert.words[:WORDS_LIMIT], "facts": json.dumps(dict(alert.facts))}


def waiting() -> ColumnElement[bool]:
    """The condition that an alert still waits for a person."""
    return alerts.c.acknowledged_at.is_(None) & alerts.c.ended_at.is_(None)


async def count(connection: AsyncConnection) -> dict[str, int]:
    """How many wait for a person, by severity."""
    query = select(alerts.c.severity, func.count()).where(waiting()).group_by(alerts.c.severity)
    found = {row[0]: row[1] for row in await connection.execute(query)}
    return {severity: found.get(severity, 0) for severity in (ALARM, WARNING)}


async def listed(connection: AsyncConnection, limit: int = LONGEST_LIST) -> list[dict[str, Any]]:
    """Those that wait, alarms first, then those that are over; the newest first; JSON-ready."""
    order = case((waiting() & (alerts.c.severity == ALARM), 0), (waiting(), 1), else_=2)
    query = select(alerts).order_by(order, alerts.c.id.desc()).limit(limit)
    wanted = ("id", "kind", "severity", "site", "edge", "words", "at", "last_at", "times", "ended_at")
    known = (*wanted, "acknowledged_at", "acknowledged_by", "reason")
    return [
        {**{key: row[key] for key in known}, "facts": json.loads(row["facts"])}
        for row in (await connection.execute(query)).mappings()
    ]


async def acknowledge(
    connection: AsyncConnection,
    logs: tuple[Record, Trail],
    ident: int,
    by: Account,
    reason: str,
    now: datetime,
    *,
    address: str = "",
) -> None:
    """Note that somebody has looked at an alert, and why it may rest.

    Args:
        connection: of a writing transaction.
        logs: the custody log, which hears of it without names; the audit trail, which hears all.
        ident: the alert's number.
        by: who.
        reason: in their words.
        now: the time of day.
        address: where the request came from.

    Raises:
        Refused: the reason says too little or too much, or somebody was faster.
        NotFound: there is no such alert.
    """
    said, (custody, trail) = reason.strip(), logs
    if not REASON[0] <= len(said) <= REASON[1]:
        raise Refused(f"say why it may rest, in {REASON[0]} to {REASON[1]} characters")
    row = (await connection.execute(select(alerts).where(alerts.c.id == ident))).mappings().first()
    if row is None:
        raise NotFound("there is no such alert")
    if row["acknowledged_at"] is not None:
        raise Refused(f"{row['acknowledged_by']} has acknowledged it already")
    at = rfc3339(now)
    values = {"acknowledged_at": at, "acknowledged_by": by.name, "reason": said, "changed_at": at}
    await connection.execute(update(alerts).where(alerts.c.id == ident).values(**values))
    detail = {"kind": row["kind"], "edge": row["edge"]}
    by_digest = {"by": user(by.name)}
    await custody.append(
        connection,
        "alert-acknowledged",
        site=row["site"],
        subject=subject_of("alert", ident),
        detail={**detail, **by_digest},
    )
    deed = Deed(
        "alert-acknowledged",
        person=by.name,
        role=by.role,
        address=address,
        site=row["site"],
        detail={**detail, "alert": ident, "reason": said},
    )
    await trail.append(connection, deed)
    log.info("an alert was acknowledged", alert=ident, kind=row["kind"], site=row["site"])

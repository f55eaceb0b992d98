"""What edges told of studies, for the lists and views of cases: how far they are, what was noticed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import RowMapping, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.clock import rfc3339
from hub.archive import quality
from hub.tables.fleet import edge_status
from hub.tables.study import studies
from hub.tables.told import study_progress, study_quality

FRESH = timedelta(minutes=3)
"""What an edge told longer ago says nothing about how long it will still take."""

QUERY_LIMIT = 400

Json = dict[str, Any]


async def progress_of(connection: AsyncConnection, ids: Sequence[int], now: datetime) -> dict[int, Json]:
    """How far the edges of its site are with each of these studies (rows of `studies`).

    Returns:
        For studies of which an edge told lately: ``received`` and ``confirmed`` instances,
        ``waiting_bytes``, ``eta_seconds`` (None: unknown), ``told_at``, and the ``rate`` of their lines
        in bytes a second (0: unknown).
    """
    found: dict[int, Json] = {}
    row = study_progress.c
    same = (studies.c.site == row.site) & (studies.c.study_uid == row.study_uid)
    fresh = row.told_at >= rfc3339(now - FRESH)
    for start in range(0, len(ids), QUERY_LIMIT):
        query = (
            select(
                studies.c.id,
                func.sum(row.received).label("received"),
                func.sum(row.confirmed).label("confirmed"),
                func.sum(row.waiting_bytes).label("waiting_bytes"),
                func.max(row.eta_seconds).label("eta_seconds"),
                func.min(row.told_at).label("told_at"),
            )
            .join_from(studies, study_progress, same)
            .where(studies.c.id.in_(ids[start : start + QUERY_LIMIT]), fresh)
            .group_by(studies.c.id)
        )
        for one in (await connection.execute(query)).mappings():
            found[one["id"]] = {name: value for name, value in one.items() if name != "id"} | {"rate": 0}
        lines = (
            select(studies.c.id, edge_status.c.status)
            .join_from(studies, study_progress, same)
            .join(edge_status, (edge_status.c.site == row.site) & (edge_status.c.edge == row.edge))
            .where(studies.c.id.in_(ids[start : start + QUERY_LIMIT]), fresh)
        )
        for study, status in await connection.execute(lines):
            if study in found:
                found[study]["rate"] += rate_of(status)
    return found


def rate_of(status: str | None) -> int:
    """Bytes a second of an edge's line, as it last told; 0: it did not. Pure."""
    try:
        rate = json.loads(status or "{}").get("rate")
    except (ValueError, AttributeError):
        return 0
    return int(rate) if isinstance(rate, (int, float)) and not isinstance(rate, bool) and rate > 0 else 0


async def noticed_of(connection: AsyncConnection, ids: Sequence[int]) -> dict[int, list[Json]]:
    """What was noticed about the quality of each of these studies, one line a kind."""
    found: dict[int, list[Json]] = {}
    row = study_quality.c
    same = (studies.c.site == row.site) & (studies.c.study_uid == row.study_uid)
    for start in range(0, len(ids), QUERY_LIMIT):
        some = studies.c.id.in_(ids[start : start + QUERY_LIMIT])
        query = select(studies.c.id, row.warnings).join_from(studies, study_quality, same).where(some)
        for study, told in await connection.execute(query):
            found[study] = quality.kinds(json.loads(told))
    return found


def counts(row: RowMapping, progress: Json | None) -> Json:
    """How many instances a study is known to have, and how far it is, as parts of a “Case”. Pure."""
    if row["state"] == "complete":
        return {"expected": row["expected_count"], "progress": None, "arrival": row["state"]}
    known = [row["expected_count"], progress["received"] if progress else None]
    expected = max((one for one in known if one is not None), default=None)
    return {"expected": expected, "progress": progress, "arrival": row["state"]}

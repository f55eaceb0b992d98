"""Which series changed after a study had been complete, and by how many instances."""

from __future__ import annotations

from typing import Any

from sqlalchemy import delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.tables.study import instances, series
from hub.tables.told import case_changes, case_series

SHOWN = 200
NAMED = 5
"""Series named in one sentence; the rest is counted."""


async def remember(connection: AsyncConnection, case: int, study: int) -> None:
    """Keep how many instances each series has now, in place of what was kept before."""
    await connection.execute(delete(case_series).where(case_series.c.case == case))
    rows = [
        {"case": case, "series": one, "instances": count}
        for one, (_, count) in (await _now(connection, study)).items()
    ]
    if rows:
        await connection.execute(insert(case_series), rows)


async def compare(connection: AsyncConnection, case: int, study: int, at: str) -> str:
    """Write down what changed since `remember`, and remember anew. Returns it in words, or nothing."""
    kept = select(case_series.c.series, case_series.c.instances).where(case_series.c.case == case)
    before = {row.series: row.instances for row in await connection.execute(kept)}
    now = await _now(connection, study)
    rows, words = [], []
    for one, (label, count) in now.items():
        if count != before.get(one, 0):
            rows.append({"case": case, "series": one, "before": before.get(one, 0), "now": count, "at": at})
            words.append(f"{label} {count - before.get(one, 0):+d}{'' if one in before else ' (new)'}")
    if rows:
        await connection.execute(insert(case_changes), rows)
    await remember(connection, case, study)
    if len(words) > NAMED:
        words = [*words[:NAMED], f"and {len(words) - NAMED} more"]
    return f" ({', '.join(words)})" if words else ""


async def changes_of(connection: AsyncConnection, case: int) -> list[dict[str, Any]]:
    """What came late of a case, newest first, series by series."""
    query = (
        select(case_changes, series.c.series_uid, series.c.modality, series.c.number, series.c.description)
        .join_from(case_changes, series)
        .where(case_changes.c.case == case)
        .order_by(case_changes.c.id.desc())
        .limit(SHOWN)
    )
    names = ("series_uid", "modality", "number", "description", "before", "now", "at")
    rows = (await connection.execute(query)).mappings()
    return [{name: row[name] for name in names} for row in rows]


async def _now(connection: AsyncConnection, study: int) -> dict[int, tuple[str, int]]:
    """Series of a study that came from the hospital: how they are called, and how many are here."""
    made_here = (
        select(instances.c.id).where(instances.c.series == series.c.id, instances.c.origin != "edge").exists()
    )
    query = select(series.c.id, series.c.number, series.c.modality, series.c.instance_count)
    rows = await connection.execute(query.where(series.c.study == study, ~made_here).order_by(series.c.id))
    return {
        one: (f"series {number if number is not None else '?'} {modality}".rstrip(), count)
        for one, number, modality, count in rows
    }

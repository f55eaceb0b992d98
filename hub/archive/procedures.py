"""What modalities say of their own work (MPPS, PS3.4 Annex F), as the edge passes it on.

A step that has ended says which series it made and how many images each has. One that is still in
progress says that more may come, whatever associations have closed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.envelope.layout import Notice
from hub.archive.facts import made_uid
from hub.tables.study import series, studies
from hub.tables.told import study_procedures

MPPS = "mpps"
"""The kind of notice."""

IN_PROGRESS, COMPLETED, DISCONTINUED = "IN PROGRESS", "COMPLETED", "DISCONTINUED"
STATUSES = frozenset((IN_PROGRESS, COMPLETED, DISCONTINUED))
MOST_SERIES = 1000
MOST_IMAGES = 10_000_000


@dataclass(frozen=True, slots=True)
class Step:
    """One performed procedure step, as a notice tells it.

    Args:
        study_uid: of which study.
        procedure: its SOP Instance UID; the station's name where none was told.
        status: PS3.3 C.4.14, (0040,0252).
        series: images by Series Instance UID.
    """

    study_uid: str
    procedure: str
    status: str
    series: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Procedures:
    """All steps of a study beside what is here of them.

    Args:
        steps: how many are known.
        running: how many are in progress.
        discontinued: how many were broken off.
        images: how many the ended ones made.
        missing: how many of those are not here.
    """

    steps: int = 0
    running: int = 0
    discontinued: int = 0
    images: int = 0
    missing: int = 0


def step_of(notice: Notice) -> Step | None:
    """The step a notice tells of; None if it tells of none that can be used."""
    body = notice.body
    study, status = body.get("study"), body.get("status")
    if notice.kind != MPPS or not isinstance(study, str) or not study or status not in STATUSES:
        return None
    told = body.get("series")
    items = list(told.items())[:MOST_SERIES] if isinstance(told, Mapping) else []
    counted = {uid: count for uid, count in items if isinstance(uid, str) and _is_count(count)}
    name = next((v for k in ("uid", "station") if isinstance(v := body.get(k), str) and v), "")
    procedure = name if len(name) <= 64 else made_uid("procedure", name)
    return Step(study[:64], procedure, str(status), counted)


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value <= MOST_IMAGES


async def keep(connection: AsyncConnection, site: str, step: Step, now: str) -> None:
    """Write a step down. One that has ended is not in progress again, and no count goes back."""
    row = study_procedures.c
    mine = (row.site == site) & (row.study_uid == step.study_uid) & (row.procedure == step.procedure)
    known = (await connection.execute(select(study_procedures).where(mine))).mappings().first()
    if known is None:
        values = {
            "site": site,
            "study_uid": step.study_uid,
            "procedure": step.procedure,
            "status": step.status,
            "series": json.dumps(dict(step.series)),
            "at": now,
        }
        await connection.execute(insert(study_procedures).values(values))
        return
    before: dict[str, int] = json.loads(known["series"])
    merged = {uid: max(before.get(uid, 0), step.series.get(uid, 0)) for uid in {*before, *step.series}}
    status = known["status"] if step.status == IN_PROGRESS else step.status
    changed = {"status": status, "series": json.dumps(merged), "at": now}
    await connection.execute(update(study_procedures).where(mine).values(changed))


async def of_studies(connection: AsyncConnection, ids: Iterable[int]) -> dict[int, Procedures]:
    """What is known of the steps of these studies (rows of `studies`); those without any are left out."""
    wanted = list(ids)
    found: dict[int, Procedures] = {}
    for start in range(0, len(wanted), 500):
        some = studies.c.id.in_(wanted[start : start + 500])
        steps = await _grouped(
            connection,
            select(studies.c.id, study_procedures.c.status, study_procedures.c.series)
            .join(
                studies,
                (studies.c.site == study_procedures.c.site)
                & (studies.c.study_uid == study_procedures.c.study_uid),
            )
            .where(some),
        )
        if not steps:
            continue
        counts = select(series.c.study, series.c.series_uid, series.c.instance_count)
        here: dict[int, dict[str, int]] = {}
        for study, uid, count in await connection.execute(counts.where(series.c.study.in_(list(steps)))):
            here.setdefault(study, {})[uid] = count
        found |= {study: sum_up(rows, here.get(study, {})) for study, rows in steps.items()}
    return found


async def _grouped(connection: AsyncConnection, query: Any) -> dict[int, list[tuple[str, dict[str, int]]]]:
    grouped: dict[int, list[tuple[str, dict[str, int]]]] = {}
    for study, status, told in await connection.execute(query):
        grouped.setdefault(study, []).append((status, json.loads(told)))
    return grouped


def sum_up(steps: Iterable[tuple[str, Mapping[str, int]]], here: Mapping[str, int]) -> Procedures:
    """Steps (status and images by series) beside how many images of each series are here. Pure."""
    known = list(steps)
    made: dict[str, int] = {}
    for status, told in known:
        if status != IN_PROGRESS:
            for uid, count in told.items():
                made[uid] = made.get(uid, 0) + count
    return Procedures(
        steps=len(known),
        running=sum(status == IN_PROGRESS for status, _ in known),
        discontinued=sum(status == DISCONTINUED for status, _ in known),
        images=sum(made.values()),
        missing=sum(max(0, count - here.get(uid, 0)) for uid, count in made.items()),
    )

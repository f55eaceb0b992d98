"""What the edge noticed about the quality of a study, before the line was spent on it.

A notice carries everything the edge has to say of the study just then, so a newer one replaces an
older one, in whatever order they come. Words are keys with parameters; the portal has the sentences.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.envelope.layout import Notice
from hub.tables.told import study_quality

QUALITY = "quality"
"""The kind of notice."""

MOST_WARNINGS = 200
MOST_SERIES = 200
MOST_PARAMETERS = 32
LONGEST = 120
SEVERITIES = ("note", "warning")
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")
_UID = re.compile(r"[0-9.]{0,64}")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT[0-9:.]{8,15}Z")

Json = dict[str, Any]


def word_of(notice: Notice) -> tuple[str, str, list[Json], list[Json]] | None:
    """Study, time told, warnings and acquisition parameters of a notice; None if it is no such notice.

    Tolerant and bounded: what is no warning is left out, what is too long is cut.
    """
    body = notice.body
    study, told_at = body.get("study"), body.get("at")
    if notice.kind != QUALITY or not isinstance(study, str) or not 0 < len(study) <= 64:
        return None
    if not isinstance(told_at, str) or not _MOMENT.fullmatch(told_at):
        return None
    warnings = [one for one in map(_warning, _items(body, "warnings", MOST_WARNINGS)) if one is not None]
    shown = [_acquisition(one) for one in _items(body, "acquisition", MOST_SERIES)]
    return study, told_at, warnings, [one for one in shown if one is not None]


def _items(body: Mapping[str, Any], name: str, most: int) -> Sequence[Any]:
    told = body.get(name)
    return told[:most] if isinstance(told, list) else ()


def _warning(told: Any) -> Json | None:
    if not isinstance(told, Mapping):
        return None
    kind, severity, series = told.get("kind"), told.get("severity"), told.get("series", "")
    if not isinstance(kind, str) or not _WORD.fullmatch(kind) or severity not in SEVERITIES:
        return None
    if not isinstance(series, str) or not _UID.fullmatch(series):
        return None
    return {
        "kind": kind,
        "severity": severity,
        "series_uid": series,
        "parameters": _parameters(told.get("parameters")),
    }


def _acquisition(told: Any) -> Json | None:
    if not isinstance(told, Mapping):
        return None
    series, parameters = told.get("series"), _parameters(told.get("parameters"))
    if not isinstance(series, str) or not _UID.fullmatch(series) or not parameters:
        return None
    return {"series_uid": series, "parameters": parameters}


def _parameters(told: Any) -> dict[str, str]:
    if not isinstance(told, Mapping):
        return {}
    texts = {name: str(value)[:LONGEST] for name, value in told.items() if isinstance(value, (str, int))}
    return dict([(name, text) for name, text in texts.items() if _WORD.fullmatch(name)][:MOST_PARAMETERS])


async def keep(connection: AsyncConnection, site: str, notice: Notice, now: str) -> None:
    """Write down what a notice says, if it is one of these and nothing newer is known."""
    found = word_of(notice)
    if found is None:
        return
    study, told_at, warnings, acquisition = found
    values = {
        "warnings": json.dumps(warnings, ensure_ascii=False),
        "acquisition": json.dumps(acquisition, ensure_ascii=False),
        "told_at": told_at,
        "at": now,
    }
    mine = (study_quality.c.site == site) & (study_quality.c.study_uid == study)
    known = (await connection.execute(select(study_quality.c.told_at).where(mine))).scalar()
    if known is None:
        await connection.execute(insert(study_quality).values(site=site, study_uid=study, **values))
    elif known <= told_at:
        await connection.execute(update(study_quality).where(mine).values(values))


async def of_study(connection: AsyncConnection, site: str, study_uid: str) -> tuple[list[Json], list[Json]]:
    """Warnings and acquisition parameters of one study."""
    mine = (study_quality.c.site == site) & (study_quality.c.study_uid == study_uid)
    columns = (study_quality.c.warnings, study_quality.c.acquisition)
    row = (await connection.execute(select(*columns).where(mine))).first()
    return (json.loads(row[0]), json.loads(row[1])) if row is not None else ([], [])


def kinds(warnings: Iterable[Json]) -> list[Json]:
    """One line a kind with how often it was said, warnings before notes, for a list."""
    counted: dict[str, Json] = {}
    for one in warnings:
        line = counted.setdefault(one["kind"], {**one, "number": 0})
        line["number"] += 1
    return sorted(counted.values(), key=lambda one: (-SEVERITIES.index(one["severity"]), one["kind"]))

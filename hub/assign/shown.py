"""Rows of cases as the portal's JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping, Select, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.model import Priority
from hub import conversation
from hub.archive import quality
from hub.assign.changed import changes_of
from hub.assign.told import counts, noticed_of, progress_of
from hub.tables.account import users
from hub.tables.case import cases
from hub.tables.report import deliveries, reports
from hub.tables.study import patients, series, studies
from hub.tables.told import study_clocks

QUERY_LIMIT = 500
"""Bound parameters of one statement are limited (SQLite of old: 999)."""


@dataclass(frozen=True, slots=True)
class Extras:
    """What stands in other tables: reports by case, progress and what was noticed by study."""

    reports: dict[int, dict[str, Any]]
    progress: dict[int, dict[str, Any]]
    noticed: dict[int, list[dict[str, Any]]]


def case_query() -> Select[Any]:
    """Cases with their studies, patients and assignees; the columns `case_json` needs."""
    own = [column.label(f"case_{column.name}") for column in cases.c]
    holder = users.alias("holder")
    names = (users.c.display_name.label("assignee_display"), holder.c.display_name.label("holder_display"))
    return (
        select(
            *own,
            studies,
            patients.c.patient_id,
            func.coalesce(study_clocks.c.utc_offset, "").label("utc_offset"),
            *names,
            *conversation.counts(),
        )
        .join_from(cases, studies, cases.c.study == studies.c.id)
        .join(patients, studies.c.patient == patients.c.id)
        .outerjoin(study_clocks, study_clocks.c.study == studies.c.id)
        .outerjoin(users, users.c.name == cases.c.assignee)
        .outerjoin(holder, holder.c.name == cases.c.lease_by)
    )


def case_json(row: RowMapping, extras: Extras) -> dict[str, Any]:
    """A row of `case_query` as “Case”."""
    assignee = row["case_assignee"]
    return {
        "id": row["case_id"],
        "state": row["case_state"],
        "priority": Priority(row["case_priority"]).word,
        "study_uid": row["study_uid"],
        "patient": {
            "name": row["patient_name"],
            "id": row["patient_id"],
            "birth_date": row["patient_birth_date"],
            "sex": row["patient_sex"],
        },
        "site": row["site"],
        "modalities": words(row["modalities"]),
        "body_parts": words(row["body_parts"]),
        "description": row["description"],
        "study_date": row["study_date"],
        "study_time": row["study_time"],
        "utc_offset": row["utc_offset"],
        "institution": row["institution"],
        "accession": row["accession"],
        "instances": row["instance_count"],
        "series": row["series_count"],
        "complete": row["state"] == "complete",
        "completeness": row["completeness"],
        "received_at": row["first_at"],
        "deadline": row["case_deadline"],
        "group": row["case_group"],
        "assignee": {"name": assignee, "display_name": row["assignee_display"]} if assignee else None,
        "rule": row["case_rule"],
        "conflicts": row["conflicts"],
        "late": row["case_late"],
        "messages": {"unread": row["messages_unread"], "asked": row["messages_asked"]},
        "warnings": extras.noticed.get(row["id"], []),
        "report": extras.reports.get(row["case_id"]),
        **counts(row, extras.progress.get(row["id"])),
    }


async def extras_of(connection: AsyncConnection, rows: Sequence[RowMapping], now: datetime) -> Extras:
    """What stands beside some rows of `case_query`."""
    arriving = [row["id"] for row in rows if row["state"] != "complete"]
    return Extras(
        await report_summaries(connection, [row["case_id"] for row in rows]),
        await progress_of(connection, arriving, now),
        await noticed_of(connection, [row["id"] for row in rows]),
    )


def detail_json(row: RowMapping) -> dict[str, Any]:
    """What a “CaseDetail” has of its own row beyond the “Case”."""
    holder = row["case_lease_by"]
    named = {"by": row["holder_display"] or holder, "name": holder, "until": row["case_lease_until"]}
    return {
        "clinical_question": row["clinical_question"],
        "why": json.loads(row["case_why"]),
        "hold": row["case_hold"],
        "return_reason": row["case_return_reason"],
        "lease": named if holder else None,
        "viewer": f"/ohif/viewer?StudyInstanceUIDs={row['study_uid']}",
    }


async def told_json(connection: AsyncConnection, row: RowMapping) -> dict[str, Any]:
    """What a “CaseDetail” has of what the edge noticed, and of what came late."""
    warnings, acquisition = await quality.of_study(connection, row["site"], row["study_uid"])
    changes = await changes_of(connection, row["case_id"])
    return {"quality": warnings, "acquisition": acquisition, "changes": changes}


async def report_summaries(connection: AsyncConnection, ids: Sequence[int]) -> dict[int, dict[str, Any]]:
    """The newest signed version of each case that has one, with its delivery."""
    found: dict[int, dict[str, Any]] = {}
    for start in range(0, len(ids), QUERY_LIMIT):
        query = (
            select(
                reports.c.case,
                reports.c.id,
                reports.c.signed_at,
                users.c.display_name,
                deliveries.c.state,
                deliveries.c.acknowledged_at,
            )
            .join_from(reports, users)
            .outerjoin(deliveries, deliveries.c.report == reports.c.id)
            .where(reports.c.case.in_(ids[start : start + QUERY_LIMIT]))
            .order_by(reports.c.version)
        )
        for row in (await connection.execute(query)).mappings():
            found[row["case"]] = {
                "id": row["id"],
                "signed_at": row["signed_at"],
                "signed_by": row["display_name"],
                "delivery": row["state"] or "queued",
                "delivered_at": row["acknowledged_at"],
            }
    return found


async def series_list(connection: AsyncConnection, study: int) -> list[dict[str, Any]]:
    """The series of a study, by number."""
    query = (
        select(series.c.series_uid, series.c.modality, series.c.description, series.c.instance_count)
        .where(series.c.study == study)
        .order_by(func.coalesce(series.c.number, 2**31), series.c.id)
    )
    return [
        {
            "series_uid": row["series_uid"],
            "modality": row["modality"],
            "description": row["description"],
            "instances": row["instance_count"],
        }
        for row in (await connection.execute(query)).mappings()
    ]


async def priors(connection: AsyncConnection, study: int, limit: int = 50) -> list[dict[str, Any]]:
    """Other studies of the same patient, newest first, with their newest report."""
    patient = select(studies.c.patient).where(studies.c.id == study).scalar_subquery()
    newest = (
        select(reports.c.id)
        .join_from(reports, cases)
        .where(cases.c.study == studies.c.id)
        .order_by(reports.c.version.desc())
        .limit(1)
        .scalar_subquery()
    )
    query = (
        select(studies, newest.label("report_id"))
        .where(studies.c.patient == patient, studies.c.id != study)
        .order_by(studies.c.study_date.desc(), studies.c.study_time.desc(), studies.c.id.desc())
        .limit(limit)
    )
    return [
        {
            "study_uid": row["study_uid"],
            "study_date": row["study_date"],
            "modalities": words(row["modalities"]),
            "description": row["description"],
            "patient_name": row["patient_name"],
            "report_id": row["report_id"],
        }
        for row in (await connection.execute(query)).mappings()
    ]


def words(joined: str) -> list[str]:
    """The values of a column that joins them by a backslash."""
    return [part for part in joined.split("\\") if part]

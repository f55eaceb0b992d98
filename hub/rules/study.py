"""The facts of a study in the database."""

from __future__ import annotations

from sqlalchemy import RowMapping, select
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.clock import parse_rfc3339
from gateway.errors import NotFound
from gateway.model import Priority
from hub.rules.facts import StudyFacts, dicom_date
from hub.tables.study import instances, series, studies


async def facts_of(connection: AsyncConnection, study: int) -> StudyFacts:
    """The facts of the study with this row id. Raises NotFound."""
    query = select(studies).where(studies.c.id == study)
    row = (await connection.execute(query)).mappings().first()
    if row is None:
        raise NotFound(f"there is no study {study}")
    found = await connection.execute(select(series.c.description).where(series.c.study == study).distinct())
    senders = await connection.execute(
        select(instances.c.calling_ae)
        .join_from(instances, series)
        .where(series.c.study == study, instances.c.origin == "edge")
        .distinct()
    )
    return _facts(row, tuple(sorted(found.scalars())), tuple(sorted(senders.scalars())))


async def studies_of(connection: AsyncConnection, study_uid: str) -> list[int]:
    """Row ids of the studies with this UID: one for each site that sent it, newest first."""
    query = select(studies.c.id).where(studies.c.study_uid == study_uid).order_by(studies.c.last_at.desc())
    return list((await connection.execute(query)).scalars())


def _facts(row: RowMapping, series_descriptions: tuple[str, ...], senders: tuple[str, ...]) -> StudyFacts:
    at = parse_rfc3339(row["completed_at"] or row["last_at"])
    return StudyFacts(
        site=row["site"],
        priority=Priority(row["priority"]),
        modality=split(row["modalities"]),
        body_part=split(row["body_parts"]),
        description=row["description"],
        series_description=series_descriptions,
        sex=row["patient_sex"],
        birth=dicom_date(row["patient_birth_date"]),
        on=dicom_date(row["study_date"]) or at.date(),
        instances=row["instance_count"],
        referring=row["referring"],
        institution=row["institution"],
        sending_ae=senders,
        at=at,
    )


def split(joined: str) -> tuple[str, ...]:
    """The values of a column that joins them by a backslash, as DICOM does (PS3.5 §6.4)."""
    return tuple(part for part in joined.split("\\") if part)

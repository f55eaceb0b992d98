"""What a report is about: the rows of case, study, patient and instances, as the record needs them."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.errors import NotFound
from gateway.report.model import Patient, Study
from gateway.report.text import one_line
from hub.reports.dicom import Evidence
from hub.tables.case import cases
from hub.tables.study import instances, patients, series, studies


@dataclass(frozen=True, slots=True)
class Subject:
    """A case and its study.

    Attributes:
        assignee: whose case it is, if anybody's.
        lease_by: who has it open, until `lease_until` (RFC 3339).
    """

    case: int
    site: str
    assignee: str | None
    lease_by: str | None
    lease_until: str | None
    clinical_question: str
    patient: Patient
    study: Study


async def subject_of(connection: AsyncConnection, case: int) -> Subject:
    """Read it. Raises NotFound if there is no such case."""
    query = (
        select(
            cases.c.assignee,
            cases.c.lease_by,
            cases.c.lease_until,
            patients.c.patient_id,
            patients.c.issuer,
            *(column for column in studies.c if column.name not in ("id", "patient", "state")),
        )
        .join(studies, cases.c.study == studies.c.id)
        .join(patients, studies.c.patient == patients.c.id)
        .where(cases.c.id == case)
    )
    row = (await connection.execute(query)).mappings().first()
    if row is None:
        raise NotFound(f"there is no case {case}")
    text = {name: one_line(value) for name, value in row.items() if isinstance(value, str)}
    return Subject(
        case=case,
        site=row["site"],
        assignee=row["assignee"],
        lease_by=row["lease_by"],
        lease_until=row["lease_until"],
        clinical_question=row["clinical_question"],
        patient=Patient(
            patient_id=text["patient_id"],
            issuer=text["issuer"],
            name=text["patient_name"],
            birth_date=text["patient_birth_date"],
            sex=text["patient_sex"],
        ),
        study=Study(
            study_uid=row["study_uid"],
            accession=text["accession"],
            study_id=text["study_id"],
            study_date=text["study_date"],
            study_time=text["study_time"],
            description=text["description"],
            modalities=_words(text["modalities"]),
            body_parts=_words(text["body_parts"]),
            referring=text["referring"],
        ),
    )


async def evidence_of(connection: AsyncConnection, subject: Subject) -> list[Evidence]:
    """Every instance the hospital sent of the study: what was there to be read."""
    query = (
        select(series.c.series_uid, instances.c.sop_class_uid, instances.c.sop_instance_uid)
        .join(series, instances.c.series == series.c.id)
        .join(studies, series.c.study == studies.c.id)
        .where(studies.c.site == subject.site, studies.c.study_uid == subject.study.study_uid)
        .where(instances.c.current, instances.c.origin == "edge")
        .order_by(series.c.id, instances.c.number, instances.c.id)
    )
    return [Evidence(*row) for row in await connection.execute(query)]


def _words(text: str) -> tuple[str, ...]:
    """Modalities and body parts but for those of the reports themselves."""
    return tuple(word for word in text.split("\\") if word and word not in ("SR", "DOC"))

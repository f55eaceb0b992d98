"""Orders of the worklist and studies that came here, to choose patient and order of a picture from. Pure.

What the edge knows of the patients of studies is what their images say. Of these,
dates of birth and the like are in memory alone, and begin anew after a restart.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from edge.importing import KnownStudy
from edge.spool.view import StudyProgress

MOST = 100
SEXES = ("M", "F", "O")


def known(
    studies: Sequence[StudyProgress],
    said: Callable[[str], Mapping[str, str]],
    orders: Sequence[KnownStudy] = (),
) -> tuple[KnownStudy, ...]:
    """Orders of which no image came yet, and the studies that came last, the newest first.

    Args:
        studies: as the spool knows them.
        said: what the images of a study say of patient and study, by keyword; empty: nothing yet.
        orders: of the worklist.
    """
    newest = sorted(studies, key=lambda one: one.last_at, reverse=True)[:MOST]
    came = {one.facts.study_uid for one in studies}
    return (
        *(one for one in orders if not one.study_uid or one.study_uid not in came),
        *(_known(one, said(one.facts.study_uid)) for one in newest if one.facts.study_uid),
    )


def _known(one: StudyProgress, said: Mapping[str, str]) -> KnownStudy:
    facts, sex = one.facts, said.get("PatientSex", "").upper()
    return KnownStudy(
        study_uid=facts.study_uid,
        at=one.last_at,
        patient_name=facts.patient_name,
        patient_id=facts.patient_id,
        birth_date=_date(said.get("PatientBirthDate", "")),
        sex=sex if sex in SEXES else "",
        accession=facts.accession,
        description=facts.description,
        modality=facts.modality,
        study_date=_date(said.get("StudyDate", "")),
        study_time=_time(said.get("StudyTime", "")),
        study_id=said.get("StudyID", "")[:16],
        referring=said.get("ReferringPhysicianName", "")[:64],
    )


def _date(text: str) -> str:
    """A DA value, or nothing (PS3.5 Table 6.2-1)."""
    return text if len(text) == 8 and text.isascii() and text.isdigit() else ""


def _time(text: str) -> str:
    """A TM value without its fraction, or nothing."""
    whole = text.partition(".")[0]
    return whole if len(whole) in (2, 4, 6) and whole.isascii() and whole.isdigit() else ""

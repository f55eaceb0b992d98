"""What the technician's page and the station that imports say to each other. Pure.

`edge.acquire` does the work, `edge.console` shows it; neither knows the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Protocol

from gateway.errors import Malformed

PROBLEMS_SHOWN = 50


class FormFault(Malformed):
    """Something about the form that its writer can correct.

    Args:
        words: what, for logs.
        key: of the page's own words for it.
        values: what stands in their places; ``field`` is the name of a field.
    """

    def __init__(self, words: str, key: str, **values: object) -> None:
        super().__init__(words)
        self.key, self.values = key, values


class Kind(Enum):
    """What a picture shows, by which it becomes one SOP class or another."""

    FILM = "film"  # a digitised film: Secondary Capture
    PHOTO = "photo"  # a photograph of the patient: VL Photographic Image
    SCREEN = "screen"  # a picture of another device's screen, or its output: Secondary Capture
    PAPER = "paper"  # a scanned request or report: Secondary Capture


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """Patient and order of files that are no DICOM, as chosen by a person.

    Attributes:
        patient_name: as DICOM writes it, ``family^given``, or plain.
        birth_date: ``YYYYMMDD``, or empty.
        sex: ``M``, ``F``, ``O`` or empty.
        laterality: ``L``, ``R``, ``B`` or empty (not paired).
        study_uid: of the study they belong to; empty: a new one.
        study_date: of that study, as its images say; empty: today. Likewise `study_time`.
    """

    patient_name: str
    patient_id: str
    birth_date: str = ""
    sex: str = ""
    accession: str = ""
    description: str = ""
    modality: str = ""
    body_part: str = ""
    laterality: str = ""
    kind: Kind = Kind.FILM
    study_uid: str = ""
    study_date: str = ""
    study_time: str = ""
    study_id: str = ""
    referring: str = ""
    requested_procedure: str = ""
    scheduled_step: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownStudy:
    """A study that came here or was ordered, for choosing patient and order of. What is not known is empty.

    Attributes:
        study_uid: of an order, empty if the RIS names none.
        birth_date: ``YYYYMMDD``.
        sex: ``M``, ``F`` or ``O``.
        at: when its last image came or, if it is an order, when it is scheduled; RFC 3339.
        order: whether it comes from the worklist, and no image of it is here.
        requested_procedure: its identifier (0040,1001); `scheduled_step` likewise (0040,0009).
    """

    study_uid: str
    at: str
    patient_name: str = ""
    patient_id: str = ""
    birth_date: str = ""
    sex: str = ""
    accession: str = ""
    description: str = ""
    modality: str = ""
    study_date: str = ""
    study_time: str = ""
    study_id: str = ""
    referring: str = ""
    order: bool = False
    requested_procedure: str = ""
    scheduled_step: str = ""

    @property
    def key(self) -> str:
        """By which the page names it."""
        return self.study_uid or f"{self.patient_id}/{self.accession}/{self.scheduled_step}"


@dataclass(frozen=True, slots=True)
class Upload:
    """One file from the browser."""

    name: str
    data: bytes


@dataclass(slots=True)
class Job:
    """One import and how far it is.

    Attributes:
        ident: 16 hexadecimal digits.
        place: where the files come from: a folder, or the number of files uploaded. No patient's name.
        total: files to read; 0 while they are still being counted.
        done: files read.
        kept: instances made durable.
        skipped: files that are no DICOM and no picture, such as a viewer on a CD.
        problems: what could not be taken and why, at most `PROBLEMS_SHOWN`.
        refused: how many could not be taken.
        studies: Study Instance UIDs of what was kept.
        ended_at: RFC 3339; empty while it runs.
        fault: why the whole of it failed; empty if it did not.
    """

    ident: str
    place: str
    started_at: str
    total: int = 0
    done: int = 0
    kept: int = 0
    skipped: int = 0
    refused: int = 0
    problems: list[str] = field(default_factory=list)
    studies: set[str] = field(default_factory=set)
    ended_at: str = ""
    fault: str = ""

    def problem(self, words: str, *, kept: bool = False) -> None:
        """Note one file that was not taken, or was and is flawed."""
        self.refused += not kept
        if len(self.problems) < PROBLEMS_SHOWN:
            self.problems.append(words[:300])


class Importer(Protocol):
    """What the page asks for."""

    @property
    def upload_limit(self) -> int:
        """Bytes of one upload."""

    def media(self) -> Sequence[Path]:
        """Discs and sticks that are there now."""

    def jobs(self) -> Sequence[Job]:
        """What runs or ran, the newest first."""

    def start_folder(self, folder: Path) -> Job:
        """Import what is below `folder`. Raises Refused if it may not be read from the page."""

    def start_upload(self, files: Sequence[Upload], form: Form | None) -> Job:
        """Import uploaded files; `form` is for those that are no DICOM. Raises FormFault for a bad form."""

"""Modality Performed Procedure Step SCP, PS3.4 Annex F: what a modality says of its own work. Pure.

It is used for completeness alone: a step that is in progress says that more may come, and one that has
ended says which series it made and how many images each has. One table::

              CREATE        SET            COMPLETE     DISCONTINUE
    absent    IN PROGRESS   0x0112         0x0112       0x0112
    IN PROGRESS  0x0111     IN PROGRESS    COMPLETED    DISCONTINUED
    COMPLETED    0x0111     0x0110 A710    0x0110 A710  0x0110 A710
    DISCONTINUED 0x0111     0x0110 A710    0x0110 A710  0x0110 A710
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, IntEnum
from typing import Any

from pydicom.dataset import Dataset

MPPS = "1.2.840.10008.3.1.2.3.3"
"""Modality Performed Procedure Step SOP Class."""

NO_LONGER = 0xA710
"""Error ID (0000,0903): the step may no longer be updated, PS3.4 F.7.2.2.2."""


class State(Enum):
    """(0040,0252), PS3.3 C.4.14; ABSENT: no such step is known."""

    ABSENT = ""
    IN_PROGRESS = "IN PROGRESS"
    COMPLETED = "COMPLETED"
    DISCONTINUED = "DISCONTINUED"


class Event(Enum):
    """What a modality does."""

    CREATE = "N-CREATE, IN PROGRESS"
    SET = "N-SET, IN PROGRESS or no status"
    COMPLETE = "N-SET, COMPLETED"
    DISCONTINUE = "N-SET, DISCONTINUED"


class Status(IntEnum):
    """Of the response, PS3.7 Annex C and PS3.4 F.7.2."""

    SUCCESS = 0x0000
    INVALID_VALUE = 0x0106  # a status that is none, or not IN PROGRESS in an N-CREATE
    ATTRIBUTE_LIST = 0x0107  # warning: done, but for attributes that an N-SET must not change
    PROCESSING_FAILURE = 0x0110  # cannot be read; or the step has ended (Error ID 0xA710)
    DUPLICATE = 0x0111
    NO_SUCH_INSTANCE = 0x0112
    INVALID_INSTANCE = 0x0117
    NO_SUCH_CLASS = 0x0118
    MISSING_ATTRIBUTE = 0x0120  # no status, or no scheduled step with a study
    MISSING_VALUE = 0x0121
    UNRECOGNIZED = 0x0211
    OUT_OF_RESOURCES = 0x0213  # the disk is below its reserve, or fails


TABLE: Mapping[tuple[State, Event], State | Status] = {
    (State.ABSENT, Event.CREATE): State.IN_PROGRESS,
    (State.ABSENT, Event.SET): Status.NO_SUCH_INSTANCE,
    (State.ABSENT, Event.COMPLETE): Status.NO_SUCH_INSTANCE,
    (State.ABSENT, Event.DISCONTINUE): Status.NO_SUCH_INSTANCE,
    (State.IN_PROGRESS, Event.CREATE): Status.DUPLICATE,
    (State.IN_PROGRESS, Event.SET): State.IN_PROGRESS,
    (State.IN_PROGRESS, Event.COMPLETE): State.COMPLETED,
    (State.IN_PROGRESS, Event.DISCONTINUE): State.DISCONTINUED,
    (State.COMPLETED, Event.CREATE): Status.DUPLICATE,
    (State.COMPLETED, Event.SET): Status.PROCESSING_FAILURE,
    (State.COMPLETED, Event.COMPLETE): Status.PROCESSING_FAILURE,
    (State.COMPLETED, Event.DISCONTINUE): Status.PROCESSING_FAILURE,
    (State.DISCONTINUED, Event.CREATE): Status.DUPLICATE,
    (State.DISCONTINUED, Event.SET): Status.PROCESSING_FAILURE,
    (State.DISCONTINUED, Event.COMPLETE): Status.PROCESSING_FAILURE,
    (State.DISCONTINUED, Event.DISCONTINUE): Status.PROCESSING_FAILURE,
}

FIXED = (
    "ScheduledStepAttributesSequence",
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "PerformedProcedureStepID",
    "PerformedStationAETitle",
    "PerformedProcedureStepStartDate",
    "PerformedProcedureStepStartTime",
    "Modality",
)
"""Attributes an N-SET must not carry, PS3.4 Table F.7.2-1. They are left as they are."""

MOST_STUDIES, MOST_SERIES = 16, 1000


@dataclass(frozen=True, slots=True)
class Step:
    """One step.

    Attributes:
        state: how far it is.
        studies: Study Instance UIDs of its scheduled steps.
        station: Performed Station AE Title.
        series: objects by Series Instance UID.
    """

    state: State = State.ABSENT
    studies: tuple[str, ...] = ()
    station: str = ""
    series: Mapping[str, int] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        """JSON."""
        return json.dumps([self.state.value, self.studies, self.station, dict(self.series)]).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Step:
        """What `to_bytes` wrote."""
        state, studies, station, series = json.loads(data)
        return cls(State(state), tuple(studies), station, series)

    def bodies(self, uid: str) -> list[dict[str, Any]]:
        """The notices that tell the hub. Which of several studies a series is of is not said in a step."""
        series = dict(self.series) if len(self.studies) == 1 else {}
        told = {"uid": uid, "status": self.state.value, "series": series, "station": self.station}
        return [{"study": study, **told} for study in self.studies]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What becomes of a request.

    Attributes:
        status: of the response.
        step: as it is now; None: as before.
        error: Error ID, if the status has one.
    """

    status: Status
    step: Step | None = None
    error: int | None = None


def create(step: Step, data: Dataset) -> Outcome:
    """N-CREATE.

    Args:
        step: what is known of the instance.
        data: its attributes. Reading them may raise whatever pydicom raises.
    """
    if "PerformedProcedureStepStatus" not in data or "ScheduledStepAttributesSequence" not in data:
        return Outcome(Status.MISSING_ATTRIBUTE)
    if not (told := _text(data, "PerformedProcedureStepStatus")):
        return Outcome(Status.MISSING_VALUE)
    if told != State.IN_PROGRESS.value:
        return Outcome(Status.INVALID_VALUE)
    steps = list(data.ScheduledStepAttributesSequence or [])
    if not steps or any("StudyInstanceUID" not in one for one in steps):
        return Outcome(Status.MISSING_ATTRIBUTE)
    studies = dict.fromkeys(_text(one, "StudyInstanceUID")[:64] for one in steps[:MOST_STUDIES])
    if not all(studies):
        return Outcome(Status.MISSING_VALUE)
    after = TABLE[step.state, Event.CREATE]
    if isinstance(after, Status):
        return Outcome(after)
    station = _text(data, "PerformedStationAETitle")[:16]
    return Outcome(Status.SUCCESS, Step(after, tuple(studies), station, _series(data) or {}))


_ENDINGS = {
    "": Event.SET,
    State.IN_PROGRESS.value: Event.SET,
    State.COMPLETED.value: Event.COMPLETE,
    State.DISCONTINUED.value: Event.DISCONTINUE,
}


def change(step: Step, data: Dataset) -> Outcome:
    """N-SET. As `create`."""
    event = _ENDINGS.get(_text(data, "PerformedProcedureStepStatus"))
    if event is None:
        return Outcome(Status.INVALID_VALUE)
    after = TABLE[step.state, event]
    if isinstance(after, Status):
        return Outcome(after, error=NO_LONGER if after is Status.PROCESSING_FAILURE else None)
    series = _series(data)
    changed = Step(after, step.studies, step.station, step.series if series is None else series)
    ignored = any(word in data for word in FIXED)
    return Outcome(Status.ATTRIBUTE_LIST if ignored else Status.SUCCESS, changed)


def _series(data: Dataset) -> dict[str, int] | None:
    """Objects by series; None: nothing is said of them. What is said replaces what was said before."""
    if "PerformedSeriesSequence" not in data:
        return None
    found: dict[str, int] = {}
    for one in list(data.PerformedSeriesSequence or [])[:MOST_SERIES]:
        if uid := _text(one, "SeriesInstanceUID")[:64]:
            found[uid] = found.get(uid, 0) + sum(
                len(one.get(word) or [])
                for word in ("ReferencedImageSequence", "ReferencedNonImageCompositeSOPInstanceSequence")
            )
    return found


def _text(data: Dataset, keyword: str) -> str:
    return str(data.get(keyword) or "").strip(" \0")

"""What the technician's page shows of waiting studies. In memory alone: nothing here reaches the disk.

After a restart the page shows modality, time and counts from the index until new images come.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from gateway.model import ParcelId, Priority


@dataclass(frozen=True, slots=True)
class StudyFacts:
    """What an instance says of its study, for the eye of the technician, and of its place there.

    `series_uid` and `instance_number` (as written, PS3.3 C.7.6.1) are for the order in which they travel.
    """

    study_uid: str
    patient_name: str = ""
    patient_id: str = ""
    accession: str = ""
    description: str = ""
    modality: str = ""
    series_uid: str = ""
    instance_number: str = ""

    @classmethod
    def of(cls, found: Mapping[str, str]) -> Self:
        """From attributes by keyword, each cut to what its VR allows."""
        return cls(
            study_uid=found.get("StudyInstanceUID", ""),
            patient_name=found.get("PatientName", "")[:64],
            patient_id=found.get("PatientID", "")[:64],
            accession=found.get("AccessionNumber", "")[:16],
            description=found.get("StudyDescription", "")[:64],
            modality=found.get("Modality", "")[:16],
            series_uid=found.get("SeriesInstanceUID", ""),
            instance_number=found.get("InstanceNumber", "")[:12],
        )


@dataclass(slots=True)
class _Study:
    facts: StudyFacts
    priority: Priority
    first_at: str
    last_at: str
    received: int = 0
    waiting: dict[ParcelId, float] = field(default_factory=dict)  # sealed bytes, coded if it is
    uncoded: set[ParcelId] = field(default_factory=set)  # of those
    before: float = 0.0  # sealed bytes of what was coded, and after that
    after: float = 0.0

    @property
    def left(self) -> int:
        """Sealed bytes without receipt; what is not coded yet shrinks as the rest of it did."""
        ratio = self.after / self.before if self.before else 1.0
        return round(sum(size * (ratio if one in self.uncoded else 1) for one, size in self.waiting.items()))


@dataclass(frozen=True, slots=True)
class StudyProgress:
    """One study as the page shows it; `waiting_bytes` are what the line has still to carry of it."""

    facts: StudyFacts
    priority: Priority
    first_at: str
    last_at: str
    received: int
    sent: int
    waiting_bytes: int = 0


class StudyView:
    """Studies received since the start, newest last. Thread-safe."""

    def __init__(self, keep: int = 200) -> None:
        self._keep = keep
        self._lock = threading.Lock()
        self._studies: dict[str, _Study] = {}
        self._of: dict[ParcelId, str] = {}
        self._merged: dict[ParcelId, tuple[ParcelId, ...]] = {}

    def received(
        self, parcel: ParcelId, facts: StudyFacts, priority: Priority, at: str, size: int = 0
    ) -> None:
        """An instance of the study is durable here, in `size` sealed bytes."""
        with self._lock:
            study = self._studies.get(facts.study_uid)
            if study is None:
                study = self._studies[facts.study_uid] = _Study(facts, priority, at, at)
            study.received += 1
            study.last_at = at
            study.waiting[parcel] = size
            study.uncoded.add(parcel)
            self._of[parcel] = facts.study_uid
            self._prune()

    def confirmed(self, parcel: ParcelId) -> None:
        """The hub has signed for it."""
        with self._lock:
            for one in self._merged.pop(parcel, (parcel,)):
                study = self._studies.get(self._of.pop(one, ""))
                if study is not None:
                    study.waiting.pop(one, None)
                    study.uncoded.discard(one)

    def merged(self, parcel: ParcelId, originals: tuple[ParcelId, ...], size: int) -> None:
        """What is said of `parcel`, of `size` sealed bytes, from now on is said of all of these."""
        with self._lock:
            self._merged[parcel] = originals
            for one in originals:
                study = self._studies.get(self._of.get(one, ""))
                if study is not None and one in study.uncoded:
                    study.uncoded.discard(one)
                    study.before += study.waiting[one]
                    study.after += size / len(originals)
                    study.waiting[one] = size / len(originals)

    def studies(self) -> list[StudyProgress]:
        """All studies, those with something waiting first."""
        with self._lock:
            shown = [
                StudyProgress(
                    one.facts,
                    one.priority,
                    one.first_at,
                    one.last_at,
                    one.received,
                    one.received - len(one.waiting),
                    one.left,
                )
                for one in self._studies.values()
            ]
        return sorted(shown, key=lambda one: (one.sent == one.received, one.priority, one.first_at))

    def _prune(self) -> None:
        """Forget finished studies beyond `keep`, oldest first."""
        surplus = len(self._studies) - self._keep
        if surplus > 0:
            done = [uid for uid, study in self._studies.items() if not study.waiting]
            for uid in done[:surplus]:
                del self._studies[uid]

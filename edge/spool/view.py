"""What the technician's page shows of studies. In memory: nothing here reaches the disk in clear.

It outlives a restart sealed under a key that is not on the disk (`edge/remembered`). Without that key the
page shows modality, time and counts from the index until new images come.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
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
    unknown: int = 0  # waited before a restart, and nobody can say yet whether they do

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


@dataclass(frozen=True, slots=True)
class StudyMemory:
    """One study for after a restart.

    Attributes:
        facts: of it.
        priority: of it.
        first_at: when its first image came, RFC 3339.
        last_at: when its last did.
        received: images.
        carriers: parcels without receipt, and how many of its images each carries.
        unknown: images without receipt beside those.
    """

    facts: StudyFacts
    priority: Priority
    first_at: str
    last_at: str
    received: int
    carriers: Mapping[ParcelId, int]
    unknown: int


class StudyView:
    """Studies received, newest last. Thread-safe."""

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
            self._of[parcel] = study.facts.study_uid  # one string for all of them
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
                    one.received - len(one.waiting) - one.unknown,
                    one.left,
                )
                for one in self._studies.values()
            ]
        return sorted(shown, key=lambda one: (one.sent == one.received, one.priority, one.first_at))

    def memories(self, most: int) -> list[StudyMemory]:
        """For after a restart, newest first; of parcels at most so many are named."""
        with self._lock:
            held = [(one, list(one.waiting)) for one in reversed(self._studies.values())]
            merged = list(self._merged.items())
        carrier = {one: new for new, originals in merged for one in originals}
        found = []
        for one, waiting in held:
            most -= len(waiting)
            carriers = Counter(carrier.get(each, each) for each in waiting) if most >= 0 else Counter()
            unknown = one.unknown + len(waiting) - carriers.total()
            times = one.first_at, one.last_at
            found.append(StudyMemory(one.facts, one.priority, *times, one.received, carriers, unknown))
        return found

    def remember(self, memories: Iterable[StudyMemory], size: Callable[[ParcelId], float | None]) -> None:
        """After a restart, before anything comes.

        Args:
            memories: newest first.
            size: sealed bytes of a parcel that waits; 0: the hub has signed for it; None: it is not known.
        """
        with self._lock:
            for one in reversed(list(memories)):
                uid = one.facts.study_uid
                study = _Study(one.facts, one.priority, one.first_at, one.last_at, one.received)
                study.unknown = one.unknown
                for parcel, count in one.carriers.items():
                    sealed = size(parcel)
                    if sealed is None:
                        study.unknown += count
                    elif sealed:
                        parts = (parcel,) if count == 1 else _parts(parcel, uid, count)
                        study.waiting |= dict.fromkeys(parts, sealed / count)
                        self._of |= dict.fromkeys(parts, uid)
                        if count > 1:
                            self._merged[parcel] = self._merged.get(parcel, ()) + parts
                self._studies[uid] = study

    def settle(self, oldest: str | None) -> None:
        """Nothing waits that came before `oldest` (RFC 3339; None: nothing at all): all of it was sent."""
        with self._lock:
            for study in self._studies.values():
                if study.unknown and (oldest is None or oldest > study.last_at):
                    study.unknown = 0

    def _prune(self) -> None:
        """Forget finished studies beyond `keep`, oldest first."""
        surplus = len(self._studies) - self._keep
        if surplus > 0:
            done = [uid for uid, study in self._studies.items() if not study.waiting and not study.unknown]
            for uid in done[:surplus]:
                del self._studies[uid]


def _parts(parcel: ParcelId, study_uid: str, count: int) -> tuple[ParcelId, ...]:
    """Names for the images of one study in one parcel, whose own names are gone."""
    return tuple(ParcelId(f"{parcel}/{study_uid}/{number}") for number in range(count))

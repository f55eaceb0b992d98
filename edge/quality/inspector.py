"""Keeps what was seen of each study, judges it when it rests, and tells the hub what was noticed.

In memory alone, like the page's studies: after a restart, what comes from then on is looked at. Bounded
in studies and in images of one study; beyond that nothing is looked at, and nothing is said.
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from edge.quality.acquisition import acquisition, to_show
from edge.quality.checks import judge
from edge.quality.decoding import Decoding
from edge.quality.glimpse import STUDY, Glimpse, looked_at
from edge.quality.later import Frame, Later
from edge.quality.warning import QualityWarning, Severity, Study
from edge.quality.words import sentences
from edge.shown import StudyTaken, StudyWarning
from gateway.clock import Clock, rfc3339
from gateway.envelope.inner import Notice
from gateway.errors import StorageFull
from gateway.log import logger
from gateway.model import ParcelId

QUALITY = "quality"
"""The kind of notice."""

QUIET = 5.0
"""Seconds after which a study is judged although no association has said that it ended."""

RESTS = 1.5
"""Seconds after which it is judged once one has: what is being looked at may lag behind what came."""

DECODED = 60.0
"""Seconds for which a study that rests waits for its compressed frames to be decoded."""

POLL = 1.0
MOST_STUDIES = 300
MOST_IMAGES = 20_000
"""Of one study."""

MOST_IN_ALL = 40_000
"""Images of all studies; beyond them the studies that rest longest keep what was found, and no image more."""

MOST_WARNINGS = 100
"""Told of one study."""

WAITING = 100_000
"""Instances that wait to be looked at; what comes then is not looked at."""

AT_LEAST = 8
"""Instances looked at in a turn however much comes in."""

_SHARED = ("taken", "study", "patient", "image_type", "stack", "orientation", "pixels")
"""Of a glimpse: what is mostly the same in a whole series."""

CLOSED = ""
"""In place of a transfer syntax: what was offered before is all that an association carried."""

log = logger("edge.quality")


@dataclass(slots=True)
class _Seen:
    series: dict[str, list[Glimpse]] = field(default_factory=dict)
    instances: set[str] = field(default_factory=set)
    last: float = 0.0  # monotonic
    changed: bool = False  # since it was judged
    ended: bool = False  # its images were let go: what comes now is not looked at
    said: dict[str, str] = field(default_factory=dict)  # of patient and study, by the first image
    rests: bool = False  # an association that carried it has closed
    found: list[QualityWarning] = field(default_factory=list)
    shown: list[dict[str, Any]] = field(default_factory=list)
    taken: StudyTaken = StudyTaken()
    told: tuple[Any, ...] = ()
    at: str = ""  # when it was judged


@dataclass(frozen=True, slots=True)
class _Offered:
    read: Callable[[], bytes | None]
    syntax: str
    study: str


def _nothing() -> None:
    return None


class Inspector:
    """Looks at every received instance once. `offer`, `look`, `seen` and `closed` are called from any thread.

    Args:
        clock: the time.
        tell: takes a notice for the hub (`spool.notify`); may raise StorageFull.
        busy: whether so much comes in now that looking should wait.
    """

    def __init__(
        self, clock: Clock, tell: Callable[[Notice], object], busy: Callable[[], bool] = lambda: False
    ) -> None:
        self._clock, self._tell, self._busy = clock, tell, busy
        self._lock, self._looking = threading.Lock(), threading.Lock()
        self._studies: OrderedDict[str, _Seen] = OrderedDict()
        self._queue: OrderedDict[object, _Offered] = OrderedDict()
        self._waiting: Counter[str] = Counter()  # instances of each study
        self._later, self._decoding = Later(), Decoding()
        self._passed = 0
        self._images = 0  # in all studies

    # -- looking ---------------------------------------------------------------------------------

    def offer(self, parcel: ParcelId, read: Callable[[], bytes | None], syntax: str, study_uid: str) -> None:
        """Remember to look at an instance soon; returns at once. For callers that must not wait.

        Args:
            parcel: in which it lies.
            read: gives its bytes, or None if it no longer can.
            syntax: transfer syntax UID.
            study_uid: of which study.
        """
        with self._lock:
            if len(self._queue) >= WAITING:
                self._passed += 1
                return
            self._queue[parcel] = _Offered(read, syntax, study_uid)
            self._waiting[study_uid] += 1

    def look(self, parcels: Iterable[ParcelId]) -> None:
        """Look at those of these that were offered and not looked at yet. Blocks."""
        for parcel in parcels:
            self._next(parcel)

    def seen(self, study_uid: str, dataset: bytes | bytearray | memoryview, transfer_syntax_uid: str) -> None:
        """Look at one instance; a second time changes nothing. Never raises for what is in it."""
        if not study_uid:
            return
        found, coded = looked_at(dataset, transfer_syntax_uid, cut=True)
        with self._lock:
            study = self._studies.setdefault(study_uid, _Seen())
            self._studies.move_to_end(study_uid)
            while len(self._studies) > MOST_STUDIES:
                self._images -= len(self._studies.popitem(last=False)[1].instances)
            known = found.sop_instance_uid in study.instances
            if known or study.ended or len(study.instances) >= MOST_IMAGES:
                return
            study.said = study.said or _said(found)
            study.instances.add(found.sop_instance_uid)
            images = study.series.setdefault(found.series_uid, [])
            images.append(_alike(found, images[-1]) if images else found)
            if coded is not None:
                uids = found.series_uid, found.sop_instance_uid
                self._later.add(Frame(study_uid, *uids, len(images) - 1, coded))
            study.last, study.changed, study.rests = self._clock.monotonic(), True, False
            self._images += 1
            self._let_go()

    def _let_go(self) -> None:
        """Keep the images of all studies within their bound, if any study that was judged has some."""
        if self._images <= MOST_IN_ALL:
            return
        for one in self._studies.values():
            if one.changed or not one.instances:
                continue
            self._images -= len(one.instances)
            one.series, one.instances, one.ended = {}, set(), True
            if self._images <= MOST_IN_ALL:
                return

    def closed(self, studies: Iterable[str]) -> None:
        """An association that carried these has ended: judge them, once all of it was looked at."""
        with self._lock:
            self._queue.update((object(), _Offered(_nothing, CLOSED, study)) for study in studies)

    # -- judging ---------------------------------------------------------------------------------

    async def run(self) -> None:
        """Look at what was offered, and judge what rests, until cancelled."""
        try:
            while True:
                await asyncio.to_thread(self.turn)
                await asyncio.sleep(POLL)
        finally:
            self._decoding.close()

    def turn(self) -> None:
        """One turn of `run`. Blocks."""
        looked = 0
        while (looked < AT_LEAST or not self._busy()) and self._next():
            looked += 1
        with self._lock:
            passed, self._passed = self._passed, 0
        if passed:
            log.warning("not looked at, too much at once", instances=passed)
        until = self._clock.monotonic() + POLL
        while self._decode() and not self._busy() and self._clock.monotonic() < until:
            continue
        for uid in self._due():
            self._judge(uid)

    def _next(self, parcel: ParcelId | None = None) -> bool:
        """Look at one that was offered, the first if none is named. False: there is none."""
        with self._looking:  # whoever comes for it meanwhile waits until it has been read
            with self._lock:
                key = parcel if parcel is not None else next(iter(self._queue), None)
                one = self._queue.pop(key, None)
                if one is None:
                    return False
                if one.syntax == CLOSED and one.study in self._studies:
                    self._studies[one.study].rests = True
            if one.syntax != CLOSED:
                data = one.read()
                if data is not None:
                    self.seen(one.study, data, one.syntax)
                with self._lock:
                    self._waiting -= Counter((one.study,))
        return True

    def _decode(self) -> bool:
        """Decode and measure one frame that waits. False: there is none."""
        with self._lock:
            frame = self._later.next()
        if frame is None:
            self._decoding.rest()
            return False
        measured = self._decoding.measure(frame.coded, frame.study_uid)
        with self._lock:
            self._later.done(frame)
            study = self._studies.get(frame.study_uid)
            images = [] if study is None else study.series.get(frame.series_uid, [])
            seen = images[frame.place] if frame.place < len(images) else None
            known = seen is not None and seen.sop_instance_uid == frame.sop_instance_uid
            if study is not None and seen is not None and known and measured is not None:
                images[frame.place] = replace(seen, pixels=measured)
                study.changed = True
        return True

    def _due(self) -> list[str]:
        now = self._clock.monotonic()
        with self._lock:
            return [
                uid
                for uid, one in self._studies.items()
                if one.changed
                and not self._waiting[uid]
                and (not self._later.waiting[uid] or now - one.last >= DECODED)
                and now - one.last >= (RESTS if one.rests else QUIET)
            ]

    def _judge(self, uid: str) -> None:
        with self._lock:
            one = self._studies.get(uid)
            if one is None:
                return
            one.changed = False
            study = Study(uid, {series: list(images) for series, images in one.series.items()})
        found, shown = judge(study)[:MOST_WARNINGS], acquisition(study)
        body = {
            "study": uid,
            "warnings": [each.to_json() for each in found],
            "acquisition": shown,
        }
        with self._lock:
            before = one.told
            one.found, one.shown, one.taken = found, shown, to_show(study, found)
            one.at = rfc3339(self._clock.now())
            one.told = (body["warnings"], body["acquisition"])
        if one.told == before or (not before and not found and not shown):
            return
        log.info("study looked at", study_uid=uid, kinds=sorted({each.kind for each in found}))
        try:
            self._tell(Notice(QUALITY, {**body, "at": rfc3339(self._clock.now())}))
        except StorageFull as error:  # the page shows it all the same
            log.warning("no notice", study_uid=uid, reason=str(error))

    # -- showing ---------------------------------------------------------------------------------

    def warnings(self, study_uid: str | None = None) -> list[QualityWarning]:
        """What was noticed of one study; without a study, of all that are remembered, newest study first."""
        with self._lock:
            if study_uid is not None:
                one = self._studies.get(study_uid)
                return list(one.found) if one is not None else []
            return [each for one in reversed(self._studies.values()) for each in one.found]

    def on_the_page(self) -> list[StudyWarning]:
        """Warnings, without the notes, of all studies that are remembered: newest study first."""
        with self._lock:
            found = [(one, study.at) for study in reversed(self._studies.values()) for one in study.found]
        return [
            StudyWarning(one.study_uid, one.kind, sentences(one), at)
            for one, at in found
            if one.severity is Severity.WARNING
        ]

    def acquisition(self, study_uid: str) -> list[dict[str, Any]]:
        """How its series were taken: ``series`` and ``parameters``."""
        with self._lock:
            one = self._studies.get(study_uid)
            return list(one.shown) if one is not None else []

    def taken(self, study_uid: str) -> StudyTaken:
        """How a study was taken and what was noticed, for the page; empty until it was judged."""
        with self._lock:
            one = self._studies.get(study_uid)
            return one.taken if one is not None else StudyTaken()

    def said(self, study_uid: str) -> dict[str, str]:
        """What the first image says of patient and study, by keyword: for the page, not for the hub."""
        with self._lock:
            one = self._studies.get(study_uid)
            return dict(one.said) if one is not None else {}


def _said(first: Glimpse) -> dict[str, str]:
    person = {"PatientBirthDate": first.patient.birth_date, "PatientSex": first.patient.sex}
    return person | dict(zip(STUDY, first.study, strict=True))


def _alike(found: Glimpse, before: Glimpse) -> Glimpse:
    """The same, holding what is alike in the image before it only once."""
    same = {name: value for name in _SHARED if (value := getattr(before, name)) == getattr(found, name)}
    return replace(found, **same) if same else found

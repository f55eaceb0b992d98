"""Keeps what was seen of each study, judges it when it rests, and tells the hub what was noticed.

In memory alone, like the page's studies: after a restart, what comes from then on is looked at. Bounded
in studies and in images of one study; beyond that nothing is looked at, and nothing is said.
"""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from edge.quality.acquisition import acquisition
from edge.quality.checks import judge
from edge.quality.glimpse import Glimpse, glimpse
from edge.quality.warning import QualityWarning, Severity, Study
from edge.quality.words import sentence
from gateway.clock import Clock, rfc3339
from gateway.envelope.inner import Notice
from gateway.errors import StorageFull
from gateway.log import logger

QUALITY = "quality"
"""The kind of notice."""

QUIET = 5.0
"""Seconds after which a study is judged although no association has said that it ended."""

RESTS = 1.5
"""Seconds after which it is judged once one has: what is being looked at may lag behind what came."""

POLL = 1.0
MOST_STUDIES = 300
MOST_IMAGES = 20_000
"""Of one study."""

MOST_WARNINGS = 100
"""Told of one study."""

WAITING = 64 << 20
"""Bytes of instances that wait to be looked at; what comes then is not looked at."""

CLOSED = ""
"""In place of a transfer syntax: what was offered before is all that an association carried."""

log = logger("edge.quality")


@dataclass(slots=True)
class _Seen:
    series: dict[str, list[Glimpse]] = field(default_factory=dict)
    instances: set[str] = field(default_factory=set)
    last: float = 0.0  # monotonic
    changed: bool = False  # since it was judged
    rests: bool = False  # an association that carried it has closed
    found: list[QualityWarning] = field(default_factory=list)
    shown: list[dict[str, Any]] = field(default_factory=list)
    told: tuple[Any, ...] = ()
    at: str = ""  # when it was judged


@dataclass(frozen=True, slots=True)
class OnThePage:
    """One warning for the technologist (`edge.shown.StudyWarning`).

    Args:
        study_uid: of which study.
        kind: of `words.WORDS`.
        words: in English and Chinese, one after the other.
        at: when it was noticed, RFC 3339.
    """

    study_uid: str
    kind: str
    words: str
    at: str


class Inspector:
    """Looks at every received instance once. `offer`, `seen` and `closed` are called from any thread.

    Args:
        clock: the time.
        tell: takes a notice for the hub (`spool.notify`); may raise StorageFull.
    """

    def __init__(self, clock: Clock, tell: Callable[[Notice], object]) -> None:
        self._clock, self._tell = clock, tell
        self._lock = threading.Lock()
        self._studies: OrderedDict[str, _Seen] = OrderedDict()
        self._queue: deque[tuple[bytes, str, str]] = deque()
        self._waiting = 0
        self._passed = 0

    # -- looking ---------------------------------------------------------------------------------

    def offer(self, data: bytes | bytearray | memoryview, transfer_syntax_uid: str, study_uid: str) -> None:
        """Take a copy to look at soon; returns at once. For callers that must not wait."""
        size = len(data)
        with self._lock:
            if self._waiting + size > WAITING:
                self._passed += 1
                return
            self._waiting += size
        self._queue.append((bytes(data), transfer_syntax_uid, study_uid))

    def inspect(self, data: bytes | bytearray | memoryview, transfer_syntax_uid: str, study_uid: str) -> None:
        """Look at one instance now; for who has its plain bytes in hand anyway, such as the packer."""
        self.seen(study_uid, data, transfer_syntax_uid)

    def seen(self, study_uid: str, dataset: bytes | bytearray | memoryview, transfer_syntax_uid: str) -> None:
        """Look at one instance; a second time changes nothing. Never raises for what is in it."""
        if not study_uid:
            return
        found = glimpse(dataset, transfer_syntax_uid)
        with self._lock:
            study = self._studies.setdefault(study_uid, _Seen())
            self._studies.move_to_end(study_uid)
            while len(self._studies) > MOST_STUDIES:
                self._studies.popitem(last=False)
            known = found.sop_instance_uid in study.instances
            if known or len(study.instances) >= MOST_IMAGES:
                return
            study.instances.add(found.sop_instance_uid)
            images = study.series.setdefault(found.series_uid, [])
            if images and images[-1].taken == found.taken:
                found = replace(found, taken=images[-1].taken)  # one dictionary for a series
            images.append(found)
            study.last, study.changed, study.rests = self._clock.monotonic(), True, False

    def closed(self, studies: Iterable[str]) -> None:
        """An association that carried these has ended: judge them, once all of it was looked at."""
        self._queue.extend((b"", CLOSED, study) for study in studies)

    # -- judging ---------------------------------------------------------------------------------

    async def run(self) -> None:
        """Look at what was offered, and judge what rests, until cancelled."""
        while True:
            await asyncio.to_thread(self.turn)
            await asyncio.sleep(POLL)

    def turn(self) -> None:
        """One turn of `run`. Blocks."""
        with suppress(IndexError):
            while True:
                data, syntax, study = self._queue.popleft()
                with self._lock:
                    self._waiting -= len(data)
                    if syntax == CLOSED and study in self._studies:
                        self._studies[study].rests = True
                if syntax != CLOSED:
                    self.seen(study, data, syntax)
        with self._lock:
            passed, self._passed = self._passed, 0
        if passed:
            log.warning("not looked at, too much at once", instances=passed)
        for uid in self._due():
            self._judge(uid)

    def _due(self) -> list[str]:
        now = self._clock.monotonic()
        with self._lock:
            return [
                uid
                for uid, one in self._studies.items()
                if one.changed and now - one.last >= (RESTS if one.rests else QUIET)
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
            one.found, one.shown, one.at = found, shown, rfc3339(self._clock.now())
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

    def on_the_page(self) -> list[OnThePage]:
        """Warnings, without the notes, of all studies that are remembered: newest study first."""
        with self._lock:
            found = [(one, study.at) for study in reversed(self._studies.values()) for one in study.found]
        return [
            OnThePage(one.study_uid, one.kind, f"{sentence(one)} · {sentence(one, 'zh')}", at)
            for one, at in found
            if one.severity is Severity.WARNING
        ]

    def acquisition(self, study_uid: str) -> list[dict[str, Any]]:
        """How its series were taken: ``series`` and ``parameters``."""
        with self._lock:
            one = self._studies.get(study_uid)
            return list(one.shown) if one is not None else []

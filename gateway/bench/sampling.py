"""Looks at link, edge and hub several times a second while a study is on its way."""

from __future__ import annotations

import json
import re
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from gateway.bench import link as links
from gateway.bench.bed import Bed
from gateway.bench.figures import Packed, Sample
from gateway.bench.link import Side
from gateway.demo.portal import trusting
from gateway.errors import Unavailable

PAUSE = 0.2
_BYTES = re.compile(r'telerad_spool_bytes\{state="(\w+)"\} (\d+)')
DONE = ("confirmed", "purged")


class Sampler:
    """Samples in a thread of its own while `running`; times are seconds since it began."""

    def __init__(self, bed: Bed) -> None:
        self._bed = bed
        self.samples: list[Sample] = []
        self.seen: dict[str, list[tuple[float, int]]] = {}
        """Study UID → when the hub had how many of its instances."""
        self.watched: list[str] = []
        self.mark: float | None = None
        """When the STAT study was sent."""
        self._stop = threading.Event()
        self.started = 0.0
        self.wall = 0.0
        self._context = trusting(bed.ca)
        self._base = self._look(0)

    def watch(self, study: str) -> None:
        """Count a study's instances at the hub from now on."""
        self.seen[study] = []
        self.watched.append(study)

    def unwatch(self, study: str) -> None:
        """Count them no more: asking costs the hub time."""
        self.watched.remove(study)

    @property
    def now(self) -> float:
        """Seconds since it began."""
        return time.monotonic() - self.started

    def first(self, study: str, count: int = 1) -> float | None:
        """When the hub had `count` instances of a study; None: not yet."""
        return next((at for at, held in self.seen[study] if held >= count), None)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Sample while the block runs."""
        self.started, self.wall = time.monotonic(), time.time()
        threads = [threading.Thread(target=self._sample), threading.Thread(target=self._count)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._stop.set()
            for thread in threads:
                thread.join()

    def packed(self) -> list[Packed]:
        """What the edge logged of its coding since this began."""
        return list(read_packed(self._bed.edge_log, self.wall))

    def _sample(self) -> None:
        with self._bed.link.inside(Side.HUB):
            while not self._stop.is_set():
                with suppress(Unavailable):  # the edge is busy; the next look will do
                    self.samples.append(self._look(self.now, self._base))
                self._stop.wait(PAUSE)

    def _look(self, at: float, base: Sample | None = None) -> Sample:
        arrived = 0
        if self._bed.link.shaped:
            with self._bed.link.inside(Side.HUB):
                arrived = links.received()
        told = self._bed.status()
        sizes = {state: int(size) for state, size in _BYTES.findall(self._bed.metrics())}
        sealed, confirmed = sum(sizes.values()), sum(sizes.get(state, 0) for state in DONE)
        waiting = sum(count for state, count in told["states"].items() if state not in DONE)
        known = int(told["confirmed_instances"])
        if base is None:
            return Sample(at, arrived, sealed, confirmed, waiting, known)
        return Sample(
            at,
            arrived - base.arrived,
            sealed - base.sealed,
            confirmed - base.confirmed,
            waiting,
            known - base.instances,
        )

    def _count(self) -> None:
        with self._bed.link.inside(Side.HUB):
            while not self._stop.is_set():
                for study in list(self.watched):
                    held = self._held(study)
                    if held:
                        self.seen[study].append((self.now, held))
                self._stop.wait(PAUSE / 2)

    def _held(self, study: str) -> int:
        """Instances of a study at the hub, by QIDO-RS."""
        request = urllib.request.Request(  # noqa: S310  # our own address
            f"{self._bed.hub_url}/dicomweb/studies/{study}/instances",
            headers={"Authorization": f"Bearer {self._bed.token}", "Accept": "application/dicom+json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=10, context=self._context) as response:  # noqa: S310  # as above
                found: list[Any] = json.loads(response.read() or b"[]")
                return len(found)
        except OSError:
            return 0  # no such study yet


def read_packed(log: Path, since: float) -> Iterator[Packed]:
    """The edge's log events ``packed`` after `since` (seconds since 1970)."""
    for line in log.read_text(errors="replace").splitlines():
        if '"packed"' not in line:
            continue
        try:
            told = json.loads(line)
            at = datetime.fromisoformat(told["timestamp"]).timestamp() - since
            ways = told["ways"] or {"as received": told["instances"]}
            if told["event"] == "packed" and at >= 0 and told["instances"]:
                named = {str(name): int(count) for name, count in ways.items()}
                yield Packed(at, int(told["plain"]), int(told["coded"]), named)
        except (ValueError, KeyError, TypeError, AttributeError):
            continue  # a line cut short by a kill

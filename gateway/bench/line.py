"""Carries a scenario's study from a scanner to the hub, or from Orthanc to Orthanc, and takes its figures."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from gateway.bench import peers, senders, studies
from gateway.bench.bed import AE_TITLE, STAT_AE, Bed, until
from gateway.bench.figures import Figures, Packed, Sample, work_out
from gateway.bench.link import Link, Shape, Side
from gateway.bench.peers import Orthanc
from gateway.bench.sampling import Sampler
from gateway.bench.scenarios import Load, Scenario
from gateway.bench.studies import Study
from gateway.demo.layout import free_base
from gateway.errors import Unavailable

WARM_SECONDS = 45.0
"""Of the line, filled before a warm scenario begins."""
SETTLED = 10
"""Round trips that the edge is left alone after it was started: one that has run for months is connected."""
STAT_AFTER = 6.0
"""Seconds after which the STAT study comes."""
STAT_SLICES = 4
DRAIN_SECONDS = 300.0
"""For what is left when a scenario was stopped; the link is fast then."""
PEER_PORT = 22440
"""The first of an Orthanc pair's; on loopback the first free from there."""
WAYS = ("peer (HTTP)", "C-STORE")
"""How one Orthanc sends to another."""


@dataclass(frozen=True, slots=True)
class Carried:
    """One transfer: what the plot and the table show."""

    figures: Figures
    samples: list[Sample]
    packed: list[Packed]


@dataclass(frozen=True, slots=True)
class Loads:
    """The studies of one scenario."""

    study: Study
    warm: Study | None
    stat: Study | None


def made(scenario: Scenario, folder: Path, given: Path | None, run: str) -> Loads:
    """Make a scenario's studies.

    Args:
        scenario: what it wants.
        folder: to write to.
        given: a folder of the user's to send instead of the made study.
        run: makes the UIDs of one run differ from those of another.
    """
    name = f"{run}-{scenario.name}"
    main = folder / "study"
    if given is not None:
        study = studies.copied(given, main, name)
    else:
        make = {Load.CT: studies.ct, Load.MR: studies.mr, Load.NOISE: studies.noise}[scenario.load]
        study = make(main, scenario.count, name)
    warm = None
    if scenario.warm:
        count = max(1, round(scenario.shape.rate / 8 * WARM_SECONDS / (512 * 512 * 2)))
        warm = studies.noise(folder / "warm", count, f"{name}-warm")
    stat = studies.ct(folder / "stat", STAT_SLICES, f"{name}-stat") if scenario.stat else None
    return Loads(study, warm, stat)


def carry(bed: Bed, scenario: Scenario, loads: Loads, sender: str, seconds: float) -> Carried:
    """One study by our edge and hub.

    Args:
        bed: whose edge is not running and has nothing waiting.
        scenario: what is done.
        loads: what is sent.
        sender: of the studies, by name.
        seconds: after which it is stopped.

    Raises:
        Unavailable: the edge did not take the study, or what was left did not come through afterwards.
    """
    bed.link.shape(scenario.shape, scenario.congestion)
    bed.start_edge("bbr" if scenario.congestion == "bbr" else "default")
    try:
        if loads.warm is not None:
            _store(bed, loads.warm, sender)
            until(lambda: _waiting(bed) == 0, seconds)
        time.sleep(SETTLED * scenario.shape.rtt)
        sampler = Sampler(bed)
        before = bed.link.sent()
        sampler.watch(loads.study.uid)
        with sampler.running():
            finished = _watched(bed, sampler, scenario, loads, sender, seconds)
            taken = sampler.samples[-1].at
        figures = _figures(bed, scenario, loads, sampler, finished=finished, seconds=taken, before=before)
        carried = Carried(figures, sampler.samples, sampler.packed())
        bed.link.shape(Shape(), "bbr")
        if not until(lambda: _waiting(bed) == 0, DRAIN_SECONDS):
            raise Unavailable(f"{_waiting(bed)} parcels did not reach the hub after {scenario.name}")
        return carried
    finally:
        bed.stop_edge()


def _watched(
    bed: Bed, sampler: Sampler, scenario: Scenario, loads: Loads, sender: str, seconds: float
) -> bool:
    """Send, and wait for every receipt; whether they came in time."""
    storing = _Storing(partial(_store, bed, loads.study, sender))
    study, total = loads.study, loads.study.count
    stat: _Storing | None = None
    while sampler.now < seconds:
        if sampler.first(study.uid) is not None and study.uid in sampler.watched:
            sampler.unwatch(study.uid)
        if loads.stat is not None and stat is None and sampler.now >= STAT_AFTER:
            sampler.watch(loads.stat.uid)
            sampler.mark = sampler.now
            stat = _Storing(partial(_store, bed, loads.stat, sender, STAT_AE))
            total += loads.stat.count
        if storing.done() and (stat is None or stat.done()) and sampler.samples:
            last = sampler.samples[-1]
            complete = loads.stat is None or stat is not None
            if complete and last.instances >= total and last.waiting == 0:
                return True
        time.sleep(0.05)
    return False


def _figures(
    bed: Bed,
    scenario: Scenario,
    loads: Loads,
    sampler: Sampler,
    *,
    finished: bool,
    seconds: float,
    before: int,
) -> Figures:
    stat = None
    original = loads.study.size
    if loads.stat is not None:
        original += loads.stat.size
        there = sampler.first(loads.stat.uid, loads.stat.count) if loads.stat.uid in sampler.seen else None
        stat = None if there is None or sampler.mark is None else there - sampler.mark
    return work_out(
        scenario.shape if bed.link.shaped else None,
        sampler.samples,
        original=original,
        coded=sampler.samples[-1].sealed,
        wire=bed.link.sent() - before,
        seconds=seconds,
        finished=finished,
        first_image=sampler.first(loads.study.uid),
        stat=stat,
    )


class _Storing:
    """A scanner at work in a thread of its own."""

    def __init__(self, work: Callable[[], None]) -> None:
        self._work = work
        self._error: Unavailable | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._work()
        except Unavailable as error:
            self._error = error

    def done(self) -> bool:
        """Whether it has ended. Raises Unavailable if something was not taken."""
        if self._error is not None:
            raise self._error
        return not self._thread.is_alive()


def _store(bed: Bed, study: Study, sender: str, calling: str = "BENCH") -> None:
    with bed.link.inside(Side.EDGE):
        host = bed.link.host(Side.EDGE)
        senders.store(sender, [study.folder], host, bed.ports.dicom, AE_TITLE, calling)


def _waiting(bed: Bed) -> int:
    return int(bed.status()["waiting"]) + int(bed.status()["held"])


def carry_by_orthanc(
    link: Link, folder: Path, scenario: Scenario, loads: Loads, sender: str, way: str, seconds: float
) -> Figures:
    """The same studies from Orthanc to Orthanc over the same link, timed from its command to its end.

    Raises:
        Unavailable: an Orthanc did not come up or did not take the study.
    """
    link.shape(Shape(), scenario.congestion)
    try:
        with _pair(link, folder) as (near, far):
            with link.inside(Side.EDGE):
                for one in (loads.study, loads.stat):
                    if one is not None:
                        senders.store(sender, [one.folder], near.host, near.dicom_port, peers.ORTHANC_AE)
            link.shape(scenario.shape, scenario.congestion)
            before = link.sent()
            taken, finished, first, stat = _timed(link, near, far, loads, way, seconds)
            original = loads.study.size + (loads.stat.size if loads.stat else 0)
            return work_out(
                scenario.shape if link.shaped else None,
                (),
                original=original,
                coded=original,
                wire=link.sent() - before,
                seconds=taken,
                finished=finished,
                first_image=first,
                stat=stat,
            )
    finally:
        link.shape(Shape(), "bbr")
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _pair(link: Link, folder: Path) -> Iterator[tuple[Orthanc, Orthanc]]:
    here, there = link.host(Side.EDGE), link.host(Side.HUB)
    base = PEER_PORT if link.shaped else free_base(here, PEER_PORT, 1)
    near_ports, far_ports = (base, base + 1), (base + 10, base + 11)
    http, dicom = far_ports
    more: dict[str, object] = {
        "OrthancPeers": {"hub": [f"http://{there}:{http}/"]},
        "DicomModalities": {"hub": [peers.ORTHANC_AE, there, dicom]},
        "HttpTimeout": 0,
        "DicomScuTimeout": 0,
    }
    with (
        link.inside(Side.HUB),
        peers.orthanc(folder / "far", there, far_ports) as far,
        link.inside(Side.EDGE),
        peers.orthanc(folder / "near", here, near_ports, more) as near,
    ):
        yield near, far


def _timed(
    link: Link, near: Orthanc, far: Orthanc, loads: Loads, way: str, seconds: float
) -> tuple[float, bool, float | None, float | None]:
    """Seconds, whether it ended by itself, the first image, the STAT study."""
    first: float | None = None
    came: float | None = None
    stat: float | None = None
    total = loads.study.count + (loads.stat.count if loads.stat else 0)
    started = time.monotonic()
    with link.inside(Side.EDGE):
        _order(near, loads.study, way)
    while (now := time.monotonic() - started) < seconds:
        with link.inside(Side.HUB):
            held = far.count()
            if (
                came is not None
                and loads.stat is not None
                and stat is None
                and far.holds(loads.stat.uid, loads.stat.count)
            ):
                stat = time.monotonic() - started - came
        if held and first is None:
            first = time.monotonic() - started
        if held >= total:
            return time.monotonic() - started, True, first, stat
        if loads.stat is not None and came is None and now >= STAT_AFTER:
            came = now
            with link.inside(Side.EDGE):
                _order(near, loads.stat, way)
        time.sleep(0.05)
    return time.monotonic() - started, False, first, stat


def _order(near: Orthanc, study: Study, way: str) -> None:
    (found,) = near.call("POST", "/tools/lookup", study.uid.encode())
    place = "/peers/hub/store" if way == WAYS[0] else "/modalities/hub/store"
    near.call("POST", place, {"Resources": [found["ID"]], "Synchronous": False})

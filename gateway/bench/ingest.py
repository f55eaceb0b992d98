"""``telerad bench ingest``: instances a second by C-STORE, beside dcmtk and Orthanc in the same run."""

from __future__ import annotations

import os
import shutil
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from gateway.bench import memory, peers, senders
from gateway.bench.bed import AE_TITLE, EDGE, Bed, until
from gateway.bench.link import Link, Side
from gateway.bench.pour import pour
from gateway.bench.studies import Study
from gateway.demo.layout import free_base
from gateway.errors import Unavailable

PEER_PORT = 21440
FILLERS = 4
"""Associations that fill a spool."""
QUIET_SECONDS = 1.0
"""After the start of any receiver: what it does once is no part of the measurement."""
READY_SECONDS = 60.0
"""The most an edge may take to have ready what it keeps ready for a burst."""
SETTLE_SECONDS = 60.0
"""The most a receiver may take to count what it has answered."""


@dataclass(frozen=True, slots=True)
class Scanner:
    """Who sends, across a link; receivers stand at its edge's side.

    Attributes:
        program: one of `senders.SENDERS`.
        link: between them.
    """

    program: str
    link: Link

    def store(self, folders: Sequence[Path], port: int, called: str) -> float:
        """Send all files below `folders`, one association a folder. Returns the seconds it took.

        Raises:
            Unavailable: one was not answered with success.
        """
        with self.link.inside(Side.HUB):
            started = time.perf_counter()
            senders.store(self.program, folders, self.link.host(Side.EDGE), port, called)
            return time.perf_counter() - started


@dataclass(frozen=True, slots=True)
class Target:
    """A receiver that listens."""

    port: int
    ae_title: str
    held: Callable[[], int]
    pid: int | None


@dataclass(frozen=True, slots=True)
class Receiver:
    """One that is compared.

    Attributes:
        name: in the table.
        durable: what an answer of success is worth there.
        running: runs it fresh and empty in a folder.
    """

    name: str
    durable: str
    running: Callable[[Path], AbstractContextManager[Target]]


@dataclass(frozen=True, slots=True)
class Round:
    """One measurement.

    Attributes:
        receiver: its name.
        associations: at the same time.
        seconds: until the last answer.
        settled: until the disk had all of it, too.
        sent: instances answered with success.
        held: instances the receiver then had.
        resident: its peak memory, in bytes: of the processes it still has then, each at its own peak.
    """

    receiver: str
    associations: int
    seconds: float
    settled: float
    sent: int
    held: int
    resident: int


def edge_receiver(bed: Bed) -> Receiver:
    """Our edge, its hub away: what it takes stays in its spool."""

    @contextmanager
    def running(folder: Path) -> Iterator[Target]:
        _begin(bed)
        try:
            yield Target(bed.ports.dicom, AE_TITLE, bed.held, bed.processes.pids[EDGE])
        finally:
            bed.stop_edge()

    return Receiver("telerad edge", "fsync before each answer, encrypted", running)


def _begin(bed: Bed, *, indexed: bool = False) -> None:
    """A fresh edge, as it is some seconds after its start: with room for a burst written ahead."""
    bed.start_edge(fresh=True, indexed=indexed)
    if not until(
        lambda: bed.gauge("telerad_ahead_bytes") >= bed.gauge("telerad_ahead_wanted_bytes"), READY_SECONDS
    ):
        raise Unavailable("the edge does not get its room for a burst ready: is the disk nearly full?")


def peer_receivers(link: Link) -> tuple[list[Receiver], list[str]]:
    """Those that are installed, and in plain words those that are not."""
    host = link.host(Side.EDGE)
    found, missing = [], []
    if shutil.which("storescp"):
        found += [
            Receiver("dcmtk storescp", "none: no fsync, no index", _storescp(host, "+B")),
            Receiver("dcmtk storescp --fork", "none: no fsync, no index", _storescp(host, "+B", "--fork")),
        ]
    else:
        missing.append("dcmtk's storescp is not installed (on Debian: apt install dcmtk); not compared")
    if peers.orthanc_installed():
        found.append(Receiver("Orthanc", "file fsync, SQLite; not encrypted", partial(_orthanc, host)))
    else:
        missing.append("Orthanc is not installed (on Debian: apt install orthanc); not compared")
    return found, missing


def _storescp(host: str, *words: str) -> Callable[[Path], AbstractContextManager[Target]]:
    @contextmanager
    def running(folder: Path) -> Iterator[Target]:
        port = free_base(host, PEER_PORT, 1)
        kept = folder / "kept"
        with peers.storescp(kept, host, port, *words) as pid:
            yield Target(port, "STORESCP", lambda: sum(1 for _ in kept.iterdir()), pid)

    return running


@contextmanager
def _orthanc(host: str, folder: Path) -> Iterator[Target]:
    port = free_base(host, PEER_PORT, 1)
    with peers.orthanc(folder, host, (port, port + 1)) as running:
        yield Target(port + 1, peers.ORTHANC_AE, running.count, running.pid)


def measure(receiver: Receiver, study: Study, associations: int, scanner: Scanner, folder: Path) -> Round:
    """Send one study to a fresh receiver.

    Args:
        receiver: to run.
        study: whose folder has one subfolder for each association, or any if there is one.
        associations: at the same time.
        scanner: who sends.
        folder: for what the receiver keeps; removed again.
    """
    parts = [study.folder] if associations == 1 else sorted(p for p in study.folder.iterdir() if p.is_dir())
    try:
        with scanner.link.inside(Side.EDGE), receiver.running(folder) as target:
            time.sleep(QUIET_SECONDS)
            os.sync()  # what the round before left in memory must not be this one's burden
            started = time.perf_counter()
            seconds = scanner.store(parts, target.port, target.ae_title)
            os.sync()
            settled = time.perf_counter() - started
            until(lambda: target.held() >= study.count, SETTLE_SECONDS)
            peak = memory.peak(target.pid)
            return Round(receiver.name, associations, seconds, settled, study.count, target.held(), peak)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def after_kill(bed: Bed, study: Study, scanner: Scanner) -> int:
    """How many instances a fresh edge still has when it was killed after its last answer, and restarted."""
    bed.start_edge(fresh=True)
    scanner.store([study.folder], bed.ports.dicom, AE_TITLE)
    bed.kill_edge()
    bed.start_edge()
    until(lambda: bed.held() >= study.count, SETTLE_SECONDS)
    held = bed.held()
    bed.stop_edge()
    return held


def rates(rounds: list[Round], associations: int, *, settled: bool = False) -> dict[str, float]:
    """Median instances a second by receiver: answered, or answered and on the disk."""
    return {
        name: statistics.median(every)
        for name, every in _rates(rounds, associations, settled=settled).items()
    }


def _rates(rounds: list[Round], associations: int, *, settled: bool) -> dict[str, list[float]]:
    """Those of every round, by receiver."""
    found: dict[str, list[float]] = {}
    for one in rounds:
        if one.associations == associations:
            seconds = one.settled if settled else one.seconds
            found.setdefault(one.receiver, []).append(one.sent / seconds)
    return found


@dataclass(frozen=True, slots=True)
class Spread:
    """A ratio, measured more than once: its median, and the quartiles beside it."""

    low: float
    median: float
    high: float


def ratios(rounds: list[Round], associations: int, *, settled: bool = False) -> dict[str, Spread]:
    """How many times the rate of each other receiver the first one has, compared round by round.

    A machine that others use, too, is quicker at some times than at others, so that only neighbours can be
    compared; and no single pair of them says much.

    Args:
        rounds: of the first receiver and the others, in the order in which they were measured.
        associations: those that are meant.
        settled: until all was on the disk.
    """
    found = _rates(rounds, associations, settled=settled)
    own, *others = found
    return {name: _spread([a / b for a, b in zip(found[own], found[name], strict=True)]) for name in others}


def _spread(values: list[float]) -> Spread:
    if len(values) == 1:
        return Spread(values[0], values[0], values[0])
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return Spread(low, median, high)


def as_json(series: list[list[Round]], more: dict[str, Any]) -> dict[str, Any]:
    """Everything measured; medians, and by how much the first one is quicker, are of the last series."""
    counts = sorted({one.associations for one in series[-1]})
    medians = {str(count): rates(series[-1], count) for count in counts}
    compared_to = {
        str(count): {name: asdict(one) for name, one in ratios(series[-1], count).items()} for count in counts
    }
    rounds = [asdict(one) for compared in series for one in compared]
    return {"rounds": rounds, "instances_per_second": medians, "times": compared_to, **more}


def big(bed: Bed, study: Study, scanner: Scanner) -> dict[str, float]:
    """One huge instance to a fresh edge: seconds, and the memory it added in bytes.

    That is what its process and each of its acceptors held at most beyond what they held before, summed.
    """
    bed.start_edge(fresh=True)
    try:
        added = memory.Rise(bed.processes.pids[EDGE])
        seconds = scanner.store([study.folder], bed.ports.dicom, AE_TITLE)
        until(lambda: bed.held() >= study.count, SETTLE_SECONDS)
        return {
            "bytes": study.size,
            "seconds": seconds,
            "added_bytes": added.now(),
            "held": bed.held(),
        }
    finally:
        bed.stop_edge()


@dataclass(frozen=True, slots=True)
class Filled:
    """Rates of one edge before and after its spool was filled, in instances a second.

    Attributes:
        held: instances in the spool at the end.
        empty: the study, into the empty spool.
        full: the study, into the full spool.
        pour_first: tiny instances, over the first tenth of the filling.
        pour_last: over the last tenth.
    """

    held: int
    empty: float
    full: float
    pour_first: float
    pour_last: float


@dataclass(frozen=True, slots=True)
class Indexed:
    """Rates of an edge whose index is empty, and of one whose index is not, in instances a second.

    Attributes:
        rows: instances in that index.
        size: its bytes on the disk, with those of storage commitment.
        empty: of the first, for every round.
        full: of the other, for every round.
    """

    rows: int
    size: int
    empty: tuple[float, ...]
    full: tuple[float, ...]


def indexed(
    bed: Bed, study: Study, rows: int, scanner: Scanner, rounds: int, told: Callable[[int], None]
) -> Indexed:
    """Send a study to a fresh edge, and to one that has sent `rows` instances before, in turns."""
    size = bed.fill_index(rows, told)
    rates: tuple[list[float], list[float]] = ([], [])
    for number in range(2 * rounds):
        full = number % 4 in (1, 2)  # A B B A: neither is always the first after a pause
        _begin(bed, indexed=full)
        try:
            os.sync()
            rates[full].append(study.count / scanner.store([study.folder], bed.ports.dicom, AE_TITLE))
            if not until(lambda: bed.held() >= study.count, SETTLE_SECONDS):
                raise Unavailable(f"the edge answered {study.count} instances and holds {bed.held()}")
        finally:
            bed.stop_edge()
    return Indexed(rows, size, tuple(rates[False]), tuple(rates[True]))


def fill(
    bed: Bed, study: Study, count: int, scanner: Scanner, rounds: int, told: Callable[[int], None]
) -> Filled:
    """Send a study to a fresh edge, fill its spool with `count` tiny instances, send the study again."""

    def rate() -> float:
        os.sync()
        return study.count / scanner.store([study.folder], bed.ports.dicom, AE_TITLE)

    _begin(bed)
    try:
        empty = statistics.median(rate() for _ in range(rounds))
        with scanner.link.inside(Side.HUB):
            tenths = pour(scanner.link.host(Side.EDGE), bed.ports.dicom, AE_TITLE, count, FILLERS, told)
        full = statistics.median(rate() for _ in range(rounds))
        wanted = count + 2 * rounds * study.count
        until(lambda: bed.held() >= wanted, SETTLE_SECONDS)
        last = tenths[-1] - tenths[-2]
        return Filled(bed.held(), empty, full, count / 10 / tenths[0], count / 10 / last)
    finally:
        bed.stop_edge()

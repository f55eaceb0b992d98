"""``telerad bench soak``: many small instances into one edge, with its rate and its memory over them.

Memory is that of all processes of the edge together (`memory.held`: the sum of their Pss, else VmRSS), as its
acceptors, its children, take what is sent.
"""

from __future__ import annotations

import argparse
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from gateway.bench import desk, memory, plot
from gateway.bench.bed import AE_TITLE, EDGE, Bed, until
from gateway.bench.desk import Desk
from gateway.bench.link import Loopback
from gateway.bench.pour import pour
from gateway.errors import UsageError

PAUSE = 0.5
"""Seconds between two looks at the edge's memory, of which each takes some ms."""
TENTHS = 10
SETTLE_SECONDS = 120.0
LEAST = 100


@dataclass(frozen=True, slots=True)
class Look:
    """One moment.

    Attributes:
        at: seconds since the first C-STORE.
        answered: instances answered so far.
        memory: bytes that all processes of the edge hold together.
    """

    at: float
    answered: int
    memory: int


@dataclass(frozen=True, slots=True)
class Tenth:
    """One tenth of the soak.

    Attributes:
        instances: answered at its end.
        rate: instances a second within it.
        memory: the most that all processes of the edge held together within it, in bytes.
    """

    instances: int
    rate: float
    memory: int


def fill(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``soak``."""
    summary = "many small instances into one edge, its hub away: rate and memory over them, plotted"
    parser = actions.add_parser("soak", help=summary, description=summary)
    parser.add_argument("--instances", type=int, default=20_000, metavar="N", help="sent in all (20000)")
    parser.add_argument("--associations", type=int, default=4, metavar="N", help="at the same time (4)")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw rate and memory into this SVG file")
    desk.add_options(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Measure and print. Returns 0, or 1 if an answered instance was not there."""
    count: int = options.instances
    if count < LEAST or options.associations < 1:
        raise UsageError(f"--instances takes {LEAST} and more, --associations 1 and more")
    bench = Desk(options)
    with bench.folder() as folder, ExitStack() as stack:
        bed = Bed(folder / "bed", Loopback())
        stack.callback(bed.close)
        machine = bench.machine()
        with bench.step("an enrolled edge; its hub is stopped again"):
            bed.prepare()
            bed.stop_hub()
            bed.start_edge(fresh=True)
        looks = _soak(bench, bed, count, options.associations)
        until(lambda: bed.held() >= count, SETTLE_SECONDS, pause=1.0)
        held = bed.held()
    tenths = by_tenths(looks, count)
    _print(bench, tenths, held)
    if options.plot:
        options.plot.parent.mkdir(parents=True, exist_ok=True)
        options.plot.write_text(drawn(looks), encoding="utf-8")
        bench.tell(f"plot: {options.plot}")
    rows = [{"instances": one.instances, "rate": one.rate, "memory": one.memory} for one in tenths]
    bench.answer({"machine": machine, "instances": count, "held": held, "tenths": rows})
    return 0 if held >= count else 1


def _soak(bench: Desk, bed: Bed, count: int, associations: int) -> list[Look]:
    """Send, and look meanwhile."""
    answered, lock = 0, threading.Lock()
    with (
        Progress(
            TextColumn("  {task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=bench.screen,
        ) as bar,
        _looking(bed.processes.pids[EDGE], lambda: answered) as looks,
    ):
        task = bar.add_task(f"{count} instances over {associations} association(s)", total=count)

        def told(more: int) -> None:
            nonlocal answered
            with lock:
                answered += more
                if answered % LEAST == 0 or answered == count:
                    bar.update(task, completed=answered)

        pour("127.0.0.1", bed.ports.dicom, AE_TITLE, count, associations, told)
    return looks


@contextmanager
def _looking(pid: int | None, answered: Callable[[], int]) -> Iterator[list[Look]]:
    looks: list[Look] = []
    ended, started = threading.Event(), time.monotonic()

    def look() -> None:
        looks.append(Look(time.monotonic() - started, answered(), memory.held(pid)))

    def loop() -> None:
        while not ended.wait(PAUSE):
            look()

    look()
    thread = threading.Thread(target=loop)
    thread.start()
    try:
        yield looks
    finally:
        ended.set()
        thread.join()
        look()


def by_tenths(looks: list[Look], count: int) -> list[Tenth]:
    """The rate and the most memory of each tenth of `count` instances."""
    found: list[Tenth] = []
    last = Look(0.0, 0, 0)
    for number in range(1, TENTHS + 1):
        part = [one for one in looks if last.answered < one.answered <= count * number / TENTHS]
        if not part:
            continue  # so quick that nobody looked
        seconds = part[-1].at - last.at
        rate = (part[-1].answered - last.answered) / seconds if seconds > 0 else 0.0
        found.append(Tenth(part[-1].answered, rate, max(one.memory for one in part)))
        last = part[-1]
    return found


def drawn(looks: list[Look]) -> str:
    """Rate and memory over the instances, as SVG."""
    held = [(float(one.answered), one.memory / 1e6) for one in looks]
    return plot.panels(
        f"{looks[-1].answered} instances into one edge, its hub away",
        "instances answered",
        [
            ("instances a second", _rates(looks, looks[-1].answered / 100)),
            ("memory of the edge's processes, MB", held),
        ],
    )


def _rates(looks: list[Look], least: float) -> list[tuple[float, float]]:
    """Instances a second, each over at least `least` instances."""
    points, last = [], looks[0]
    for one in looks[1:]:
        if one.answered - last.answered >= least and one.at > last.at:
            points.append((float(one.answered), (one.answered - last.answered) / (one.at - last.at)))
            last = one
    return points


def _print(bench: Desk, tenths: list[Tenth], held: int) -> None:
    table = Table(title=f"soak: {held} instances are there")
    for word in ("instances", "instances/s", "memory, MB"):
        table.add_column(word, justify="right")
    for one in tenths:
        table.add_row(f"{one.instances}", f"{one.rate:.0f}", f"{one.memory / 1e6:.0f}")
    bench.screen.print(table)
    if len(tenths) > 1:
        grown = tenths[-1].memory - tenths[0].memory
        part = tenths[-1].rate / tenths[0].rate
        words = f"the last tenth at {part:.0%} of the first one's rate, with {grown / 1e6:+.0f} MB of memory"
        bench.screen.print(words, highlight=False)

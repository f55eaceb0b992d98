"""``telerad bench ingest``: what it asks, does and prints."""

from __future__ import annotations

import argparse
import shutil
import statistics
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from gateway.bench import desk, ingest, senders, studies
from gateway.bench.bed import Bed
from gateway.bench.desk import Desk
from gateway.bench.ingest import Receiver, Round, Scanner
from gateway.bench.link import Link, Loopback, Shape, open_link
from gateway.errors import UsageError

SERIES = (400, 2000)
"""Instances sent: a study, a sixth of whose time is its senders' start and which a page cache swallows whole;
and so many that neither decides."""
GOALS = {1: ("Orthanc", 3.0), 4: ("dcmtk storescp", 1.0)}
"""Associations → the peer, and how many times its rate is the goal."""
ROUNDS = 9
"""Receivers are compared round by round. Rounds differ by half on a machine that is not alone in its house,
so that of five a median still says little."""
ON_DISK = "until all is on the disk"
WIRE_TRIP = 0.0002
"""Seconds of a round trip on the hospital's own network."""
BIG_GOAL = 64_000_000
"""Bytes of memory one huge instance may add."""


def fill(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``ingest``."""
    summary = "instances a second by C-STORE: this edge, dcmtk storescp, Orthanc"
    parser = actions.add_parser("ingest", help=summary, description=summary)
    parser.add_argument(
        "--instances",
        type=int,
        nargs="+",
        default=[*SERIES],
        metavar="N",
        help="CT instances sent, a table for each number ({} {})".format(*SERIES),
    )
    parser.add_argument("--study", type=Path, metavar="DIR", help="send the DICOM files below DIR instead")
    parser.add_argument(
        "--rounds", type=int, default=ROUNDS, metavar="N", help=f"rounds, A B B A; medians ({ROUNDS})"
    )
    parser.add_argument(
        "--associations", type=int, nargs="+", default=[1, 4], metavar="N", help="at the same time (1 4)"
    )
    parser.add_argument("--sender", choices=senders.SENDERS, help="the scanner (storescu if installed)")
    parser.add_argument("--only-edge", action="store_true", help="compare with nobody")
    parser.add_argument("--hold", type=int, default=0, metavar="N", help="also with N instances in the spool")
    parser.add_argument(
        "--indexed", type=int, default=0, metavar="N", help="also with N instances in the spool's index"
    )
    parser.add_argument(
        "--big", type=desk.size, default=0, metavar="BYTES", help="also one multi-frame instance, such as 2GB"
    )
    parser.add_argument(
        "--wire", type=desk.rate, metavar="RATE", help="scanners behind a link of it, such as '1 Gbit'"
    )
    parser.add_argument("--wan", type=Path, metavar="FILE", help="simulates it ($TELERAD_WAN, PATH)")
    desk.add_options(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Measure and print. Returns 0, or 1 if an answered instance was not there."""
    if (
        min(*options.instances, options.rounds, *options.associations) < 1
        or 0 < options.hold < 10
        or options.indexed < 0
    ):
        raise UsageError("--instances, --rounds and --associations take 1 and more, --hold 10 and more")
    bench = Desk(options)
    with bench.folder() as folder, ExitStack() as stack:
        return _Run(options, bench, folder, stack).all()


class _Run:
    def __init__(self, options: argparse.Namespace, bench: Desk, folder: Path, stack: ExitStack) -> None:
        self.options, self.bench, self.folder = options, bench, folder
        self.sender = senders.chosen(options.sender)
        link = self._link(stack)
        self.scanner = Scanner(self.sender, link)
        self.bed = Bed(folder / "bed", link)
        stack.callback(self.bed.close)

    def _link(self, stack: ExitStack) -> Link:
        """Raises UsageError: a wire is asked for, and none can be simulated here."""
        if self.options.wire is None:
            return Loopback()
        link, how = open_link(self.options.wan)
        stack.callback(link.close)
        if not link.shaped:
            raise UsageError(f"--wire needs a simulated link, and this would be {how}")
        link.shape(Shape(self.options.wire, WIRE_TRIP), "cubic")
        self.bench.tell(f"senders {how}, {self.options.wire / 1e6:.0f} Mbit/s")
        return link

    def all(self) -> int:
        self.bench.tell(
            f"sent by {self.sender}, {senders.PDU}-byte PDUs, TCP_NODELAY=1 for dcmtk and Orthanc"
        )
        machine = self.bench.machine()
        with self.bench.step("an enrolled edge; its hub is stopped again"):
            self.bed.prepare()
            self.bed.stop_hub()
        receivers = [ingest.edge_receiver(self.bed)]
        if not self.options.only_edge:
            found, missing = ingest.peer_receivers(self.scanner.link)
            receivers += found
            for words in missing:
                self.bench.tell(words)
        numbers: list[int] = [0] if self.options.study else self.options.instances
        series = [self._compare(receivers, number) for number in numbers]
        kept = self._kill()
        more: dict[str, Any] = {"machine": machine, "sender": self.sender, "held_after_kill": kept}
        if self.options.hold:
            filled = self._hold()
            more["hold"] = asdict(filled)
        if self.options.indexed:
            more["indexed"] = asdict(self._indexed())
        if self.options.big:
            more["big"] = self._big()
        for compared in series:
            self._print(receivers, compared, kept)
        self._more(more)
        self.bench.answer(ingest.as_json(series, more))
        lost = [one for compared in series for one in compared if one.held < one.sent]
        for one in lost:
            self.bench.tell(f"{one.receiver} answered {one.sent} and held {one.held}")
        return 1 if any(one.receiver == receivers[0].name for one in lost) or kept < self.study.count else 0

    def _compare(self, receivers: list[Receiver], instances: int) -> list[Round]:
        rounds = []
        for associations in self.options.associations:
            study = self._study(associations, instances)
            for number in range(self.options.rounds):
                for receiver in receivers[:: -1 if number % 2 else 1]:  # nobody is always the first
                    words = f"{associations} association(s), round {number + 1}: {receiver.name}"
                    with self.bench.step(words):
                        rounds.append(
                            ingest.measure(receiver, study, associations, self.scanner, self.folder / "peer")
                        )
                    last = rounds[-1]
                    self.bench.screen.print(
                        f"      {last.sent / last.seconds:.0f} instances/s", highlight=False
                    )
        return rounds

    def _study(self, associations: int, instances: int) -> studies.Study:
        with self.bench.step(f"study for {associations} association(s) made ready"):
            folder = self.folder / f"study{associations}"
            shutil.rmtree(folder, ignore_errors=True)  # of a number before
            if self.options.study:
                self.study = studies.spread(self.options.study, folder, associations)
            else:
                self.study = studies.ct(folder, instances, f"ingest-{associations}", parts=associations)
        return self.study

    def _kill(self) -> int:
        with self.bench.step("what is left after kill -9 of the edge"):
            return ingest.after_kill(self.bed, self.study, self.scanner)

    def _hold(self) -> ingest.Filled:
        count = self.options.hold
        with self._counting(f"a spool with {count} tiny instances", count) as told:
            return ingest.fill(self.bed, self.study, count, self.scanner, self.options.rounds, told)

    def _indexed(self) -> ingest.Indexed:
        count = self.options.indexed
        with self._counting(f"an index with {count} instances, beside an empty one", count) as told:
            return ingest.indexed(self.bed, self.study, count, self.scanner, self.options.rounds, told)

    @contextmanager
    def _counting(self, words: str, count: int) -> Iterator[Callable[[int], None]]:
        with Progress(
            TextColumn("  {task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=self.bench.screen,
        ) as bar:
            task = bar.add_task(words, total=count)
            yield lambda more: bar.advance(task, more)

    def _big(self) -> dict[str, float]:
        with self.bench.step(f"one instance of {self.options.big / 1e6:.0f} MB"):
            study = studies.big(self.folder / "big", self.options.big, "big")
            return ingest.big(self.bed, study, self.scanner)

    def _print(self, receivers: list[Receiver], rounds: list[Round], kept: int) -> None:
        size = self.study.size / self.study.count * rounds[0].sent
        table = Table(title=f"C-STORE of {rounds[0].sent} instances, {size / 1e6:.0f} MB")
        table.add_column("receiver")
        medians = {count: ingest.rates(rounds, count) for count in self.options.associations}
        settled = {count: ingest.rates(rounds, count, settled=True) for count in medians}
        for count in medians:
            table.add_column(f"instances/s, {count} assoc. (on disk)", justify="right")
        for word in ("peak MB", "there"):
            table.add_column(word, justify="right")
        table.add_column("an answer means")
        for receiver in receivers:
            own = [one for one in rounds if one.receiver == receiver.name]
            cells = [
                f"{medians[count][receiver.name]:.0f} ({settled[count][receiver.name]:.0f})"
                for count in medians
            ]
            there = f"{min(one.held for one in own)}/{own[0].sent}"
            words = receiver.durable
            if receiver is receivers[0]:
                words += f"; {kept}/{self.study.count} after kill -9"
            peak = statistics.median(one.resident for one in own) / 1e6
            table.add_row(receiver.name, *cells, f"{peak:.0f}", there, words)
        self.bench.screen.print(table)
        for count, by_name in medians.items():
            self._ratios(rounds, count, by_name[receivers[0].name])

    def _ratios(self, rounds: list[Round], count: int, rate: float) -> None:
        answered, on_disk = (ingest.ratios(rounds, count, settled=settled) for settled in (False, True))
        words = []
        if answered:
            shown = [f"{_spread(one)} ({_spread(on_disk[name])}) × {name}" for name, one in answered.items()]
            words.append(
                f"the edge at {', '.join(shown)} (medians of rounds and quartiles; in brackets: {ON_DISK})"
            )
        peer, goal = GOALS.get(count, ("", 0.0))
        if self.options.wire:
            share = rate * self.study.size / self.study.count * 8 / self.options.wire
            words.append(f"the wire filled to {share:.0%} by its images")
        elif peer in answered:
            reached = [_reached(found[peer].median >= goal) for found in (answered, on_disk)]
            words.append(f"goal {goal:g} × {peer}: {reached[0]}; {ON_DISK}: {reached[1]}")
        if words:
            self.bench.screen.print(f"{count} association(s): {'; '.join(words)}", highlight=False)

    def _more(self, found: dict[str, Any]) -> None:
        if hold := found.get("hold"):
            part = hold["full"] / hold["empty"]
            self.bench.screen.print(
                f"spool with {hold['held']} instances: {hold['full']:.0f} instances/s, {part:.0%} of an "
                f"empty one's {hold['empty']:.0f}; tiny ones meanwhile: {hold['pour_first']:.0f}/s at first, "
                f"{hold['pour_last']:.0f}/s at last",
                highlight=False,
            )
        if index := found.get("indexed"):
            empty, full = (statistics.median(index[word]) for word in ("empty", "full"))
            rounds = ", ".join(f"{a:.0f}/{b:.0f}" for a, b in zip(index["empty"], index["full"], strict=True))
            self.bench.screen.print(
                f"index with {index['rows']} instances ({index['size'] / 1e6:.0f} MB): "
                f"{full:.0f} instances/s, {full / empty:.0%} of an empty one's {empty:.0f} "
                f"(rounds, empty/full: {rounds})",
                highlight=False,
            )
        if big := found.get("big"):
            good = _reached(big["added_bytes"] < BIG_GOAL)
            self.bench.screen.print(
                f"one instance of {big['bytes'] / 1e6:.0f} MB: {big['seconds']:.1f} s, "
                f"{big['bytes'] / 1e6 / big['seconds']:.0f} MB/s, {big['added_bytes'] / 1e6:.0f} MB of "
                f"memory more; goal < 64 MB: {good}",
                highlight=False,
            )


def _spread(found: ingest.Spread) -> str:
    return f"{found.median:.2f} [{found.low:.2f}–{found.high:.2f}]"


def _reached(good: bool) -> str:
    return "[green]reached[/]" if good else "[red]not reached[/]"

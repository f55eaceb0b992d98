"""``telerad bench line``: what it asks, does and prints."""

from __future__ import annotations

import argparse
import secrets
import shutil
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from rich.box import SIMPLE
from rich.table import Table

from gateway.bench import desk, line, peers, plot, senders
from gateway.bench.bed import Bed
from gateway.bench.desk import Desk
from gateway.bench.figures import Figures
from gateway.bench.link import Link, open_link
from gateway.bench.scenarios import NAMES, SCENARIOS, Scenario
from gateway.errors import Unavailable, UsageError

OURS = "telerad"
LEGEND = """
used: payload by what the link could have carried; steady: the same in the middle of the transfer;
effective: original bytes by that; limit: the payload at the link's rate and a round trip; >: stopped then"""
PEER_LEAST = 20.0
"""Seconds a peer is given at least; else as many times ours as --peer-factor says."""


def fill(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``line``."""
    summary = "studies over a simulated wide-area link: this gateway, Orthanc"
    told = "\n".join(f"  {one.name:10} {one.words}{_goal(one)}" for one in SCENARIOS)
    parser = actions.add_parser(
        "line", help=summary, description=f"{summary}\n\nscenarios and their goals:\n{told}"
    )
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help=f"{', '.join(NAMES)} (all)")
    parser.add_argument("--wan", type=Path, metavar="FILE", help="the link simulator ($TELERAD_WAN, PATH)")
    parser.add_argument("--loopback", action="store_true", help="simulate no link")
    parser.add_argument("--study", type=Path, metavar="DIR", help="send the DICOM files below DIR instead")
    parser.add_argument("--instances", type=int, metavar="N", help="number of instances made")
    parser.add_argument("--rate", type=desk.rate, metavar="RATE", help="of the link, such as '2 Mbit'")
    parser.add_argument("--rtt", type=float, metavar="MS", help="round trip in milliseconds")
    parser.add_argument("--loss", type=float, metavar="PERCENT", help="packets lost each way")
    parser.add_argument("--queue", type=desk.size, metavar="BYTES", help="what the link queues (256 KiB)")
    parser.add_argument("--congestion", choices=("bbr", "cubic"), help="congestion control of TCP")
    parser.add_argument("--sender", choices=senders.SENDERS, help="the scanner (storescu if installed)")
    parser.add_argument("--timeout", type=float, default=300.0, metavar="S", help="for one scenario (300)")
    parser.add_argument("--no-peers", action="store_true", help="compare with nobody")
    parser.add_argument(
        "--peer-factor", type=float, default=2.0, metavar="N", help="stop a peer after N times our time (2)"
    )
    parser.add_argument(
        "--plots", type=Path, default=Path("bench-line"), metavar="DIR", help="for the SVG files (bench-line)"
    )
    desk.add_options(parser)
    parser.set_defaults(run=run)


def _goal(scenario: Scenario) -> str:
    return f"; {scenario.goal.words}" if scenario.goal else ""


def run(options: argparse.Namespace) -> int:
    """Measure, print, draw. Returns 0, or 1 if a study did not arrive whole within its time."""
    chosen = [_adjusted(one, options) for one in SCENARIOS if one.name in (options.scenarios or NAMES)]
    if unknown := [name for name in options.scenarios if name not in NAMES]:
        raise UsageError(f"no scenario {unknown[0]}; there are {', '.join(NAMES)}")
    bench = Desk(options)
    with bench.folder() as folder, ExitStack() as stack:
        link, how = open_link(options.wan, loopback=options.loopback)
        stack.callback(link.close)
        bench.tell(how)
        return _Run(options, bench, folder, link, stack).all(chosen, how)


def _adjusted(scenario: Scenario, options: argparse.Namespace) -> Scenario:
    shape = scenario.shape
    if options.rate is not None:
        shape = replace(shape, rate=float(options.rate))
    if options.rtt is not None:
        shape = replace(shape, rtt=options.rtt / 1000)
    if options.loss is not None:
        shape = replace(shape, loss=options.loss / 100)
    if options.queue is not None:
        shape = replace(shape, queue=options.queue)
    if shape.rate <= 0 or shape.rtt < 0 or not 0 <= shape.loss < 1:
        raise UsageError("--rate must be more than 0, --rtt not less, --loss from 0 to below 100")
    return replace(
        scenario,
        shape=shape,
        congestion=options.congestion or scenario.congestion,
        count=options.instances or scenario.count,
    )


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    scenario: Scenario
    who: str
    figures: Figures | None
    remark: str = ""


class _Run:
    def __init__(
        self, options: argparse.Namespace, bench: Desk, folder: Path, link: Link, stack: ExitStack
    ) -> None:
        self.options, self.bench, self.folder, self.link = options, bench, folder, link
        self.sender = senders.chosen(options.sender)
        self.bed = Bed(folder / "bed", link)
        self.rows: list[Row] = []
        self.run_name = secrets.token_hex(4)
        stack.callback(self.bed.close)

    def all(self, chosen: list[Scenario], how: str) -> int:
        machine = self.bench.machine()
        compare = not self.options.no_peers and peers.orthanc_installed()
        if not compare and not self.options.no_peers:
            self.bench.tell("Orthanc is not installed (on Debian: apt install orthanc); not compared")
        with self.bench.step("a hub, and an enrolled edge"):
            self.bed.prepare()
        for scenario in chosen:
            try:
                self._one(scenario, compare=compare)
            except (Unavailable, UsageError) as error:  # what is left in the spool would burden the next
                self.rows.append(Row(scenario, OURS, None, str(error)))
                break
            finally:  # also after Ctrl-C: what was measured is told
                self._table(scenario, [row for row in self.rows if row.scenario is scenario])
        self.bench.screen.print(LEGEND)
        results = [_plain(row) for row in self.rows]
        self.bench.answer({"how": how, "machine": machine, "sender": self.sender, "results": results})
        own = [row.figures for row in self.rows if row.who == OURS]
        return 0 if all(found is not None and found.finished for found in own) else 1

    def _one(self, scenario: Scenario, *, compare: bool) -> None:
        place = self.folder / scenario.name
        try:
            with self.bench.step(f"{scenario.name}: study made ready"):
                loads = line.made(scenario, place, self.options.study, self.run_name)
            with self.bench.step(f"{scenario.name}: {scenario.words}"):
                carried = line.carry(self.bed, scenario, loads, self.sender, self.options.timeout)
            self.rows.append(Row(scenario, OURS, carried.figures))
            self._draw(scenario, carried)
            for way in line.WAYS if compare else ():
                allowed = max(PEER_LEAST, carried.figures.seconds * self.options.peer_factor)
                with self.bench.step(f"{scenario.name}: Orthanc {way}, at most {allowed:.0f} s"):
                    self._peer(scenario, loads, way, allowed)
        finally:
            shutil.rmtree(place, ignore_errors=True)

    def _peer(self, scenario: Scenario, loads: line.Loads, way: str, allowed: float) -> None:
        folder = self.folder / "orthanc"
        try:
            found = line.carry_by_orthanc(self.link, folder, scenario, loads, self.sender, way, allowed)
        except Unavailable as error:
            self.rows.append(Row(scenario, f"Orthanc {way}", None, str(error)))
        else:
            self.rows.append(Row(scenario, f"Orthanc {way}", found))

    def _draw(self, scenario: Scenario, carried: line.Carried) -> None:
        shape = scenario.shape if self.link.shaped else None
        title = f"{scenario.name}: {scenario.words}"
        text = plot.draw(title, shape, carried.samples, carried.packed, carried.figures.coded)
        self.options.plots.mkdir(parents=True, exist_ok=True)
        file = self.options.plots / f"{scenario.name}.svg"
        file.write_text(text)
        self.bench.screen.print(f"      {file}", highlight=False)

    def _table(self, scenario: Scenario, rows: list[Row]) -> None:
        shape = scenario.shape
        words = f"{shape.rate / 1e6:g} Mbit/s, {shape.rtt * 1000:g} ms, {shape.loss:.0%} loss"
        title = f"{scenario.name}: {words if self.link.shaped else 'loopback'}, {scenario.congestion}"
        table = Table(title=title, title_justify="left", box=SIMPLE)
        table.add_column("", no_wrap=True, min_width=19)
        for name in (
            "MB",
            "on link",
            "seconds",
            "used",
            "steady",
            "effective",
            "× limit",
            "1st image",
            "STAT",
        ):
            table.add_column(name, justify="right", no_wrap=True)
        for row in rows:
            table.add_row(row.who, *(_cells(row.figures) if row.figures else ()))
        self.bench.screen.print(table)
        for row in rows:
            if row.remark:
                self.bench.tell(f"{row.who}: {row.remark}")
        own = next((row.figures for row in rows if row.who == OURS and row.figures), None)
        if own is not None:
            self.bench.screen.print(f"  goal: {_verdict(scenario, own)}", highlight=False)


def _cells(found: Figures) -> list[str]:
    return [
        f"{found.original / 1e6:.1f}",
        f"{found.wire / 1e6:.1f}" if found.wire else "–",
        f"{'' if found.finished else '> '}{found.seconds:.1f}",
        _percent(found.utilisation),
        _percent(found.steady),
        _percent(found.effective),
        _number(found.ratio),
        _number(found.first_image, " s"),
        _number(found.stat, " s"),
    ]


def _percent(part: float | None) -> str:
    return "–" if part is None else f"{part:.1%}"


def _number(value: float | None, unit: str = "") -> str:
    return "–" if value is None else f"{value:.2f}{unit}"


def _verdict(scenario: Scenario, found: Figures) -> str:
    if scenario.goal is None:
        return "none: the figure is shown"
    reached = scenario.goal.reached(found)
    mark = {None: "?", True: "[green]✓[/]", False: "[red]✗[/]"}[reached]
    return f"{mark} {scenario.goal.words}"


def _plain(row: Row) -> dict[str, object]:
    scenario = row.scenario
    goal = scenario.goal
    return {
        "scenario": scenario.name,
        "who": row.who,
        "link": asdict(scenario.shape),
        "congestion": scenario.congestion,
        "figures": None if row.figures is None else asdict(row.figures),
        "goal": None if goal is None else asdict(goal),
        "reached": goal.reached(row.figures) if goal and row.figures and row.who == OURS else None,
        "remark": row.remark,
    }

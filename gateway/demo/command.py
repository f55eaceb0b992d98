"""``telerad demo``: a hub, its edges and a study, for a first look or for proof."""

from __future__ import annotations

import argparse
import asyncio
import shutil
import signal
import time
import webbrowser
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

from pydicom import dcmwrite
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from gateway.demo import layout as laid
from gateway.demo import loop, modality, phantom, proof
from gateway.demo.hospital import Pacs, Ris
from gateway.demo.layout import Addresses, Layout
from gateway.demo.modality import Answer, Sample
from gateway.demo.portal import trusting
from gateway.demo.processes import Processes, answers
from gateway.errors import UsageError

DEFAULT_PORT_BASE = 18440


def fill(parser: argparse.ArgumentParser) -> None:
    """The whole loop on this machine: hub, edges, study, report and back."""
    parser.epilog = """examples:
  telerad demo                          start, send a phantom, open the portal; Ctrl-C ends it
  telerad demo --check --headless       drive the whole loop, print what was proven, exit 0 or 1
  telerad demo --study ~/ct             send your own files (folder of DICOM Part 10 files)
  telerad demo --prepare --dir /tmp/d   write everything, start nothing
"""
    parser.add_argument("--dir", type=Path, default=Path("demo-data"), help="folder to use (demo-data)")
    parser.add_argument("--sites", type=int, default=1, metavar="N", help="number of hospitals (1)")
    parser.add_argument("--study", type=Path, metavar="DIR", help="send the DICOM files below DIR instead")
    parser.add_argument("--check", action="store_true", help="drive the loop to a delivered report and exit")
    parser.add_argument("--prepare", action="store_true", help="write everything, start nothing")
    parser.add_argument("--no-study", action="store_true", help="send nothing")
    parser.add_argument("--headless", action="store_true", help="open no browser")
    parser.add_argument("--hub-host", default="127.0.0.1", help="address of the hub (127.0.0.1)")
    parser.add_argument("--edge-host", default="127.0.0.1", help="address of the edges (127.0.0.1)")
    parser.add_argument("--port-base", type=int, help=f"first port (first free from {DEFAULT_PORT_BASE})")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the demo. Returns 0, or 1 if a claim does not hold."""
    if not 1 <= options.sites <= 50:
        raise UsageError("--sites takes 1 to 50")
    if options.check and (options.prepare or options.no_study):
        raise UsageError("--check needs a study and running processes; leave out --prepare and --no-study")
    folder = options.dir.absolute()
    base = options.port_base or _remembered_base(folder)
    base = base or laid.free_base(options.hub_host, DEFAULT_PORT_BASE, options.sites)
    addresses = Addresses(options.hub_host, options.edge_host, base)
    demo = Demo(Layout(folder, laid.site_names(options.sites), addresses), options)
    # A shell starts a background job deaf to SIGINT; any of these stops hub and edges in order.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _end)
    return demo.run()


def _end(_: int, __: FrameType | None) -> None:
    raise KeyboardInterrupt


def _remembered_base(folder: Path) -> int | None:
    """The port base of the run before, so that a second run finds its own configuration."""
    file = folder / "port-base"
    return int(file.read_text()) if file.exists() else None


class Demo:
    """One run of the demo."""

    def __init__(self, layout: Layout, options: argparse.Namespace) -> None:
        self.layout, self.options = layout, options
        self.screen = Console()
        self.processes = Processes(layout.folder / "logs")
        self.passwords: dict[str, str] = {}
        self.token = ""

    def run(self) -> int:
        """Prepare, start, send, prove; stay if asked to."""
        with ExitStack() as stack:
            stack.callback(self.processes.stop)
            laid.expect_free(self.layout)
            self._prepare()
            if self.options.prepare:
                self.processes.stop()
                laid.describe(self.layout, self.passwords, self.token, {})
                self.screen.print(f"Prepared in {self.layout.folder}; see demo.json.")
                return 0
            self._start_edges(stack)
            laid.describe(self.layout, self.passwords, self.token, self.processes.pids)
            good = True if self.options.no_study else self._study()
            if self.options.check:
                return 0 if good else 1
            self._stay()
        return 0

    def _prepare(self) -> None:
        with self._step("certificates, configuration, accounts"):
            self.passwords = laid.write_hub(self.layout)
            (self.layout.folder / "port-base").write_text(str(self.layout.addresses.port_base))
            self.token = laid.bearer_token(self.layout)
        with self._step("hub started"):
            self.processes.start("hub", "hub", "run", "-c", self.layout.hub_config)
            context = trusting(self.layout.ca)
            url = f"{self.layout.addresses.hub_url}/healthz"
            self.processes.wait_for("hub", lambda: answers(url, context))
        for number, site in enumerate(self.layout.sites, start=1):
            with self._step(f"{site} enrolled by a one-time token"):
                laid.write_edge(self.layout, number, site, hospital=not self.options.prepare)
                laid.enrol(self.layout, site)

    def _start_edges(self, stack: ExitStack) -> None:
        host = self.layout.addresses.edge_host
        for number, site in enumerate(self.layout.sites, start=1):
            with self._step(f"{site} started"):
                ports = [self.layout.addresses.edge_port(number, offset) for offset in range(4)]
                stack.callback(Pacs(host, ports[2], self.layout.folder / site / "pacs").stop)
                stack.callback(Ris(host, ports[3], self.layout.folder / site / "ris").stop)
                self.processes.start(site, "edge", "run", "-c", self.layout.edge_config(site))
                console = f"http://{host}:{ports[1]}/healthz"
                self.processes.wait_for(site, lambda console=console: answers(console))  # type: ignore[misc]  # mypy cannot type a bound default

    def _study(self) -> bool:
        """Send to every site; with --check also read and prove. Returns whether all claims hold."""
        claims: list[proof.Claim] = []
        for number, site in enumerate(self.layout.sites, start=1):
            with self._step(f"{site} study made ready"):
                samples, main_study = self._samples(site)
            sent = self._send(number, site, samples)
            claims.append(proof.answered(sent, site))
            if self.options.check:
                taken = [answer.sample for answer in sent if answer.taken]
                claims += asyncio.run(self._prove(number, site, taken, main_study))
        if self.options.check:
            self._table(claims)
        return all(claim.holds for claim in claims)

    def _samples(self, site: str) -> tuple[list[Sample], str]:
        """What to send, and the study that will be read."""
        if self.options.study:
            files = sorted(path for path in self.options.study.rglob("*") if path.is_file())
        else:
            files = self._phantom_files(site) + modality.package_files()
        samples, passed_over = modality.read_samples(files)
        for reason in passed_over[:5] if self.options.study else ():
            self.screen.print(f"  [yellow]not sent:[/] {reason}")
        if not samples:
            raise UsageError("no DICOM Part 10 files to send")
        return samples, samples[0].study_uid

    def _phantom_files(self, site: str) -> list[Path]:
        run_name = f"{site}-{datetime.now(UTC):%Y%m%d%H%M%S}"
        folder = self.layout.folder / site / "modality" / run_name
        folder.mkdir(parents=True)
        files = []
        started = datetime.now(UTC)
        for index, dataset in enumerate(
            phantom.head_ct(started=started, run=run_name, patient_id=f"PHANTOM-{site}")
        ):
            file = folder / f"{index + 1:03d}.dcm"
            dcmwrite(file, dataset, enforce_file_format=True)
            files.append(file)
        return files

    def _send(self, number: int, site: str, samples: list[Sample]) -> list[Answer]:
        addresses = self.layout.addresses
        with Progress(
            TextColumn("  {task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=self.screen,
        ) as bar:
            task = bar.add_task(f"{site} C-STORE", total=len(samples))
            return modality.send(
                samples,
                addresses.edge_host,
                addresses.edge_port(number, 0),
                f"EDGE_{site}",
                lambda _: bar.advance(task),
            )

    async def _prove(self, number: int, site: str, samples: list[Sample], study: str) -> list[proof.Claim]:
        layout = self.layout
        console = f"http://{layout.addresses.edge_host}:{layout.addresses.edge_port(number, 1)}"
        told: Callable[[str], None] = lambda words: self.screen.print(f"  [green]✓[/] {site} {words}")  # noqa: E731
        claims = [
            await proof.same_bytes(layout, self.token, samples, site),
            await proof.nothing_waits(console, site),
            proof.no_patient_on_disk(layout, site, samples),
        ]
        told("every byte verified at the hub, every receipt at the edge")
        count = len({s.sop_instance_uid for s in samples if s.study_uid == study})
        reading = await loop.read_and_sign(layout, self.passwords, study, count, told)
        return [
            *claims,
            proof.assigned(reading),
            await proof.viewer_answers(layout, self.token, reading),
            proof.signature_holds(layout, reading.pdf, f"{site}: the report's signature holds"),
            proof.delivered(layout, site, reading),
            await asyncio.to_thread(proof.way_proven, layout, site, reading.case["study_uid"]),
        ]

    def _table(self, claims: list[proof.Claim]) -> None:
        table = Table("", "claim", "evidence", title="What was proven")
        for claim in claims:
            table.add_row("[green]✓[/]" if claim.holds else "[red]✗[/]", claim.claim, claim.evidence)
        self.screen.print(table)

    def _stay(self) -> None:
        table = Table("user", "password", "role", title=f"Portal: {self.layout.addresses.hub_url}")
        for person in laid.PEOPLE:
            table.add_row(person.name, self.passwords[person.name], person.role)
        self.screen.print(table)
        self.screen.print(
            "The portal's certificate comes from the demo's own authority; the browser will ask once.\n"
            f"For scripts: {self.layout.description}. "
            f"Logs: {self.layout.folder / 'logs'}. Ctrl-C ends the demo."
        )
        if not self.options.headless:
            webbrowser.open(self.layout.addresses.hub_url)
        try:
            while True:
                for name in self.processes.ended():
                    self._tell_end(name)
                time.sleep(0.5)
        except KeyboardInterrupt:
            self.screen.print("stopping …")

    def _tell_end(self, name: str) -> None:
        """A process may be stopped alone; the others go on."""
        what = f"hub run -c {self.layout.hub_config}"
        if name != "hub":
            what = f"edge run -c {self.layout.edge_config(name)}"
        self.screen.print(
            f"{name} has ended; the rest goes on. Its log ends:\n{self.processes.tail(name, 3)}"
        )
        self.screen.print(f"Start it again alone: telerad {what}", soft_wrap=True)

    @contextmanager
    def _step(self, words: str) -> Iterator[None]:
        started = time.monotonic()
        width = shutil.get_terminal_size().columns
        with self.screen.status(words[:width]):
            yield
        self.screen.print(f"  [green]✓[/] {words} [dim]({time.monotonic() - started:.1f} s)[/]")

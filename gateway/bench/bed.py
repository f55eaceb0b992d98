"""One hub and one edge as real processes on both sides of a link, in a folder of their own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway import durable
from gateway.bench.link import Link, Loopback, Side
from gateway.demo import layout as laid
from gateway.demo.portal import trusting
from gateway.demo.processes import Processes, answers
from gateway.errors import Unavailable

SITE = "B001"
AE_TITLE = "EDGE"
STAT_AE = "BENCH_STAT"
"""Calling AE title whose studies are STAT."""
FIRST_PORT = 19440
HUB, EDGE = "hub", "edge"


@dataclass(frozen=True, slots=True)
class Ports:
    """Where everything listens."""

    web: int
    line: int
    dicom: int
    console: int


class Bed:
    """Hub and edge. Use `prepare`, then `start_edge` as often as wanted, and `close`.

    Args:
        folder: to work in; made.
        link: what joins the sides.
    """

    def __init__(self, folder: Path, link: Link) -> None:
        self.folder, self.link = folder, link
        self.processes = Processes(folder / "logs")
        base = laid.free_base("127.0.0.1", FIRST_PORT, 1) if isinstance(link, Loopback) else FIRST_PORT
        self.ports = Ports(base, base + 1, base + 10, base + 11)
        self.token = ""
        self._edge, self._indexed = folder / "edge", folder / "indexed"

    @property
    def hub_url(self) -> str:
        """Portal, DICOMweb and enrolment."""
        return f"https://{self.link.host(Side.HUB)}:{self.ports.web}"

    @property
    def ca(self) -> Path:
        """The private root certificate."""
        return self.folder / "pki" / "root.pem"

    @property
    def edge_log(self) -> Path:
        """What the edge logs, as JSON lines."""
        return self.processes.logs / f"{EDGE}.log"

    def prepare(self) -> None:
        """Certificates and configuration, a running hub, an enrolled edge that is not started yet."""
        durable.make_folder(self.folder)
        laid.telerad("certs", "init", "--dir", self.folder / "pki", "--organisation", "Telerad bench")
        durable.create(self.folder / "rules.yaml", laid.RULES.encode(), mode=0o644)
        durable.create(self.folder / "hub.yaml", self._hub_yaml().encode(), mode=0o644)
        self.start_hub()
        self.token = json.loads(
            laid.telerad(
                "hub", "bearer", "create", "-c", self.folder / "hub.yaml", "--name", "bench", "--json"
            )
        )["token"]
        words = ("hub", "token", "create", "-c", self.folder / "hub.yaml", "--site", SITE, "--json")
        invitation = json.loads(laid.telerad(*words))
        self._write_edge("bbr")
        with self.link.inside(Side.EDGE):
            hub = ("--hub", self.hub_url, "--token", invitation["token"], "--pin", invitation["pin"])
            laid.telerad("edge", "enroll", "-c", self._edge / "edge.yaml", *hub)
        shutil.copytree(self._edge / "data" / "identity", self.folder / "identity")

    def start_hub(self) -> None:
        """Start the hub and wait until it answers."""
        with self.link.inside(Side.HUB):
            self.processes.start(HUB, "hub", "run", "-c", self.folder / "hub.yaml")
            context = trusting(self.ca)
            self.processes.wait_for(HUB, lambda: answers(f"{self.hub_url}/healthz", context))

    def stop_hub(self) -> None:
        """Stop the hub: the edge keeps what it takes."""
        self.processes.stop(HUB)

    def fill_index(self, count: int, told: Callable[[int], None]) -> int:
        """Make ready what `start_edge` takes as `indexed`: rows of `count` instances that were sent before.

        Returns:
            Their bytes on the disk.
        """
        durable.make_folder(self._indexed)
        command = [sys.executable, "-P", "-m", "edge.filling", str(self._indexed), str(count)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as filling:
            for line in filling.stdout or ():
                told(int(line))
        if filling.returncode:
            raise Unavailable("the index could not be filled")
        return sum(file.stat().st_size for file in self._indexed.rglob("*") if file.is_file())

    def start_edge(self, congestion: str = "bbr", *, fresh: bool = False, indexed: bool = False) -> None:
        """Start the edge and wait until it answers.

        Args:
            congestion: what the edge asks TCP for: ``bbr``, or ``default``, the kernel's own.
            fresh: with an empty spool, as just enrolled; else with what it had.
            indexed: where that is fresh, with the rows of `fill_index`.
        """
        if fresh:
            shutil.rmtree(self._edge, ignore_errors=True)
            durable.make_folder(self._edge / "data")
            shutil.copytree(self.folder / "identity", self._edge / "data" / "identity")
            if indexed:
                shutil.copytree(self._indexed, self._edge / "data", dirs_exist_ok=True)
        self._write_edge(congestion)
        with self.link.inside(Side.EDGE):
            self.processes.start(EDGE, "edge", "run", "-c", self._edge / "edge.yaml")
            self.processes.wait_for(EDGE, lambda: answers(f"{self._console}/healthz"))

    def stop_edge(self) -> None:
        """Ask the edge to end."""
        self.processes.stop(EDGE)

    def kill_edge(self) -> None:
        """End the edge as a power cut would end its process: SIGKILL to all of it."""
        pid = self.processes.pids[EDGE]
        if pid is not None:
            os.killpg(pid, signal.SIGKILL)  # each process has its own session (`Processes.start`)
        self.processes.stop(EDGE)

    def status(self) -> dict[str, Any]:
        """The edge's ``/status.json``.

        Raises:
            Unavailable: it does not answer.
        """
        told: dict[str, Any] = json.loads(self._get("/status.json"))
        return told

    def metrics(self) -> str:
        """The edge's ``/metrics``.

        Raises:
            Unavailable: it does not answer.
        """
        return self._get("/metrics").decode()

    def gauge(self, name: str) -> float:
        """One of `metrics` that has no labels. Raises Unavailable: it is not told."""
        for line in self.metrics().splitlines():
            word, _, value = line.partition(" ")
            if word == name:
                return float(value)
        raise Unavailable(f"the edge does not tell {name}")

    def _get(self, path: str) -> bytes:
        try:
            with (
                self.link.inside(Side.EDGE),
                urllib.request.urlopen(self._console + path, timeout=30) as response,  # noqa: S310  # our own address
            ):
                return bytes(response.read())
        except OSError as error:
            raise Unavailable(f"the edge's console does not answer: {error}") from error

    def held(self) -> int:
        """Instances that the edge is answerable for: waiting, or confirmed by the hub."""
        told = self.status()
        return int(told["waiting_instances"]) + int(told["confirmed_instances"])

    def close(self) -> None:
        """Stop both."""
        self.processes.stop()

    @property
    def _console(self) -> str:
        return f"http://{self.link.host(Side.EDGE)}:{self.ports.console}"

    def _hub_yaml(self) -> str:
        host, ports = self.link.host(Side.HUB), self.ports
        return f"""\
name: bench
data: hub
pki: pki
rules: rules.yaml
web: {{host: {host}, port: {ports.web}, url: "https://{host}:{ports.web}"}}
line: {{host: {host}, port: {ports.line}, url: "https://{host}:{ports.line}"}}
storage: {{reserve: 500 MB}}
settle: {{after_association: 2s, quiet: 20s}}
"""

    def _write_edge(self, congestion: str) -> None:
        host, ports = self.link.host(Side.EDGE), self.ports
        uplink = "" if congestion == "bbr" else f"uplink: {{congestion: {congestion}}}\n"
        text = f"""\
data: data
ingest:
  host: {host}
  port: {ports.dicom}
  ae_title: {AE_TITLE}
  open: true
  senders: [{{ae_title: {STAT_AE}, priority: stat}}]
spool: {{reserve: 500 MB}}
console: {{host: {host}, port: {ports.console}}}
destinations:
  - {{name: reports folder, kind: folder, path: reports}}
{uplink}"""
        durable.make_folder(self._edge)
        durable.replace(self._edge / "edge.yaml", text.encode())


def until(wanted: Callable[[], bool], seconds: float, pause: float = 0.1) -> bool:
    """Ask until `wanted`; False if that has not come within `seconds`."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if wanted():
            return True
        time.sleep(pause)
    return wanted()

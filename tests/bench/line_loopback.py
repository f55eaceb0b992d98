"""How fast small instances go from an edge to a hub on this machine: ``python -m tests.bench.line_loopback``.

Edge and hub are two processes, joined by real TLS on loopback; every instance is durable at each step,
as in a hospital. Taking in and carrying are timed apart: the line is closed while instances come in,
as after a night without it. Prints instances a second, and milliseconds of CPU an instance at each end.
What a whole study takes over a real link is measured by ``telerad bench line``.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import tempfile
import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import numpy as np

from certs.authority import Authority
from edge.enroll import Invitation, enroll
from gateway import log
from gateway.clock import SystemClock
from gateway.database import open_database
from gateway.errors import Unavailable
from gateway.model import SiteId
from gateway.trust import spki_pin
from hub.fleet import tokens
from hub.tables import VERSION, metadata
from tests.doubles.edges import Edge
from tests.doubles.instances import ct, encode
from tests.faults import processes
from tests.faults.test_kill import free_ports

CLOCK = SystemClock()
LOADS = ((600, 173), (400, 512))
"""How many images, and the rows and columns of each: 60 KB and 525 KB."""


@dataclass(frozen=True)
class Measured:
    """One load, carried."""

    count: int
    size: int
    taking: float
    carrying: float
    edge_cpu: float
    hub_cpu: float
    parcels: int

    def row(self) -> str:
        """One line of the table."""
        edge, hub = (1000 * seconds / self.count for seconds in (self.edge_cpu, self.hub_cpu))
        return (
            f"{self.count:5} x {self.size / 1000:4.0f} KB {self.parcels:7} {self.count / self.taking:12.0f}"
            f" {self.count / self.carrying:12.0f} {edge:12.1f} {hub:11.1f}"
        )


def images(count: int, side: int) -> list[bytes]:
    """A CT series with its noise: what a codec meets in a hospital."""
    random = np.random.default_rng(count)
    made = []
    for number in range(count):
        image = ct(number, size=side)
        image.PixelData = random.normal(1000, 12, side * side).astype("<u2").tobytes()
        made.append(encode(image))
    return made


def cpu_of(pid: int) -> float:
    """Seconds of CPU a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def _invited(folder: Path, web: int, line: int) -> Invitation:
    authority = Authority.create(folder / "pki", CLOCK)
    config = processes.hub_config(folder, web, line)
    database = await open_database(config.database_url, metadata, version=VERSION)
    async with database.writing() as connection:
        token = await tokens.create(
            connection, SiteId("H001"), "1", CLOCK.now(), timedelta(hours=1), os.urandom(32)
        )
    await database.close()
    return Invitation(config.web.url, token, spki_pin(authority.root))


async def _joined(invitation: Invitation, folder: Path) -> Edge:
    while True:
        try:
            return Edge(await enroll(invitation, folder, CLOCK), folder)
        except Unavailable:
            await asyncio.sleep(0.1)


async def measure(edge: Edge, hub: int, sent: list[bytes]) -> Measured:
    """Take these in with the line closed, then open it and wait until all is confirmed."""
    started, cpu = time.perf_counter(), time.process_time()
    edge.start(line=False)
    for number, data in enumerate(sent):
        await asyncio.to_thread(edge.receive, number, data)
    taken, hub_before = time.perf_counter(), cpu_of(hub)
    edge.open_line()
    await edge.emptied(600)
    carried = time.perf_counter()
    measured = Measured(
        len(sent),
        len(sent[0]),
        taken - started,
        carried - taken,
        time.process_time() - cpu,
        cpu_of(hub) - hub_before,
        len(list(edge.spool.files.receipts.rglob("*.receipt"))),
    )
    await edge.stop()
    return measured


async def main(loads: tuple[tuple[int, int], ...]) -> None:
    """Measure and print."""
    log.configure(level="error")
    print(
        f"{'load':15} {'parcels':>7} {'taken in /s':>12} {'carried /s':>12} {'edge CPU ms':>12} {'hub CPU ms':>11}"
    )
    for count, side in loads:
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            web, line = free_ports(2)
            invitation = await _invited(folder, web, line)
            spawn = multiprocessing.get_context("forkserver")
            hub = spawn.Process(target=processes.hub_main, args=(place, web, line))
            hub.start()
            try:
                edge = await _joined(invitation, folder / "edge")
                print((await measure(edge, hub.pid or 0, images(count, side))).row(), flush=True)
            finally:
                hub.kill()
                hub.join()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="of the number of images (default 1)")
    scale = parser.parse_args().scale
    asyncio.run(main(tuple((max(1, int(count * scale)), side) for count, side in LOADS)))

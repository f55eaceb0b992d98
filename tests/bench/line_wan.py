"""How much of a simulated long line the uplink fills: ``sudo python -m tests.bench.line_wan --wan PATH/TO/wan``.

Edge and hub are two processes in two network namespaces, joined by real TCP over the simulator given by
``--wan``; every instance is durable at each step. The load does not compress, so sealed bytes are payload.
Prints the share of the line's rate that was payload, over the whole time and from the fifth second on,
and with ``--stat`` when an urgent instance arrived that came in the middle.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from certs.authority import Authority
from edge.config import Uplink as Settings
from edge.enroll import Invitation, enroll
from edge.spool.states import State
from gateway import log, sockets
from gateway.clock import SystemClock
from gateway.config import Seconds
from gateway.database import open_database
from gateway.errors import Unavailable
from gateway.model import Priority, SiteId
from gateway.trust import spki_pin
from hub.fleet import tokens
from hub.tables import VERSION, metadata
from tests.doubles.edges import Edge
from tests.faults.processes import hub_config, serve_hub

CLOCK = SystemClock()
HUB, PORTS = "10.77.0.2", (8443, 8444)


async def _invited(folder: Path) -> Invitation:
    authority = Authority.create(folder / "pki", CLOCK)
    config = hub_config(folder, *PORTS, HUB)
    database = await open_database(config.database_url, metadata, version=VERSION)
    async with database.writing() as connection:
        token = await tokens.create(
            connection, SiteId("H001"), "1", CLOCK.now(), timedelta(hours=1), os.urandom(32)
        )
    await database.close()
    return Invitation(config.web.url, token, spki_pin(authority.root))


async def _carry(
    folder: Path, count: int, size: int, streams: int, stat: float, warm: float, trace: bool
) -> dict[str, object]:
    told = json.loads((folder / "invitation").read_text())
    while True:
        try:
            edge = Edge(await enroll(Invitation(**told), folder / "edge", CLOCK), folder / "edge")
            break
        except Unavailable:
            await asyncio.sleep(0.2)
    settings = Settings(streams=streams, retry_first=Seconds(1), retry_cap=Seconds(5))
    edge.start(line=False, settings=settings)
    block = os.urandom(size)
    for number in range(count):
        data = number.to_bytes(8, "big") + os.urandom(64) + block[72:]
        await asyncio.to_thread(edge.receive, number, data)
    while edge.spool.to_pack(1) and edge.spool.ahead(Priority.ROUTINE) < 8:  # noqa: ASYNC110  # what is packed rings no bell of ours
        await asyncio.sleep(0.1)
    began = time.monotonic()
    edge.open_line()
    marks: list[tuple[float, int]] = []
    urgent: dict[str, float] = {}
    came = None
    while True:  # what is packed rings no bell of ours
        await asyncio.sleep(0.05)
        for task in edge.tasks:
            if task.done():
                task.result()
        now = time.monotonic() - began
        if stat and now > stat and came is None:
            item = await asyncio.to_thread(edge.receive, 999_999, os.urandom(60_000), Priority.STAT)
            came = time.monotonic()
        if came is not None and not urgent:
            found = await edge.spool.item(item.parcel_id)
            if found is not None and found.state in (State.CONFIRMED, State.PURGED):
                urgent["stat_seconds"] = round(time.monotonic() - came, 2)
        status = await edge.spool.status(edge.uplink.link)
        done = status.load(State.PURGED, State.CONFIRMED)
        marks.append((now, edge.uplink._flow.carried))
        if set(status.states) <= {State.PURGED, State.CONFIRMED}:
            break
    took, total = marks[-1][0], done.size
    busy = [mark for mark in marks if mark[1] < 0.98 * total]  # the tail is latency, not rate
    early = next((mark for mark in busy if mark[0] >= min(warm, took / 2)), busy[-1])
    last = busy[-1]
    link = edge.uplink.link
    await edge.stop()
    late = (last[1] - early[1]) / max(0.01, last[0] - early[0])
    if trace:
        for second in range(int(took)):
            at = [next((m[1] for m in marks if m[0] >= second + i), total) for i in (0, 1)]
            print(f"{second} {8 * (at[1] - at[0]) / 1e6:.2f}", file=sys.stderr)
    times = os.times()
    return {
        "seconds": round(took, 2),
        "bytes": total,
        "rate": round(8 * total / took),
        "late_rate": round(8 * late),
        "told_rate": round(8 * link.rate),
        "round_trip": getattr(link, "round_trip", None),
        "congestion": getattr(link, "congestion", None),
        "streams": getattr(link, "streams", None),
        "edge_cpu": round(times.user + times.system, 1),
    } | urgent


def _main(parsed: argparse.Namespace) -> None:
    log.configure(level="warning")
    folder = parsed.folder
    sockets.CONGESTION = parsed.congestion.encode()
    if parsed.part == "hub":
        asyncio.run(serve_hub(hub_config(folder, *PORTS, HUB), *PORTS, HUB))
    elif parsed.part == "edge":
        found = asyncio.run(
            _carry(folder, parsed.count, parsed.size, parsed.streams, parsed.stat, parsed.warm, parsed.trace)
        )
        print(json.dumps(found), flush=True)
    else:
        with tempfile.TemporaryDirectory(dir=parsed.folder) as place:
            _measure(parsed, Path(place))


def _wan(parsed: argparse.Namespace, *words: str) -> list[str]:
    return [parsed.wan, "--name", parsed.name, *words]


def _measure(parsed: argparse.Namespace, place: Path) -> None:
    invitation = asyncio.run(_invited(place))
    told = {"hub": invitation.hub, "token": invitation.token, "pin": invitation.pin}
    (place / "invitation").write_text(json.dumps(told))
    line = ["--rate", parsed.rate, "--delay", f"{parsed.round_trip / 2}ms", "--loss", parsed.loss]
    line += ["--queue", parsed.queue]
    subprocess.run(_wan(parsed, "up", *line), check=True, stdout=subprocess.DEVNULL)
    try:
        again = [sys.executable, "-m", "tests.bench.line_wan", "--folder", str(place)]
        again += ["--count", str(parsed.count), "--size", str(parsed.size), "--streams", str(parsed.streams)]
        again += ["--warm", str(parsed.warm), *(["--trace"] if parsed.trace else [])]
        again += ["--stat", str(parsed.stat), "--congestion", parsed.congestion]
        hub = subprocess.Popen(_wan(parsed, "run", "b", "--", *again, "--part", "hub"))
        try:
            command = _wan(parsed, "run", "a", "--", *again, "--part", "edge")
            answer = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
        finally:
            hub.kill()
            hub.wait()
        found = json.loads(answer)
        limit = _bits(parsed.rate)
        carried = json.loads(subprocess.run(_wan(parsed, "stat"), check=True, stdout=subprocess.PIPE).stdout)
        found["line"] = f"{parsed.rate} {parsed.round_trip} ms {parsed.loss} {parsed.congestion}"
        found["used"] = f"{100 * found['rate'] / limit:.1f} %"
        found["late"] = f"{100 * found['late_rate'] / limit:.1f} %"
        found["sent_over_payload"] = round(carried["a_to_b"]["bytes"] / found["bytes"], 3)
        print(json.dumps(found), flush=True)
    finally:
        subprocess.run(_wan(parsed, "down"), check=False)


def _bits(text: str) -> float:
    for unit, factor in (("gbit", 1e9), ("mbit", 1e6), ("kbit", 1e3)):
        if text.endswith(unit):
            return float(text.removesuffix(unit)) * factor
    return float(text)


def main(words: Sequence[str] | None = None) -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--wan", default="wan", help="the simulator's program")
    parser.add_argument("--name", default="uplk", help="of the simulated line")
    parser.add_argument("--rate", default="20mbit")
    parser.add_argument("--round-trip", type=float, default=100, help="milliseconds")
    parser.add_argument("--loss", default="0%")
    parser.add_argument("--queue", default="256k")
    parser.add_argument("--congestion", default="bbr", help="bbr or cubic")
    parser.add_argument("--count", type=int, default=50)
    parser.add_argument("--size", type=int, default=1 << 20)
    parser.add_argument("--streams", type=int, default=Settings().streams)
    parser.add_argument("--stat", type=float, default=0, help="an urgent one comes after so many seconds")
    parser.add_argument("--warm", type=float, default=5, help="seconds that the late rate leaves out")
    parser.add_argument("--trace", action="store_true", help="print Mbit/s of every second")
    parser.add_argument("--folder", type=Path, default=Path("/tmp"))
    parser.add_argument("--part", choices=("all", "hub", "edge"), default="all", help=argparse.SUPPRESS)
    _main(parser.parse_args(words))


if __name__ == "__main__":
    main()

"""kill -9 of the spool, the line and the intake at random moments: nothing lost, nothing doubled.

A feeder plays the modality: it sends an instance again until it is answered. Whatever was answered
must be at the hub, byte for byte and once, when all is quiet; and every parcel stored once.
The line alone, with fast restarts: more deaths in the middle of it than `test_kill_real` sees.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import multiprocessing
import os
import random
import socket
import threading
import time
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select

from certs.authority import Authority
from edge.enroll import Invitation, enroll
from gateway.clock import SystemClock
from gateway.database import open_database, sqlite_url
from gateway.errors import Unavailable
from gateway.model import SiteId
from gateway.trust import spki_pin
from hub.archive.store import BlobStore
from hub.fleet import tokens
from hub.tables import VERSION, metadata
from hub.tables.arrival import arrivals, quarantine
from hub.tables.custody import custody
from hub.tables.study import instances
from tests.doubles.ports import free_ports
from tests.faults import processes

ROUNDS = int(os.environ.get("TELERAD_KILL_ROUNDS", "20"))
CLOCK = SystemClock()
SPAWN = multiprocessing.get_context(
    "forkserver"
)  # imports once: a start takes a moment, as a real one would not
SPAWN.set_forkserver_preload(["tests.faults.processes"])


class Site:
    """One hub and one edge, and the modality."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.web, self.line, self.edge = free_ports(3)
        self.running: dict[str, multiprocessing.process.BaseProcess] = {}
        self.answered: dict[str, int] = {}
        self.stop = threading.Event()
        self.feeder = threading.Thread(target=self.feed)

    async def token(self) -> Invitation:
        authority = Authority.create(self.folder / "pki", CLOCK)
        config = processes.hub_config(self.folder, self.web, self.line)
        database = await open_database(config.database_url, metadata, version=VERSION)
        async with database.writing() as connection:
            now, life = CLOCK.now(), timedelta(hours=1)
            token = await tokens.create(
                connection, SiteId("H001"), "1", now, life, os.urandom(tokens.TOKEN_BYTES)
            )
        await database.close()
        return Invitation(config.web.url, token, spki_pin(authority.root))

    def start(self, name: str) -> None:
        target = {"hub": processes.hub_main, "edge": processes.edge_main}[name]
        ports = (self.web, self.line) if name == "hub" else (self.edge,)
        process = SPAWN.Process(target=target, args=(str(self.folder), *ports))
        process.start()
        self.running[name] = process

    def kill(self, name: str) -> None:
        process = self.running.pop(name)
        assert process.is_alive(), f"the {name} ended by itself: exit code {process.exitcode}"
        process.kill()
        process.join()

    def feed(self) -> None:
        """One instance after another, each until it is answered."""
        chance = random.Random(7)
        number = 0
        while not self.stop.is_set():
            number += 1
            size = chance.choice((200, 5_000, 60_000, 60_000, 300_000, 3_000_000))
            data = chance.randbytes(size)
            while not self.stop.is_set() and not self.store(number, data):
                time.sleep(0.02)
            time.sleep(0.01)

    def store(self, number: int, data: bytes) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.edge), timeout=10) as line:
                line.sendall(json.dumps({"number": number, "size": len(data)}).encode() + b"\n" + data)
                answered = line.makefile("rb").readline() == b"0000\n"
        except OSError:
            return False
        if answered:
            self.answered[hashlib.sha256(data).hexdigest()] = len(data)
        return answered

    def status(self) -> dict:
        try:
            with socket.create_connection(("127.0.0.1", self.edge), timeout=10) as line:
                line.sendall(b"{}\n")
                return json.loads(line.makefile("rb").readline() or b'{"waiting": -1, "held": []}')
        except OSError:
            return {"waiting": -1, "held": []}

    def quiet(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while (status := self.status())["waiting"] != 0:
            assert time.monotonic() < end, status
            assert not status["held"]
            time.sleep(0.1)


@pytest.fixture
def site(tmp_path: Path):
    site = Site(tmp_path)
    invitation = asyncio.run(site.token())
    site.start("hub")

    async def join() -> None:
        for _ in range(300):
            try:
                await enroll(invitation, tmp_path / "edge", CLOCK)
            except Unavailable:
                await asyncio.sleep(0.1)
            else:
                return

    asyncio.run(join())
    site.start("edge")
    yield site
    site.stop.set()
    site.feeder.join()
    for name in list(site.running):
        site.running[name].kill()
        site.running[name].join()


async def look(folder: Path) -> dict[str, object]:
    database = await open_database(sqlite_url(folder / "hub/hub.db"), metadata, version=VERSION)
    async with database.reading() as connection:
        found = {
            "instances": [r[0] for r in await connection.execute(select(instances.c.sha256))],
            "states": {r[0] for r in await connection.execute(select(arrivals.c.state))},
            "parcels": (await connection.execute(select(func.count()).select_from(arrivals))).scalar_one(),
            "stored": [
                r[0]
                for r in await connection.execute(
                    select(custody.c.subject).where(custody.c.event == "parcel-stored")
                )
            ],
            "quarantined": (
                await connection.execute(select(func.count()).select_from(quarantine))
            ).scalar_one(),
        }
    await database.close()
    return found


@pytest.mark.slow
def test_nothing_is_lost_and_nothing_doubled(site: Site) -> None:
    chance = random.Random()
    site.feeder.start()
    busy = 0
    for _ in range(ROUNDS):
        time.sleep(chance.uniform(0.0, 1.0))
        busy += site.status()["waiting"] > 0
        victims = chance.choice((["hub"], ["edge"], ["hub", "edge"]))
        for victim in victims:
            site.kill(victim)
        time.sleep(chance.choice((0.0, 0.0, 0.3)))
        for victim in victims:
            site.start(victim)
    site.stop.set()
    site.feeder.join()
    site.quiet(120)
    site.kill("edge")
    site.kill("hub")
    found = asyncio.run(look(site.folder))
    print(f"{ROUNDS} rounds ({busy} with work under way), {len(site.answered)} instances answered,"
          f" {found['parcels']} parcels")  # fmt: skip
    assert len(site.answered) >= ROUNDS
    assert busy > ROUNDS / 4
    assert len(found["instances"]) == len(set(found["instances"]))
    assert set(site.answered) <= set(found["instances"])
    assert found["states"] == {"indexed"}
    assert found["quarantined"] == 0
    assert len(found["stored"]) == len(set(found["stored"])) == found["parcels"]
    store = BlobStore(site.folder / "hub/blobs")
    for digest, size in site.answered.items():
        data = store.read(digest, 0, size + 1)
        assert len(data) == size
        assert hashlib.sha256(data).hexdigest() == digest
    assert not list((site.folder / "edge/spool").glob("*.tge"))

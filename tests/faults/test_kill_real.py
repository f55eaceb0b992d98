"""kill -9 of ``telerad hub run`` and ``telerad edge run`` at random moments: nothing lost, nothing doubled.

A modality sends C-STORE after C-STORE over real associations and, like a modality, sends again what was
not answered. A reader signs a few studies meanwhile. Whatever was answered 0x0000 must be at the hub,
byte for byte and once, and every report in the hospital's folder once, when all is quiet.
"""

from __future__ import annotations

import asyncio
import gc
import hashlib
import json
import logging
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, closing, suppress
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset, dcmwrite
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from gateway.custody.chain import Link, examine
from gateway.demo import loop, modality
from gateway.demo.phantom import derived_uid
from gateway.demo.portal import Portal, trusting
from gateway.demo.processes import answers
from gateway.envelope.layout import Header
from gateway.envelope.seal import header_digest
from gateway.envelope.signature import Statement
from gateway.errors import Unavailable
from tests.journeys.conftest import environment

ROUNDS = int(os.environ.get("TELERAD_KILL_ROUNDS", "50"))
SITE = "H001"
REPORTS = 3
BATCH = 6  # instances of one association
QUIET_SECONDS = 90


class Loop:
    """A hub, an edge, a modality and a reader."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        address = f"127.{random.randrange(1, 250)}.{random.randrange(250)}.{random.randrange(1, 250)}"
        prepare = ["demo", "--prepare", "--dir", str(folder), "--hub-host", address, "--edge-host", address]
        subprocess.run(self._command(*prepare), check=True, env=environment(), stdout=subprocess.DEVNULL)
        described = json.loads((folder / "demo.json").read_text())
        self.hub, self.edge, self.users = described["hub"], described["edges"][0], described["users"]
        self.tls = trusting(Path(self.hub["ca"]))
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.answered: dict[str, modality.Sample] = {}  # by digest
        self.refused: list[modality.Answer] = []
        self.broken = 0  # associations
        self.stop = threading.Event()
        self.round = 0
        self.reports: dict[str, dict[str, Any]] = {}  # by study
        self.desks: dict[str, Portal] = {}  # by user
        self.failure: BaseException | None = None

    @staticmethod
    def _command(*words: str) -> list[str]:
        return [sys.executable, "-m", "gateway.cli", *words]

    def telerad(self, *words: str) -> str:
        done = subprocess.run(
            self._command(*words), env=environment(), capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def start(self, name: str) -> None:
        config = {"hub": self.hub, "edge": self.edge}[name]["config"]
        with (self.folder / f"{name}.log").open("ab") as log:
            self.running[name] = subprocess.Popen(
                self._command(name, "run", "-c", config), stdout=log, stderr=log, env=environment()
            )

    def kill(self, name: str) -> None:
        process = self.running.pop(name)
        assert process.poll() is None, f"the {name} ended by itself: {process.returncode}\n" + self.tail(name)
        process.send_signal(signal.SIGKILL)
        process.wait()

    def tail(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()[-5000:]

    def up(self, seconds: float = 60) -> float:
        """Wait until both answer; how long that took."""
        began = time.monotonic()
        while not (answers(f"{self.hub['url']}/healthz", self.tls) and self.status() is not None):
            assert time.monotonic() < began + seconds, self.tail("hub") + self.tail("edge")
            time.sleep(0.05)
        return time.monotonic() - began

    def status(self) -> dict[str, Any] | None:
        try:
            with urllib.request.urlopen(f"{self.edge['console']}/status.json", timeout=5) as response:
                status: dict[str, Any] = json.load(response)
                return status
        except (urllib.error.URLError, OSError):
            return None

    def quiet(self) -> None:
        end = time.monotonic() + QUIET_SECONDS
        while (status := self.status()) is None or status["waiting"]:
            assert time.monotonic() < end, f"{status}\n{self.tail('hub')}\n{self.tail('edge')}"
            assert status is None or not status["held"], status
            time.sleep(0.1)
        assert not status["held"], status

    # the modality

    def feed(self) -> None:
        """Association after association until told to stop; a broken one is tried again."""
        chance = random.Random(11)
        number = 0
        while not self.stop.is_set():
            files = []
            for _ in range(BATCH):
                number += 1
                size = chance.choice((400, 6_000, 60_000, 60_000, 300_000, 2_000_000))
                files.append(_instance(self.folder, f"feed-{number // 30}", number, size))
            self.send(files, self.stop.is_set)
            time.sleep(0.2)

    def send(self, files: list[Path], enough: Callable[[], bool] = lambda: False) -> None:
        """Send until everything is answered, or `enough` says so."""
        pending = [modality.read_sample(file) for file in files]
        while pending and not enough():
            host, port, title = self.edge["dicom_host"], self.edge["dicom_port"], self.edge["ae_title"]
            try:
                modality.send(pending, host, port, title, self.sent)
            except Unavailable:
                self.broken += 1
                time.sleep(0.1)
            pending = [sample for sample in pending if sample.sha256 not in self.answered]
        for file in files:
            file.unlink()

    def sent(self, answer: modality.Answer) -> None:
        if answer.status == 0x0000:
            self.answered[answer.sample.sha256] = answer.sample
        else:
            self.refused.append(answer)

    # the reader

    async def read(self) -> None:
        """Sign each study in its time; what breaks is tried again, but nothing is signed twice on purpose."""
        async with AsyncExitStack() as stack:
            for number in range(REPORTS):
                while self.round < ROUNDS * number / REPORTS:  # noqa: ASYNC110  # the rounds are another thread's
                    await asyncio.sleep(0.1)
                while _study(number) not in self.reports:
                    with suppress(Unavailable, OSError, TimeoutError):
                        await self.attempt(_study(number), stack)
                    await asyncio.sleep(0.2)

    async def desk(self, name: str, stack: AsyncExitStack) -> Portal:
        """A user's own session: logged in once, and kept while the hub is killed and started."""
        if name not in self.desks:
            (password,) = (user["password"] for user in self.users if user["name"] == name)
            desk = await stack.enter_async_context(Portal(self.hub["url"], Path(self.hub["ca"])))
            await desk.log_in(name, password)
            self.desks[name] = desk
        return self.desks[name]

    async def attempt(self, study: str, stack: AsyncExitStack) -> None:
        lead = await self.desk("lead", stack)
        cases = (await lead.call("GET", "/api/worklist"))["cases"]
        case = next((case for case in cases if case["study_uid"] == study), None)
        if case is None or case["assignee"] is None:
            raise Unavailable("not assigned yet")
        reader = case["assignee"]["name"]
        desk = await self.desk(reader, stack)
        detail = await desk.call("GET", f"/api/cases/{case['id']}")
        if not detail["reports"]:
            (password,) = (user["password"] for user in self.users if user["name"] == reader)
            await loop._sign(desk, case["id"], password)
            return
        (report,) = detail["reports"]
        if (report["delivery"] or {}).get("acknowledged_at"):
            self.reports[study] = report

    def guarded(self, work: Callable[[], None]) -> Callable[[], None]:
        """`work`, whose failure the test hears of."""

        def run() -> None:
            try:
                work()
            except BaseException as error:
                self.failure = error

        return run


def _study(number: int) -> str:
    return derived_uid("kill-report", number)


def _instance(folder: Path, study: str, number: int, size: int) -> Path:
    """A CT image of random pixels, about `size` bytes."""
    side = max(8, int((size / 2) ** 0.5))
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = CTImageStorage, derived_uid("kill", study, number)
    dataset.StudyInstanceUID = (
        _study(int(study.removeprefix("report-"))) if study.startswith("report-") else derived_uid(study)
    )
    dataset.SeriesInstanceUID = derived_uid(study, "series")
    dataset.PatientName, dataset.PatientID, dataset.Modality = "Killed^Often", f"ID-{study}", "CT"
    dataset.BodyPartExamined, dataset.StudyDate, dataset.InstanceNumber = "HEAD", "20260102", number
    dataset.Rows = dataset.Columns = side
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit, dataset.PixelRepresentation = 15, 0
    dataset.PixelData = random.randbytes(side * side * 2)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    file = folder / f"{study}-{number}.dcm"
    dcmwrite(file, dataset, enforce_file_format=True)
    return file


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Loop]:
    site = Loop(tmp_path)
    yield site
    site.stop.set()
    for process in site.running.values():
        process.kill()
        process.wait()


def _rounds(site: Loop, chance: random.Random, start_seconds: float) -> int:
    """Kill and start again, round after round. Returns in how many there was work under way."""
    busy = 0
    for site.round in range(1, ROUNDS + 1):
        # as long as a start takes, and as long again: some die starting, most at work
        time.sleep(chance.uniform(0.0, 2 * start_seconds))
        status = site.status()
        busy += status is not None and status["waiting"] > 0
        victims = chance.choice((["hub"], ["edge"], ["hub", "edge"]))
        for victim in victims:
            site.kill(victim)
        time.sleep(chance.choice((0.0, 0.0, 0.3)))
        for victim in victims:
            site.start(victim)
        assert site.failure is None, repr(site.failure)
    return busy


@pytest.mark.slow
@pytest.mark.timeout(480)
# pynetdicom leaves the socket of a connection that was refused to the garbage collector
@pytest.mark.filterwarnings(
    "ignore:Exception ignored in. <socket.socket:pytest.PytestUnraisableExceptionWarning"
)
def test_the_real_programs_lose_nothing_and_double_nothing(site: Loop) -> None:
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)  # its remarks on every broken association
    began = time.monotonic()
    site.start("hub")
    site.start("edge")
    start_seconds = min(site.up(), 3.0)
    for number in range(REPORTS):
        site.send([_instance(site.folder, f"report-{number}", image, 20_000) for image in range(4)])
    feeder = threading.Thread(target=site.guarded(site.feed))
    reader = threading.Thread(target=site.guarded(lambda: asyncio.run(site.read())))
    feeder.start()
    reader.start()
    busy = _rounds(site, random.Random(), start_seconds)
    site.up()
    reader.join(QUIET_SECONDS)
    site.stop.set()
    feeder.join()
    assert site.failure is None, repr(site.failure)
    gc.collect()  # here, where the sockets it finds are no failure
    site.quiet()
    for name in ("edge", "hub"):
        site.running[name].terminate()
        assert site.running.pop(name).wait(30) == 0, site.tail(name)
    print(f"{ROUNDS} rounds in {time.monotonic() - began:.0f} s, {busy} with parcels under way;"
          f" {len(site.answered)} instances answered, {site.broken} broken associations")  # fmt: skip
    assert len(site.answered) >= ROUNDS
    assert site.broken >= ROUNDS / 5
    assert site.refused == []
    _check_hub(site)
    _check_edge(site)
    _check_reports(site)


def _check_hub(site: Loop) -> None:
    with closing(sqlite3.connect(site.folder / "hub/hub.db")) as database:
        rows = database.execute(
            "SELECT sop_instance_uid, sha256 FROM instances WHERE origin = 'edge'"
        ).fetchall()
        parcels = database.execute("SELECT state, header, reason FROM arrivals").fetchall()
        stored = database.execute("SELECT subject FROM custody WHERE event = 'parcel-stored'").fetchall()
        assert database.execute("SELECT * FROM quarantine").fetchall() == []
        assert database.execute("SELECT * FROM chain_findings").fetchall() == []
        chained = database.execute("SELECT COUNT(*) FROM header_chain").fetchall()
        assert database.execute("SELECT SUM(conflicts) FROM studies").fetchall() == [(0,)]
    held = {digest for _, digest in rows}
    assert len(rows) == len(held) == len({uid for uid, _ in rows})
    lost = [sample.sop_instance_uid for digest, sample in site.answered.items() if digest not in held]
    assert lost == []
    for digest in site.answered:
        blob = site.folder / "hub/archive" / digest[:2] / digest[2:4] / digest
        assert hashlib.sha256(blob.read_bytes()).hexdigest() == digest
    assert {(state, reason) for state, _, reason in parcels} == {("indexed", None)}
    assert len(stored) == len(set(stored)) == len(parcels)
    assert chained == [(len(parcels),)]
    links = [_link(header) for _, header, _ in parcels]
    assert examine(links).whole, examine(links)
    assert json.loads(site.telerad("hub", "custody", "audit", "-c", site.hub["config"], "--json"))["whole"]


def _link(signed: bytes) -> Link:
    header = Header.from_bytes(Statement.from_bytes(signed).payload)
    return Link(header.sequence, header_digest(signed), header.previous)


def _check_edge(site: Loop) -> None:
    data = site.folder / SITE / "data"
    receipted = {file.stem for file in (data / "receipts").rglob("*.receipt")}
    assert {file.stem for file in (data / "spool").glob("*.tge")} <= receipted  # kept a while, and confirmed
    uids = [sample.sop_instance_uid.encode() for sample in list(site.answered.values())[:50]]
    for file in data.rglob("*"):
        if file.is_file():
            content = file.read_bytes()
            assert not any(word in content for word in (b"Killed", *uids)), file


def _check_reports(site: Loop) -> None:
    assert len(site.reports) == REPORTS
    delivered = [
        hashlib.sha256(file.read_bytes()).hexdigest()
        for file in Path(site.edge["deliver_dir"]).rglob("*.pdf")
    ]
    assert sorted(delivered) == sorted(report["pdf_sha256"] for report in site.reports.values())
    with closing(sqlite3.connect(site.folder / "hub/hub.db")) as database:
        assert database.execute("SELECT COUNT(*) FROM reports").fetchall() == [(REPORTS,)]

"""Attack 14: whoever takes an edge's disk, however it went down, learns of no patient."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from pydicom.dataset import Dataset
from pynetdicom import AE

from edge.enroll import enroll
from edge.ingest.commitment import COMMITMENT, WELL_KNOWN
from edge.ingest.mpps import MPPS
from gateway.clock import SystemClock
from gateway.dicom import transfer
from tests.doubles.datasets import encode, sample
from tests.doubles.listeners import ExactSender
from tests.doubles.ports import free_ports
from tests.doubles.small_hub import small_hub
from tests.journeys.conftest import environment

CT = "1.2.840.10008.5.1.4.1.1.2"
NAME, IDENT, BORN = "Zzyzx^Quirinius", "PID-7391-XQ", "19611203"
STUDY, SERIES = "1.2.826.0.1.3680043.9.7391.1", "1.2.826.0.1.3680043.9.7391.1.4"
PERSONAL = ("Zzyzx", "Quirinius", IDENT, BORN, "ACC-99183-QX", "Anklebone survey")
WORDS = (*PERSONAL, STUDY, "9.7391.1.4")


def dataset(number: int):  # type: ignore[no-untyped-def]
    made = sample(os.urandom(1024), instance=f"{SERIES}.{number}", name=NAME)
    made.PatientID, made.PatientBirthDate, made.AccessionNumber = IDENT, BORN, "ACC-99183-QX"
    made.StudyInstanceUID, made.SeriesInstanceUID, made.StudyDescription = STUDY, SERIES, "Anklebone survey"
    return made


def send(port: int, first: int, count: int) -> None:
    sender = ExactSender(port, [(CT, transfer.EXPLICIT_LITTLE)])
    assert sender.association.is_established
    for number in range(first, first + count):
        data = encode(dataset(number))
        status = sender.send(CT, f"{SERIES}.{number}", transfer.EXPLICIT_LITTLE, data)
        assert status == 0
    sender.release()
    tell(port, first)


def tell(port: int, number: int) -> None:
    """A procedure step in progress, and a request for storage commitment: both stay open."""
    entity = AE(ae_title="CT1")
    entity.add_requested_context(MPPS)
    entity.add_requested_context(COMMITMENT)
    association = entity.associate("127.0.0.1", port)
    step, wanted, item = Dataset(), Dataset(), Dataset()
    step.PerformedProcedureStepStatus = "IN PROGRESS"
    step.PatientName, step.PatientID = NAME, IDENT
    item.StudyInstanceUID, item.ScheduledProcedureStepDescription = STUDY, "Anklebone survey"
    step.ScheduledStepAttributesSequence = [item]
    assert association.send_n_create(step, MPPS, f"{SERIES}.99{number}")[0].Status == 0
    wanted.TransactionUID = f"{SERIES}.88{number}"
    reference = Dataset()
    reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = CT, f"{SERIES}.{number}"
    wanted.ReferencedSOPSequence = [reference]
    assert association.send_n_action(wanted, 1, COMMITMENT, WELL_KNOWN)[0].Status == 0
    association.release()


def found_in(folder: Path, words: tuple[str, ...] = WORDS) -> list[str]:
    """Every word that stands in a file or in the name of one, in any plain encoding of it."""
    hits = []
    for file in folder.rglob("*"):
        content = file.read_bytes() if file.is_file() else b""
        for word in words:
            forms = (word.encode(), word.lower().encode(), word.encode("utf-16-le"))
            if any(form in content for form in forms) or word in str(file.relative_to(folder)):
                hits.append(f"{word} in {file.name}")
    return hits


async def _enrolled(folder: Path) -> None:
    async with small_hub(folder) as hub:
        await enroll(await hub.invitation(), folder / "edge", SystemClock())


def test_attack_14_a_stolen_disk_shows_no_patient(tmp_path: Path) -> None:
    asyncio.run(_enrolled(tmp_path))
    dicom, console = free_ports(2)
    (tmp_path / "logs").mkdir()
    (tmp_path / "edge.yaml").write_text(
        f"data: edge\ningest: {{host: 127.0.0.1, port: {dicom}, open: true}}\nspool: {{reserve: 0}}\n"
        f"console: {{port: {console}}}\n"
    )
    for turn in range(2):  # killed while the line is down; then started again, and killed once more
        with (tmp_path / "logs" / f"{turn}").open("wb") as log:
            command = [sys.executable, "-m", "gateway.cli", "edge", "run", "-c", str(tmp_path / "edge.yaml")]
            edge = subprocess.Popen(command, stdout=log, stderr=log, env=environment())
            try:
                _wait(dicom)
                send(dicom, 1 + 20 * turn, 20)
            finally:
                edge.send_signal(signal.SIGKILL)
                edge.wait()
        assert sum(file.stat().st_size for file in (tmp_path / "edge").rglob("*") if file.is_file()) > 20_000
        assert found_in(tmp_path / "edge") == []
        assert found_in(tmp_path / "logs", PERSONAL) == []  # UIDs may stand there
    (tmp_path / "edge" / "plain").write_bytes(encode(dataset(1)))  # that the search can find something
    assert len(found_in(tmp_path / "edge")) == len(WORDS)


def _wait(port: int) -> None:
    until = time.monotonic() + 30
    while time.monotonic() < until:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.2)
    raise TimeoutError("the edge does not answer")

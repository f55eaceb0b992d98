"""dcmtk's worklist server, which nobody here wrote, asked for orders."""

from __future__ import annotations

import gc
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.acquire.worklist import Worklist
from edge.config import OrderList
from gateway.clock import SystemClock
from tests.doubles.ports import free_ports

pytestmark = [
    pytest.mark.skipif(shutil.which("wlmscpfs") is None, reason="dcmtk is not installed"),
    # pynetdicom leaves the socket of a connection that was refused to the collector.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(autouse=True)
def collected() -> Iterator[None]:
    """What pynetdicom leaves to the collector is collected here, and not in the next module's tests."""
    yield
    gc.collect()


ORDER = """
(0008,0005) CS [ISO_IR 192]
(0008,0050) SH [A7]
(0008,0090) PN [Ref^Er]
(0010,0010) PN [Wang^XiaoDong=王^小东]
(0010,0020) LO [P-7]
(0010,0030) DA [19700102]
(0010,0040) CS [M]
(0020,000d) UI [2.25.7007]
(0032,1060) LO [胸部正位]
(0040,0100) SQ (Sequence with undefined length)
  (fffe,e000) na (Item with undefined length)
    (0008,0060) CS [DX]
    (0040,0001) AE [EDGE]
    (0040,0002) DA [{day}]
    (0040,0003) TM [093000]
    (0040,0007) LO [Chest]
    (0040,0009) SH [SPS7]
  (fffe,e00d) na
(fffe,e0dd) na
(0040,1001) SH [RP7]
"""


def test_orders_of_today_and_not_of_last_year(tmp_path: Path) -> None:
    folder = tmp_path / "RIS"
    folder.mkdir()
    (folder / "lockfile").touch()
    today = SystemClock().now().astimezone()
    for name, day in (("today", f"{today:%Y%m%d}"), ("past", "20200101")):
        text = tmp_path / f"{name}.dump"
        text.write_text(ORDER.format(day=day), "utf-8")
        subprocess.run(["dump2dcm", str(text), str(folder / f"{name}.wl")], check=True, timeout=30)
    (port,) = free_ports(1)
    words = ["wlmscpfs", "-s", "-csk", "-dfr", "-dfp", str(tmp_path), str(port)]
    with subprocess.Popen(words) as server:
        try:
            asked = Worklist(OrderList("127.0.0.1", "RIS", port), "EDGE", SystemClock())
            until = time.monotonic() + 20
            while asked.look() or asked.fault:
                assert time.monotonic() < until, asked.fault
                time.sleep(0.2)
        finally:
            server.kill()
    (one,) = asked.orders()
    assert (one.patient_name, one.patient_id) == ("Wang^XiaoDong=王^小东", "P-7")
    assert (one.accession, one.description, one.modality) == ("A7", "胸部正位", "DX")
    assert (one.study_uid, one.requested_procedure, one.scheduled_step) == ("2.25.7007", "RP7", "SPS7")


def test_a_server_that_knows_us_not_is_told_about(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    with subprocess.Popen(["wlmscpfs", "-s", "-dfp", str(tmp_path), str(port)]) as server:
        try:
            asked = Worklist(OrderList("127.0.0.1", "NOBODY", port), "EDGE", SystemClock())
            until = time.monotonic() + 20
            while asked.look() or "cannot be reached" in asked.fault:
                assert time.monotonic() < until, asked.fault
                time.sleep(0.2)
        finally:
            server.kill()
    assert "rejects the association: " in asked.fault

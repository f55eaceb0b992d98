"""DICOM TLS (PS3.15 B.12) with dcmtk as the sender: who holds a certificate of the hospital's CA gets in."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file

from edge.config import DicomTls, Ingest, Sender
from tests.doubles.hospital_pki import hospital_pki
from tests.doubles.listeners import listening

pytestmark = pytest.mark.skipif(shutil.which("storescu") is None, reason="dcmtk is not installed")


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CA, certificates of the edge and a scanner by it, and a stranger's of his own."""
    return hospital_pki(tmp_path_factory.mktemp("tls"), "edge", "scanner")


def _storescu(pki: Path, port: int, file: str, *options: str) -> subprocess.CompletedProcess[str]:
    command = ["storescu", "-R", "-aet", "CT1", "-aec", "EDGE", *options, "127.0.0.1", str(port), file]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_storescu_gets_in_with_a_certificate_of_the_hospital_and_not_without(
    tmp_path: Path, pki: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tls = DicomTls(pki / "edge.pem", pki / "edge.key", client_ca=pki / "ca.pem")
    config = Ingest(ae_title="EDGE", senders=(Sender("CT1"),), tls=tls)
    file = str(get_testdata_file("CT_small.dcm"))
    scanner = ("+tls", str(pki / "scanner.key"), str(pki / "scanner.pem"), "+cf", str(pki / "ca.pem"))
    stranger = ("+tls", str(pki / "stranger.key"), str(pki / "stranger.pem"), "-ic")
    with listening(tmp_path, config) as world:
        port = world.listener.port
        for refused in (("+tla", "-ic"), stranger, (), (*scanner, "--profile-null")):
            done = _storescu(pki, port, file, *refused)
            assert "Association" in done.stderr + done.stdout, done
            assert world.instances() == []
        for profile in ("--profile-bcp195-nd", "--profile-bcp195", "--profile-bcp195-ex"):
            done = _storescu(pki, port, file, *scanner, profile)
            assert done.returncode == 0, done.stderr
        taken = world.instances()
    # storescu leaves out what it does not know to be standard: compare what the image is made of
    assert len(taken) == 3
    pixels = dcmread(file).PixelData
    assert all(pixels in dataset for _, dataset in taken)
    told = capsys.readouterr()
    for words in ("no certificate", "not by the CA", "does not speak TLS", "no longer safe"):
        assert words in told.out + told.err

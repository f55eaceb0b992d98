"""What the attacks do to a server as it comes: that they are attacks, and not only tests of ours."""

import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.filebase import DicomBytesIO

from gateway.dicom import transfer
from tests.doubles.datasets import encode, sample
from tests.doubles.listeners import ExactSender
from tests.doubles.ports import free_ports
from tests.unit.edge.ingest.test_attacks import CT, bomb

LE, DEFLATED = transfer.EXPLICIT_LITTLE, transfer.DEFLATED_LITTLE
BOMB = 256 << 20

READING = f"""
import sys
from pynetdicom import AE, evt
def handle(event):
    event.dataset
    return 0
entity = AE(ae_title="STOCK")
entity.add_supported_context("{CT}", "{DEFLATED}")
server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, handle)])
print(server.server_address[1], flush=True)
sys.stdin.read()
"""


def peak_of(pid):
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def test_attack_04_the_stock_server_unfolds_a_deflate_bomb_as_soon_as_its_handler_looks():
    packed = bomb(BOMB)
    assert len(packed) < BOMB / 500
    words = [sys.executable, "-c", READING]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        try:
            sender = ExactSender(int(server.stdout.readline()), [(CT, DEFLATED)], called="STOCK")
            before = peak_of(server.pid)
            assert sender.send(CT, "1.2.3.4", DEFLATED, packed) == 0
            assert peak_of(server.pid) - before > BOMB >> 10
            sender.release()
        finally:
            server.kill()


def answers(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def qrscp(folder):
    """pynetdicom's own archive."""
    (port,) = free_ports(1)
    places = ["--database-location", str(folder / "index"), "--instance-location", str(folder / "images")]
    (folder / "images").mkdir()
    words = [sys.executable, "-m", "pynetdicom", "qrscp", "--port", str(port), "-ba", "127.0.0.1", *places]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            until = time.monotonic() + 20
            while not answers(port):
                assert time.monotonic() < until
                time.sleep(0.2)
            yield port
        finally:
            server.kill()


def kept_by(port, folder, instance, pixels):
    sender = ExactSender(port, [(CT, LE)], called="QRSCP")
    sender.send(CT, instance, LE, encode(sample(pixels, instance=instance)))
    sender.release()
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.timeout(60)
def test_attack_09_10_the_stock_archive_writes_where_a_uid_says_and_over_what_it_has(tmp_path):
    inside = tmp_path / "archive"
    inside.mkdir()
    with qrscp(inside) as port:
        kept_by(port, inside, "../../owned", bytes(64))
        assert (tmp_path / "owned").is_file(), "outside of its folder"
        first = kept_by(port, inside, "1.2.3.9", bytes(64))["1.2.3.9"]
        second = kept_by(port, inside, "1.2.3.9", b"\1" * 64)["1.2.3.9"]
        assert first != second, "the first image is gone"


def test_attack_07_the_stock_reader_says_nothing_of_pixels_that_are_cut_off():
    data = encode(sample())
    head = data[: data.rindex(b"\xe0\x7f\x10\x00")]
    cut = head + b"\xe0\x7f\x10\x00OW\0\0\xfe\xff\xff\xffabc"
    assert len(dcmread(DicomBytesIO(cut), force=True, defer_size=None).PixelData) == 3

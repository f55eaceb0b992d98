"""Attacks on the listener, by the rows of the threat model. Where it is quick, a stock server is shown to fall."""

import resource
import socket
import struct
import subprocess
import sys
import threading
import time
import zlib
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.filebase import DicomBytesIO
from pynetdicom import AE

from edge.config import Ingest
from edge.ingest import association, pdu, wire
from gateway.dicom import transfer
from tests.doubles.datasets import encode, sample
from tests.doubles.listeners import ExactSender, listening

CT = "1.2.840.10008.5.1.4.1.1.2"
LE = transfer.EXPLICIT_LITTLE
OWN_THREADS = ("dicom-listener", "dicom-association")
SMALL = Ingest(open=True, max_associations=10)


@pytest.fixture(autouse=True)
def _hurry(monkeypatch):
    monkeypatch.setattr(association, "ACSE_SECONDS", 1.0)


STOCK = """
import ssl, sys
from pynetdicom import AE
entity = AE(ae_title="STOCK")
entity.maximum_associations = int(sys.argv[1])
entity.add_supported_context(sys.argv[2])
entity.acse_timeout = 5
context = None
if len(sys.argv) > 3:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[3] + "/c.pem", sys.argv[3] + "/k.pem")
server = entity.start_server(("127.0.0.1", 0), block=False, ssl_context=context)
print(server.server_address[1], flush=True)
sys.stdin.read()
"""


@contextmanager
def stock(certificate=None, most=10):
    """pynetdicom's own server, as it comes; in a process of its own, since once hung it goes on spinning."""
    words = [sys.executable, "-c", STOCK, str(most), CT, *([str(certificate)] if certificate else [])]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        try:
            yield int(server.stdout.readline())
        finally:
            server.kill()


def connect(port):
    client = socket.create_connection(("127.0.0.1", port), timeout=5)
    client.settimeout(5)
    return client


def closed_within(client, seconds):
    client.settimeout(seconds)
    try:
        while client.recv(4096):
            pass
    except ConnectionError:
        return True
    except TimeoutError:
        return False
    return True


def serves(world, **options):
    sender = ExactSender(world.listener.port, [(CT, LE)], **options)
    try:
        return sender.association.is_established and sender.send(CT, "1.2.3.4", LE, encode(sample())) == 0
    finally:
        sender.close()


def send_one(world, data, *, instance="1.2.3.4", syntax=LE):
    sender = ExactSender(world.listener.port, [(CT, syntax)])
    status = sender.send(CT, instance, syntax, data)
    sender.release()
    return status


def swallowed(port, size=24 << 20):
    """Bytes of a PDU of four gigabytes that a server takes before it hangs up."""
    sent = 0
    with connect(port) as client:
        client.settimeout(1)
        try:
            client.sendall(b"\x01\x00" + struct.pack(">L", 0xFFFFFFFF))
            while sent < size:
                client.sendall(bytes(1 << 18))
                sent += 1 << 18
        except OSError:
            pass
    return sent


def peak(world):
    """Kilobytes that this process and every acceptor have held at most, together."""
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return own + sum(_peak_of(pid) for pid in world.listener.pids)


def _peak_of(pid):
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


# -- row 1: PDU length ---------------------------------------------------------------------------------


@pytest.mark.usefixtures("both_ways")
def test_attack_01_a_pdu_of_four_gigabytes_is_refused_unread(tmp_path):
    with listening(tmp_path, SMALL) as world:
        before = peak(world)
        assert swallowed(world.listener.port) < 12 << 20  # what fits into socket buffers
        with connect(world.listener.port) as client:
            client.sendall(b"\x01\x00" + struct.pack(">L", 0xFFFFFFFF))
            assert closed_within(client, 5)
        assert peak(world) - before < 20_000
        assert serves(world)


def test_attack_01_the_stock_server_swallows_it():
    with stock() as port:
        assert swallowed(port) >= 24 << 20


@pytest.mark.usefixtures("both_ways")
def test_attack_01_a_pdu_longer_than_agreed_is_refused_in_an_association_too(tmp_path):
    with listening(tmp_path, SMALL) as world:
        sender = ExactSender(world.listener.port, [(CT, LE)])
        sender.raw.sendall(b"\x04\x00" + struct.pack(">L", pdu.MAX_PDU + pdu.SLACK + 1) + bytes(1000))
        deadline = time.monotonic() + 5
        while sender.association.is_established and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not sender.association.is_established
        sender.close()
        assert serves(world)


def test_attack_01_a_message_that_drips_is_given_up_though_each_pdu_is_in_time(tmp_path, monkeypatch):
    monkeypatch.setattr(wire, "PROGRESS_SECONDS", 0.3)
    with listening(tmp_path, SMALL) as world:
        sender = ExactSender(world.listener.port, [(CT, LE)])
        raw, drop = sender.raw, pdu.p_data(1, b"\0", 0, command=True)
        (one,) = drop
        fragment = one[:11] + bytes((pdu.COMMAND,)) + one[12:]  # never the last
        deadline = time.monotonic() + 5
        while sender.association.is_established and time.monotonic() < deadline:
            with suppress(OSError):
                raw.sendall(fragment)
            time.sleep(0.05)
        assert not sender.association.is_established
        sender.close()


# -- row 2: places -------------------------------------------------------------------------------------


@pytest.mark.usefixtures("both_ways")
def test_attack_02_silent_sockets_of_one_address_leave_room_for_others(tmp_path):
    with listening(tmp_path, SMALL) as world:
        silent = [connect(world.listener.port) for _ in range(30)]
        time.sleep(0.3)
        assert serves(world, bind_address=("127.0.0.2", 0))
        for client in silent:
            client.close()
        deadline = time.monotonic() + 8
        while not (free := serves(world)) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert free


def test_attack_02_the_stock_server_refuses_everybody_then():
    with stock(most=3) as port:
        silent = [connect(port) for _ in range(6)]
        time.sleep(0.3)
        entity = AE()
        entity.add_requested_context(CT)
        assert not entity.associate("127.0.0.1", port, bind_address=("127.0.0.2", 0)).is_established
        for client in silent:
            client.close()


@pytest.mark.usefixtures("both_ways")
def test_attack_02_more_associations_than_there_may_be_are_told_so(tmp_path):
    with listening(tmp_path, Ingest(open=True, max_associations=2)) as world:
        held = [
            ExactSender(world.listener.port, [(CT, LE)], bind_address=(f"127.0.0.{n}", 0)) for n in (2, 3)
        ]
        third = ExactSender(world.listener.port, [(CT, LE)], bind_address=("127.0.0.4", 0))
        assert third.association.is_rejected
        told = third.association.acceptor.primitive
        assert (told.result, told.result_source, told.diagnostic) == (2, 3, 2)
        for sender in (*held, third):
            sender.close()


@pytest.mark.usefixtures("both_ways")
def test_attack_02_a_connection_that_asks_nothing_is_closed(tmp_path):
    with listening(tmp_path, SMALL) as world, connect(world.listener.port) as client:
        assert closed_within(client, 8)  # acceptors have the real deadline


def test_attack_02_waiting_costs_no_processor_time(tmp_path):
    with listening(tmp_path, SMALL) as world:
        sender = ExactSender(world.listener.port, [(CT, LE)])
        with connect(world.listener.port):
            time.sleep(0.2)
            before = _listener_seconds()
            time.sleep(0.6)
            assert _listener_seconds() - before < 0.05
        sender.release()


def _listener_seconds() -> float:
    """Processor time of the listener's own threads: the stock sender polls, in this same process."""
    threads = [thread for thread in threading.enumerate() if thread.name.startswith(OWN_THREADS)]
    assert len(threads) >= 2, [thread.name for thread in threading.enumerate()]
    return sum(time.clock_gettime(time.pthread_getcpuclockid(thread.ident)) for thread in threads)


@pytest.mark.parametrize(
    "junk",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00" + bytes(600),
        b"\x01\x00\x00\x00\x00\x04junk",
        b"\x04\x00\x00\x00\x00\x04junk",
        bytes(1000),
    ],
)
def test_attack_02_other_protocols_are_turned_away(tmp_path, junk):
    with listening(tmp_path, SMALL) as world:
        with connect(world.listener.port) as client:
            client.sendall(junk)
            assert closed_within(client, 8)
        assert serves(world)


# -- row 3, TLS: test_attacks_tls.py ----------------------------------------------------------------------
# -- row 4: deflate ------------------------------------------------------------------------------------


def bomb(size=1 << 30):
    """A dataset whose pixel data inflates a thousandfold."""
    head = encode(sample())
    head = head[: head.rindex(b"\xe0\x7f\x10\x00")] + b"\xe0\x7f\x10\x00OW\0\0" + struct.pack("<L", size)

    def piece(data: bytes) -> bytes:
        """Deflate blocks that stand alone, so that one can be repeated (RFC 1951 §3.2.3)."""
        packer = zlib.compressobj(9, zlib.DEFLATED, -15)
        return packer.compress(data) + packer.flush(zlib.Z_FULL_FLUSH)

    return piece(head) + piece(bytes(1 << 20)) * (size >> 20) + b"\x03\x00"


def test_attack_04_a_deflate_bomb_is_not_even_negotiated(tmp_path):
    with listening(tmp_path, SMALL) as world:
        assert send_one(world, b"", syntax=transfer.DEFLATED_LITTLE) is None


@pytest.mark.usefixtures("both_ways")
def test_attack_04_a_deflate_bomb_costs_no_memory_where_deflate_is_allowed(tmp_path):
    packed = bomb()
    assert len(packed) < 2 << 20
    with listening(tmp_path, Ingest(open=True, accept_deflated=True)) as world:
        before = peak(world)
        assert send_one(world, packed, syntax=transfer.DEFLATED_LITTLE) in (0x0000, 0xB007)
        assert peak(world) - before < 96_000
        ((_, kept),) = world.instances()
        assert kept == packed


# -- row 5 is the hub's: nothing that a sender compressed with zstd is unpacked here. -------------------
# -- row 6: nesting ------------------------------------------------------------------------------------


def nested(depth):
    item = b"\xfe\xff\x00\xe0" + struct.pack("<L", 0xFFFFFFFF)
    opened = b"\x08\x00\x40\x11SQ\0\0" + struct.pack("<L", 0xFFFFFFFF) + item
    head = encode(sample())
    at = head.index(b"\x08\x00\x60\x00")  # behind the SOP Instance UID
    return head[:at][: head.index(b"\x20\x00\x0d\x00")] + opened * depth


@pytest.mark.parametrize("depth", [198, 199, 20_000])
def test_attack_06_deep_nesting_is_kept_with_its_flaw_and_parses_no_deeper(tmp_path, depth):
    data = nested(depth)
    with listening(tmp_path, SMALL) as world:
        assert send_one(world, data) in (0xB007, 0xC000)
        ((entry, kept),) = world.instances()
        assert kept == data
        assert "nested deeper" in entry.parameters["flaw"]
        assert serves(world)


def test_attack_06_pydicom_falls_over_it():
    with pytest.raises(RecursionError):
        dcmread(DicomBytesIO(nested(2000)), force=True)


# -- row 7: lengths that lie ---------------------------------------------------------------------------


@pytest.mark.parametrize("length", [0xFFFFFFFE, 0x7FFFFFFF, 1 << 20])
@pytest.mark.parametrize("tag", [b"\xe0\x7f\x10\x00OW", b"\x09\x00\x10\x10OB"])
def test_attack_07_an_element_longer_than_the_dataset_is_kept_with_its_flaw(tmp_path, tag, length):
    head = encode(sample())
    data = head[: head.rindex(b"\xe0\x7f\x10\x00")] + tag + b"\0\0" + struct.pack("<L", length) + b"abc"
    with listening(tmp_path, SMALL) as world:
        before = peak(world)
        assert send_one(world, data) == 0xB007
        ((entry, kept),) = world.instances()
        assert kept == data
        assert "more than there are" in entry.parameters["flaw"]
        assert peak(world) - before < 30_000


# -- row 8: pixel arithmetic ---------------------------------------------------------------------------


def test_attack_08_huge_dimensions_cost_nothing_since_no_pixel_is_decoded(tmp_path):
    dataset = sample()
    dataset.Rows = dataset.Columns = 65535
    dataset.NumberOfFrames = 100_000
    data = encode(dataset)
    with listening(tmp_path, SMALL) as world:
        before = peak(world)
        assert send_one(world, data) == 0
        assert world.instances()[0][1] == data
        assert peak(world) - before < 20_000


# -- row 9, names: test_attacks_names.py ------------------------------------------------------------------
# -- row 17: somebody else's errands --------------------------------------------------------------------

MOVE_AND_GET = [
    "1.2.840.10008.5.1.4.1.2.1.2",  # Patient Root C-MOVE
    "1.2.840.10008.5.1.4.1.2.2.2",  # Study Root C-MOVE
    "1.2.840.10008.5.1.4.1.2.1.3",
    "1.2.840.10008.5.1.4.1.2.2.3",
]


def test_attack_17_ssrf_nobody_can_make_the_edge_send_anywhere_by_c_move(tmp_path):
    """No destination can be named, since no retrieve is offered: PS3.4 C.4.2's A801 would be the answer else."""
    entity = AE(ae_title="SCANNER")
    for syntax in (CT, *MOVE_AND_GET):
        entity.add_requested_context(syntax)
    with listening(tmp_path, SMALL) as world:
        association = entity.associate("127.0.0.1", world.listener.port)
        assert association.is_established
        assert [context.abstract_syntax for context in association.accepted_contexts] == [CT]
        assert {context.abstract_syntax for context in association.rejected_contexts} == set(MOVE_AND_GET)
        association.release()

"""Attacks on the listener (each blocks or swells the stock server), and its idle cost."""

import inspect
import resource
import socket
import ssl
import struct
import time
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pynetdicom import association, dimse, dul, transport

from edge.config import DicomTls, Ingest
from edge.ingest import guard, listener
from gateway.dicom import transfer
from gateway.errors import UsageError
from tests.doubles.datasets import encode, sample
from tests.doubles.listeners import ExactSender, listening

CT = "1.2.840.10008.5.1.4.1.1.2"
LE = transfer.EXPLICIT_LITTLE
SMALL = Ingest(open=True, max_associations=10)


@pytest.fixture(autouse=True)
def _hurry(monkeypatch):
    monkeypatch.setattr(listener, "ACSE_SECONDS", 1.0)


def connect(world):
    client = socket.create_connection(("127.0.0.1", world.listener.port), timeout=5)
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


def test_a_pdu_of_four_gigabytes_is_refused_unread(tmp_path):
    with listening(tmp_path, SMALL) as world:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with connect(world) as client:
            client.sendall(b"\x01\x00" + struct.pack(">L", 0xFFFFFFFF) + bytes(200_000))
            assert closed_within(client, 5)
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000
        assert serves(world)


def test_a_pdu_longer_than_agreed_is_refused_in_an_association_too(tmp_path):
    with listening(tmp_path, SMALL) as world:
        sender = ExactSender(world.listener.port, [(CT, LE)])
        raw = sender.association.dul.socket.socket
        raw.sendall(b"\x04\x00" + struct.pack(">L", guard.MAX_PDU + guard.SLACK + 1) + bytes(1000))
        deadline = time.monotonic() + 5
        while sender.association.is_established and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not sender.association.is_established
        sender.close()
        assert serves(world)


def test_silent_sockets_of_one_address_leave_room_for_others(tmp_path):
    with listening(tmp_path, SMALL) as world:
        silent = [connect(world) for _ in range(12)]
        time.sleep(0.3)
        assert serves(world, bind_address=("127.0.0.2", 0))
        for client in silent:
            client.close()
        deadline = time.monotonic() + 8
        while not (free := serves(world)) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert free


def test_a_pdu_that_does_not_end_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(guard, "PDU_SECONDS", 0.3)
    with listening(tmp_path, SMALL) as world, connect(world) as client:
        client.sendall(b"\x01\x00" + struct.pack(">L", 1000) + b"half")
        assert closed_within(client, 5)


@pytest.mark.parametrize(
    "junk",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00" + bytes(600),
        b"\x01\x00\x00\x00\x00\x04junk",
    ],
)
def test_other_protocols_are_turned_away(tmp_path, junk):
    with listening(tmp_path, SMALL) as world:
        with connect(world) as client:
            client.sendall(junk)
            assert closed_within(client, 8)
        assert serves(world)


def test_waiting_costs_no_processor_time(tmp_path):
    with listening(tmp_path, SMALL) as world:
        sender = ExactSender(world.listener.port, [(CT, LE)])
        sender.association.dul._run_loop_delay = 0.25  # the stock sender polls, in this same process
        with connect(world):
            time.sleep(0.2)
            before = time.process_time()
            time.sleep(0.6)
            assert time.process_time() - before < 0.2
        sender.association.dul._run_loop_delay = 0.001
        sender.release()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "dicom test")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.BasicConstraints(True, None), True)
        .sign(key, hashes.SHA256())
    )
    (folder / "c.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "k.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return folder


def client_context(folder, *, own):
    context = ssl.create_default_context(cafile=str(folder / "c.pem"))
    context.check_hostname = False
    if own:
        context.load_cert_chain(folder / "c.pem", folder / "k.pem")
    return context


def test_tls_takes_known_senders_and_a_silent_one_blocks_nobody(tmp_path, certificate):
    files = (certificate / "c.pem", certificate / "k.pem")
    config = Ingest(open=True, tls=DicomTls(*files, client_ca=certificate / "c.pem"), max_associations=10)
    with listening(tmp_path, config) as world:
        silent = [connect(world) for _ in range(3)]
        started = time.monotonic()
        assert serves(world, tls_args=(client_context(certificate, own=True), None))
        assert time.monotonic() - started < 3
        assert not serves(world, tls_args=(client_context(certificate, own=False), None))
        for client in silent:
            client.close()


def test_wrong_tls_files_are_told_at_start(tmp_path):
    with (
        pytest.raises(UsageError, match=r"ingest\.tls"),
        listening(tmp_path, Ingest(tls=DicomTls(tmp_path / "no", tmp_path / "no"))),
    ):
        pass


def test_the_internals_this_stands_on_are_still_there():
    loop = inspect.getsource(dul.DULServiceProvider.run_reactor)
    assert "time.sleep(self._run_loop_delay)" in loop
    assert "self.socket.recv(6)" in inspect.getsource(dul.DULServiceProvider._read_pdu_data)
    assert "self.socket.recv(pdu_length)" in inspect.getsource(dul.DULServiceProvider._read_pdu_data)
    assert "self.msg_queue.get(block=block" in inspect.getsource(dimse.DIMSEServiceProvider.get_msg)
    assert "get_msg(block=False)" in inspect.getsource(association.Association._run_reactor)
    assert "make_target(self.run_reactor)" in inspect.getsource(association.Association.__init__)
    for name in ("recv", "ready", "close"):
        assert hasattr(transport.AssociationSocket, name)
    for name in ("get_request", "verify_request", "_bind_defaults", "handle_error"):
        assert hasattr(transport.ThreadedAssociationServer, name)

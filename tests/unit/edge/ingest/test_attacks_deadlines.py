"""Senders that say nothing, or a byte now and then: each deadline of an association ends them."""

import ssl
import threading
import time
from contextlib import contextmanager, suppress

import pytest
from structlog.testing import capture_logs

from edge.config import DicomTls, Ingest
from edge.ingest import association, wire
from edge.ingest.pdu import Pdu
from tests.doubles.listeners import listening, until
from tests.doubles.proposals import proposal
from tests.doubles.tls_pair import tls_pair
from tests.unit.edge.ingest.test_attacks import CT, LE, closed_within, connect, serves

SHORT, LONG = 0.6, 60.0
"""The deadline that is looked at, and all others: longer than a test may take."""
DEADLINES = [
    (association, "HANDSHAKE_SECONDS"),
    (association, "ACSE_SECONDS"),
    (association, "IDLE_SECONDS"),
    (wire, "PDU_SECONDS"),
    (wire, "PROGRESS_SECONDS"),
]
ASKED = proposal([(CT, [LE])])


@pytest.fixture
def only(monkeypatch):
    """Makes one deadline short, and all others so long that none of them can be what ends a connection."""

    def shorten(short):
        for module, name in DEADLINES:
            monkeypatch.setattr(module, name, SHORT if name == short else LONG)

    return shorten


@pytest.fixture
def tls(tmp_path):
    """A listener's TLS, and a client's context that trusts it."""
    _, client, certificate = tls_pair(tmp_path)
    return DicomTls(certificate, certificate.with_suffix(".key")), client


@contextmanager
def dripping(client, data):
    """Its bytes one by one, at a tenth of the deadline each: it is never silent for long."""
    over = threading.Event()

    def drip():
        with suppress(OSError):
            for at in range(len(data)):
                client.sendall(data[at : at + 1])
                if over.wait(SHORT / 10):
                    return

    thread = threading.Thread(target=drip)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def ended_in_time(client):
    """Whether it is closed after the deadline, and not before."""
    began = time.monotonic()
    return closed_within(client, 10) and SHORT * 0.3 < time.monotonic() - began < SHORT + 3


def agreed(client):
    """Have an association accepted, by hand."""
    client.sendall(ASKED)
    assert client.recv(4096)[0] == Pdu.ASSOCIATE_AC


def client_hello(context):
    """The first flight of a handshake, which goes on for some hundreds of bytes."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    shaking = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        shaking.do_handshake()
    return outgoing.read()


def test_attack_03_a_tls_client_that_says_nothing_is_closed(tmp_path, only, tls):
    only("HANDSHAKE_SECONDS")
    served, context = tls
    with listening(tmp_path, Ingest(open=True, tls=served)) as world:
        with connect(world.listener.port) as client, capture_logs() as logs:
            assert ended_in_time(client)
            until(lambda: any("no TLS" in one.get("why", "") for one in logs))
        only(None)  # it has its time
        assert serves(world, tls_args=(context, "localhost"))


def test_attack_03_a_handshake_that_drips_is_closed(tmp_path, only, tls):
    only("HANDSHAKE_SECONDS")
    served, context = tls
    hello = client_hello(context)
    assert len(hello) > 100  # or it would be over before the deadline
    with listening(tmp_path, Ingest(open=True, tls=served)) as world:
        with connect(world.listener.port) as client, capture_logs() as logs, dripping(client, hello):
            assert ended_in_time(client)
            until(lambda: any("no TLS" in one.get("why", "") for one in logs))
        only(None)  # it has its time
        assert serves(world, tls_args=(context, "localhost"))


def test_attack_02_a_request_that_drips_is_closed_when_its_time_is_over_and_not_later(tmp_path, only):
    only("ACSE_SECONDS")
    with listening(tmp_path, Ingest(open=True)) as world:
        with connect(world.listener.port) as client, dripping(client, ASKED):
            assert ended_in_time(client)
        only(None)  # it has its time
        assert serves(world)


@pytest.mark.parametrize("begun", [0, 1, 5, 6, 100])
def test_attack_02_a_request_that_stops_is_closed_when_its_time_is_over(tmp_path, only, begun):
    only("ACSE_SECONDS")
    with listening(tmp_path, Ingest(open=True)) as world, connect(world.listener.port) as client:
        client.sendall(ASKED[:begun])
        assert ended_in_time(client)


def test_attack_02_a_request_that_drips_over_tls_is_closed_too(tmp_path, only, tls):
    only("ACSE_SECONDS")
    served, context = tls
    with listening(tmp_path, Ingest(open=True, tls=served)) as world:
        plain = connect(world.listener.port)
        with context.wrap_socket(plain, server_hostname="localhost") as client, dripping(client, ASKED):
            assert ended_in_time(client)


def test_attack_02_an_association_in_which_nothing_comes_is_aborted(tmp_path, only):
    only("IDLE_SECONDS")
    with listening(tmp_path, Ingest(open=True)) as world, connect(world.listener.port) as client:
        agreed(client)
        began = time.monotonic()
        said = client.recv(100)
        assert SHORT * 0.3 < time.monotonic() - began < SHORT + 3
        assert said[0] == Pdu.ABORT
        assert closed_within(client, 5)
        only(None)  # it has its time
        assert serves(world)


def test_attack_01_a_pdu_of_an_association_that_does_not_end_is_aborted(tmp_path, only):
    only("PDU_SECONDS")
    with listening(tmp_path, Ingest(open=True)) as world, connect(world.listener.port) as client:
        agreed(client)
        client.sendall(b"\4\0\0\0\3\xe8half")
        began = time.monotonic()
        said = client.recv(100)
        assert SHORT * 0.3 < time.monotonic() - began < SHORT + 3
        assert said[0] == Pdu.ABORT
        assert closed_within(client, 5)

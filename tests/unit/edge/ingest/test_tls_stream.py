"""A TLS association that is read while something is said to it: OpenSSL bears one call at a time."""

import select
import socket
import ssl
import threading
import time
from contextlib import closing, contextmanager

import pytest

from edge.ingest import wire
from edge.ingest.tls_stream import TlsStream
from edge.ingest.wire import Ended, Wire
from tests.doubles.listeners import until
from tests.doubles.tls_pair import tls_pair

PDU = b"\4\0\0\0\x0f\xa0" + bytes(4000)


class Watched(ssl.SSLSocket):
    """Says whether two threads were in one connection at once."""

    busy = frozenset()
    overlaps = 0

    @contextmanager
    def _in(self):
        before, here = self.busy, {threading.get_ident()}
        self.overlaps += bool(before - here)
        self.busy = before | here
        try:
            yield
        finally:
            self.busy = self.busy - here if not before & here else self.busy

    def recv_into(self, *args):
        with self._in():
            return super().recv_into(*args)

    def send(self, *args):
        with self._in():
            return super().send(*args)

    def sendall(self, *args):
        with self._in():
            return super().sendall(*args)


@pytest.fixture
def connected(tmp_path):
    """The server's wire and socket, and the client."""
    server, client, _ = tls_pair(tmp_path)
    server.sslsocket_class = Watched
    with closing(socket.create_server(("127.0.0.1", 0))) as door:
        plain = socket.create_connection(door.getsockname())
        accepted, _ = door.accept()
    shaken = []
    shaking = threading.Thread(target=lambda: shaken.append(server.wrap_socket(accepted, server_side=True)))
    shaking.start()
    with closing(client.wrap_socket(plain, server_hostname="localhost")) as other:
        shaking.join()
        made = Wire(shaken[0])
        made.agreed()
        yield made, shaken[0], other
        made.hang_up()
        shaken[0].close()


def reading(made):
    """A thread that reads until the end, and what it read: PDUs, and at last why there are no more."""
    found = []

    def read():
        try:
            while True:
                found.append(len(made.take(made.next(10)[1])))
        except OSError as error:
            found.append(error)

    thread = threading.Thread(target=read)
    thread.start()
    return thread, found


def test_what_is_said_while_it_is_read_never_meets_the_reading(connected):
    made, server, client = connected
    thread, found = reading(made)
    got = bytearray()
    for number in range(50):
        made.send(PDU)
        client.sendall(PDU)
        while len(got) < (number + 1) * len(PDU):
            got += client.recv(1 << 16)
    until(lambda: len(found) == 50)
    assert found == [4000] * 50
    assert got == PDU * 50
    made.hang_up()
    thread.join(5)
    assert isinstance(found[-1], Ended)
    assert server.overlaps == 0


def test_whoever_does_not_read_is_given_up_and_may_still_be_heard(connected, monkeypatch):
    made, _, client = connected
    made._stream._write_seconds = 0.5
    thread, found = reading(made)
    with pytest.raises(TimeoutError, match="does not read"):
        made.send(bytes(32 << 20))
    client.sendall(PDU)
    until(lambda: found == [4000])
    made.hang_up()
    thread.join(5)


def test_silence_ends_it_in_time(connected, monkeypatch):
    made, _, client = connected
    monkeypatch.setattr(wire, "PDU_SECONDS", 0.4)
    began = time.monotonic()
    with pytest.raises(Ended, match="silent"):
        made.next(0.3)
    client.sendall(PDU[:100])
    with pytest.raises(Ended, match="slow"):
        made.take(made.next(5)[1])
    assert time.monotonic() - began < 3


def test_one_that_was_closed_meanwhile_is_told_as_broken(connected):
    _, shaken, _ = connected
    stream = TlsStream(shaken, 1, 1)
    shaken.close()
    with pytest.raises(OSError, match="closed"):
        stream._wait(select.POLLIN, 0)

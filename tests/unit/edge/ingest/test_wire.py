"""Bytes of a PDU on their way to a sink: put in their place, or copied, the same comes out."""

import os
import socket
import threading
import time
from contextlib import closing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.ingest import wire
from edge.ingest.pdu import LAST, Pdu, p_data, pdvs
from edge.ingest.wire import BUFFER, SIP, STRAIGHT, Ended, Wire
from tests.doubles.tls_pair import tls_pair

LONG = 131060
AFTER = b"\5\0\0\0\0\4\0\0\0\0"


class Kept:
    """A sink that gives places of these sizes in turn, at most two at a time; without sizes none."""

    def __init__(self, sizes=()):
        self.sizes, self.data = list(sizes), bytearray()
        self.landing = self if sizes else None
        self.landed = self.copied = 0
        self._places = []

    def places(self, size):
        self._places, turn = [], self.sizes[:2]
        self.sizes = self.sizes[2:] + turn
        for one in turn:
            if one and size:
                self._places.append(memoryview(bytearray(min(one, size))))
                size -= len(self._places[-1])
        return self._places

    def came(self, count):
        self.landed += count
        self.data += b"".join(self._places)[:count]

    def write(self, data):
        self.copied += len(data)
        self.data += data


def pdu(values):
    """One P-DATA-TF of presentation data values: control header and fragment."""
    body = b"".join(
        (len(data) + 2).to_bytes(4, "big") + bytes((1, control)) + data for control, data in values
    )
    return bytes((Pdu.DATA, 0)) + len(body).to_bytes(4, "big") + body


def poured(pdus, sink, *, step=1 << 20, connect=None):
    """What a wire reads of these PDUs and an A-RELEASE-RQ behind them; `step` bytes are sent at a time."""
    ours, theirs = connect or socket.socketpair()
    said = b"".join(pdus) + AFTER

    def say():
        for at in range(0, len(said), step):
            theirs.sendall(said[at : at + step])
            time.sleep(0)

    saying = threading.Thread(target=say)
    saying.start()
    with closing(ours), closing(theirs):
        made = Wire(ours)
        made.agreed()
        while True:
            kind, length = made.next(5)
            if kind != Pdu.DATA:
                break
            for _, control, size in pdvs(length, made.take):
                made.pour(size, sink, more=not control & LAST)
        saying.join()
    assert (kind, length) == (Pdu.RELEASE_RQ, 4)
    return bytes(sink.data)


@settings(max_examples=150)
@given(
    fragments=st.lists(
        st.lists(st.sampled_from((0, 1, 700, SIP, STRAIGHT - 1, STRAIGHT, 60_000)), min_size=1, max_size=2),
        min_size=1,
        max_size=6,
    ),
    sizes=st.lists(st.sampled_from((0, 1, 24, 5000, 1 << 18)), max_size=5),
    step=st.sampled_from((997, 40_000, 1 << 20)),
)
def test_whatever_the_fragments_and_their_places(fragments, sizes, step):
    data, pdus = bytearray(), []
    for group in fragments:
        values = []
        for size in group:
            values.append((0, os.urandom(size)))
            data += values[-1][1]
        pdus.append(pdu(values))
    pdus.append(pdu([(LAST, b"end")]))
    assert poured(pdus, Kept(sizes), step=step) == data + b"end"


def test_of_long_fragments_next_to_nothing_is_copied():
    data = os.urandom(9 * LONG + 500)
    sink = Kept([1 << 18])
    assert poured(p_data(1, data, 0, command=False), sink) == data
    assert sink.copied <= BUFFER + 10 * SIP  # before the first was seen, so much was read at once
    assert sink.landed == len(data) - sink.copied


def test_of_short_ones_many_are_read_at_once(monkeypatch):
    reads = []
    real = wire.Wire._read
    monkeypatch.setattr(wire.Wire, "_read", lambda self, buffers: reads.append(0) or real(self, buffers))
    data = os.urandom(400_000)
    assert poured(p_data(1, data, 16384, command=False), Kept([1 << 18])) == data
    assert len(reads) < 20  # of 25 PDUs


def test_over_tls_too(tmp_path):
    server, client, _ = tls_pair(tmp_path)
    ours, theirs = socket.socketpair()
    shaken = []
    shaking = threading.Thread(target=lambda: shaken.append(server.wrap_socket(ours, server_side=True)))
    shaking.start()
    other = client.wrap_socket(theirs, server_hostname="localhost")
    shaking.join()
    data = os.urandom(5 * LONG)
    sink = Kept([1 << 18])
    assert poured(p_data(1, data, 0, command=False), sink, connect=(shaken[0], other)) == data
    assert sink.landed > 3 * (LONG - SIP)


@pytest.mark.parametrize("step", ["places", "came"])
def test_a_disk_that_lets_us_wait_is_not_held_against_the_sender(monkeypatch, step):
    monkeypatch.setattr(wire, "PDU_SECONDS", 0.5)

    class Slow(Kept):
        pass

    def slow(self, count):
        time.sleep(0.3)
        return getattr(Kept, step)(self, count)

    setattr(Slow, step, slow)

    data = os.urandom(LONG)
    assert poured(p_data(1, data, 0, command=False), Slow([LONG // 4])) == data


def test_who_stops_within_a_fragment_is_given_up(monkeypatch):
    monkeypatch.setattr(wire, "PDU_SECONDS", 0.4)
    ours, theirs = socket.socketpair()
    with closing(ours), closing(theirs):
        made = Wire(ours)
        made.agreed()
        theirs.sendall(pdu([(LAST, bytes(LONG))])[:70_000])
        _, length = made.next(5)
        sink = Kept([1 << 18])
        with pytest.raises(Ended, match="slow"):
            for _, _, size in pdvs(length, made.take):
                made.pour(size, sink, more=False)
        assert len(sink.data) == 70_000 - 12

"""Waiting awake: only for who is quick and comes alone, and never where somebody else wants the core."""

import socket
from contextlib import closing
from struct import pack

import pytest

from edge.ingest.awake import HOLD, QUICK, SPIN, STRETCH, TAKEN, Awake

PIECE = 64 << 10


class Watched(socket.socket):
    """Says how it was read: asked once, or slept on."""

    asked = slept = 0

    def recv_into(self, buffer, nbytes=0, flags=0):
        if flags & socket.MSG_DONTWAIT:
            self.asked += 1
        else:
            self.slept += 1
        return super().recv_into(buffer, nbytes, flags)


class Line:
    """A sender, and who reads from it by a clock of this test's: every look at it takes `step` seconds."""

    def __init__(self):
        ours, self.sender = socket.socketpair()
        self.read = Watched(fileno=ours.detach())
        self.read.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, pack("ll", 0, 10_000))
        self.now, self.step, self.alone = 100.0, SPIN / 10, True
        self.awake = Awake(self.read, lambda: self.alone, self._look)
        self._room = memoryview(bytearray(PIECE))

    def _look(self):
        self.now += self.step
        return self.now

    def came(self):
        self.sender.sendall(bytes(PIECE))
        return self.awake.recv_into([self._room])

    def nothing(self):
        with pytest.raises(BlockingIOError):
            self.awake.recv_into([self._room])

    def stretch(self, rate):
        """So much comes that its rate is known."""
        for _ in range(STRETCH // PIECE):
            self.now += PIECE / rate
            assert self.came() == PIECE
        self.read.asked = self.read.slept = 0


@pytest.fixture
def line():
    made = Line()
    with closing(made.read), closing(made.sender):
        yield made


def test_a_sender_whose_rate_is_not_known_is_slept_for(line):
    assert line.came() == PIECE
    line.nothing()
    assert (line.read.asked, line.read.slept) == (0, 2)


def test_a_slow_sender_is_slept_for(line):
    line.stretch(QUICK / 2)
    assert line.came() == PIECE
    assert (line.read.asked, line.read.slept) == (0, 1)


def test_a_quick_sender_is_waited_for_awake_for_a_moment(line):
    line.stretch(QUICK * 4)
    assert line.came() == PIECE
    assert (line.read.asked, line.read.slept) == (1, 0)
    line.nothing()
    assert line.read.slept == 1
    assert 5 <= line.read.asked <= 12


def test_one_that_has_become_slow_is_slept_for_again(line):
    line.stretch(QUICK * 4)
    line.stretch(QUICK / 2)
    line.came()
    assert (line.read.asked, line.read.slept) == (0, 1)


def test_beside_others_it_is_slept_for(line):
    line.stretch(QUICK * 4)
    line.alone = False
    line.came()
    assert (line.read.asked, line.read.slept) == (0, 1)


def test_whoever_wants_the_core_has_it_for_ten_times_as_long_as_they_took_it(line):
    line.stretch(QUICK * 4)
    line.step = away = TAKEN * 4
    line.nothing()
    assert (line.read.asked, line.read.slept) == (1, 1)
    line.step = TAKEN / 100
    line.came()
    assert (line.read.asked, line.read.slept) == (1, 2)
    line.now += HOLD * away
    line.came()
    assert (line.read.asked, line.read.slept) == (2, 2)


def test_the_end_is_an_end_asleep_or_awake(line):
    line.stretch(QUICK * 4)
    line.sender.close()
    assert line.awake.recv_into([memoryview(bytearray(9))]) == 0
    line.alone = False
    assert line.awake.recv_into([memoryview(bytearray(9))]) == 0

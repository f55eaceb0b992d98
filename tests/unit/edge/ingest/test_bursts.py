"""What an acceptor tells of a burst of images is taken in together, and nothing that matters waits for that."""

from types import SimpleNamespace

import pytest

from edge.ingest.acceptor import house
from edge.ingest.acceptor.house import RemotePeer
from gateway.errors import Malformed
from gateway.model import Priority
from tests.doubles.listeners import until
from tests.doubles.played_acceptor import playing


@pytest.fixture
def in_a_burst(tmp_path, monkeypatch):
    """One that has told of a first image, and then nothing is quiet or late in the next minute."""
    monkeypatch.setattr(house, "QUIET_SECONDS", 60.0)
    monkeypatch.setattr(house, "HOLD_SECONDS", 60.0)
    with playing(tmp_path, lambda: played.now) as played:
        played.now = 1000.0
        played.receive(0)
        until(lambda: heard_of(played) == 1)  # the first one is not held
        yield played


def heard_of(played):
    """How many the packer knows of."""
    return len(played.world.spool.to_pack(100))


def heard(played):
    """The same, now that everything told before this has been taken, or held."""
    for _ in range(2):  # the first may be answered while what was read with it is still to be taken
        played.questions.ask("room", 0, 0).wait()
    return heard_of(played)


def told(played, number):
    """Another one comes; as `heard`."""
    played.receive(number)
    return heard(played)


def test_of_a_burst_is_taken_together_what_is_told(in_a_burst, monkeypatch):
    monkeypatch.setattr(house, "HOLD_MOST", 4)
    assert [told(in_a_burst, n) for n in range(1, 5)] == [1, 1, 1, 5]


def test_a_burst_is_taken_in_again_and_again(in_a_burst, monkeypatch):
    take = in_a_burst.house.take  # at once, as else the clock could go on while it is about to be asked
    monkeypatch.setattr(in_a_burst.questions, "tell", lambda *message: take([list(message)]))
    found = []
    for number in range(1, 9):
        in_a_burst.now += 0.2 * house.HOLD_SECONDS
        in_a_burst.receive(number)
        found.append(heard_of(in_a_burst))
    assert found == [1, 1, 1, 1, 6, 6, 6, 6]


def test_what_is_urgent_waits_for_no_burst(in_a_burst):
    assert told(in_a_burst, 1) == 1
    in_a_burst.receive(2, priority=Priority.STAT)
    assert heard(in_a_burst) == 3


def test_a_notice_follows_what_it_is_about_and_its_association_has_left_before(in_a_burst):
    desk, gone = in_a_burst.desk, []
    peer = RemotePeer(in_a_burst.line, 7, "127.0.0.1", lambda: gone.append(7))
    in_a_burst.house.peers[7] = peer
    desk._open[peer] = None
    order = []
    desk._spool = SimpleNamespace(notify=lambda notice, priority: order.append(heard_of(in_a_burst)))
    in_a_burst.receive(1)
    for words in (("left", 7), ("ended", {"association": "a"}, int(Priority.ROUTINE)), ("gone", 7)):
        in_a_burst.line.send(*words)
    assert heard(in_a_burst) == 1
    assert (desk._open, gone, order) == ({}, [7], [])
    in_a_burst.house.settle()
    assert order == [2]


def test_the_notice_of_something_urgent_is_not_held(in_a_burst):
    in_a_burst.receive(1)
    in_a_burst.line.send("ended", {"association": "a"}, int(Priority.STAT))
    assert heard(in_a_burst) == 3  # the notice is one


def test_what_was_told_behind_a_question_is_read_though_nobody_hears_the_answer(in_a_burst):
    assert told(in_a_burst, 1) == 1
    messages = [["room", 5, 0, 0], in_a_burst.house._held[0]]
    in_a_burst.house.settle()
    in_a_burst.die()
    assert in_a_burst.house.take(messages) is None
    assert len(in_a_burst.house._held) == 1


def test_a_request_finds_everything_that_was_told_before_it(in_a_burst):
    item = in_a_burst.receive(1)
    assert heard(in_a_burst) == 1
    with pytest.raises(Malformed):  # an empty command set: what was told before it is taken all the same
        in_a_burst.questions.ask("request", 7, 1, "", "").wait()
    assert item.parcel_id in {one.parcel_id for one in in_a_burst.world.spool.to_pack(10)}


def test_when_nothing_comes_any_more_everything_is_taken(in_a_burst, monkeypatch):
    monkeypatch.setattr(house, "QUIET_SECONDS", 0.05)
    in_a_burst.receive(1)
    in_a_burst.receive(2)
    until(lambda: heard_of(in_a_burst) == 3)


def test_what_is_held_is_taken_when_the_acceptor_dies(in_a_burst):
    in_a_burst.receive(1)
    assert heard(in_a_burst) == 1
    in_a_burst.die()
    assert heard_of(in_a_burst) == 2

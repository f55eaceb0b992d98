"""What an acceptor tells of a burst of images is taken in together, and nothing that matters waits for that."""

import pytest

from edge.ingest.acceptor import house
from gateway.errors import Malformed
from gateway.model import Priority
from tests.doubles.listeners import until
from tests.doubles.played_acceptor import Played
from tests.doubles.spools import SpoolWorld


@pytest.fixture
def in_a_burst(tmp_path, monkeypatch):
    """One that has told of a first image, and then nothing is quiet or late in the next minute."""
    monkeypatch.setattr(house, "QUIET_SECONDS", 60.0)
    monkeypatch.setattr(house, "HOLD_SECONDS", 60.0)
    world = SpoolWorld(tmp_path / "data")
    played = Played(world)
    played.receive(0)
    until(lambda: len(world.spool.to_pack(10)) == 1)  # the first one is not held
    yield played
    if played.serving.is_alive():
        played.die()
    world.spool.close()


def heard(played):
    """How many the packer knows of, now that everything told before this has been read."""
    played.questions.ask("room", 0, 0).wait()
    return len(played.world.spool.to_pack(100))


def told(played, number):
    """Another one comes; as `heard`."""
    played.receive(number)
    return heard(played)


def test_of_a_burst_is_taken_together_what_is_told(in_a_burst, monkeypatch):
    monkeypatch.setattr(house, "HOLD_MOST", 4)
    assert [told(in_a_burst, n) for n in range(1, 5)] == [1, 1, 1, 5]


def test_a_burst_is_taken_in_again_and_again(in_a_burst, monkeypatch):
    began, now = in_a_burst.house._until - house.HOLD_SECONDS, 0.0
    monkeypatch.setattr(in_a_burst.house, "_timer", lambda: began + now)
    found = []
    for number in range(1, 9):
        now += 0.2 * house.HOLD_SECONDS
        found.append(told(in_a_burst, number))
    assert found == [1, 1, 1, 1, 6, 6, 6, 6]


def test_what_is_urgent_waits_for_no_burst(in_a_burst):
    assert told(in_a_burst, 1) == 1
    in_a_burst.receive(2, priority=Priority.STAT)
    assert heard(in_a_burst) == 3


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
    until(lambda: len(in_a_burst.world.spool.to_pack(10)) == 3)


def test_what_is_held_is_taken_when_the_acceptor_dies(in_a_burst):
    in_a_burst.receive(1)
    assert heard(in_a_burst) == 1
    in_a_burst.die()
    assert len(in_a_burst.world.spool.to_pack(10)) == 2

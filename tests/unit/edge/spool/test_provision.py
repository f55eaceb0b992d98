"""What lies ready for the next burst: made in quiet moments, left alone while images come, given back."""

import errno
import os
from types import SimpleNamespace

import pytest

from edge.spool.ahead import KeysAhead
from edge.spool.provision import FIRST, FULL_SECONDS, LEAST, LOOK_SECONDS, Provision, segments_on
from edge.spool.segments import SIZE, Segments
from gateway import durable
from gateway.envelope.kem import KemKeys
from gateway.errors import StorageFull

SPARES = 6


class Volume:
    """A disk of which somebody else takes the rest."""

    def __init__(self):
        self.full = False

    def room(self, incoming):
        assert incoming == 2 * SIZE
        if self.full:
            raise StorageFull("full")


class World:
    def __init__(self, folder):
        self.segments = Segments(folder / "segments", 1 << 20, spares=SPARES)
        self.keys = KeysAhead(KemKeys.generate("hub-1").publics, most=3)
        self.traffic = SimpleNamespace(busy=False, narrow=True)
        self.volume = Volume()
        self.provision = Provision(self.keys, self.segments, self.traffic, self.volume.room)

    def turns(self, number=20):
        return [self.provision.turn() for _ in range(number)]


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path)
    yield made
    made.segments.close()


def test_before_senders_come_some_are_ready(world):
    world.provision.first()
    assert world.segments.ready == FIRST
    assert not world.keys.few


def test_in_quiet_moments_all_of_them_become_ready_and_the_disk_rests_between(world):
    pauses = world.turns()
    assert world.segments.ready == SPARES
    assert world.provision.ready == world.provision.wanted == SPARES * SIZE
    assert all(0 < pause < LOOK_SECONDS for pause in pauses[:SPARES])
    assert pauses[-1] == LOOK_SECONDS


def test_while_images_come_nothing_is_made(world):
    world.provision.first()
    world.traffic.busy, world.traffic.narrow = True, False
    world.segments.lease()
    world.turns()
    assert world.segments.ready == FIRST - 1


def test_while_many_small_ones_come_some_are_made(world):
    world.traffic.busy = True
    world.turns()
    assert world.segments.ready == LEAST
    world.segments.lease()
    world.turns()
    assert world.segments.ready == LEAST


def test_a_disk_without_room_gets_back_what_lies_ready(world):
    world.turns()
    world.volume.full = True
    assert world.turns()[-1] == LOOK_SECONDS
    assert world.segments.ready == FIRST
    assert len(list(world.segments.folder.iterdir())) == FIRST
    world.volume.full = False
    world.turns()
    assert world.segments.ready == SPARES


def test_a_disk_that_fails_is_asked_again_after_a_while(world, monkeypatch):
    def fails(segment):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr("edge.spool.segment.Segment.fill", fails)
    assert world.provision.turn() == FULL_SECONDS
    monkeypatch.undo()
    world.turns()
    assert world.segments.ready == SPARES


def test_what_lies_ready_outlives_a_restart(world, tmp_path):
    world.turns()
    world.segments.close()
    again = Segments(tmp_path / "segments", 1 << 20, spares=SPARES)
    assert again.recover(lambda parcel: False) == []
    assert again.ready == SPARES
    again.close()


@pytest.mark.parametrize(
    ("volume", "wanted", "segments"),
    [
        (1 << 40, 2_000_000_000, 29),
        (64 * 20 * SIZE, 2_000_000_000, 20),
        (1 << 30, 2_000_000_000, FIRST),
        (1 << 40, 0, FIRST),
    ],
)
def test_it_is_a_small_part_of_the_volume(tmp_path, monkeypatch, volume, wanted, segments):
    monkeypatch.setattr(durable, "volume_bytes", lambda folder: volume if folder == tmp_path else 0)
    assert segments_on(tmp_path / "not" / "made", wanted) == segments

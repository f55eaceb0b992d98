"""What lies ready for the next burst: made in quiet moments, left alone while images come, given back."""

import errno
import os
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest

from edge.spool.ahead import KeysAhead
from edge.spool.provision import (
    FAILED_SECONDS,
    FIRST,
    LEAST,
    LITTLE,
    LOOK_SECONDS,
    Provision,
    segments_on,
)
from edge.spool.segment import Segment
from edge.spool.segments import SIZE, Segments
from gateway import durable
from gateway.envelope.kem import KemKeys

SPARES, FILE = 6, 1 << 20


class World:
    """A spool's segments on a volume whose free bytes count down with what is made."""

    def __init__(self, folder, free=1 << 40, timer=None):
        self.segments = Segments(folder / "segments", FILE, spares=SPARES)
        self.keys = KeysAhead(KemKeys.generate("hub-1").publics, most=3)
        self.traffic = SimpleNamespace(busy=False, narrow=True)
        self.free, self.now = free, 0.0
        self.provision = Provision(
            self.keys, self.segments, self.traffic, self.room, timer or (lambda: self.now)
        )

    def room(self):
        """Each file stands for a whole segment."""
        return self.free - SIZE * sum(1 for _ in self.segments.folder.glob("*.seg"))

    def turns(self, number=20):
        rests = []
        for _ in range(number):
            before = self.now
            self.now += 0.001
            rests.append(self.provision.turn())
            self.now = before + 1
        return rests


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path)
    yield made
    made.segments.close()


def test_before_senders_come_some_are_ready(world):
    world.provision.first()
    assert world.segments.ready == FIRST
    assert not world.keys.few


def test_in_quiet_moments_all_of_them_become_ready_and_the_disk_rests_between(tmp_path):
    world = World(tmp_path, timer=time.monotonic)
    rests = [world.provision.turn() for _ in range(SPARES + 1)]
    assert world.segments.ready == SPARES
    assert world.provision.ready == world.provision.wanted == SPARES * SIZE
    assert all(0 < rest < LOOK_SECONDS for rest in rests[:SPARES])
    assert rests[-1] == LOOK_SECONDS
    world.segments.close()


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


def test_a_disk_that_nears_its_reserve_gets_all_of_it_back(world):
    world.turns()
    world.free = SIZE
    world.turns()
    assert world.segments.ready == 0
    assert list(world.segments.folder.iterdir()) == []
    world.free = 1 << 40
    world.turns()
    assert world.segments.ready == SPARES


@pytest.mark.parametrize("free", [n * SIZE // 2 for n in range(1, 2 * (SPARES + 9))])
def test_what_is_given_back_is_not_made_again(tmp_path, free, monkeypatch):
    """However full the volume is, some turns later nothing is written any more."""
    world, filled = World(tmp_path, free), []
    fill = Segment.fill
    monkeypatch.setattr(Segment, "fill", lambda segment: filled.append(segment) or fill(segment))
    world.turns(3 * SPARES)
    before = len(filled)
    world.turns(30)
    assert len(filled) == before <= SPARES
    assert world.segments.ready == 0 or world.room() >= LITTLE
    world.segments.close()


def test_keys_are_made_however_full_the_disk_is(tmp_path):
    world = World(tmp_path, free=0)
    world.turns(1)
    assert not world.keys.few


def test_what_fails_is_tried_again_after_a_while_and_ends_nothing(world, monkeypatch):
    def fails():
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(world.provision, "_room", fails)
    assert world.turns(3) == [LOOK_SECONDS] * 3
    monkeypatch.undo()
    world.turns(int(FAILED_SECONDS) - 5)
    assert world.segments.ready == 0
    world.turns()
    assert world.segments.ready == SPARES


@pytest.mark.parametrize("direct", [True, False])
def test_a_write_that_the_kernel_refuses_leaves_nothing_behind(tmp_path, direct):
    """As at a quota, or on a volume that promised more than it has (RLIMIT_FSIZE in setrlimit(2))."""
    script = f"""
import os, resource, signal
from pathlib import Path
from edge.spool.segments import Segments
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (3 << 20, 3 << 20))
made = Segments(Path({str(tmp_path)!r}), 8 << 20, direct={direct})
handles = len(os.listdir("/proc/self/fd"))
for _ in range(3):
    try:
        made.prepare(1)
    except OSError as error:
        print(error.errno, len(list(made.folder.iterdir())), len(os.listdir("/proc/self/fd")) - handles)
"""
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines() == [f"{errno.EFBIG} 0 0"] * 3


def test_what_lies_ready_outlives_a_restart(world, tmp_path):
    world.turns()
    world.segments.close()
    again = Segments(tmp_path / "segments", FILE, spares=SPARES)
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

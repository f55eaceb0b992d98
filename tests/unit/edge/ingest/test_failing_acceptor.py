"""A disk that fails at any call by which an acceptor process changes it: the sender is told, nothing is lost."""

import errno
import os
import time
from itertools import count
from pathlib import Path

import pytest

from edge.config import Ingest
from edge.spool.segment import LARGEST
from gateway import durable
from gateway.dicom import transfer
from tests.doubles import failing_disk
from tests.doubles.datasets import encode, sample
from tests.doubles.listeners import ExactSender, listening

CT = "1.2.840.10008.5.1.4.1.1.2"
LE = transfer.EXPLICIT_LITTLE
TWO = Ingest(open=True, processes=2)
IN_PART = 0
CODES = (errno.ENOSPC, errno.EDQUOT, errno.EIO, IN_PART)
NEVER = 10**6
SMALL, LARGE = 600_000, LARGEST + 700_000


class Disk:
    """Says how the disk of all acceptors fails."""

    def __init__(self, path, monkeypatch):
        self._path, self._number = path, count()
        self.fails(errno.EIO, NEVER)
        monkeypatch.setenv("TELERAD_TEST_FAULT", str(path))
        monkeypatch.setenv("PYTHONPATH", str(Path(failing_disk.__path__[0])), prepend=os.pathsep)

    def fails(self, code, step):
        durable.replace(self._path, f"{next(self._number)} {code} {step}".encode())

    def works(self):
        self.fails(errno.EIO, NEVER)


@pytest.fixture
def disk(tmp_path, monkeypatch):
    return Disk(tmp_path / "fault", monkeypatch)


@pytest.fixture
def world(tmp_path, disk):
    with listening(tmp_path, TWO) as world:
        yield world


class Modality:
    """One association; remembers what was answered with success."""

    def __init__(self, world):
        self._sender = ExactSender(world.listener.port, [(CT, LE)])
        self._numbers = count()
        self.answered = []

    def send(self, size):
        instance = f"1.2.3.{next(self._numbers)}"
        data = encode(sample(os.urandom(size), instance=instance))
        status = self._sender.send(CT, instance, LE, data)
        if status == 0:
            self.answered.append(data)
        return status

    def release(self):
        self._sender.release()


def check(world, modality, pids):
    """Everything that was answered is there, once, and nothing else; nobody had to die for it."""
    modality.release()
    kept = [data for entry, data in world.instances() if entry.sop_instance_uid]
    assert sorted(kept) == sorted(modality.answered)
    assert not list(world.spool.files.spool.glob(f"{durable.TEMPORARY_PREFIX}*"))
    assert world.listener.pids == pids


@pytest.mark.parametrize("code", CODES)
def test_the_first_instances_when_nothing_can_be_opened_or_written(world, disk, code):
    pids, modality = world.listener.pids, Modality(world)
    for step in range(3):
        disk.fails(code, step)
        assert modality.send(SMALL) in ({0xA700} if step < 1 else {0xA700, 0})
    disk.works()
    assert modality.send(SMALL) == 0
    check(world, modality, pids)


@pytest.mark.parametrize("code", CODES)
def test_a_record_that_cannot_be_written(world, disk, code):
    pids, modality = world.listener.pids, Modality(world)
    for _ in range(2):
        assert modality.send(SMALL) == 0
        disk.fails(code, 0)
        assert modality.send(SMALL) == 0xA700
        disk.works()
    assert modality.send(SMALL) == 0
    check(world, modality, pids)


def paths(world, number):
    """Segments in which so many records lie, once they have been told of."""
    segments = world.spool.files.segments
    until = time.monotonic() + 5
    while len(segments.places()) < number and time.monotonic() < until:
        time.sleep(0.01)
    return {place.path for _, place in segments.places()}


@pytest.mark.parametrize("code", CODES)
def test_nothing_more_is_written_where_the_disk_has_failed(world, disk, code):
    modality = Modality(world)
    assert modality.send(SMALL) == 0
    assert len(paths(world, 1)) == 1
    disk.fails(code, 0)
    assert modality.send(SMALL) == 0xA700
    disk.works()
    assert modality.send(SMALL) == 0
    full = code in (errno.ENOSPC, errno.EDQUOT)  # this the disk has said before it wrote
    assert len(paths(world, 2)) == (1 if full else 2)
    modality.release()


@pytest.mark.parametrize("code", CODES)
def test_a_large_instance_at_every_step(world, disk, code):
    pids, modality = world.listener.pids, Modality(world)
    statuses = []
    for step in (0, 1, 2, 9, 17, *range(19, 27)):
        disk.fails(code, step)
        statuses.append(modality.send(LARGE))
        disk.works()
    if code == IN_PART:  # the rest is written then
        assert set(statuses) == {0}
    else:
        assert statuses[:5] == [0xA700] * 5
        assert statuses[-1] == 0
    assert modality.send(LARGE) == 0
    check(world, modality, pids)

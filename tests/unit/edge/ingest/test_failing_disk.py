"""A disk that is full or fails at any write while instances come: the sender is told, nothing else is lost."""

import errno
import os
import resource
from contextlib import contextmanager

import pytest

from edge.config import Ingest
from edge.spool import intake, segment
from gateway import durable
from gateway.dicom import transfer
from gateway.model import Priority
from tests.doubles.datasets import encode, sample
from tests.doubles.listeners import ExactSender, listening

CT = "1.2.840.10008.5.1.4.1.1.2"
LE = transfer.EXPLICIT_LITTLE
OPEN = Ingest(open=True)
CALLS = ("pwritev", "fdatasync", "fsync", "link")


@contextmanager
def failing(monkeypatch, code, step):
    """The `step`-th call that changes the disk fails, and all after it."""
    calls = iter(range(10**6))

    def wrap(real):
        def call(*args, **kwargs):
            if next(calls) >= step:
                raise OSError(code, os.strerror(code))
            return real(*args, **kwargs)

        return call

    with monkeypatch.context() as patch:
        for name in CALLS:
            patch.setattr(durable.os, name, wrap(getattr(os, name)))
        yield


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("step", range(3))
def test_the_sender_is_told_and_what_was_answered_before_and_after_is_kept(
    tmp_path, monkeypatch, code, step, large
):
    if large:
        monkeypatch.setattr(intake, "LARGEST", 1000)
    answered = []
    with listening(tmp_path, OPEN) as world:
        sender = ExactSender(world.listener.port, [(CT, LE)])
        datasets = [encode(sample(bytes([n]) * 600_000, instance=f"1.2.3.{n}")) for n in range(3)]

        def send(n):
            if sender.send(CT, f"1.2.3.{n}", LE, datasets[n]) == 0:
                answered.append(n)
                return True
            return False

        assert send(0)
        with failing(monkeypatch, code, step):
            send(1)
        assert send(2)
        sender.release()
        kept = [data for entry, data in world.instances() if entry.sop_instance_uid]
        for n in answered:
            assert datasets[n] in kept
        assert not list(world.spool.files.spool.glob(f"{durable.TEMPORARY_PREFIX}*"))
        assert {0, 2} <= set(answered)


def test_a_failure_is_answered_out_of_resources(tmp_path, monkeypatch):
    with listening(tmp_path, OPEN) as world:
        sender = ExactSender(world.listener.port, [(CT, LE)])
        for code in (errno.ENOSPC, errno.EIO):
            with failing(monkeypatch, code, 0):
                assert sender.send(CT, "1.2.3.4", LE, encode(sample())) == 0xA700
        assert sender.send(CT, "1.2.3.4", LE, encode(sample())) == 0
        sender.release()
        assert len(world.instances()) == 1


def test_the_disk_is_looked_at_while_a_large_instance_comes(tmp_path, monkeypatch):
    monkeypatch.setattr(intake, "LARGEST", 100_000)
    monkeypatch.setattr(intake, "CHECK_EVERY", 300_000)
    with listening(tmp_path, OPEN) as world:
        free = iter([10**12, 10**12, 10**12, *[0] * 1000])
        with monkeypatch.context() as patch:
            patch.setattr(durable, "free_bytes", lambda folder: next(free))
            sender = ExactSender(world.listener.port, [(CT, LE)])
            assert sender.send(CT, "1.2.3.4", LE, encode(sample(bytes(3_000_000)))) == 0xA700
        assert list(world.spool.files.bodies()) == []
        assert sender.send(CT, "1.2.3.4", LE, encode(sample(bytes(3_000_000)))) == 0
        sender.release()


def test_a_large_instance_goes_to_its_own_file_and_costs_no_memory(tmp_path):
    """Scaled by ``TELERAD_LARGE_MB`` (2048 for the whole)."""
    size = int(os.environ.get("TELERAD_LARGE_MB", "96")) << 20
    with listening(tmp_path, OPEN) as world:
        one = world.spool.intake.begin()
        head = encode(sample(bytes(2)))
        one.write(head)
        piece = bytes(128 << 10)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for _ in range(size // len(piece)):
            one.write(piece)
        assert one.read(0, 100) == head[:100]
        assert one.read(size // 2, 10) == bytes(10)
        assert one.read(one.length - 3, 10) == bytes(3)
        one.keep(world.facts(), priority=Priority.ROUTINE)
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        print(f"{size >> 20} MB added {grown >> 10} MB")
        assert grown < 64 << 10
        assert world.spool.files.body(one.parcel).stat().st_size > size


def test_what_is_small_lies_in_a_segment(tmp_path):
    with listening(tmp_path, OPEN) as world:
        item = world.receive(b"x" * (segment.LARGEST - 1000))
        assert not world.spool.files.body(item.parcel_id).exists()
        assert world.content(world.packer.seal(item).parcel_id)[1] == [b"x" * (segment.LARGEST - 1000)]

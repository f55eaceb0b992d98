"""What the edge's memory holds of an instance that waits: a day without a line must fit a small machine."""

import gc
import tracemalloc
import weakref

import pytest

from edge.config import Ingest
from edge.ingest.offered import Offered
from edge.quality.inspector import Inspector
from edge.spool.view import StudyFacts
from edge.verdict import WANTED
from gateway.dicom import transfer
from gateway.dicom.alike import Alike
from gateway.model import Priority
from tests.doubles.datasets import encode, sample
from tests.doubles.spools import SpoolWorld

WARM, COUNT = 200, 2000
BOUND = 1024
"""Bytes an instance."""


def test_an_instance_that_waits_takes_less_than_a_kilobyte(tmp_path):
    world = SpoolWorld(tmp_path / "data")
    world.spool.inspector = Inspector(world.clock, lambda _: None)
    offered = Offered(Ingest(open=True), tmp_path / "data", world.spool, world.clock)
    reads = Alike(WANTED, None)

    def receive(number):
        dataset = sample(bytes(64), instance=f"1.2.826.0.1.3680043.8.498.{10**20 + number}")
        dataset.StudyInstanceUID = f"1.2.826.0.1.3680043.8.498.{10**20 + number // 500}"
        dataset.SeriesInstanceUID = f"{dataset.StudyInstanceUID}.1"
        dataset.InstanceNumber = str(number % 500)
        data, one = encode(dataset), world.spool.intake.begin()
        one.write(data)
        found, flaw = reads.read(one.head, one.length, one.read, transfer.EXPLICIT_LITTLE)
        assert not flaw
        facts = world.facts(number)
        one.keep(facts, priority=Priority.ROUTINE, study=StudyFacts.of(found))
        one.tell()

    try:
        for number in range(WARM):
            receive(number)
        offered._ledger.settle()
        gc.collect()
        tracemalloc.start()
        try:
            for number in range(WARM, WARM + COUNT):
                receive(number)
            offered._ledger.settle()
            world.spool.to_pack(1)  # rows that wait are written
            gc.collect()
            each = tracemalloc.get_traced_memory()[0] / COUNT
        finally:
            tracemalloc.stop()
    finally:
        offered.close()
        world.spool.close()
    print(f"{each:.0f} bytes an instance")
    assert each < BOUND


@pytest.mark.parametrize("size", [5_000, 300_000, 5_000_000])
def test_what_was_taken_in_leaves_no_garbage_and_no_key_behind(tmp_path, size):
    world = SpoolWorld(tmp_path / "data")
    gc.collect()
    gc.disable()
    try:
        one = world.spool.intake.begin()
        one.write(bytes(size))
        gone = [weakref.ref(one), weakref.ref(one.sealer)]
        one.keep(world.facts(), priority=Priority.ROUTINE, study=world.study())
        one.tell()
        del one
        assert [each() for each in gone] == [None, None]
    finally:
        gc.enable()
        world.spool.close()

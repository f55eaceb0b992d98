"""What a parcel under way says of itself."""

import os

import pytest

from edge.spool import merger
from edge.spool.coding import Line
from edge.uplink.parcel import Parcel
from gateway.wire import sender
from gateway.wire.messages import Have
from tests.doubles.spools import SpoolWorld


@pytest.fixture
def parcel(tmp_path, monkeypatch):
    monkeypatch.setattr(merger, "LEAST_CHUNK", 1024)
    world = SpoolWorld(tmp_path / "data")
    items = [world.receive(os.urandom(5_000), number=number) for number in range(4)]
    made = world.spool.merger.merge(items, Line(rate=4096.0))
    item = world.packer.seal(made.item)
    yield Parcel.load(world.spool, item, sender.State.FRESH)
    world.spool.close()


def test_what_is_on_the_line_is_what_was_handed_out(parcel):
    size, chunks = parcel.header.sealed_size, len(parcel.header.chunks)
    assert parcel.flown == 0
    assert chunks >= 16
    parcel.sender.handle(sender.Take(1, chunks // 2))
    assert size * 0.4 < parcel.flown < size * 0.6
    parcel.sender.handle(sender.Take(1, chunks))
    assert parcel.flown == size
    parcel.sender.handle(sender.Ended(1, clean=False))  # nobody knows what came of it
    assert parcel.flown == 0
    parcel.sender.handle(sender.Heard(2, Have(parcel.id, chunks, ())))
    assert parcel.sender.state is sender.State.WHOLE
    assert parcel.flown == 0  # the spool does not count it as unsent any more

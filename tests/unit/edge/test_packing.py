"""When the packer signs, and what it waits for."""

import asyncio
from contextlib import suppress

import pytest

from edge.pack import AHEAD, LARGEST, LEAST, TARGET, parcel_bytes
from edge.spool.grouping import MOST
from edge.spool.states import State
from gateway.envelope.inner import Notice
from gateway.model import Priority
from tests.doubles.edges import until
from tests.doubles.spools import SpoolWorld


@pytest.fixture
async def world(tmp_path):
    world = SpoolWorld(tmp_path / "data")
    task = asyncio.create_task(world.packer.run())
    yield world
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    world.spool.close()


def sealed(world):
    return [item for item in world.spool._journal.all() if item.state is State.SEALED]


async def quiet(world):
    """Until nothing is unsigned any more."""

    async def signed():
        return not world.spool.to_pack(1)

    await until(signed)


async def test_without_a_backlog_every_image_goes_at_once_by_itself(world):
    for number in range(3):
        world.receive(b"image" * 100, number=number)
        await quiet(world)
    assert [item.instances for item in sealed(world)] == [1, 1, 1]


async def test_what_the_line_cannot_take_is_gathered_and_stat_is_not_held_up(world, monkeypatch):
    monkeypatch.setattr("edge.pack.PATIENCE", 3600)
    for number in range(AHEAD):
        world.receive(b"image" * 100, number=number)
        await quiet(world)
    for number in range(20):
        world.receive(b"image" * 100, number=100 + number)
    await asyncio.sleep(0.3)
    assert [item.lead for item in sealed(world)] == [True, *[False] * (AHEAD - 1), True]  # first and middle
    assert len(world.spool.to_pack(99)) == 19
    urgent = world.receive(b"stat" * 100, number=999, priority=Priority.STAT)

    async def there():
        return world.spool._journal.get(urgent.parcel_id).state is State.SEALED

    await until(there)
    world.spool.notify(Notice("association-closed", {}))
    first = sealed(world)[0]
    for item in sealed(world)[:3]:
        await world.spool.confirm(item.parcel_id, world.receipt(item.parcel_id))
    await quiet(world)
    items = sorted(sealed(world), key=lambda item: item.sequence)
    assert first not in items
    assert [item.instances for item in items[-2:]] == [19, 0]


async def test_with_a_dead_line_everything_is_signed_all_the_same(world, monkeypatch):
    monkeypatch.setattr("edge.pack.PATIENCE", 0.2)
    world.packer._clock = type(
        "Ticking", (), {"now": world.clock.now, "monotonic": asyncio.get_running_loop().time}
    )()
    for number in range(200):
        world.receive(b"image" * 100, number=number)
    await quiet(world)
    counts = [item.instances for item in sealed(world)]
    assert sum(counts) == 200
    assert max(counts) == MOST


def test_the_size_follows_the_line():
    assert parcel_bytes(0) == TARGET
    assert parcel_bytes(1_000_000) == 1_500_000
    assert parcel_bytes(100) == LEAST
    assert parcel_bytes(1e9) == LARGEST

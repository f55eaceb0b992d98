"""When the packer signs, and what it waits for."""

import asyncio
import threading
import time
from contextlib import suppress
from dataclasses import replace
from math import inf

import pytest

from edge.pack import AHEAD
from edge.spool.demand import ASSUMED, HUNGRY, LARGEST, LEAST, TARGET, Demand, carries, within
from edge.spool.grouping import MOST, series_of
from edge.spool.states import State
from gateway.envelope.inner import Notice
from gateway.model import Priority
from tests.doubles.edges import until
from tests.doubles.images import Image
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


def test_the_first_parcel_is_small_and_the_size_follows_the_line():
    assert Demand().parcel_bytes == TARGET
    sizes = [Demand(rate=1e6, row=row).parcel_bytes for row in range(5)]
    assert sizes == [200_000, 400_000, 800_000, 1_000_000, 1_000_000]
    assert Demand(rate=100).parcel_bytes == LEAST
    assert Demand(rate=1e9).parcel_bytes == LARGEST


def test_a_line_that_is_given_little_is_not_thought_slow():
    assert carries(1e6, 9e6, queued=3_000_000) == 1e6  # it has enough to do: that is what it carries
    assert carries(1e6, 9e6, queued=0) == 9e6
    assert carries(1e6, 0, queued=0) == 1e6
    assert carries(0, 9e6, queued=0) == 9e6
    assert carries(0, ASSUMED / 2, queued=0) == 0  # it has only begun
    assert carries(0, 9e6, queued=10**9) == 9e6


def test_a_budget_is_the_line_that_counts(tmp_path):
    """Parcels are as large as it carries in a second, and coded by what ends soonest on it."""
    assert within(2.5e6, inf) == 2.5e6
    assert within(2.5e6, 30e3) == within(0, 30e3) == 30e3
    assert within(0, 2 * ASSUMED) == 0
    assert within(2.5e6, 0) == 2.5e6  # nothing goes now; when it does, it is by the whole line
    image = Image(rows=512, columns=512)
    taken = {}
    for pace in (inf, 48e3, 0.0):  # a line of 1 Gbit/s, 384 kbit/s of it, and none until the evening
        world = SpoolWorld(tmp_path / str(pace))
        packer = world.packer
        packer._rate, packer._cores, packer._pace = lambda: 125e6, lambda: 2.0, {Priority.ROUTINE: pace}.get
        items = [
            world.receive(image.dataset, number=number, syntax=image.syntax, priority=Priority.ROUTINE)
            for number in range(3)
        ]
        packer._begun[series_of(world.spool.merger.kept(items[0].parcel_id))] = 99
        chosen, _, demand = packer._look()
        taken[pace] = (packer.gather(chosen).ways, demand.parcel_bytes)
        world.spool.close()
    assert taken[inf] == ({}, LARGEST)
    assert taken[48e3][1] == LEAST
    assert all(way.startswith(("jxl", "jpegls")) for way in taken[48e3][0])
    assert taken[0.0][0].keys() & {"htj2k", "jxl-1", "jxl-2", "jpegls"}


def test_a_line_is_hungry_before_it_has_nothing_to_do():
    assert Demand(rate=1e6, queued=int(1e6 * HUNGRY) - 1).hungry
    assert not Demand(rate=1e6, queued=int(1e6 * HUNGRY)).hungry
    assert Demand(rate=1e6, queued=0, ahead=99).takes(8)  # all is on its way: it stands idle
    assert not Demand(rate=1e6, queued=1, ahead=8).takes(8)


async def test_while_a_large_one_is_coded_others_go_by_and_notices_do_not(world, monkeypatch):
    monkeypatch.setattr("edge.pack.LARGE", 100_000)
    begun, go = threading.Event(), threading.Event()
    whole = world.spool.merger.merge

    def merge(items, *args, **options):
        if items[0].sealed_size > 100_000:
            begun.set()
            assert go.wait(20)
        return whole(items, *args, **options)

    monkeypatch.setattr(world.spool.merger, "merge", merge)
    large = world.receive(bytes(200_000), number=1)

    async def coding():
        return begun.is_set()

    await until(coding)
    world.spool.notify(Notice("association-closed", {}))
    urgent = world.receive(bytes(50_000), number=2, priority=Priority.STAT)
    for number in range(3, 10):
        world.receive(b"image" * 100, number=number)

    async def others():
        return sum(item.instances for item in sealed(world)) == 8 and len(world.spool.to_pack(9)) == 2

    try:
        await until(others)  # all but the large one and the notice
        assert world.spool._journal.get(large.parcel_id).state is State.RECEIVED
        first = min(sealed(world), key=lambda item: item.sequence)
        assert (first.priority, urgent.priority) == (Priority.STAT, Priority.STAT)
    finally:
        go.set()
    await quiet(world)
    items = sorted(sealed(world), key=lambda item: item.sequence)
    assert items[-1].instances == 0
    assert sum(item.instances for item in items) == 9


async def test_two_tasks_leave_no_gap_and_sign_nothing_twice(world, monkeypatch):
    monkeypatch.setattr("edge.pack.LARGE", 20_000)
    monkeypatch.setattr("edge.pack.AHEAD", 10_000)
    sizes = [100, 30_000, 200, 25_000, 400] * 12
    for number, size in enumerate(sizes):
        priority = (Priority.ROUTINE, Priority.STAT, Priority.URGENT)[number % 3]
        await asyncio.to_thread(world.receive, bytes([number]) * size, number, priority=priority)
        await asyncio.sleep(0.005)
    await quiet(world)
    items = sorted(sealed(world), key=lambda item: item.sequence)
    assert [item.sequence for item in items] == list(range(1, len(items) + 1))
    found = [len(data) for item in items for data in world.content(item.parcel_id)[1]]
    assert sorted(found) == sorted(sizes)


async def test_a_notice_follows_all_that_came_before_it(world, monkeypatch):
    """Though two parcels are made at a time, and the first takes long."""
    monkeypatch.setattr("edge.pack.AHEAD", 10_000)
    whole = world.spool.merger.merge

    def merge(items, *args, **options):
        time.sleep(0.2 if len(items) > 1 else 0)
        return whole(items, *args, **options)

    monkeypatch.setattr(world.spool.merger, "merge", merge)
    for number in range(40):
        world.receive(bytes([number]) * 40_000, number=number)
        if number == 20:
            notice = world.spool.notify(Notice("association-closed", {}))
    await quiet(world)
    items = {item.parcel_id: item for item in sealed(world)}
    at = items[notice.parcel_id].sequence
    before = {name for item in items.values() if item.sequence < at for name in numbers(world, item)}
    assert before >= set(range(21))


def numbers(world, item) -> list[int]:
    """Of the instances a parcel holds."""
    return [data[0] for data in world.content(item.parcel_id)[1]]


async def test_while_much_comes_in_only_what_cannot_wait_is_packed(world, monkeypatch):
    monkeypatch.setattr("edge.spool.demand.HUNGRY", 0.0)  # the line has nothing to ask for
    monkeypatch.setattr("edge.spool.traffic.BUSY", -1.0)
    world.packer._clock = type(
        "Ticking", (), {"now": world.clock.now, "monotonic": asyncio.get_running_loop().time}
    )()
    for number in range(20):
        world.receive(b"image" * 100, number=number)
    urgent = world.receive(b"stat" * 100, number=999, priority=Priority.STAT)
    await asyncio.sleep(1.5)
    went = {item.parcel_id: item.lead for item in sealed(world)}
    assert urgent.parcel_id in went or len(went) == 3
    assert len(world.spool.to_pack(99)) == 21 - len(went) >= 18  # leads of the series, and STAT
    monkeypatch.setattr("edge.pack.STAND_BACK", 0.5)
    await quiet(world)  # though as much comes in as before


async def test_while_the_hub_is_away_nothing_is_packed_before_it_rests(world):
    """Nothing can go, so modalities have the machine; a second after the last image all is packed."""
    online = False
    world.packer._online = lambda: online
    for number in range(15):
        priority = Priority.STAT if number == 3 else Priority.ROUTINE
        world.receive(b"image" * 100, number=number, priority=priority)
        await asyncio.sleep(0.1)
        assert not sealed(world)
    online = True
    await asyncio.sleep(0.5)
    assert sealed(world)  # the first of the series, and STAT, at once
    online = False
    world.receive(b"image" * 100, number=99)
    await quiet(world)


async def test_what_waits_behind_a_leading_instance_is_not_kept_waiting_by_a_pause(world, monkeypatch):
    """While much comes in there is a pause between looks; six series begin without one between them."""
    monkeypatch.setattr("edge.pack.BUSY_LOOK_SECONDS", 2.0)
    monkeypatch.setattr("edge.spool.traffic.BUSY", -1.0)
    for number in range(6):
        facts = replace(world.facts(number), series_uid=f"2.25.{number + 1}")
        world.spool.receive(facts, b"image" * 100, study=world.study())
    started = asyncio.get_running_loop().time()
    await quiet(world)
    assert len(sealed(world)) == 6
    assert asyncio.get_running_loop().time() - started < 2 * 2.0  # one pause, before the first

"""Many small parcels into one: killed between any two steps, nothing is lost and nothing is there twice."""

import errno
import os
from contextlib import suppress

import pytest

from edge.pack import Packer
from edge.spool import refill
from edge.spool.coding import Line
from edge.spool.demand import ENOUGH, LEAST, LINE_SECONDS, THIN_SECONDS, Demand
from edge.spool.grouping import Group
from edge.spool.merger import CHUNK_SECONDS, CHUNKS, LEAST_CHUNK, chunk_bytes
from edge.spool.states import State
from gateway import durable
from gateway.clock import rfc3339
from gateway.envelope.inner import InstanceFacts
from gateway.envelope.layout import CHUNK_SIZE, NO_PREVIOUS
from gateway.errors import StorageFull, Unverified
from gateway.model import Priority
from tests.doubles.spools import SITE, SpoolWorld

STEPS = 60
LARGE_STEPS = 76
"""More system calls than merging, signing and letting go have; `test_there_are_no_further_steps` knows."""


class Killed(BaseException):
    """The process ended here."""


@pytest.fixture
def world(tmp_path):
    world = SpoolWorld(tmp_path / "data")
    yield world
    world.spool.close()


def restart(world, *, lose_index):
    world.spool.close()
    if lose_index:
        for file in world.spool.files.spool.glob("index.sqlite*"):
            file.unlink()
    return world.open()


def kill_at(monkeypatch, step, failure=Killed):
    """The `step`-th system call does not happen, nor (if the process was killed) does any after it."""
    calls = iter(range(10**6))

    def counted(real):
        def call(*args, **kwargs):
            number = next(calls)
            if number == step or (number > step and failure is Killed):
                raise failure
            return real(*args, **kwargs)

        return call

    for name in ("fsync", "link", "unlink", "open"):
        monkeypatch.setattr(durable.os, name, counted(getattr(os, name)))
    return calls


def data_of(number):
    return f"dataset {number} ".encode() * (40 + number)


def pack_all(world):
    """Sign all that is left, as it is; everything that would reach the hub, in order."""
    while waiting := world.spool.to_pack(1):
        world.packer.seal(waiting[0])
    return [
        content
        for item in sorted(world.spool._journal.all(), key=lambda item: item.sequence or 0)
        for content in world.content(item.parcel_id)[1]
    ]


def check_chain(world):
    opened = [world.opened(item.parcel_id) for item in world.spool._journal.all()]
    opened.sort(key=lambda one: one.header.sequence)
    assert [one.header.sequence for one in opened] == list(range(1, len(opened) + 1))
    assert [one.header.previous for one in opened] == [NO_PREVIOUS, *(one.digest for one in opened[:-1])]


def gather_and_seal(world, items):
    item = world.packer.gather(Group(tuple(items), full=True)).item
    world.packer.seal(item)
    return item


def test_one_parcel_holds_what_many_held(world):
    items = [world.receive(data_of(n), number=n) for n in range(5)]
    item = gather_and_seal(world, items)
    manifest, contents = world.content(item.parcel_id)
    assert contents == [data_of(n) for n in range(5)]
    assert [entry.sop_instance_uid for entry in manifest.instances] == [f"2.25.777.{n}" for n in range(5)]
    assert world.spool._journal.get(item.parcel_id).instances == 5
    assert [path.name for path in world.spool.files.spool.glob("*.tge")] == [f"{item.parcel_id}.tge"]
    assert not list(world.spool.files.spool.glob("*.mer*"))
    assert [one.parcel_id for one in world.spool._journal.all()] == [item.parcel_id]


def test_the_page_counts_instances_and_not_parcels(world):
    items = [world.receive(data_of(n), number=n) for n in range(5)]
    item = gather_and_seal(world, items)
    world.spool.confirmed.confirm(item.parcel_id, world.receipt(item.parcel_id))
    (study,) = world.spool.view.studies()
    assert (study.received, study.sent) == (5, 5)


@pytest.mark.parametrize("lose_index", [False, True])
@pytest.mark.parametrize("step", range(STEPS))
def test_killed_at_any_step_each_instance_is_in_exactly_one_parcel(world, monkeypatch, step, lose_index):
    items = [world.receive(data_of(n), number=n) for n in range(4)]
    world.receive(data_of(9), number=9)
    with monkeypatch.context() as patch:
        kill_at(patch, step)
        with suppress(Killed):
            gather_and_seal(world, items)
    restart(world, lose_index=lose_index)
    assert not [item for item in world.spool._journal.all() if item.state is State.HELD]
    assert sorted(pack_all(world)) == sorted(data_of(n) for n in (0, 1, 2, 3, 9))
    check_chain(world)
    restart(world, lose_index=lose_index)
    assert len(list(world.spool.files.spool.glob("*.tge"))) == len(world.spool._journal.all())
    assert not list(world.spool.files.spool.glob("*.mer*"))
    assert not [item for item in world.spool._journal.all() if item.state is not State.SEALED]


@pytest.mark.parametrize("step", range(STEPS))
def test_killed_again_while_recovering(world, monkeypatch, step):
    items = [world.receive(data_of(n), number=n) for n in range(3)]
    with monkeypatch.context() as patch:
        kill_at(patch, step)
        with suppress(Killed):
            gather_and_seal(world, items)
    for again in range(4):
        world.spool.close()
        with monkeypatch.context() as patch:
            kill_at(patch, again * 2)
            with suppress(Killed):
                world.open()
    restart(world, lose_index=True)
    assert sorted(pack_all(world)) == sorted(data_of(n) for n in range(3))
    check_chain(world)


def large_of(size):
    return (b"a large object, frame after frame " * (size // 34 + 1))[:size]


def streamed(monkeypatch):
    """Counts the instances that pass through piece by piece."""
    seen, real = [], refill._stream

    def stream(original, entry, *rest):
        seen.append(entry.length)
        return real(original, entry, *rest)

    monkeypatch.setattr(refill, "_stream", stream)
    return seen


@pytest.mark.parametrize("lose_index", [False, True])
@pytest.mark.parametrize("step", range(LARGE_STEPS))
def test_killed_at_any_step_while_a_large_instance_passes_through(world, monkeypatch, step, lose_index):
    """Coded piece by piece and compared from the disk; between small ones and alone."""
    monkeypatch.setattr(refill, "IN_MEMORY", 1000)
    sent = [large_of(300_000), data_of(2), large_of(200_000)]
    items = [world.receive(data, number=n) for n, data in enumerate(sent)]
    with monkeypatch.context() as patch:
        kill_at(patch, step)
        with suppress(Killed):
            gather_and_seal(world, items[:2])
            gather_and_seal(world, items[2:])
    restart(world, lose_index=lose_index)
    assert sorted(pack_all(world)) == sorted(sent)
    check_chain(world)
    restart(world, lose_index=lose_index)
    assert len(list(world.spool.files.spool.glob("*.tge"))) == len(world.spool._journal.all())
    assert not list(world.spool.files.spool.glob("*.mer*"))


def test_there_are_no_further_steps_for_a_large_instance(world, monkeypatch):
    monkeypatch.setattr(refill, "IN_MEMORY", 1000)
    items = [world.receive(data, number=n) for n, data in enumerate([large_of(300_000), data_of(2)])]
    alone = world.receive(large_of(200_000), number=3)
    seen = streamed(monkeypatch)
    with monkeypatch.context() as patch:
        calls = kill_at(patch, 10**6)
        gather_and_seal(world, items)
        gather_and_seal(world, [alone])
    assert seen == [300_000, 200_000]
    assert next(calls) <= LARGE_STEPS


@pytest.mark.parametrize("step", range(0, STEPS, 8))
def test_killed_with_an_instance_that_is_large_indeed(world, monkeypatch, step):
    data = large_of(refill.IN_MEMORY + 1_000_003)
    seen = streamed(monkeypatch)
    items = [world.receive(data, number=1)]
    with monkeypatch.context() as patch:
        kill_at(patch, step)
        with suppress(Killed):
            gather_and_seal(world, items)
    assert seen == [len(data)] or step <= 8
    restart(world, lose_index=False)
    assert pack_all(world) == [data]
    check_chain(world)


def test_there_are_no_further_steps(world, monkeypatch):
    items = [world.receive(data_of(n), number=n) for n in range(4)]
    with monkeypatch.context() as patch:
        calls = kill_at(patch, 10**6)
        gather_and_seal(world, items)
        assert 10 < next(calls) < STEPS


@pytest.mark.parametrize("step", range(STEPS))
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_a_disk_that_fails_once_costs_nothing(world, monkeypatch, step, number):
    items = [world.receive(data_of(n), number=n) for n in range(4)]
    with monkeypatch.context() as patch:
        kill_at(patch, step, OSError(number, os.strerror(number)))
        with suppress(OSError, StorageFull):
            gather_and_seal(world, items)
    restart(world, lose_index=False)
    found = pack_all(world)
    assert set(found) == {data_of(n) for n in range(4)}
    check_chain(world)


def test_a_rotten_original_lets_the_others_go_alone(world):
    items = [world.receive(data_of(n), number=n) for n in range(3)]
    world.spool.files.settle(items[1].parcel_id)
    path = world.spool.files.body(items[1].parcel_id)
    body = bytearray(path.read_bytes())
    body[10] ^= 1
    path.chmod(0o600)
    path.write_bytes(body)
    with pytest.raises(Unverified):
        world.spool.merger.merge(items, Line())
    assert {item.parcel_id for item in world.spool._journal.all()} == {item.parcel_id for item in items}
    assert not list(world.spool.files.spool.glob("*.mer*"))
    assert path.read_bytes() == body
    assert world.packer.gather(Group(tuple(items), full=True)).item == items[0]
    world.packer.seal(items[0])
    assert world.content(items[0].parcel_id)[1] == [data_of(0)]


def test_a_merged_parcel_that_rots_before_it_is_signed_gives_way_to_its_originals(world):
    items = [world.receive(data_of(n), number=n) for n in range(3)]
    item = world.spool.merger.merge(items, Line()).item
    path = world.spool.files.body(item.parcel_id)
    path.write_bytes(path.read_bytes()[:-5])
    restart(world, lose_index=True)
    states = {one.parcel_id: one.state for one in world.spool._journal.all()}
    assert states.pop(item.parcel_id) is State.HELD
    assert states == dict.fromkeys((one.parcel_id for one in items), State.RECEIVED)


def test_urgency_and_count_survive_without_the_index(world):
    items = [world.receive(data_of(n), number=n, priority=Priority.URGENT) for n in range(3)]
    item = world.spool.merger.merge(items, Line()).item
    restart(world, lose_index=True)
    found = world.spool._journal.get(item.parcel_id)
    assert (found.priority, found.instances, found.modality) == (Priority.URGENT, 3, "CT")
    assert found.sealed_size == item.sealed_size


def test_keys_are_in_memory_alone(world):
    items = [world.receive(data_of(n), number=n) for n in range(3)]
    keys = [world.spool.merger._kept.get(item.parcel_id).key for item in items]
    item = gather_and_seal(world, items)
    disk = world.everything_on_disk()
    assert not any(key in disk or key.hex().encode() in disk for key in keys)
    assert b"2.25.888" not in disk
    assert world.spool.merger._kept.get(item.parcel_id) is None
    assert all(world.spool.merger._kept.get(one.parcel_id) is None for one in items)
    restart(world, lose_index=False)
    other = world.receive(data_of(7), number=7)
    restart(world, lose_index=False)
    assert world.spool.merger.kept(other.parcel_id) is None


def test_flawed_instances_travel_alone(world):
    flawed = world.receive(data_of(1), number=1, remarks={"flaw": "odd"})
    assert world.spool.merger.kept(flawed.parcel_id).study == ""


def test_overhead_of_small_mr_images_is_below_two_per_cent(world):
    """32 KB of noise: what is beside the coded bytes is what the parcel, its header and its receipt add."""
    packer = Packer(world.spool, SITE, lambda: world.device, world.clock)
    count = 64
    items = []
    for number in range(count):
        facts = InstanceFacts(
            sop_class_uid="1.2.840.10008.5.1.4.1.1.4",
            sop_instance_uid=f"1.2.826.0.1.3680043.8.498.{os.urandom(15).hex().translate(HEX)[:38]}{number:02}",
            study_uid="1.2.826.0.1.3680043.8.498.11111111111111111111111111111111111111",
            series_uid="1.2.826.0.1.3680043.8.498.22222222222222222222222222222222222222",
            transfer_syntax_uid="1.2.840.10008.1.2.1",
            received_at=rfc3339(world.clock.now()),
            calling_ae="MR1",
        )
        items.append(world.spool.receive(facts, os.urandom(32 << 10)))
    item = packer.gather(Group(tuple(items), full=True)).item
    packer.seal(item)
    manifest, _ = world.content(item.parcel_id)
    coded = sum(entry.coded_length for entry in manifest.instances)
    sent = len(world.spool.header(item.parcel_id)) + world.spool._journal.get(item.parcel_id).sealed_size
    assert len(manifest.instances) == count
    assert sent / coded - 1 < 0.02
    print(f"{100 * (sent / coded - 1):.2f} % beyond {coded} coded bytes")


HEX = str.maketrans("abcdef", "123456")


@pytest.mark.parametrize("rate", [32e3, 48e3, 250e3, 2.5e6, 125e6])
def test_a_chunk_takes_a_quarter_of_a_second_of_the_line_and_a_parcel_one_or_two(rate):
    """What is sent again after a break is little; on the thinnest lines the least that is worth a seal."""
    parcel = Demand(rate=rate, row=9).parcel_bytes
    assert parcel <= max(rate * (THIN_SECONDS if rate < ENOUGH else LINE_SECONDS), LEAST)
    chunk = chunk_bytes(rate, 4 * parcel)
    assert LEAST_CHUNK <= chunk <= CHUNK_SIZE
    assert chunk <= max(rate * CHUNK_SECONDS, LEAST_CHUNK)
    assert CHUNK_SECONDS <= LINE_SECONDS / 2


def test_a_huge_instance_has_a_header_of_bounded_length():
    assert 2_000_000_000 / chunk_bytes(32e3, 2_000_000_000) <= max(CHUNKS, 2_000_000_000 / CHUNK_SIZE)

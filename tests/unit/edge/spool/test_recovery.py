"""Kill the edge between any two steps: nothing acknowledged is lost, the chain has no gap and no fork."""

import os
from contextlib import suppress

import pytest

from edge.spool.states import State
from gateway import durable
from gateway.envelope.layout import NO_PREVIOUS
from tests.doubles.spools import SpoolWorld


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


def all_states(world):
    return {item.parcel_id: item.state for item in world.spool._journal.all()}


def kill_at(monkeypatch, step):
    """The `step`-th system call does not happen, nor does any after it."""
    calls = iter(range(10**6))

    def counted(real):
        def call(*args, **kwargs):
            if next(calls) >= step:
                raise Killed
            return real(*args, **kwargs)

        return call

    for name in ("fsync", "link", "unlink", "open", "pwritev", "pwrite", "fdatasync"):
        monkeypatch.setattr(durable.os, name, counted(getattr(os, name)))


@pytest.mark.parametrize("lose_index", [False, True])
@pytest.mark.parametrize("step", range(8))
def test_killed_while_receiving_the_item_is_there_whole_or_not_at_all(world, monkeypatch, step, lose_index):
    before = world.receive(b"before" * 50, number=1)
    with monkeypatch.context() as patch:
        kill_at(patch, step)
        try:
            acknowledged = world.receive(b"during" * 50, number=2)
        except Killed:
            acknowledged = None
    restart(world, lose_index=lose_index)
    states = all_states(world)
    assert states[before.parcel_id] is State.RECEIVED
    if acknowledged is not None:
        assert acknowledged.parcel_id in states
    for item in world.spool._journal.to_pack(10):
        world.packer.seal(item)
        assert world.content(item.parcel_id)[1][0] in (b"before" * 50, b"during" * 50)
    assert not list(world.spool.files.spool.glob(".tmp-*"))


@pytest.mark.parametrize("lose_index", [False, True])
@pytest.mark.parametrize("step", range(8))
def test_killed_while_signing_the_chain_goes_on_without_gap_or_fork(world, monkeypatch, step, lose_index):
    items = [world.receive(number=n) for n in range(3)]
    world.packer.seal(items[0])
    first = world.spool.header(items[0].parcel_id)
    with monkeypatch.context() as patch:
        kill_at(patch, step)
        with suppress(Killed):
            world.packer.seal(items[1])
    left = world.spool.files.head(items[1].parcel_id)
    kept = left.read_bytes() if left.exists() else None
    restart(world, lose_index=lose_index)
    assert world.spool.tip.sequence == (1 if kept is None else 2)
    while waiting := world.spool._journal.to_pack(1):
        world.packer.seal(waiting[0])
    opened = sorted((world.opened(item.parcel_id) for item in items), key=lambda one: one.header.sequence)
    assert [one.header.sequence for one in opened] == [1, 2, 3]
    assert [one.header.previous for one in opened] == [NO_PREVIOUS, opened[0].digest, opened[1].digest]
    assert world.spool.header(items[0].parcel_id) == first
    assert kept in (None, world.spool.header(items[1].parcel_id))


@pytest.mark.parametrize("lose_index", [False, True])
@pytest.mark.parametrize("step", range(12))
async def test_killed_while_confirming_nothing_goes_before_its_receipt(world, monkeypatch, step, lose_index):
    item = world.receive()
    world.packer.seal(item)
    receipt = world.receipt(item.parcel_id)
    with monkeypatch.context() as patch:
        kill_at(patch, step)
        with suppress(Killed):
            world.spool.confirmed.confirm(item.parcel_id, receipt)
    files = world.spool.files
    assert files.receipt(item.parcel_id).exists() or files.body(item.parcel_id).exists()
    restart(world, lose_index=lose_index)
    if files.receipt(item.parcel_id).exists():
        assert not files.body(item.parcel_id).exists()
        assert all_states(world) == {}
        assert world.spool.tip.sequence == 1
    else:
        assert all_states(world) == {item.parcel_id: State.SEALED}
        assert (await world.spool.confirm(item.parcel_id, receipt)).state is State.PURGED


async def test_sending_and_arrived_start_again_from_sealed(world):
    from edge.spool.states import Event

    items = [world.receive(number=n) for n in range(2)]
    for item in items:
        world.packer.seal(item)
        await world.spool.mark(item.parcel_id, Event.START)
    await world.spool.mark(items[1].parcel_id, Event.ARRIVE)
    restart(world, lose_index=False)
    assert set(all_states(world).values()) == {State.SEALED}


def test_labels_survive_with_the_index_and_urgency_even_without(world):
    from gateway.model import Priority

    item = world.receive(priority=Priority.STAT)
    world.packer.seal(item)
    restart(world, lose_index=False)
    assert world.spool._journal.get(item.parcel_id).modality == "CT"
    restart(world, lose_index=True)
    assert world.spool._journal.get(item.parcel_id).priority is Priority.STAT


def test_a_lost_body_is_said_and_not_hidden(world):
    item = world.receive()
    world.packer.seal(item)
    world.spool.files.body(item.parcel_id).unlink()
    restart(world, lose_index=False)
    held = world.spool._journal.get(item.parcel_id)
    assert held.state is State.HELD
    assert "gone" in held.reason


def test_a_damaged_body_is_held_and_never_removed(world):
    item = world.receive()
    world.spool.files.settle(item.parcel_id)
    path = world.spool.files.body(item.parcel_id)
    path.write_bytes(b"rot")
    restart(world, lose_index=True)
    assert world.spool._journal.get(item.parcel_id).state is State.HELD
    assert path.read_bytes() == b"rot"


@pytest.mark.parametrize("at", [0, 100, -3])
def test_a_record_that_rotted_is_held_and_never_removed(world, at):
    item, other = world.receive(number=1), world.receive(number=2)
    world.damage(item.parcel_id, at)
    restart(world, lose_index=False)
    held = world.spool._journal.get(item.parcel_id)
    assert held.state is State.HELD
    assert "damaged" in held.reason
    assert b"rot" in world.spool.files.body(item.parcel_id).read_bytes()
    assert world.spool._journal.get(other.parcel_id).state is State.RECEIVED
    assert world.spool.files.segments.places() == []


def test_foreign_files_are_left_alone(world):
    stranger = world.spool.files.spool / "notes.tge"
    stranger.write_text("mine")
    restart(world, lose_index=True)
    assert stranger.read_text() == "mine"
    assert all_states(world) == {}

import asyncio
import errno
import os
import threading
from typing import NamedTuple

import pytest

from edge.spool.custodian import Nobody
from edge.spool.item import LinkState
from edge.spool.states import Event, State
from edge.spool.status import Why
from gateway import durable
from gateway.clock import rfc3339
from gateway.envelope.inner import Notice
from gateway.envelope.layout import NO_PREVIOUS
from gateway.errors import Broken, Malformed, StorageFull
from gateway.model import Priority
from tests.doubles.spools import SpoolWorld


class Usage(NamedTuple):
    total: int
    used: int
    free: int


@pytest.fixture
def world(tmp_path):
    world = SpoolWorld(tmp_path / "data")
    yield world
    world.spool.close()


def test_what_is_received_can_be_opened_by_the_hub_alone_and_is_exact(world):
    data = os.urandom(5000) + bytes(3_000_000)
    item = world.receive(data, priority=Priority.STAT, remarks={"flaw": "odd", "charset": "GB18030"})
    assert (item.state, item.instances, item.priority, item.modality) == (
        State.RECEIVED,
        1,
        Priority.STAT,
        "CT",
    )
    signed = world.packer.seal(item)
    manifest, datasets = world.content(item.parcel_id)
    assert datasets == [data]
    assert manifest.site == "H001"
    assert manifest.instances[0].parameters == {"flaw": "odd", "charset": "GB18030"}
    header = world.opened(item.parcel_id).header
    assert (header.sequence, header.previous, header.priority) == (1, NO_PREVIOUS, Priority.STAT)
    assert (signed.state, signed.sequence, signed.digest) == (
        State.SEALED,
        1,
        world.opened(item.parcel_id).digest,
    )


def test_the_disk_shows_no_patient_and_no_uid(world):
    data = b"PatientName Sample^Patient 2.25.888 PID-4711 ACC-0815 " * 50
    item = world.receive(data)
    world.spool.notify(Notice("association-closed", {"studies": {"2.25.888": 1}}))
    for received in world.spool._journal.to_pack(9):
        world.packer.seal(received)
    asyncio.run(world.spool.confirm(item.parcel_id, world.receipt(item.parcel_id)))
    disk = world.everything_on_disk()
    assert item.parcel_id.encode() in disk
    for secret in (b"Sample^Patient", b"PID-4711", b"ACC-0815", b"2.25.888", b"2.25.777"):
        assert secret not in disk


def test_headers_form_a_chain_without_gap(world):
    items = [world.receive(number=n) for n in range(5)]
    for item in items:
        world.packer.seal(item)
    opened = [world.opened(item.parcel_id) for item in items]
    assert [one.header.sequence for one in opened] == [1, 2, 3, 4, 5]
    assert [one.header.previous for one in opened] == [NO_PREVIOUS, *(one.digest for one in opened[:-1])]
    assert (world.spool.tip.sequence, world.spool.tip.digest) == (5, opened[-1].digest)


def test_a_header_out_of_order_is_refused(world):
    item = world.receive()
    with pytest.raises(Broken, match="cannot follow"):
        world.spool.signed(item.parcel_id, 3, "0" * 64, b"x")


def test_urgent_items_are_signed_and_sent_first(world):
    routine = world.receive(number=1)
    stat = world.receive(number=2, priority=Priority.STAT)
    prior = world.receive(number=3, priority=Priority.PRIOR)

    async def order():
        for _ in range(3):
            world.packer.seal(await world.spool.next_to_pack())
        return [item.parcel_id for item in await world.spool.waiting()]

    assert asyncio.run(order()) == [stat.parcel_id, routine.parcel_id, prior.parcel_id]


async def test_the_packer_wakes_for_what_comes_from_another_thread(world):
    task = asyncio.create_task(world.packer.run())
    await asyncio.sleep(0.01)
    threading.Thread(target=world.receive).start()
    async with asyncio.timeout(5):
        while not await world.spool.waiting():
            await world.spool.sealed.wait(world.spool.sealed.rings, 0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_receipt_lets_the_body_go_and_is_kept(world):
    first, second = world.receive(number=1), world.receive(number=2)
    for item in (first, second):
        world.packer.seal(item)
    receipt = world.receipt(first.parcel_id)
    item = await world.spool.confirm(first.parcel_id, receipt)
    assert item.state is State.PURGED
    files = world.spool.files
    assert not files.body(first.parcel_id).exists()
    assert not files.head(first.parcel_id).exists()
    assert files.receipt(first.parcel_id).read_bytes() == receipt
    assert [one.parcel_id for one in await world.spool.waiting()] == [second.parcel_id]
    assert (await world.spool.confirm(first.parcel_id, receipt)).state is State.PURGED


class Custodian(Nobody):
    """Hears of receipts."""

    def __init__(self):
        self.receipts = []

    def receipt(self, signed):
        self.receipts.append(signed)


async def test_a_receipt_counts_though_the_body_cannot_be_let_go_yet(world, monkeypatch):
    item = world.receive()
    world.packer.seal(item)
    world.spool.custodian = heard = Custodian()

    def full(digest):
        raise OSError(errno.ENOSPC, "full")

    with monkeypatch.context() as patched:
        patched.setattr(world.spool.confirmed.purged, "add", full)
        receipt = world.receipt(item.parcel_id)
        assert (await world.spool.confirm(item.parcel_id, receipt)).state is State.CONFIRMED
    assert heard.receipts == [receipt]
    assert world.spool.confirmed.let_go() == 1
    assert (await world.spool.item(item.parcel_id)).state is State.PURGED


async def test_what_was_half_noted_as_lost_keeps_no_image_out_and_is_sent_again(world, monkeypatch):
    item = world.receive()
    world.packer.seal(item)
    confirmed = world.spool.confirmed
    confirmed._keep = 3600
    await world.spool.confirm(item.parcel_id, world.receipt(item.parcel_id))
    world.spool.files.receipt(item.parcel_id).unlink()  # and then the disk failed
    confirmed.make_room(1 << 60)
    assert confirmed.let_go() == 0
    world.spool.close()
    world.open()
    assert (await world.spool.item(item.parcel_id)).state is State.SEALED


async def test_the_newest_header_outlives_its_body_so_the_chain_goes_on(world):
    for number in range(3):
        item = world.receive(number=number)
        world.packer.seal(item)
        await world.spool.confirm(item.parcel_id, world.receipt(item.parcel_id))
    tip = world.spool.tip
    world.spool.close()
    world.spool.files.index.unlink()  # even without its index
    world.open()
    assert world.spool.tip == tip
    assert len(list(world.spool.files.spool.glob("*.head"))) == 1


async def test_purge_without_receipt_is_impossible(world):
    item = world.receive()
    world.packer.seal(item)
    with pytest.raises(Broken):
        world.spool.confirmed._purge(item)
    with pytest.raises(Broken, match="own method"):
        await world.spool.mark(item.parcel_id, Event.PURGE)
    assert world.spool.files.body(item.parcel_id).exists()


async def test_marks_follow_the_table_and_say_why(world):
    item = world.receive()
    world.packer.seal(item)
    assert (await world.spool.mark(item.parcel_id, Event.START)).state is State.SENDING
    later = rfc3339(world.clock.now())
    waits = await world.spool.mark(item.parcel_id, Event.INTERRUPT, reason="hub is draining", next_try=later)
    assert (waits.state, waits.reason, waits.next_try) == (State.SEALED, "hub is draining", later)
    with pytest.raises(Broken):
        await world.spool.mark(item.parcel_id, Event.RELEASE)
    with pytest.raises(Broken, match="not in the spool"):
        await world.spool.mark("f" * 32, Event.START)


async def test_held_items_wait_for_a_person_and_survive_a_restart(world):
    item = world.receive()
    world.packer.seal(item)
    await world.spool.mark(item.parcel_id, Event.HOLD, reason="QUARANTINED: digest")
    world.spool.close()
    world.spool.files.index.unlink()
    world.open()
    (held,) = (await world.spool.status()).held
    assert (held.state, held.reason) == (State.HELD, "QUARANTINED: digest")
    assert await world.spool.waiting() == []
    assert (await world.spool.release(item.parcel_id)).state is State.SEALED
    world.spool.close()
    world.open()
    assert len(await world.spool.waiting()) == 1


def test_body_reads_never_reach_the_trailer(world):
    item = world.receive(os.urandom(100))
    with world.spool.body(item.parcel_id) as body:
        assert len(body.read(0, 10_000)) == item.sealed_size
        assert body.read(item.sealed_size, 5) == b""


def test_below_the_reserve_nothing_is_taken_and_nothing_is_left_behind(world, monkeypatch):
    monkeypatch.setattr(durable.shutil, "disk_usage", lambda folder: Usage(10**12, 0, 10_000_000))
    world.spool._budget = type(world.spool._budget)(9_000_000)
    kept = world.receive(bytes(100_000))
    with pytest.raises(StorageFull, match="reserve"):
        world.receive(bytes(2_000_000))
    assert [parcel for parcel, _ in world.spool.files.bodies()] == [kept.parcel_id]


async def test_status_says_what_waits_and_why(world):
    item = world.receive()
    status = await world.spool.status()
    assert (status.first[0][1].why, status.oldest_waiting) == (Why.TO_SIGN, item.received_at)
    world.packer.seal(item)
    away = LinkState(online=False, since=world.clock.now(), reason="no route", next_try=world.clock.now())
    status = await world.spool.status(away)
    (first, why) = status.first[0]
    assert (first.parcel_id, why.why, why.words, why.next_try) == (
        item.parcel_id,
        Why.AWAY,
        "no route",
        away.next_try,
    )
    assert status.load(State.SEALED).items == 1
    assert (status.studies[0].facts.patient_name, status.studies[0].received, status.studies[0].sent) == (
        "Sample^Patient",
        1,
        0,
    )
    assert status.days_left is not None
    await world.spool.confirm(item.parcel_id, world.receipt(item.parcel_id))
    assert (await world.spool.status()).studies[0].sent == 1


async def test_a_notice_travels_like_an_instance(world):
    body = {"association": "a" * 32, "calling_ae": "CT1", "studies": {"2.25.888": 2}}
    item = world.spool.notify(Notice("association-closed", body))
    world.packer.seal(item)
    manifest, datasets = world.content(item.parcel_id)
    assert (manifest.notices, datasets, item.instances) == ((Notice("association-closed", body),), [], 0)


async def test_a_damaged_file_is_held_and_kept(world):
    item = world.receive()
    world.damage(item.parcel_id, -3)
    with pytest.raises(Malformed):
        world.packer.seal(item)
    task = asyncio.create_task(world.packer.run())
    async with asyncio.timeout(5):
        while (await world.spool.item(item.parcel_id)).state is not State.HELD:  # noqa: ASYNC110  # it rings no bell
            await asyncio.sleep(0.01)
    task.cancel()
    assert [parcel for parcel, _ in world.spool.files.bodies()] == [item.parcel_id]
    assert world.spool.tip.sequence == 0

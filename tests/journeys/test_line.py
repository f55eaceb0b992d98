"""Spool → uplink → TLS → intake → archive → receipt → purge, in one process, everything real."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import os
import time
from pathlib import Path

import pytest
from sqlalchemy import select

from edge.config import Uplink as Settings
from edge.identity import Addresses
from edge.spool.states import Event, State
from gateway.config import Seconds
from gateway.envelope.layout import Notice
from gateway.errors import Unverified
from gateway.model import ParcelId, Priority
from gateway.wire.brief import Restorer
from gateway.wire.messages import Announce, Brief, Message
from hub.tables.study import instances
from tests.doubles.edges import Edge, edge_of, until
from tests.doubles.lines import LineHub, line_hub


@pytest.fixture
async def hub(tmp_path: Path):
    async with line_hub(tmp_path) as running:
        yield running


@pytest.fixture
async def edge(hub: LineHub, tmp_path: Path):
    async with edge_of(hub, tmp_path / "edge") as running:
        yield running


async def check(hub: LineHub, edge: Edge, sent: list[bytes]) -> None:
    """Everything is at the hub exactly once, and gone from the spool."""
    digests = {hashlib.sha256(data).hexdigest() for data in sent}
    for data in sent:
        digest = hashlib.sha256(data).hexdigest()
        assert hub.archive.store.read(digest, 0, len(data) + 1) == data
    async with hub.small.database.reading() as connection:
        found = [row.sha256 for row in await connection.execute(select(instances.c.sha256))]
    assert sorted(found) == sorted(digests)
    assert set((await hub.rows()).values()) == {"indexed"}
    assert not list(edge.spool.files.spool.glob("*.tge"))
    assert set((await edge.spool.status()).states) == {State.PURGED}
    assert len(list(edge.spool.files.receipts.rglob("*.receipt"))) == len(await hub.rows())


async def test_what_is_received_arrives_and_is_let_go(hub: LineHub, edge: Edge) -> None:
    sent = [os.urandom(size) for size in (10, 100_000, 1 << 20, (1 << 20) + 1, 5_500_000)]
    for number, data in enumerate(sent):
        await asyncio.to_thread(edge.receive, number, data)
    edge.spool.notify(Notice("association-closed", {"association": "a", "studies": {"2.25.888": len(sent)}}))
    await edge.emptied()
    await check(hub, edge, sent)
    assert edge.uplink.link.online


async def test_while_a_receipt_is_kept_on_a_slow_disk_its_parcel_is_not_sent_again(
    hub: LineHub, edge: Edge, monkeypatch: pytest.MonkeyPatch
) -> None:
    confirm = edge.spool.confirm

    async def slowly(parcel: ParcelId, receipt: bytes) -> object:
        edge.spool.sealed.ring()  # something else has been signed meanwhile: what waits is looked through
        await asyncio.sleep(0.5)
        return await confirm(parcel, receipt)

    monkeypatch.setattr(edge.spool, "confirm", slowly)
    sent = [os.urandom(1 << 20) for _ in range(3)]
    for number, data in enumerate(sent):
        await asyncio.to_thread(edge.receive, number, data)
    await edge.emptied()
    await check(hub, edge, sent)
    assert edge.uplink._flow.carried < 1.2 * sum(map(len, sent))


async def test_a_request_that_cannot_be_written_on_is_given_up_at_once(
    hub: LineHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = Settings(streams=1, retry_first=Seconds(0.1), retry_cap=Seconds(0.5))
    async with edge_of(hub, tmp_path / "edge", settings=one) as edge:
        mark, starts = edge.spool.mark, itertools.count()

        async def broken_once(parcel: ParcelId, event: Event, **more: str | None) -> object:
            if event is Event.START and next(starts) == 1:
                raise Unverified("injected")
            return await mark(parcel, event, **more)

        monkeypatch.setattr(edge.spool, "mark", broken_once)
        sent = [os.urandom(100_000) for _ in range(5)]
        for number, data in enumerate(sent):
            await asyncio.to_thread(edge.receive, number, data)
        await edge.emptied(15)  # and not after the 20 s without a byte that break a line
        assert next(starts) > 1
        await check(hub, edge, sent)


async def test_many_small_ones_need_few_exchanges(hub: LineHub, edge: Edge) -> None:
    sent = [os.urandom(3000 + number) for number in range(150)]
    started = time.monotonic()
    for number, data in enumerate(sent):
        await asyncio.to_thread(edge.receive, number, data)
    await edge.emptied()
    print(f"{len(sent) / (time.monotonic() - started):.0f} instances/s")
    await check(hub, edge, sent)
    assert next(edge.uplink._exchanges.numbers) < len(sent)


@pytest.mark.parametrize("reads", [True, False])
async def test_headers_go_briefly_to_a_hub_that_says_it_reads_that_and_to_no_other(
    hub: LineHub, edge: Edge, monkeypatch: pytest.MonkeyPatch, *, reads: bool
) -> None:
    came: list[type] = []

    class Reading(Restorer):
        def read(self, message: Message) -> Message:
            came.append(type(message))
            return super().read(message)

    monkeypatch.setattr("hub.intake.exchange.Restorer", Reading)
    if not reads:
        monkeypatch.setattr("hub.intake.routes.READS_BRIEF", "nothing")
    for round_ in range(2):  # what is sent before the first answer goes at full length
        sent = [os.urandom(3000 + number) for number in range(20)]
        for number, data in enumerate(sent, 20 * round_):
            await asyncio.to_thread(edge.receive, number, data)
        await edge.emptied()
    assert set((await hub.rows()).values()) == {"indexed"}
    assert Announce in came
    assert (Brief in came) is reads


async def test_the_hub_goes_away_and_comes_back_with_nothing_in_memory(hub: LineHub, edge: Edge) -> None:
    sent = [os.urandom(400_000 + number) for number in range(12)]
    for number, data in enumerate(sent):
        await asyncio.to_thread(edge.receive, number, data)
        if number % 3 == 0:
            await hub.restart()
    await edge.emptied()
    await check(hub, edge, sent)


async def test_the_edge_is_restarted_in_the_middle(hub: LineHub, edge: Edge) -> None:
    sent = [os.urandom(3_000_000 + number) for number in range(4)]
    for number, data in enumerate(sent):
        await asyncio.to_thread(edge.receive, number, data)
        await edge.stop()
        edge.start()
    await edge.emptied()
    await check(hub, edge, sent)


async def test_a_hub_that_cannot_be_reached_is_tried_again_and_the_page_says_why(
    hub: LineHub, edge: Edge
) -> None:
    line = edge.identity.addresses
    edge.identity.addresses = type(line)(line.web, "https://localhost:1")
    data = os.urandom(5000)
    edge.receive(1, data)

    async def failed() -> bool:
        return not edge.uplink.link.online and edge.uplink._gate.failures >= 3

    await until(failed)
    status = await edge.spool.status(edge.uplink.link)
    (_, reason) = status.first[0]
    assert reason.why.value == "away"
    assert "cannot be reached" in reason.words
    assert reason.next_try is not None
    edge.identity.addresses = line
    await edge.emptied()
    await check(hub, edge, [data])


async def test_a_full_hub_is_waited_for_with_its_own_words(hub: LineHub, edge: Edge, monkeypatch) -> None:
    monkeypatch.setattr("hub.intake.desk.FULL_SECONDS", 1)
    await hub.restart(reserve=1 << 60)
    data = os.urandom(5000)
    edge.receive(1, data)

    async def paused():
        first = (await edge.spool.status(edge.uplink.link)).first
        return first if first and first[0][1].next_try else None

    first = await until(paused)
    assert "below its reserve" in first[0][1].words
    await hub.restart()
    await edge.emptied()
    await check(hub, edge, [data])


async def test_a_rotten_spool_file_is_held_for_a_person(hub: LineHub, edge: Edge) -> None:
    line = edge.identity.addresses
    edge.identity.addresses = Addresses(line.web, "https://localhost:1")  # or it is sent before it rots
    await edge.client.close()
    item = edge.receive(1, os.urandom(5000))
    path = edge.spool.files.body(item.parcel_id)

    async def signed() -> bool:
        return path.exists() and edge.spool.files.head(item.parcel_id).exists()

    await until(signed)
    body = bytearray(path.read_bytes())
    body[100] ^= 1
    path.chmod(0o600)
    path.write_bytes(body)
    await edge.stop()
    edge.identity.addresses = line
    edge.start()

    async def looked():
        return (await edge.spool.status()).held

    held = await until(looked)
    assert "does not match the signed header" in held[0].reason


async def test_a_stat_study_overtakes(hub: LineHub, edge: Edge) -> None:
    await hub.stop()  # nothing is conveyed, so nothing leaves the board
    big = [os.urandom(4 << 20) for _ in range(5)]
    for number, data in enumerate(big):
        await asyncio.to_thread(edge.receive, number, data)
    stat = edge.receive(99, b"stat" * 1000, Priority.STAT)

    async def there() -> bool:
        return stat.parcel_id in await hub.rows()

    await until(there)
    hub.start()
    await edge.emptied()


async def test_an_edge_restored_from_a_backup_gets_the_old_receipt(
    hub: LineHub, edge: Edge, tmp_path
) -> None:
    data = os.urandom(300_000)
    await edge.stop()
    edge.start(settings=type("Off", (), {"streams": 0, "retry_first": 1.0, "retry_cap": 1.0})())
    item = edge.receive(1, data)
    await until(edge.spool.waiting)
    await edge.stop()
    kept = {
        path: path.read_bytes()
        for path in edge.spool.files.spool.iterdir()
        if path.suffix in (".tge", ".head")
    }
    edge.start()
    await edge.emptied()
    receipt = edge.spool.files.receipt(item.parcel_id)
    first = receipt.read_bytes()
    await edge.stop()
    receipt.unlink()
    edge.spool.files.index.unlink()
    for path, content in kept.items():
        path.unlink(missing_ok=True)
        path.write_bytes(content)
    await hub.restart()
    edge.start()
    await edge.emptied()
    assert receipt.read_bytes() == first
    await check(hub, edge, [data])

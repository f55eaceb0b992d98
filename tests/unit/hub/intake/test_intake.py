"""The hub's half of the line over real TLS: what is answered is durable, what is stored is exact."""

from __future__ import annotations

import asyncio
import hashlib
import os
from pathlib import Path

import pytest
from sqlalchemy import select

from gateway import durable
from gateway.envelope.layout import Notice
from gateway.envelope.receipt import open_receipt
from gateway.envelope.signature import Statement
from gateway.errors import NotAllowed, Refused, Unavailable
from gateway.model import ParcelId, Sha256
from gateway.wire import messages as m
from gateway.wire.brief import Abridger
from gateway.wire.chunks import Range
from gateway.wire.frames import encode
from hub import alerts
from hub.intake.exchange import AHEAD_BYTES, Inbox
from hub.tables.arrival import quarantine
from hub.tables.study import instances
from tests.doubles.lines import CLOCK, LineHub, ask, enrolled, line_hub, say, sealed


@pytest.fixture
async def hub(tmp_path: Path):
    async with line_hub(tmp_path) as running:
        yield running


@pytest.fixture
async def edge(hub: LineHub, tmp_path: Path):
    async with enrolled(hub, tmp_path / "edge") as client:
        yield client


def of(kind, heard):
    return [message for message in heard if isinstance(message, kind)]


def check_receipt(hub: LineHub, one, receipt: m.Receipt) -> None:
    opened = open_receipt(receipt.receipt, hub.small.authority.trust, CLOCK.now()).receipt
    opened.check(
        parcel_id=one.id,
        header_digest=Statement.from_bytes(one.signed).digest,
        site=one.header.site,
        sequence=one.header.sequence,
    )
    for instance in opened.instances:
        assert hub.archive.store.has(instance.sha256)


async def test_many_parcels_in_one_exchange_come_out_byte_for_byte(hub, edge) -> None:
    data = [os.urandom(size) for size in (1, 900, 1024, 1025, 70_000)]
    parcels = [sealed(hub, edge.identity, n, [one]) for n, one in enumerate(data, 1)]
    heard = await say(edge, [message for one in parcels for message in one.all()])
    assert isinstance(heard[-1], m.Done)
    receipts = {receipt.parcel: receipt for receipt in of(m.Receipt, heard)}
    assert set(receipts) == {one.id for one in parcels}
    for one, content in zip(parcels, data, strict=True):
        check_receipt(hub, one, receipts[one.id])
        digest = hashlib.sha256(content).hexdigest()
        assert hub.archive.store.read(digest, 0, len(content) + 1) == content
    assert set((await hub.rows()).values()) == {"indexed"}
    async with asyncio.timeout(10):  # the part files go after the receipts
        while list((hub.small.config.data / "intake").iterdir()):  # noqa: ASYNC110  # a folder has no event
            await asyncio.sleep(0.02)


async def test_a_parcel_of_many_instances_and_notices(hub, edge) -> None:
    data = [os.urandom(3000 + n) for n in range(20)]
    notices = [Notice("association-closed", {"association": "a1", "studies": {"2.25.1000": 20}})]
    one = sealed(hub, edge.identity, 1, data, notices=notices)
    (receipt,) = of(m.Receipt, await say(edge, one.all()))
    listed = open_receipt(receipt.receipt, hub.small.authority.trust, CLOCK.now()).receipt.instances
    assert [item.sha256 for item in listed] == [hashlib.sha256(item).hexdigest() for item in data]
    async with hub.small.database.reading() as connection:
        assert len((await connection.execute(select(instances))).all()) == 20


async def test_resume_to_the_chunk_after_the_line_and_the_hub_died(hub, edge) -> None:
    one = sealed(hub, edge.identity, 1, [os.urandom(10_000)])
    count = len(one.header.chunks)
    with pytest.raises(Unavailable):  # no END: the exchange breaks
        await say(edge, [one.announce(), one.chunk(0), one.chunk(2)], end=False)
        raise Unavailable("the hub may also answer FRAMING before it closes")
    await hub.restart()
    have = of(m.Have, await ask(edge, one.id))[0]
    assert have == m.Have(one.id, count, (Range(1, 1), Range(3, count - 3)))
    rest = [one.chunk(index) for index in range(count) if index not in (0, 2)]
    (receipt,) = of(m.Receipt, await say(edge, rest))
    check_receipt(hub, one, receipt)


async def test_a_known_parcel_is_answered_with_its_first_receipt_for_ever(hub, edge) -> None:
    one = sealed(hub, edge.identity, 1, [b"x" * 3000])
    (first,) = of(m.Receipt, await say(edge, one.all()))
    await hub.restart()
    assert of(m.Receipt, await say(edge, one.all()))[0] == first
    assert of(m.Receipt, await say(edge, [one.announce()]))[0] == first
    assert of(m.Receipt, await ask(edge, one.id, linger=0)) == [first]


async def test_whole_but_not_conveyed_when_the_hub_died(hub, edge) -> None:
    await hub.stop()
    one = sealed(hub, edge.identity, 1, [os.urandom(5000)])
    heard = await say(edge, one.all(), linger=0)
    assert of(m.Have, heard)[-1].missing == ()
    assert await hub.rows() == {one.id: "whole"}
    await hub.restart()
    (receipt,) = of(m.Receipt, await ask(edge, one.id))
    check_receipt(hub, one, receipt)


async def test_a_chunk_that_our_disk_lost_is_asked_for_again(hub, edge) -> None:
    await hub.stop()
    one = sealed(hub, edge.identity, 1, [os.urandom(5000)])
    await say(edge, one.all(), linger=0)
    part = hub.small.config.data / "intake" / f"{one.id}.part"
    body = bytearray(part.read_bytes())
    body[one.header.chunk_span(3)[0] + 5] ^= 1
    part.write_bytes(body)
    await hub.restart()
    assert of(m.Have, await ask(edge, one.id))[-1].missing == (Range(3, 1),)
    assert await hub.rows() == {one.id: "receiving"}
    async with hub.small.database.reading() as connection:
        (told,) = await alerts.listed(connection)
    assert (told["kind"], told["facts"]) == ("chunks-lost", {"number": 1})
    await hub.restart()
    assert of(m.Have, await ask(edge, one.id))[0].missing == (Range(3, 1),)
    (receipt,) = of(m.Receipt, await say(edge, [one.chunk(3)]))
    check_receipt(hub, one, receipt)


async def test_damaged_and_foreign_chunks(hub, edge) -> None:
    one = sealed(hub, edge.identity, 1, [os.urandom(5000)])
    good = one.chunk(1)
    flipped = m.Chunk(one.id, 1, good.digest, bytes([good.data[0] ^ 1]) + good.data[1:])
    other = m.Chunk(one.id, 1, Sha256(hashlib.sha256(b"other").hexdigest()), b"other")
    heard = await say(edge, [one.announce(), flipped, other], linger=0)
    assert [message.code for message in of(m.Refused, heard)] == [m.Code.DAMAGED, m.Code.CONFLICT]
    assert of(m.Have, heard)[-1].missing == (Range(0, len(one.header.chunks)),)


async def test_another_header_under_the_same_identifier_is_a_conflict(hub, edge) -> None:
    one = sealed(hub, edge.identity, 1, [b"a" * 2000])
    twin = sealed(hub, edge.identity, 2, [b"b" * 2000])
    twin = sealed(hub, edge.identity, 1, [b"b" * 2000])
    await say(edge, [one.announce()], linger=0)
    (refused,) = of(m.Refused, await say(edge, twin.all()[:1], linger=0))
    assert refused.code == m.Code.CONFLICT
    (receipt,) = of(m.Receipt, await say(edge, one.all()))
    check_receipt(hub, one, receipt)


async def test_a_header_of_another_site_is_not_allowed(hub, edge, tmp_path) -> None:
    other = sealed(hub, edge.identity, 1, [b"x"], site="H002")
    (refused,) = of(m.Refused, await say(edge, [other.announce()]))
    assert refused.code == m.Code.NOT_ALLOWED
    mine = sealed(hub, edge.identity, 2, [b"x" * 3000])
    await say(edge, [mine.announce()], linger=0)
    async with enrolled(hub, tmp_path / "edge2", "H002") as stranger:
        assert of(m.Unknown, await ask(stranger, mine.id)) == [m.Unknown(mine.id)]
        heard = await say(stranger, [mine.announce(), mine.chunk(0)])
        assert [message.code for message in of(m.Refused, heard)] == [m.Code.NOT_ALLOWED]
        assert not of(m.Have, heard)


async def test_headers_that_do_not_hold(hub, edge) -> None:
    one = sealed(hub, edge.identity, 1, [b"x"])
    statement = Statement.from_bytes(one.signed)
    bent = statement.signature[:-1] + bytes([statement.signature[-1] ^ 1])
    forged = Statement(statement.kind, statement.payload, statement.chain, bent)
    heard = await say(edge, [m.Announce(one.id, b"{}"), m.Announce(one.id, forged.to_bytes())])
    other = m.Announce(ParcelId("f" * 32), one.signed)
    heard += await say(edge, [other])
    codes = [message.code for message in of(m.Refused, heard)]
    assert codes == [m.Code.MALFORMED, m.Code.UNVERIFIED, m.Code.MALFORMED]
    assert await hub.rows() == {}


def lying(hub, edge, number: int):
    """The edge itself lies: sealed and signed well, but the manifest's SHA-256 is of other bytes."""
    from unittest.mock import patch

    class Lying:
        def __init__(self) -> None:
            self.true = hashlib.sha256()

        def update(self, data: bytes) -> None:
            self.true.update(b"!" + data)

        def hexdigest(self) -> str:
            return self.true.hexdigest()

    real = hashlib.sha256
    calls = iter([Lying()])
    with patch("gateway.envelope.taken.sha256", lambda *a: next(calls, None) or real(*a)):
        return sealed(hub, edge.identity, number, [b"x" * 2000])


async def test_a_bad_parcel_spoils_nothing_for_those_it_travels_with(hub, edge) -> None:
    await hub.stop()
    good = [sealed(hub, edge.identity, n, [os.urandom(2000)]) for n in (1, 2, 4, 5)]
    bad = lying(hub, edge, 3)
    await say(edge, [message for one in (*good[:2], bad, *good[2:]) for message in one.all()], linger=0)
    assert set((await hub.rows()).values()) == {"whole"}
    stored, real = [], hub.archive.ingest

    async def counted(batch, *args, **kwargs):
        stored.append(len(batch))
        return await real(batch, *args, **kwargs)

    hub.archive.ingest = counted
    await hub.restart()
    heard = await ask(edge, *(one.id for one in good), bad.id)
    assert {receipt.parcel for receipt in of(m.Receipt, heard)} == {one.id for one in good}
    assert [(refused.parcel, refused.code) for refused in of(m.Refused, heard)] == [
        (bad.id, m.Code.QUARANTINED)
    ]
    assert stored == [4]
    rows = await hub.rows()
    assert rows.pop(bad.id) == "quarantined"
    assert set(rows.values()) == {"indexed"}


async def test_what_was_dropped_while_it_was_looked_up_is_looked_up_again(hub, edge, monkeypatch) -> None:
    one = sealed(hub, edge.identity, 1, [b"x" * 2000])
    arrivals = hub.intake._arrivals
    real, looks = arrivals._journal.find_all, []

    async def slow(parcels):
        found = await real(parcels)
        looks.append(len(found))
        if len(looks) == 1:  # the whole life of the parcel passes here, through another exchange
            assert of(m.Receipt, await say(edge, one.all()))
        return found

    monkeypatch.setattr(arrivals._journal, "find_all", slow)
    status = (await arrivals.find(one.id)).status()
    assert isinstance(status, m.Receipt)
    assert looks[0] == 0
    assert looks[-1] == 1


async def test_content_that_is_not_what_was_signed_is_kept_aside(hub, edge) -> None:
    one = lying(hub, edge, 1)
    (refused,) = of(m.Refused, await say(edge, one.all()))
    assert refused.code == m.Code.QUARANTINED
    assert "SHA-256" in refused.words
    assert await hub.rows() == {one.id: "quarantined"}
    async with hub.small.database.reading() as connection:
        row = (await connection.execute(select(quarantine))).mappings().one()
    kept = hub.small.config.data / row["path"]
    assert kept.read_bytes() == one.parcel.body
    assert kept.with_suffix(".head").read_bytes() == one.signed
    await hub.restart()
    assert of(m.Refused, await ask(edge, one.id)) == [refused]
    assert not list(hub.archive.store.incoming.iterdir())


async def test_a_low_disk_asks_for_patience_but_lets_what_has_begun_go_on(hub, edge) -> None:
    begun, new = (sealed(hub, edge.identity, n, [os.urandom(3000)]) for n in (1, 2))
    await say(edge, [begun.announce()], linger=0)
    await hub.restart(reserve=durable.free_bytes(hub.small.config.data) * 2)
    heard = await say(edge, [new.announce(), *begun.all()])
    (later,) = of(m.Later, heard)
    assert later.parcel == new.id
    assert "reserve" in later.words
    assert [receipt.parcel for receipt in of(m.Receipt, heard)] == [begun.id]


async def test_frames_that_cannot_be_read_end_the_exchange_and_keep_what_came(hub, edge) -> None:
    one = sealed(hub, edge.identity, 1, [os.urandom(5000)])

    async def body():
        yield encode(one.announce()) + encode(one.chunk(0))
        await asyncio.sleep(0.2)
        yield b"\x00" * 64

    from gateway.wire.frames import MEDIA_TYPE, Decoder

    decoder, heard = Decoder(), []
    async with edge.request(
        "POST", "/v1/uplink", data=body(), headers={"Content-Type": MEDIA_TYPE}
    ) as response:
        async for data in response.content.iter_any():
            decoder.feed(data)
            while (message := decoder.next()) is not None:
                heard.append(message)
    assert heard[-1].parcel == m.EVERY_PARCEL
    assert heard[-1].code == m.Code.FRAMING
    assert of(m.Have, await ask(edge, one.id))[0].missing == (Range(1, len(one.header.chunks) - 1),)


async def test_headers_said_briefly_are_taken_as_if_they_had_come_whole(hub, edge) -> None:
    parcels = [sealed(hub, edge.identity, number, [os.urandom(3000)]) for number in (1, 2, 3)]
    abridger = Abridger()
    messages: list[m.Message] = []
    for one in parcels:
        messages += [abridger.announce(one.id, one.signed, brief=True), *one.all()[1:]]
    assert len(of(m.Brief, messages)) == 2
    heard = await say(edge, messages)
    for one, receipt in zip(parcels, of(m.Receipt, heard), strict=True):
        check_receipt(hub, one, receipt)


async def test_headers_read_ahead_count_by_their_size() -> None:
    inbox, header = Inbox(), m.Announce(ParcelId("0" * 32), b"x" * (AHEAD_BYTES // 4))
    for _ in range(4):
        await inbox.put(header)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(inbox.put(header), 0.05)


async def test_a_header_said_briefly_without_one_before_ends_the_exchange(hub, edge) -> None:
    abridger = Abridger()
    one = sealed(hub, edge.identity, 1, [b"x"])
    abridger.announce(one.id, one.signed, brief=True)
    heard = await say(edge, [abridger.announce(one.id, one.signed, brief=True)])
    assert [(message.parcel, message.code) for message in of(m.Refused, heard)] == [
        (m.EVERY_PARCEL, m.Code.FRAMING)
    ]
    assert await hub.rows() == {}


async def test_only_questions_at_the_address_for_questions(hub, edge) -> None:
    one = sealed(hub, edge.identity, 1, [b"x"])
    heard = await say(edge, [one.announce()], path="/v1/uplink/status")
    assert heard[-1].code == m.Code.FRAMING
    assert await hub.rows() == {}


async def test_draining_and_other_media_types(hub, edge) -> None:
    with pytest.raises(Refused):
        async with edge.request("POST", "/v1/uplink", data=b"", headers={"Content-Type": "text/plain"}):
            pass
    await hub.intake.drain()
    with pytest.raises(Unavailable) as raised:
        await ask(edge, ParcelId("1" * 32))
    assert raised.value.retry_after == 10


async def test_two_exchanges_carry_one_parcel(hub, edge) -> None:
    one = sealed(hub, edge.identity, 1, [os.urandom(60_000)])
    await say(edge, [one.announce()], linger=0)
    chunks = [one.chunk(index) for index in range(len(one.header.chunks))]
    answers = await asyncio.gather(*(say(edge, part) for part in (chunks[::2], chunks[1::2], chunks[::3])))
    receipts = {message for heard in answers for message in of(m.Receipt, heard)}
    assert len(receipts) == 1
    check_receipt(hub, one, receipts.pop())


async def test_a_revoked_edge_is_refused(hub, edge) -> None:
    from hub.fleet import devices

    async with hub.small.database.writing() as connection:
        await devices.revoke(connection, "H001", None, CLOCK.now(), "stolen")
    with pytest.raises(NotAllowed):
        await ask(edge, ParcelId("1" * 32))

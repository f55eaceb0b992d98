"""Attacks 11, 12 and 13 of the threat model, over the real line. 10 and 27 stand with the archive and the rows."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from sqlalchemy import insert, select

from certs.authority import Issuer
from edge.enroll import enroll
from edge.hub_client import HubClient
from edge.identity import EdgeIdentity
from edge.renewal import Renewal
from gateway import tls
from gateway.certificate import read_pem
from gateway.clock import SystemClock, rfc3339
from gateway.envelope.signature import sign
from gateway.errors import NotAllowed, NotFound
from gateway.model import Sha256, SiteId
from gateway.report.delivery import ACKNOWLEDGEMENT_KIND, Acknowledgement
from gateway.request import DeviceKeys
from gateway.trust import Purpose
from gateway.wire import messages as m
from hub.archive.store import BlobStore
from hub.downlink.outbox import Outbox
from hub.downlink.routes import downlink_routes
from hub.fleet import devices
from hub.tables import fleet
from hub.tables.custody import custody
from hub.tables.report import deliveries
from hub.tables.study import instances, studies
from tests.doubles.lines import LineHub, ask, enrolled, line_hub, say, sealed
from tests.doubles.small_hub import SmallHub, small_hub

CLOCK = SystemClock()
DELIVERY = "d" * 32


def of(kind: type, heard: list[m.Message]) -> list[m.Message]:
    return [message for message in heard if isinstance(message, kind)]


@pytest.fixture
async def line(tmp_path: Path) -> AsyncIterator[LineHub]:
    async with line_hub(tmp_path) as running:
        yield running


async def test_attack_10_the_same_instance_uid_with_other_bytes_overwrites_nothing(
    line: LineHub, tmp_path: Path
) -> None:
    first, second = os.urandom(500), os.urandom(500)  # both under the SOP Instance UID of `facts(1)`
    async with enrolled(line, tmp_path / "edge") as edge:
        for number, data in ((1, first), (2, second), (3, first)):
            heard = await say(edge, sealed(line, edge.identity, number, [data]).all())
            assert len(of(m.Receipt, heard)) == 1
    async with line.small.database.reading() as connection:
        rows = (await connection.execute(select(instances.c.sha256, instances.c.current))).all()
        conflicts = (await connection.execute(select(studies.c.conflicts))).scalar_one()
        events = (await connection.execute(select(custody.c.event))).scalars().all()
    assert len(rows) == 2
    assert [current for _, current in rows].count(True) == 1
    assert (conflicts, events.count("conflict")) == (1, 1)
    assert all(line.archive.store.has(sha) for sha, _ in rows)


async def test_attack_11_chunks_replayed_swapped_cut_or_of_another_parcel(
    line: LineHub, tmp_path: Path
) -> None:
    async with enrolled(line, tmp_path / "edge") as edge:
        one = sealed(line, edge.identity, 1, [os.urandom(4000)])
        two = sealed(line, edge.identity, 2, [os.urandom(4000)])
        await say(edge, [one.announce(), two.announce()], linger=0)
        good, other = one.chunk(0), two.chunk(0)
        for bad in (
            m.Chunk(one.id, 1, good.digest, good.data),  # swapped
            m.Chunk(one.id, 0, good.digest, good.data[:-1]),  # cut
            m.Chunk(one.id, 0, other.digest, other.data),  # of another parcel
        ):
            heard = await say(edge, [one.announce(), bad], linger=0)
            assert not of(m.Receipt, heard)
        assert of(m.Receipt, await say(edge, one.all()))
        first = of(m.Receipt, await ask(edge, one.id))
        again = of(m.Receipt, await say(edge, one.all()))  # replayed whole: the first receipt, nothing new
        assert {receipt.receipt for receipt in again} == {receipt.receipt for receipt in first}


@asynccontextmanager
async def two_sites(tmp_path: Path) -> AsyncIterator[tuple[SmallHub, HubClient, HubClient]]:
    """A hub with a report for H001, and the edges of H001 and H002."""

    def routes(hub: SmallHub):  # type: ignore[no-untyped-def]
        store = BlobStore(hub.config.data / "blobs")
        signer = lambda: hub.keys.receipt_signer  # noqa: E731  # as hub.app hands it in
        outbox = Outbox(hub.database, store, signer, hub.keys.trust, hub.events, CLOCK)
        return downlink_routes(outbox, CLOCK)

    async with small_hub(tmp_path, routes) as hub:
        row = {"id": DELIVERY, "report": "a" * 32, "site": "H001", "state": "queued"}
        row["queued_at"] = "2026-11-26T00:00:00.000000Z"
        async with (
            hub.database.engine.connect() as connection
        ):  # a report for H001, of a case that is not here
            await connection.exec_driver_sql("PRAGMA foreign_keys = OFF")
            await connection.execute(insert(deliveries).values(**row))
            await connection.commit()
            await connection.exec_driver_sql("PRAGMA foreign_keys = ON")
        mine = await enroll(await hub.invitation("H001"), tmp_path / "mine", CLOCK)
        theirs = await enroll(await hub.invitation("H002"), tmp_path / "theirs", CLOCK)
        async with HubClient(mine, CLOCK) as owner, HubClient(theirs, CLOCK) as rogue:
            yield hub, owner, rogue


def acknowledged(identity: EdgeIdentity, site: str) -> bytes:
    word = Acknowledgement(
        delivery_id=DELIVERY,
        report_id="a" * 32,
        manifest_sha256=Sha256("0" * 64),
        site=SiteId(site),
        revision=1,
        state="acknowledged",
        reason="",
        outcomes=(),
        at=rfc3339(CLOCK.now()),
    )
    return sign(ACKNOWLEDGEMENT_KIND, word.to_bytes(), identity.signer)


async def test_attack_12_an_edge_speaks_and_reads_for_its_own_site_alone(tmp_path: Path) -> None:
    claims = {"X-Site": "H001", "X-Forwarded-Client-Cert": "URI=spiffe://telerad/site/H001/edge/1"}
    async with two_sites(tmp_path) as (hub, owner, rogue):
        listed = await owner.json("GET", "/v1/deliveries", params={"everything": "1"})
        assert [one["id"] for one in listed["deliveries"]] == [DELIVERY]
        other = await rogue.json(
            "GET", "/v1/deliveries", params={"everything": "1", "site": "H001"}, headers=claims
        )
        assert other == {"deliveries": []}
        with pytest.raises(NotFound):
            await rogue.read("GET", f"/v1/deliveries/{DELIVERY}", headers=claims)
        ways = f"/v1/deliveries/{DELIVERY}/acknowledgement"
        with pytest.raises(NotFound):  # its own word on another's report
            await rogue.read("POST", ways, data=acknowledged(rogue.identity, "H002"), headers=claims)
        with pytest.raises(NotAllowed, match="signed by another edge"):  # in the other's name
            await rogue.read("POST", ways, data=acknowledged(rogue.identity, "H001"), headers=claims)
        with pytest.raises(NotAllowed, match="signed by another edge"):  # the other's word, replayed
            await rogue.read("POST", ways, data=acknowledged(owner.identity, "H001"), headers=claims)
        await rogue.json(
            "POST", "/v1/status", json_body={"site": "H001", "edge": "1", "x": 1}, headers=claims
        )
        await rogue.read("GET", "/v1/roots", params={"have": "x", "site": "H001"}, headers=claims)
        body = DeviceKeys.new().request() | {"site": "H001", "edge": "1"}
        answer = await rogue.json("POST", "/v1/renew", json_body=body, headers=claims)
        chain = read_pem(answer["chain"].encode())
        assert hub.keys.trust.identify(chain, Purpose.DEVICE, CLOCK.now()).site == "H002"
        async with hub.database.reading() as connection:
            told = (await connection.execute(select(fleet.edge_status))).mappings().all()
        assert {row["site"]: bool(row["status"] or row["roots"]) for row in told} == {
            "H001": False,
            "H002": True,
        }


async def test_attack_12_a_header_for_another_site_and_questions_about_its_parcels(
    line: LineHub, tmp_path: Path
) -> None:
    async with enrolled(line, tmp_path / "one") as owner, enrolled(line, tmp_path / "two", "H002") as rogue:
        forged = sealed(line, rogue.identity, 1, [b"x"], site="H001")
        (refused,) = of(m.Refused, await say(rogue, [forged.announce()]))
        assert refused.code == m.Code.NOT_ALLOWED
        theirs = sealed(line, owner.identity, 2, [b"y" * 3000])
        await say(owner, [theirs.announce()], linger=0)
        assert of(m.Unknown, await ask(rogue, theirs.id)) == [m.Unknown(theirs.id)]
        assert not of(m.Have, await say(rogue, [theirs.announce(), theirs.chunk(0)]))


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[SmallHub]:
    async with small_hub(tmp_path) as running:
        yield running


def request_on(hub: SmallHub, edge: EdgeIdentity, stolen: list[ssl.SSLSession | None]) -> tuple[bytes, bool]:
    """One request on a connection of its own that offers the session of the last; the answer's first line."""
    parts = urlsplit(hub.config.line.url)
    context = CONTEXTS.setdefault(
        edge.fingerprint, tls.line_client_context(edge.device_file, edge.device_file, edge.roots)
    )
    with socket.create_connection((parts.hostname, parts.port), timeout=5) as plain:
        session = stolen[-1] if stolen else None
        with context.wrap_socket(plain, server_hostname="localhost", session=session) as line:
            line.sendall(b"GET /v1/keys HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            said = b""
            while data := line.recv(65536):
                said += data
            stolen.append(line.session)
            return said.split(b"\r\n")[0], line.session_reused is True


CONTEXTS: dict[str, ssl.SSLContext] = {}


async def test_attack_13_a_revoked_certificate_is_out_on_new_resumed_and_kept_connections(
    hub: SmallHub, tmp_path: Path
) -> None:
    edge = await enroll(await hub.invitation(), tmp_path / "edge", CLOCK)
    stolen: list[ssl.SSLSession | None] = []
    assert (await asyncio.to_thread(request_on, hub, edge, stolen))[0].endswith(b"200 OK")
    assert stolen[0] is None or not stolen[0].has_ticket
    async with HubClient(edge, CLOCK) as kept:
        assert await kept.read("GET", "/v1/keys")
        async with hub.database.writing() as connection:
            await devices.revoke(connection, "H001", "1", CLOCK.now(), "stolen")
        with pytest.raises(NotAllowed, match=r"revoked on .* \(stolen\)"):
            await kept.read("GET", "/v1/keys")
    status, reused = await asyncio.to_thread(request_on, hub, edge, stolen)
    assert b"403" in status
    assert not reused


async def test_attack_13_tickets_would_be_resumed_if_the_hub_gave_any(hub: SmallHub, tmp_path: Path) -> None:
    """That the test above can fail: with tickets the session resumes, and the door still asks the table."""
    for context in hub.keys._line_contexts:
        context.num_tickets, context.options = 2, context.options & ~ssl.OP_NO_TICKET
    edge = await enroll(await hub.invitation(), tmp_path / "edge", CLOCK)
    stolen: list[ssl.SSLSession | None] = []
    await asyncio.to_thread(request_on, hub, edge, stolen)
    async with hub.database.writing() as connection:
        await devices.revoke(connection, "H001", "1", CLOCK.now(), "stolen")
    status, reused = await asyncio.to_thread(request_on, hub, edge, stolen)
    assert reused
    assert b"403" in status


async def test_attack_13_the_revocation_list_stands_when_the_row_was_edited_back(
    hub: SmallHub, tmp_path: Path
) -> None:
    edge = await enroll(await hub.invitation(), tmp_path / "edge", CLOCK)
    async with HubClient(edge, CLOCK) as client:
        assert await client.read("GET", "/v1/keys")
        hub.authority.revoke(edge.certificate, "stolen")  # as `telerad certs revoke` does; no row says so
        hub.authority.crl(Issuer.DEVICE)
        hub.keys.maintain()
        with pytest.raises(NotAllowed, match="on its authority's revocation list"):
            await client.read("GET", "/v1/keys")


@pytest.mark.parametrize("crash", ["before the answer", "before the file", "after the file"])
async def test_a_renewal_that_is_cut_off_leaves_an_edge_that_works(
    hub: SmallHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, crash: str
) -> None:
    edge = await enroll(await hub.invitation(), tmp_path / "edge", CLOCK)
    before = edge.fingerprint

    class PowerCut(BaseException):
        """No error of ours."""

    def cut(*_: object, **__: object) -> None:
        raise PowerCut

    async with HubClient(edge, CLOCK) as client:
        renewal = Renewal(client, CLOCK)
        place = {
            "before the answer": "edge.renewal.read_pem",
            "before the file": "edge.identity.durable.replace",
            "after the file": "edge.renewal.Renewal._choose",
        }[crash]
        with monkeypatch.context() as patch:
            patch.setattr(place, cut)
            with pytest.raises(PowerCut):
                await renewal.renew()
    again = EdgeIdentity.load(edge.folder)
    assert (again.fingerprint != before) == (crash == "after the file")
    async with HubClient(again, CLOCK) as client:
        assert await client.read("GET", "/v1/keys")
        await Renewal(client, CLOCK).renew()
        assert await client.read("GET", "/v1/keys")

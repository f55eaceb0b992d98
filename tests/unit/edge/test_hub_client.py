"""The edge's one door to its hub, against a hub on loopback: streams, refusals, plain words, renewal."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from edge.enroll import enroll
from edge.hub_client import HubClient
from edge.identity import Addresses, EdgeIdentity, device_pem
from edge.renewal import Renewal, life_used
from gateway import durable, keyfile, sockets
from gateway.clock import SystemClock
from gateway.envelope.kem import KemKeys
from gateway.errors import (
    Broken,
    Malformed,
    NotAllowed,
    NotFound,
    Refused,
    Stale,
    Unavailable,
    Unverified,
    UsageError,
)
from gateway.keyset import sign_key_set
from gateway.request import DeviceKeys
from hub.fleet import devices
from hub.fleet.middleware import caller
from tests.doubles.hand_clock import HandClock
from tests.doubles.relay import mute
from tests.doubles.requests import request as certificate_request
from tests.doubles.small_hub import SmallHub, small_hub

CLOCK = SystemClock()


def line_routes(_: SmallHub) -> list[web.RouteDef]:
    async def echo(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        async for part in request.content.iter_any():
            await response.write(part.upper())
        return response

    async def whose(request: web.Request) -> web.Response:
        return web.json_response({"site": caller(request).site, "asked": dict(request.query)})

    async def status(request: web.Request) -> web.Response:
        code = int(request.match_info["code"])
        body = {"error": {"code": "x", "message": f"told {code}"}} if request.query.get("json") else None
        return web.Response(status=code, text=json.dumps(body) if body else "", headers={"Retry-After": "9"})

    async def silent(request: web.Request) -> web.Response:
        await asyncio.sleep(30)
        return web.Response()

    async def cut(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "100"})
        await response.prepare(request)
        await response.write(b"half")
        assert request.transport is not None
        request.transport.abort()
        return response

    async def text(_: web.Request) -> web.Response:
        return web.Response(text="no json")

    return [
        web.post("/echo", echo),
        web.get("/whose", whose),
        web.get("/status/{code}", status),
        web.get("/silent", silent),
        web.get("/cut", cut),
        web.get("/text", text),
    ]


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[SmallHub]:
    async with small_hub(tmp_path, line_routes) as running:
        yield running


@pytest.fixture
async def identity(hub: SmallHub, tmp_path: Path) -> EdgeIdentity:
    return await enroll(await hub.invitation(), tmp_path / "edge", CLOCK)


@pytest.fixture
async def client(identity: EdgeIdentity) -> AsyncIterator[HubClient]:
    async with HubClient(identity, CLOCK, idle_timeout=0.5) as opened:
        yield opened


async def test_json_there_and_back(client: HubClient) -> None:
    assert await client.json("GET", "/whose", params={"a": "b"}) == {"site": "H001", "asked": {"a": "b"}}
    assert client.clock_offset is not None
    assert abs(client.clock_offset) < timedelta(seconds=5)


async def test_the_answer_streams_while_the_body_is_still_sent(client: HubClient) -> None:
    heard = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield b"one"
        await heard.wait()  # only the answer's first part lets the body go on
        yield b"two"

    async with client.request("POST", "/echo", data=body()) as response:
        assert await response.content.readexactly(3) == b"ONE"
        heard.set()
        assert await response.content.readexactly(3) == b"TWO"


async def test_a_request_takes_the_connection_that_is_worth_most(client: HubClient) -> None:
    async def much() -> AsyncIterator[bytes]:
        for _ in range(64):
            yield b"a" * (64 << 10)

    used: list[asyncio.Transport] = []
    assert not client.spare
    async with client.request("POST", "/echo", data=much(), connected=used.append) as first:
        assert not client.spare
        async with client.request("POST", "/echo", data=b"b", connected=used.append) as second:
            assert await second.read() == b"B"
        assert client.spare
        await first.read()

    def worth(transport: asyncio.Transport | None) -> int:
        info = None if transport is None else sockets.info_of(transport.get_extra_info("socket"))
        return 0 if info is None else info.acknowledged

    async with client.request("POST", "/echo", data=b"c", connected=used.append, worth=worth) as third:
        assert client.spare
        assert await third.read() == b"C"
    big, small, last = used
    assert big is not small
    assert last is big


async def test_a_slow_upload_is_no_idle_line(client: HubClient) -> None:
    async def body() -> AsyncIterator[bytes]:
        for _ in range(8):
            await asyncio.sleep(0.2)
            yield b"x"

    assert await client.read("POST", "/echo", data=body(), idle_timeout=5) == b"X" * 8


async def test_a_silent_hub_is_away(client: HubClient) -> None:
    with pytest.raises(Unavailable, match="the line to the hub broke"):
        await client.json("GET", "/silent")


async def test_a_line_cut_half_way_is_away(client: HubClient) -> None:
    with pytest.raises(Unavailable, match="the line to the hub broke"):
        await client.read("GET", "/cut")


async def test_tcp_itself_gives_up_on_a_dead_line(client: HubClient) -> None:
    """While a body is sent, HTTP has no idle timeout; the socket has one (RFC 5482)."""
    made = client._socket((socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("127.0.0.1", 1)))
    with made:
        assert made.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 500
        assert made.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1


async def test_no_hub_is_away(identity: EdgeIdentity) -> None:
    identity.addresses = Addresses("https://localhost:1", "https://localhost:1")
    async with HubClient(identity, CLOCK) as client:
        with pytest.raises(Unavailable, match="cannot be reached"):
            await client.json("GET", "/whose")


async def test_a_machine_that_takes_a_connection_and_says_nothing(
    identity: EdgeIdentity, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.hub_client.CONNECT_SECONDS", 0.5)
    async with mute() as there, asyncio.timeout(10):
        identity.addresses = Addresses("https://localhost:1", f"https://127.0.0.1:{there.port}")
        async with HubClient(identity, CLOCK) as client:
            words = rf"the hub cannot be reached: 127\.0\.0\.1:{there.port} does not answer"
            with pytest.raises(Unavailable, match=words):
                await client.json("GET", "/whose")


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, Refused),
        (403, NotAllowed),
        (404, NotFound),
        (409, Stale),
        (413, Refused),
        (302, Refused),
        (429, Unavailable),
        (503, Unavailable),
    ],
)
async def test_statuses_are_told_apart(client: HubClient, status: int, kind: type[Exception]) -> None:
    with pytest.raises(kind, match=f"the hub says: told {status}") as caught:
        await client.json("GET", f"/status/{status}", params={"json": "1"})
    assert type(caught.value) is kind
    if isinstance(caught.value, Unavailable):
        assert caught.value.retry_after == 9
    with pytest.raises(kind, match=f"status {status}"):
        await client.json("GET", f"/status/{status}")


async def test_a_status_may_be_the_callers_own_business(client: HubClient) -> None:
    async with client.request("GET", "/status/404", accept=[404]) as response:
        assert response.status == 404


async def test_a_fault_in_the_body_comes_back_as_itself(client: HubClient) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"one"
        raise Broken("the spool lost a file")

    with pytest.raises(Broken, match="the spool lost a file"):
        await client.read("POST", "/echo", data=body())


async def test_answers_that_do_not_fit(client: HubClient) -> None:
    with pytest.raises(Malformed, match="no JSON"):
        await client.json("GET", "/text")
    with pytest.raises(Malformed, match="more than 3 bytes"):
        await client.read("GET", "/text", limit=3)
    assert await client.json("POST", "/v1/status", json_body={}) is None


async def test_a_revoked_edge_is_told_so(hub: SmallHub, client: HubClient) -> None:
    async with hub.database.writing() as connection:
        await devices.revoke(connection, "H001", "1", CLOCK.now(), "stolen")
    with pytest.raises(NotAllowed, match=r"revoked on .* \(stolen\)"):
        await client.json("GET", "/whose")


async def test_an_expired_edge_learns_it_from_the_web_port(hub: SmallHub, identity: EdgeIdentity) -> None:
    """TLS 1.3 shows the client nothing but a closed connection."""
    keys = DeviceKeys.new()
    request, life = certificate_request(keys.first), timedelta(seconds=-60)
    issued = hub.authority.issue_device(request, "H001", "1", life=life)
    async with hub.database.writing() as connection:
        await devices.add(connection, "H001", "1", issued.certificate, CLOCK.now())
    durable.replace(identity.device_file, device_pem(keys, issued.chain))
    late = EdgeIdentity.load(identity.folder)
    async with HubClient(late, CLOCK) as client:
        with pytest.raises(
            NotAllowed, match=r"refuses this edge: the certificate expired on .* the hub's clock says"
        ):
            await client.json("GET", "/whose")


async def test_a_stranger_with_the_hubs_address_is_not_the_hub(
    hub: SmallHub, identity: EdgeIdentity, tmp_path: Path
) -> None:
    async with small_hub(tmp_path / "other") as stranger:
        identity.addresses = Addresses(hub.config.web.url, stranger.config.line.url)
        async with HubClient(identity, CLOCK) as client:
            with pytest.raises(Unverified, match="does not prove to be the hub: its certificate is not by"):
                await client.json("GET", "/whose")


def verify(chain: tuple[x509.Certificate, ...], signature: bytes) -> None:
    key = chain[0].public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    key.verify(signature, b"x", ec.ECDSA(hashes.SHA256()))


async def test_renewal_swaps_key_and_certificate_while_the_client_lives(
    hub: SmallHub, client: HubClient
) -> None:
    identity = client.identity
    before, chain = identity.fingerprint, identity.signer.chain
    await Renewal(client, CLOCK).renew()
    assert identity.fingerprint != before
    verify(chain, identity.signer.sign(b"x"))  # whoever had read the chain still signs with its key
    renewed = identity.signer.chain
    assert renewed != chain
    verify(renewed, identity.signer.sign(b"x"))
    assert EdgeIdentity.load(identity.folder).fingerprint == identity.fingerprint
    async with hub.database.writing() as connection:  # so the next request must use the new one
        old = devices.devices
        await connection.execute(old.update().where(old.c.fingerprint == before).values(revoked=True))
    assert (await client.json("GET", "/whose"))["site"] == "H001"


async def test_renewal_waits_for_its_time(client: HubClient) -> None:
    clock = HandClock(CLOCK.now())
    renewal = Renewal(client, clock, random=lambda: 0.0)
    before = client.identity.fingerprint
    life = timedelta(days=30, minutes=10)
    assert renewal.due == client.identity.certificate.not_valid_before_utc + life / 2
    assert (
        Renewal(client, clock, random=lambda: 0.999).due
        < client.identity.certificate.not_valid_before_utc + life * 0.66
    )
    clock.advance(days=14)
    assert await renewal.round()
    assert client.identity.fingerprint == before
    clock.advance(days=2)
    assert 0.5 < life_used(client.identity.certificate, clock.now()) < 0.6
    assert await renewal.round()
    assert client.identity.fingerprint != before


async def test_a_failed_renewal_is_told_and_tried_again(hub: SmallHub, client: HubClient) -> None:
    clock = HandClock(CLOCK.now())
    clock.advance(days=25)
    renewal = Renewal(client, clock)
    there = client.identity.addresses
    client.identity.addresses = Addresses("https://localhost:1", "https://localhost:1")
    before = client.identity.fingerprint
    assert not await renewal.round()
    assert client.identity.fingerprint == before
    client.identity.addresses = there
    assert await renewal.round()
    assert client.identity.fingerprint != before


async def test_new_keys_are_taken_and_old_ones_are_not(hub: SmallHub, client: HubClient) -> None:
    identity, renewal = client.identity, Renewal(client, CLOCK)
    old_statement = hub.keys.signed_key_set()
    (old,) = identity.recipients
    assert not identity.replace_keys(old_statement, CLOCK)
    hub.keys.kem_keys.add(KemKeys.generate("29991231T000000Z"))
    await renewal.refresh_keys()
    assert [key.kid for key in identity.recipients] == ["29991231T000000Z"]
    assert EdgeIdentity.load(identity.folder).recipients == identity.recipients
    with pytest.raises(Unverified, match="older key set"):
        identity.replace_keys(old_statement, CLOCK)
    assert old.kid in hub.keys.kem_keys


async def test_a_certificate_for_another_edge_is_not_taken(hub: SmallHub, identity: EdgeIdentity) -> None:
    keys = DeviceKeys.new()
    chain = hub.authority.issue_device(certificate_request(keys.first), "H002", "1").chain
    with pytest.raises(Unverified, match="not for H001/1"):
        identity.replace_device(keys, chain)
    with pytest.raises(Malformed, match="does not belong"):
        identity.replace_device(
            keys, hub.authority.issue_device(certificate_request(keyfile.new()), "H001", "1").chain
        )


async def test_files_that_do_not_fit(identity: EdgeIdentity, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="telerad edge enroll"):
        EdgeIdentity.load(tmp_path / "nowhere")
    keys = identity.folder / "keys.json"
    good = keys.read_bytes()
    keys.write_bytes(b"{}")
    with pytest.raises(Malformed, match=r"keys\.json cannot be read"):
        EdgeIdentity.load(identity.folder)
    keys.write_bytes(good.replace(b"key-set", b"kex-set"))
    with pytest.raises(Unverified):
        EdgeIdentity.load(identity.folder)
    keys.write_bytes(good)
    (identity.folder / "hub.json").write_bytes(b"[]")
    with pytest.raises(Malformed, match=r"hub\.json cannot be read"):
        EdgeIdentity.load(identity.folder)


async def test_a_key_set_outlives_its_signers_certificate(hub: SmallHub, identity: EdgeIdentity) -> None:
    """What was good when it was received lets an edge go on sealing while it is cut off for years."""
    later = HandClock(CLOCK.now())
    later.advance(days=500)
    assert EdgeIdentity.load(identity.folder).recipients == identity.recipients
    stale = sign_key_set("hub", KemKeys.generate("x").publics(), hub.keys.receipt_signer, CLOCK.now())
    with pytest.raises(Unverified, match="expired"):
        identity.replace_keys(stale, later)


@pytest.mark.parametrize("bbr", [True, False])
async def test_congestion_control_is_the_machines_own_unless_asked_for(
    identity: EdgeIdentity, bbr: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sockets, "CONGESTION", b"reno")  # every Linux has it, and nobody's default is
    with socket.socket() as plain:
        own = sockets.congestion_of(plain)
    assert own != "reno"
    async with HubClient(identity, CLOCK, bbr=bbr) as opened:
        with opened._socket((socket.AF_INET, socket.SOCK_STREAM, 0, "", None)) as made:
            assert sockets.congestion_of(made) == ("reno" if bbr else own)

"""The line's door: who is let in, request by request, over real TLS."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy import delete, select

from edge.enroll import enroll
from edge.identity import EdgeIdentity
from gateway import durable, keyfile, tls
from gateway.clock import SystemClock
from gateway.errors import Refused, StorageFull, Unavailable
from gateway.trust import pem
from hub.fleet import devices
from hub.fleet.middleware import caller
from hub.tables import fleet
from tests.doubles.requests import request as certificate_request
from tests.doubles.small_hub import SmallHub, small_hub

CLOCK = SystemClock()


def line_routes(_: SmallHub) -> list[web.RouteDef]:
    async def whose(request: web.Request) -> web.Response:
        return web.json_response({"site": caller(request).site, "edge": caller(request).edge})

    async def drip(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b".")
            await asyncio.sleep(0.02)

    async def fail(request: web.Request) -> web.Response:
        kind = {"busy": Unavailable("busy", retry_after=7), "full": StorageFull("full"), "no": Refused("no")}
        raise kind[request.match_info["kind"]]

    return [web.get("/whose", whose), web.get("/drip", drip), web.get("/fail/{kind}", fail)]


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[SmallHub]:
    async with small_hub(tmp_path, line_routes) as running:
        yield running


@pytest.fixture
async def edge(hub: SmallHub, tmp_path: Path) -> EdgeIdentity:
    return await enroll(await hub.invitation(), tmp_path / "edge", CLOCK)


def context(identity: EdgeIdentity) -> ssl.SSLContext:
    return tls.line_client_context(identity.device_file, identity.device_file, identity.roots)


@pytest.fixture
def connections() -> list[float]:
    """When each TLS connection was made."""
    return []


@pytest.fixture
async def session(
    hub: SmallHub, edge: EdgeIdentity, connections: list[float]
) -> AsyncIterator[aiohttp.ClientSession]:
    """One connection, kept alive."""
    trace = aiohttp.TraceConfig()

    async def made(*_: object) -> None:
        connections.append(CLOCK.monotonic())

    trace.on_connection_create_end.append(made)
    connector = aiohttp.TCPConnector(ssl=context(edge), limit=1)
    async with aiohttp.ClientSession(
        hub.config.line.url, connector=connector, trace_configs=[trace]
    ) as opened:
        yield opened


async def revoke(hub: SmallHub) -> None:
    async with hub.database.writing() as connection:
        out = await devices.revoke(connection, "H001", "1", CLOCK.now(), "stolen")
    assert len(out.fingerprints) == 1


async def test_the_caller_is_what_its_certificate_says(session: aiohttp.ClientSession) -> None:
    async with session.get("/whose", headers={"X-Site": "H999"}) as response:
        assert await response.json() == {"site": "H001", "edge": "1"}


async def test_a_revoked_edge_is_out_on_the_next_request_of_an_open_connection(
    hub: SmallHub, session: aiohttp.ClientSession, connections: list[float]
) -> None:
    async with session.get("/whose") as response:
        assert response.status == 200
        await response.read()
    await revoke(hub)
    async with session.get("/whose") as response:
        assert response.status == 403
        told = (await response.json())["error"]
    assert len(connections) == 1
    assert told["code"] == "not_allowed"
    assert "was revoked on" in told["message"]
    assert "(stolen)" in told["message"]


async def test_a_stream_of_a_revoked_edge_is_cut(hub: SmallHub, session: aiohttp.ClientSession) -> None:
    async with session.get("/drip") as response:
        assert await response.content.readexactly(3) == b"..."
        assert await hub.door.sweep() == 0
        await revoke(hub)
        assert await hub.door.sweep() == 1
        with pytest.raises(aiohttp.ClientError):
            await response.content.read(1 << 20)
            await response.content.read()
    await asyncio.sleep(0.1)
    assert await hub.door.sweep() == 0


async def test_a_certificate_the_hub_has_no_record_of_is_refused(
    hub: SmallHub, session: aiohttp.ClientSession
) -> None:
    async with hub.database.writing() as connection:
        await connection.execute(delete(fleet.devices))
    async with session.get("/whose") as response:
        assert response.status == 403
        assert "no record" in (await response.json())["error"]["message"]


async def test_a_person_is_refused(hub: SmallHub, tmp_path: Path) -> None:
    key = keyfile.new()
    issued = hub.authority.issue_person(key.public_key(), "P", "p@q.org")
    keyfile.store(tmp_path / "p.key", key)
    durable.create(tmp_path / "p.pem", pem(issued.chain))
    person = tls.line_client_context(tmp_path / "p.pem", tmp_path / "p.key", [hub.authority.root])
    async with aiohttp.ClientSession(hub.config.line.url) as session:
        with pytest.raises((aiohttp.ServerDisconnectedError, aiohttp.ClientOSError)):
            await session.get("/whose", ssl=person)


async def test_errors_become_answers(session: aiohttp.ClientSession) -> None:
    for kind, status, code in (
        ("busy", 503, "unavailable"),
        ("full", 503, "no_resource"),
        ("no", 422, "refused"),
    ):
        async with session.get(f"/fail/{kind}") as response:
            assert (response.status, (await response.json())["error"]["code"]) == (status, code)
            assert response.headers.get("Retry-After") == ("7" if kind == "busy" else None)


async def test_a_caller_is_noted_as_seen_and_its_status_kept(
    hub: SmallHub, session: aiohttp.ClientSession
) -> None:
    async with session.get("/whose"):
        pass
    async with session.post("/v1/status", json={"waiting": 3}) as response:
        assert response.status == 204
    async with session.post("/v1/status", json=[1]) as response:
        assert response.status == 400
    async with hub.database.reading() as connection:
        (listed,) = await devices.listed(connection)
        rows = (await connection.execute(select(fleet.edge_status))).all()
    assert (listed["site"], listed["edge"], listed["status"]) == ("H001", "1", '{"waiting": 3}')
    assert listed["last_seen"] is not None
    assert len(rows) == 1


async def test_whoami_answers_in_words(hub: SmallHub, edge: EdgeIdentity) -> None:
    async with aiohttp.ClientSession(hub.config.web.url) as session:

        async def ask(mark: str) -> tuple[int, dict[str, str]]:
            web_context = tls.web_client_context(edge.roots)
            async with session.get("/whoami", params={"fingerprint": mark}, ssl=web_context) as response:
                return response.status, await response.json()

        assert (await ask(edge.fingerprint))[1]["verdict"] == "good"
        assert (await ask("0" * 64))[1]["verdict"] == "unknown"
        assert (await ask("x"))[0] == 400
        await revoke(hub)
        told = (await ask(edge.fingerprint))[1]
        assert (told["verdict"], "stolen" in told["words"]) == ("revoked", True)


async def test_renewal_wants_a_new_key(
    hub: SmallHub, edge: EdgeIdentity, session: aiohttp.ClientSession
) -> None:
    same = certificate_request(keyfile.load_p256(edge.device_file)).public_bytes(Encoding.PEM).decode()
    async with session.post("/v1/renew", json={"csr": same}) as response:
        assert response.status == 403
        assert "new key" in (await response.json())["error"]["message"]

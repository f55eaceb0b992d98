"""Attack 18 at every listener: half a header, silent TLS, a stalled body, a dripping one; and honest clients go on."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import ClientSession, web

from gateway.patience import Listener, Patience
from tests.doubles.tls_pair import tls_pair

SHORT = Patience(header=0.5, body=0.5, slowest=1000.0, grace=1.0, silent=8, look=0.1)
HALF = b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: "
BODY = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n"


async def echo(request: web.Request) -> web.Response:
    return web.Response(text=str(len(await request.read())))


async def stuck(request: web.Request) -> web.Response:
    await asyncio.sleep(2.0)  # the hub is slow, not the client
    return web.Response(text="late")


@asynccontextmanager
async def serving(
    patience: Patience = SHORT, context: ssl.SSLContext | None = None
) -> AsyncIterator[tuple[Listener, int]]:
    app = web.Application(client_max_size=1 << 30)
    app.router.add_route("*", "/", echo)
    app.router.add_get("/stuck", stuck)
    runner = web.AppRunner(app)
    await runner.setup()
    assert runner.server is not None
    listener = Listener(runner.server, patience)
    handshake = {"ssl_handshake_timeout": 0.5} if context else {}
    server = await asyncio.get_running_loop().create_server(
        listener, "127.0.0.1", 0, ssl=context, **handshake
    )
    try:
        yield listener, server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await runner.cleanup()


async def gone(port: int, first: bytes, drip: bytes = b"", every: float = 0.2) -> float:
    """Seconds until the server let go of somebody who sends `first`, then `drip` again and again."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    begun = time.monotonic()
    writer.write(first)

    async def feed() -> None:
        while drip:
            await asyncio.sleep(every)
            writer.write(drip)

    feeding = asyncio.create_task(feed())
    try:
        async with asyncio.timeout(10):
            while await reader.read(4096):
                pass
    except ConnectionError:
        pass
    finally:
        feeding.cancel()
        writer.close()
    return time.monotonic() - begun


@pytest.mark.parametrize("first", [b"", b"G", HALF], ids=["silent", "one byte", "half a header"])
async def test_attack_18_slowloris_half_a_header(first: bytes) -> None:
    async with serving() as (_, port):
        assert 0.4 < await gone(port, first) < 4
        assert await gone(port, first, drip=b"x") < 4, "a drip does not help"


async def test_attack_18_slowloris_half_a_header_after_a_whole_request() -> None:
    async with serving() as (_, port):
        assert 0.4 < await gone(port, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", drip=b"G") < 4


async def test_attack_18_slowloris_stalled_and_dripping_body() -> None:
    async with serving() as (_, port):
        assert 0.4 < await gone(port, BODY + b"x" * 10) < 4
        assert 0.9 < await gone(port, BODY, drip=b"x", every=0.1) < 6


async def test_attack_18_slowloris_silent_tls(tmp_path: Path) -> None:
    server, client, _ = tls_pair(tmp_path)
    async with serving(context=server) as (_, port):
        assert 0.4 < await gone(port, b"") < 4
        assert 0.4 < await gone(port, b"\x16\x03\x01\x02\x00") < 4
        url = f"https://localhost:{port}/"
        async with ClientSession() as session, session.get(url, ssl=client) as answer:
            assert answer.status == 200


async def test_attack_18_many_silent_connections_of_one_address_leave_room(tmp_path: Path) -> None:
    patient = Patience(header=30.0, silent=8, look=0.1)
    async with serving(patient) as (listener, port):
        held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(30)]
        await asyncio.sleep(0.3)
        assert listener.silent["127.0.0.1"] == 8
        for _, writer in held:
            writer.transport.abort()
        await asyncio.sleep(0.2)
        assert not listener.silent
        async with ClientSession() as session, session.get(f"http://127.0.0.1:{port}/") as answer:
            assert answer.status == 200


async def test_honest_clients_notice_nothing() -> None:
    async with serving() as (listener, port), ClientSession() as session:
        url = f"http://127.0.0.1:{port}"
        for pause in (0.0, 0.8, 0.8):  # keep-alive, longer than a header may take
            await asyncio.sleep(pause)
            async with session.post(f"{url}/", data=b"x" * 1_000_000) as answer:
                assert await answer.text() == "1000000"
        async with session.get(f"{url}/stuck") as answer:
            assert await answer.text() == "late"

        async def pieces() -> AsyncIterator[bytes]:
            for _ in range(8):
                yield b"x" * 1000
                await asyncio.sleep(0.3)  # slow, and above the slowest

        async with session.post(f"{url}/", data=pieces()) as answer:
            assert await answer.text() == "8000"
        assert not listener.silent

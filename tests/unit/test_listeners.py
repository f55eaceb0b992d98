"""The programs' own listeners let slow clients go: the hub's two ports, the edge's page and its STOW-RS."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web

import edge.app
import hub.app
from edge.config import Acquire, DicomTls, EdgeConfig, Stow
from gateway.config import Seconds
from gateway.patience import Patience
from tests.doubles.ports import free_ports
from tests.doubles.spools import SpoolWorld
from tests.doubles.tls_pair import tls_pair

SHORT = Patience(header=0.4, look=0.1)
HALF = b"GET / HTTP/1.1\r\nHost: "
Listening = Callable[[web.Application, int], AbstractAsyncContextManager[None]]


@pytest.mark.parametrize("which", ["hub", "edge"])
async def test_attack_18_slowloris_at_the_programs_listeners(
    which: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, client, _ = tls_pair(tmp_path)
    monkeypatch.setattr(hub.app, "PATIENCE", SHORT)
    monkeypatch.setattr(hub.app, "HANDSHAKE_SECONDS", 0.4)
    monkeypatch.setattr(edge.app, "PATIENCE", SHORT)
    (port,) = free_ports(1)
    app = web.Application()
    listening = (
        hub.app._listening(app, "127.0.0.1", port, server)
        if which == "hub"
        else edge.app._listening(app, "127.0.0.1", port)
    )
    async with listening:
        await _gone(port, client if which == "hub" else None, HALF)
        await _gone(port, None, b"")  # on the hub: silent before TLS


@asynccontextmanager
async def stow(folder: Path, *, tls: bool) -> AsyncIterator[tuple[SpoolWorld, int, ssl.SSLContext | None]]:
    """STOW-RS as the edge opens it."""
    (port,) = free_ports(1)
    world, client, files = SpoolWorld(folder / "data"), None, None
    if tls:
        _, client, certificate = tls_pair(folder)
        files = DicomTls(certificate, certificate.with_suffix(".key"))
    wanted = Stow("127.0.0.1", port, open=True, tls=files, idle_timeout=Seconds(60))
    settings = EdgeConfig(folder / "data", acquire=Acquire(stow=wanted))
    async with AsyncExitStack() as sites:
        await edge.app._stow(sites, settings, world.spool, world.clock)
        yield world, port, client
    world.spool.close()


@pytest.mark.parametrize("tls", [False, True])
async def test_attack_18_slowloris_at_stow(
    tls: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(edge.app, "PATIENCE", replace(SHORT, body=0.4))
    monkeypatch.setattr(edge.app, "HANDSHAKE_SECONDS", 0.4)
    async with stow(tmp_path, tls=tls) as (world, port, client):
        await _gone(port, client, b"")  # silent from the start
        if tls:
            await _gone(port, None, b"")  # silent before TLS
        await _gone(port, client, b"POST /studies HTTP/1.1\r\nHost: x\r\nContent-Ty")
        begun = b"POST /studies HTTP/1.1\r\nHost: x\r\nContent-Type: application/dicom\r\nContent-Length: 900\r\n\r\n"
        await _gone(port, client, begun + b"\0" * 100)  # a body that stops coming
        assert world.spool.to_pack(10) == []


async def test_attack_18_slowloris_dripping_body_at_stow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(edge.app, "PATIENCE", replace(SHORT, grace=0.3))
    async with stow(tmp_path, tls=False) as (_, port, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(
            b"POST /studies HTTP/1.1\r\nHost: x\r\nContent-Type: application/dicom\r\nContent-Length: 900\r\n\r\n"
        )
        async with asyncio.timeout(5):
            with suppress(ConnectionError):
                while not reader.at_eof():  # enough for the page and its slow lines, not for a request here
                    writer.write(b"\0" * 10)
                    await writer.drain()
                    with suppress(TimeoutError):
                        async with asyncio.timeout(0.1):
                            await reader.read(1)
        writer.close()


async def _gone(port: int, context: ssl.SSLContext | None, sent: bytes) -> None:
    host = "localhost" if context else None
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=host)
    writer.write(sent)
    async with asyncio.timeout(5):
        with suppress(ConnectionError, ssl.SSLError):
            assert await reader.read(1) == b""
    writer.close()

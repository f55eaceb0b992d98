"""The programs' own listeners let slow clients go: the hub's two ports and the edge's page."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress
from pathlib import Path

import pytest
from aiohttp import web

import edge.app
import hub.app
from gateway.patience import Patience
from tests.doubles.ports import free_ports
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


async def _gone(port: int, context: ssl.SSLContext | None, sent: bytes) -> None:
    host = "localhost" if context else None
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=host)
    writer.write(sent)
    async with asyncio.timeout(5):
        with suppress(ConnectionError, ssl.SSLError):
            assert await reader.read(1) == b""
    writer.close()

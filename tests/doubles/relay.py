"""What stands between an edge and its hub: a thin line (a throttling TCP relay) and a CONNECT proxy."""

from __future__ import annotations

import asyncio
import socket
import time
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

PIECE = 16 << 10


@dataclass
class Line:
    """The rate of one direction, shared by all its connections. None: no limit."""

    rate: float | None = None  # bytes per second
    carried: int = 0
    _free_at: float = 0.0

    async def carry(self, size: int) -> None:
        self.carried += size
        if self.rate is None:
            return
        now = time.monotonic()
        self._free_at = max(now, self._free_at) + size / self.rate
        await asyncio.sleep(self._free_at - now)


@dataclass
class Relay:
    port: int = 0
    up: Line = field(default_factory=Line)
    asked: list[tuple[str, str | None]] = field(default_factory=list)  # of a proxy: target, credentials


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, line: Line) -> None:
    with suppress(OSError):
        while data := await reader.read(PIECE):
            await line.carry(len(data))
            writer.write(data)
            await writer.drain()
        writer.write_eof()


async def _join(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, port: int, line: Line
) -> None:
    try:
        there, out = await asyncio.open_connection(host, port, limit=PIECE)
    except OSError:
        return
    try:
        await asyncio.gather(_pump(reader, out, line), _pump(there, writer, Line()))
    finally:
        out.close()


@asynccontextmanager
async def _serving(handle, relay: Relay) -> AsyncIterator[Relay]:
    tasks: set[asyncio.Task] = set()

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await handle(reader, writer)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            tasks.discard(task)
            writer.close()

    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 << 10)  # or loopback would hold megabytes
    listening.bind(("127.0.0.1", 0))
    server = await asyncio.start_server(one, sock=listening, limit=PIECE)
    relay.port = server.sockets[0].getsockname()[1]
    try:
        yield relay
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def thin_line(port: int, rate: float) -> AsyncIterator[Relay]:
    """A relay to a port of this machine that carries `rate` bytes per second towards it."""
    relay = Relay(up=Line(rate))

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _join(reader, writer, "127.0.0.1", port, relay.up)

    async with _serving(handle, relay):
        yield relay


@asynccontextmanager
async def connect_proxy(*, credentials: str | None = None, refuse: int | None = None) -> AsyncIterator[Relay]:
    """An HTTP CONNECT proxy.

    Args:
        credentials: ``user:password`` it asks for; None: it asks nobody.
        refuse: the status it refuses everything with.
    """
    relay = Relay()
    wanted = None if credentials is None else f"Basic {b64encode(credentials.encode()).decode()}"

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, target, _ = head[0].split(" ")
        fields = dict(line.split(": ", 1) for line in head[1:] if line)
        shown = fields.get("Proxy-Authorization")
        relay.asked.append((target, shown))
        status = refuse or (407 if wanted is not None and shown != wanted else None)
        if method != "CONNECT":
            status = 405
        if status is not None:
            more = 'Proxy-Authenticate: Basic realm="proxy"\r\n' if status == 407 else ""
            writer.write(f"HTTP/1.1 {status} No\r\n{more}Content-Length: 0\r\n\r\n".encode())
            await writer.drain()
            return
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        host, _, port = target.rpartition(":")
        await _join(reader, writer, host.strip("[]"), int(port), relay.up)

    async with _serving(handle, relay):
        yield relay


@asynccontextmanager
async def mute(answer: bytes = b"") -> AsyncIterator[Relay]:
    """A machine that takes every connection, gives `answer` and no other sign."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        while await reader.read(PIECE):
            pass

    async with _serving(handle, Relay()) as relay:
        yield relay

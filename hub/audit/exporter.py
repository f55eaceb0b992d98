"""Sends the trail to a hospital's audit repository: syslog over TLS, for ever, nothing left out.

The table is the spool. A mark says how far the repository has taken it; it moves only when the other
machine's TCP has acknowledged every byte of a batch, since syslog itself answers nothing. So a
message may come twice after a broken connection, and none is lost.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import random
import socket
import ssl
import struct
import termios
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import insert, select, update

from gateway.backoff import Backoff
from gateway.database import Database
from gateway.errors import Unavailable
from gateway.log import logger
from hub.audit.message import Source, audit_message
from hub.audit.syslog import framed, syslog_message
from hub.tables.audit import audit_events, audit_marks

MARK = "exported"
BATCH = 100
LOOK_SECONDS = 2.0
TAKEN_SECONDS = 30.0
"""How long the other side may take to acknowledge a batch before the connection counts as dead."""

CONNECT_SECONDS = 15.0
BACKOFF = Backoff()

log = logger("hub.audit")


@dataclass(frozen=True, slots=True)
class Repository:
    """Where to.

    Args:
        host: of the audit repository.
        port: 6514 (RFC 5425).
        context: TLS, with its CA and, if it wants one, our certificate.
    """

    host: str
    port: int
    context: ssl.SSLContext


class Exporter:
    """Sends what is new. `run` is a service."""

    def __init__(
        self,
        database: Database,
        repository: Repository,
        source: Source,
        *,
        look: float = LOOK_SECONDS,
        backoff: Backoff = BACKOFF,
    ) -> None:
        self._database, self._repository, self._source, self._look = database, repository, source, look
        self._host, self._process = socket.gethostname(), str(os.getpid())
        self._backoff, self._failures = backoff, 0

    async def run(self) -> None:
        """Send for ever; ends only by cancellation."""
        while True:
            try:
                await self._connected()
            except (OSError, Unavailable) as error:  # TLS faults and time-outs are OSErrors
                self._failures += 1
                wait = self._backoff.delay(self._failures, random.random())
                log.warning("audit repository is away", why=str(error) or type(error).__name__, wait=wait)
                await asyncio.sleep(wait)

    async def _connected(self) -> None:
        async with asyncio.timeout(CONNECT_SECONDS):
            reader, writer = await asyncio.open_connection(self._repository.host, self._repository.port)
        tcp = writer.transport
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await writer.start_tls(self._repository.context, server_hostname=self._repository.host)
            closed = asyncio.ensure_future(reader.read(1))  # it never speaks; its end is all there is to hear
            try:
                while True:
                    sent = await self._batch(writer, tcp, closed)
                    if sent:
                        self._failures = 0
                    else:
                        await asyncio.wait({closed}, timeout=self._look)
                    if closed.done():
                        raise Unavailable("the repository closed the connection")
            finally:
                closed.cancel()
        finally:
            writer.transport.abort()
            tcp.abort()

    async def _batch(
        self, writer: asyncio.StreamWriter, tcp: asyncio.WriteTransport, closed: asyncio.Future[bytes]
    ) -> int:
        position, rows = await self._waiting()
        if not rows:
            return 0
        for row in rows:
            writer.write(framed(self._message(row)))
        async with asyncio.timeout(TAKEN_SECONDS):
            await writer.drain()
            while unacknowledged(writer, tcp):
                if closed.done():
                    raise Unavailable("the repository closed the connection")
                await asyncio.sleep(0.01)
        await self._advance(position, rows[-1]["id"])
        return len(rows)

    def _message(self, row: Mapping[str, Any]) -> bytes:
        body = audit_message(row, self._source)
        return syslog_message(
            body, at=row["at"], host=self._host, process=self._process, refused=row["outcome"] != 0
        )

    async def _waiting(self) -> tuple[int | None, Sequence[Mapping[str, Any]]]:
        async with self._database.reading() as connection:
            query = select(audit_marks.c.position).where(audit_marks.c.name == MARK)
            position = (await connection.execute(query)).scalar()
            later = audit_events.c.id > (position or 0)
            found = select(audit_events).where(later).order_by(audit_events.c.id).limit(BATCH)
            return position, [dict(row) for row in (await connection.execute(found)).mappings()]

    async def _advance(self, before: int | None, position: int) -> None:
        async with self._database.writing() as connection:
            if before is None:
                await connection.execute(insert(audit_marks).values(name=MARK, position=position))
                return
            mine = update(audit_marks).where(audit_marks.c.name == MARK)
            await connection.execute(mine.values(position=position))


def unacknowledged(writer: asyncio.StreamWriter, tcp: asyncio.WriteTransport) -> int:
    """Bytes the other machine has not acknowledged (tcp(7), SIOCOUTQ); those not handed to TCP count too.

    Args:
        writer: into TLS.
        tcp: the transport below it, with a buffer of its own that `writer` does not count.
    """
    waiting: int = writer.transport.get_write_buffer_size() + tcp.get_write_buffer_size()
    known = writer.get_extra_info("socket")
    if known is None:
        raise Unavailable("the connection is gone")
    answer = fcntl.ioctl(known.fileno(), termios.TIOCOUTQ, struct.pack("i", 0))
    return waiting + int(struct.unpack("i", answer)[0])

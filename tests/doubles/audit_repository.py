"""An audit repository: takes syslog over TLS with octet counting (RFC 5425), and can be away or rude."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass, field

from tests.doubles.ports import free_ports


@dataclass
class Repository:
    context: ssl.SSLContext
    port: int = field(default_factory=lambda: free_ports(1)[0])
    messages: list[bytes] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    connections: int = 0
    hang_up_after: int | None = None  # messages of one connection
    server: asyncio.Server | None = None
    writers: set[asyncio.StreamWriter] = field(default_factory=set)

    async def start(self) -> None:
        self.server = await asyncio.start_server(self._take, "127.0.0.1", self.port, ssl=self.context)

    async def stop(self) -> None:
        assert self.server is not None
        self.server.close()
        for writer in list(self.writers):
            writer.transport.abort()
        await self.server.wait_closed()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.writers.add(writer)
        taken = 0
        try:
            while self.hang_up_after is None or taken < self.hang_up_after:
                length = await reader.readuntil(b" ")
                if not length[:-1].isdigit() or length.startswith(b"0"):
                    self.faults.append(f"MSG-LEN {length!r}")
                    return
                self.messages.append(await reader.readexactly(int(length)))
                taken += 1
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.writers.discard(writer)
            writer.transport.abort()

    async def until(self, count: int) -> None:
        """Wait until so many messages came."""
        for _ in range(2_000):
            if len(self.messages) >= count:
                return
            await asyncio.sleep(0.01)
        raise AssertionError(f"{len(self.messages)} of {count} messages came")

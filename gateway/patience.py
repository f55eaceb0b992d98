"""How long a listener waits for a slow client. aiohttp itself waits for ever.

A client may take some seconds to send its first request's header, some seconds for each later one
once it has begun, and must keep a body coming. One that only holds a connection open would cost
a socket each, and a thousand of them keep everybody out ("slowloris"). Lines here are slow but not
dead: a body may trickle, at no less than a rate below any line that is of use.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from gateway.log import logger

log = logger("gateway.patience")


@dataclass(frozen=True, slots=True)
class Patience:
    """Limits of one listener.

    Args:
        header: seconds until a begun header, or the first one, must be whole.
        body: seconds without a byte of a body that is being read.
        slowest: bytes a second a body must bring on the average, after `grace`.
        grace: seconds before `slowest` counts.
        silent: connections of one address that have not brought a whole header yet.
        look: seconds between two looks at a connection.
    """

    header: float = 10.0
    body: float = 60.0
    slowest: float = 64.0
    grace: float = 60.0
    silent: int = 64
    look: float = 1.0


class Listener:
    """Makes the protocols of a listening socket: ``loop.create_server(Listener(runner.server), …)``.

    Args:
        server: of a runner that was set up.
        patience: the limits.
    """

    def __init__(self, server: web.Server, patience: Patience | None = None) -> None:
        self._server, self.patience = server, patience or Patience()
        self.silent: Counter[str] = Counter()

    def __call__(self) -> asyncio.Protocol:
        return _Watched(self._server(), self)


class _Watched(asyncio.Protocol):
    """Stands before one of aiohttp's protocols, passes everything on, and looks at the clock."""

    def __init__(self, inner: RequestHandler, listener: Listener) -> None:
        self._inner, self._listener, self._limits = inner, listener, listener.patience
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._address = ""
        self._quiet = True  # no whole header yet
        self._begun: float | None = None  # when the header that is not whole yet began
        self._heard = self._loop.time()
        self._body_since: float | None = None
        self._body_bytes = 0
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101  # for the type; a server's always is
        self._transport = transport
        peer = transport.get_extra_info("peername")
        self._address = str(peer[0]) if isinstance(peer, tuple) else ""
        self._listener.silent[self._address] += 1
        self._begun = self._heard = self._loop.time()
        self._inner.connection_made(transport)
        if self._listener.silent[self._address] > self._limits.silent:
            self._drop("too many silent connections of one address")
            return
        self._timer = self._loop.call_later(self._limits.look, self._look)

    def data_received(self, data: bytes) -> None:
        self._heard = self._loop.time()
        reading = self._reading_body()
        if reading:
            self._body_bytes += len(data)
        elif self._begun is None and not self._busy():
            self._begun = self._heard
        before = self._inner._request_count  # noqa: SLF001  # the only sign of a whole header
        self._inner.data_received(data)
        if self._inner._request_count > before:  # noqa: SLF001  # as above
            self._begun = None
            self._speak()
            self._body_since, self._body_bytes = self._heard, len(data)

    def eof_received(self) -> bool | None:
        self._inner.eof_received()
        return None

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()

    def connection_lost(self, exc: BaseException | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._speak()
        self._inner.connection_lost(exc)

    def _speak(self) -> None:
        """No longer one of the silent."""
        if self._quiet:
            self._quiet = False
            self._listener.silent[self._address] -= 1
            if self._listener.silent[self._address] <= 0:
                del self._listener.silent[self._address]

    def _look(self) -> None:
        now, limits = self._loop.time(), self._limits
        self._timer = self._loop.call_later(limits.look, self._look)
        if self._begun is not None and now - self._begun > limits.header:
            self._drop("no whole header in time")
        elif self._reading_body():
            assert self._transport is not None  # noqa: S101  # it is looked at only while connected
            if not self._transport.is_reading():
                self._heard = self._body_since = now  # it is we who do not keep up
                self._body_bytes = 0
                return
            since = now - (self._body_since or now)
            if now - self._heard > limits.body:
                self._drop("the body stopped coming")
            elif since > limits.grace and self._body_bytes < limits.slowest * since:
                self._drop("the body comes too slowly")

    def _busy(self) -> bool:
        return self._inner._current_request is not None or bool(self._inner._messages)  # noqa: SLF001

    def _reading_body(self) -> bool:
        """Whether a request is under way whose body has not come to its end."""
        request = self._inner._current_request  # noqa: SLF001
        return request is not None and not request._payload.is_eof()  # noqa: SLF001

    def _drop(self, why: str) -> None:
        log.warning("connection dropped", why=why, address=self._address)
        if self._transport is not None:
            self._transport.abort()

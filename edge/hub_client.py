"""The one door from the edge to its hub: HTTP over TLS 1.3 with certificates at both ends.

There is no limit on how long a request may take, only on how long nothing may happen: a big study on
a thin line takes as long as it takes. When the hub closes the connection without an answer, which
is all TLS 1.3 shows a client whose certificate is refused, the client asks the hub's web port why.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterable, AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from contextvars import ContextVar
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any, Self, TypeAlias
from urllib.parse import urlsplit
from weakref import WeakSet

import aiohttp
from aiohttp.connector import Connection

from edge import diagnosis
from edge.identity import EdgeIdentity
from edge.proxy import Proxy, through
from gateway import sockets, tls
from gateway.clock import Clock
from gateway.errors import (
    Malformed,
    NotAllowed,
    NotFound,
    Refused,
    Stale,
    StorageFull,
    Unavailable,
    Unverified,
)
from gateway.log import logger
from gateway.unreached import CLOCKS_AGREE, clocks_apart, why, why_not_trusted, why_of, wrong_time

TURN_HEADER, NEXT_TURN_HEADER = "Telerad-Turn", "Telerad-Next-Turn"
CONNECT_SECONDS = 15.0
REACHED_SECONDS = 45.0
"""Until there is a connection with the hub; a proxy may rightly take some time to make its own."""
DIAGNOSIS_PAUSE = 30.0
"""Asked at most this often, so a flapping line does not double its own traffic."""

WARM_SECONDS = 50.0
"""How long an idle connection is kept; proxies and servers often close theirs after 60 or 75 seconds."""
BUFFERED = 64 << 10
"""Bytes of a request that may wait here for the kernel to take them; what waits here cannot be overtaken."""

MAX_JSON = 8 << 20

Connected: TypeAlias = Callable[[asyncio.Transport], None]
_connected: ContextVar[Connected | None] = ContextVar("connected", default=None)
Worth: TypeAlias = Callable[[asyncio.Transport | None], int]
_worth: ContextVar[Worth | None] = ContextVar("worth", default=None)

log = logger("edge.hub")


class _Request(aiohttp.ClientRequest):
    """Tells whoever asks for it which connection a request goes on."""

    async def send(self, conn: Connection) -> aiohttp.ClientResponse:
        told, transport = _connected.get(), conn.transport
        if isinstance(transport, asyncio.Transport):
            transport.set_write_buffer_limits(high=BUFFERED)
            if told is not None:
                told(transport)
        return await super().send(conn)


class _Connector(aiohttp.TCPConnector):
    """Gives a request the idle connection that it values most; aiohttp gives the oldest."""

    async def _get(self, key: Any, traces: list[Any]) -> Connection | None:
        idle, worth = self._conns.get(key), _worth.get()
        if idle and worth is not None:
            best = max(idle, key=lambda one: worth(one[0].transport))
            idle.remove(best)
            idle.appendleft(best)
        return await super()._get(key, traces)


def _patience(idle: float) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(
        total=None, connect=REACHED_SECONDS, sock_connect=CONNECT_SECONDS, sock_read=idle
    )


class HubClient:
    """Requests to the hub's line.

    Args:
        identity: who we are, and where the hub is.
        clock: this machine's.
        idle_timeout: seconds without a byte, either way, after which the line counts as broken.
        proxy: to go through; None: straight to the hub.
        bbr: ask TCP for BBR where the kernel has it.

    Attributes:
        clock_offset: the hub's clock minus ours, as of the last answer; None before the first.
    """

    def __init__(
        self,
        identity: EdgeIdentity,
        clock: Clock,
        *,
        idle_timeout: float = 60.0,
        proxy: Proxy | None = None,
        bbr: bool = True,
    ) -> None:
        self.identity, self._bbr = identity, bbr
        self._proxy = proxy
        self.clock_offset: timedelta | None = None
        self._clock = clock
        self._idle = idle_timeout
        self._session: aiohttp.ClientSession | None = None
        self._retired: list[aiohttp.ClientSession] = []
        self._context_of: tuple[object, ...] = ()
        self._diagnosed: tuple[float, str] | None = None
        self._ready: WeakSet[asyncio.Transport] = WeakSet()  # connections that carry no request now

    @property
    def direct(self) -> bool:
        """Whether TCP leads to the hub itself, as far as is known here."""
        return self._proxy is None

    @property
    def spare(self) -> bool:
        """Whether a connection stands ready for one more request."""
        return any(not transport.is_closing() for transport in self._ready)

    @asynccontextmanager
    async def request(
        self,
        method: str,
        path: str,
        *,
        data: bytes | AsyncIterable[bytes] | None = None,
        json_body: Any = None,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        idle_timeout: float | None = None,
        accept: Collection[int] = (),
        connected: Connected | None = None,
        worth: Worth | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send a request; the block reads the answer, as a whole or as a stream.

        Args:
            method: such as ``POST``.
            path: such as ``/v1/uplink``.
            data: the body; a stream is sent as it comes, while the answer may be read already.
            json_body: the body as JSON, instead of `data`.
            params: the query.
            headers: more headers.
            idle_timeout: seconds to wait for bytes of the answer; None: as the client's. Use a long one where
                the hub may rightly be silent (long polls); a dead line is found by TCP all the same.
            accept: statuses other than 2xx that the block itself deals with.
            connected: called with the connection before the first byte of the request is sent on it.
            worth: of an idle connection: the one worth most is used.

        Raises:
            Unavailable: the hub is away, busy or unreachable, before or during the answer.
            NotAllowed: the hub knows us and does not let us in; in its own words.
            NotFound, Stale, Refused: by status 404, 409, and other 4xx.
            Unverified: whoever answers does not prove to be the hub.
        """
        session = await self._open()
        used: list[asyncio.Transport] = []
        _connected.set(partial(self._taken, used, connected))
        _worth.set(worth)
        try:
            async with session.request(
                method,
                self.identity.line_url + path,
                data=data,
                json=json_body,
                params=params,
                headers={**(headers or {}), TURN_HEADER: self.identity.turn},
                timeout=_patience(idle_timeout or self._idle),
                allow_redirects=False,
                **through(self._proxy),
            ) as response:
                self._note_clock(response)
                await self._take_turn(response)
                if response.status not in accept and not 200 <= response.status < 300:
                    raise await _refusal(response)
                yield response
        except aiohttp.ClientError as error:
            raise await self._what(error) from error
        finally:
            self._ready.update(used)

    def _taken(
        self, used: list[asyncio.Transport], told: Connected | None, transport: asyncio.Transport
    ) -> None:
        """A request goes on this connection."""
        used.append(transport)
        self._ready.discard(transport)
        if told is not None:
            told(transport)

    async def json(self, method: str, path: str, **options: Any) -> Any:
        """Send a request and read its answer as JSON (None if it is empty). Options as for `request`.

        Raises:
            Malformed: the answer is no JSON; and what `request` raises.
        """
        data = await self.read(method, path, **options)
        if not data:
            return None
        try:
            return json.loads(data)
        except ValueError as error:
            raise Malformed(f"the hub answered {path} with something that is no JSON") from error

    async def read(self, method: str, path: str, *, limit: int = MAX_JSON, **options: Any) -> bytes:
        """Send a request and read its answer, at most `limit` bytes. Raises Malformed beyond."""
        async with self.request(method, path, **options) as response:
            parts = bytearray()
            async for part in response.content.iter_any():
                parts += part
                if len(parts) > limit:
                    raise Malformed(f"the hub answered {path} with more than {limit} bytes")
            return bytes(parts)

    async def diagnose(self) -> str | None:
        """Ask the hub's web port what it thinks of our certificate.

        Returns:
            The hub's words if the certificate is the trouble; None if it is not, or if nobody answers.
        """
        identity = self.identity
        context = tls.web_client_context(identity.roots)
        found = await diagnosis.ask(identity.addresses.web, identity.fingerprint, context, self._proxy)
        if found is None or not found.words:
            return None
        now = self._clock.now()
        if found.now is not None and abs(found.now - now) > CLOCKS_AGREE:
            return f"{found.words}; {clocks_apart(found.now, now)}"
        return found.words

    def clock_trouble(self, now: datetime) -> list[str]:
        """What is wrong with this machine's clock, as of the hub's last answer: nothing, or one sentence."""
        offset = self.clock_offset
        if offset is None or abs(offset) <= CLOCKS_AGREE:
            return []
        return [f"{clocks_apart(now + offset, now)}; set it, best by NTP"]

    async def close(self) -> None:
        """End all connections."""
        for session in [*self._retired, *([self._session] if self._session is not None else [])]:
            await session.close()
        self._session, self._retired = None, []

    async def __aenter__(self) -> Self:
        """The client itself."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close."""
        await self.close()

    async def _open(self) -> aiohttp.ClientSession:
        """The session; a new one after the certificate was renewed.

        Requests under way keep the old one, until the renewal after the next: half a month.
        """
        mark = (self.identity.fingerprint, self.identity.roots)
        if self._session is None or self._session.closed or self._context_of != mark:
            for old in self._retired:
                await old.close()
            self._retired = [self._session] if self._session is not None else []
            device = self.identity.device_file
            context = tls.line_client_context(device, device, self.identity.roots)
            connector = _Connector(
                ssl=context, socket_factory=self._socket, limit=0, keepalive_timeout=WARM_SECONDS
            )
            self._session, self._context_of = self._made(connector), mark
        return self._session

    def _made(self, connector: aiohttp.TCPConnector) -> aiohttp.ClientSession:
        """A session whose requests name this run, so that the hub notices a copied key."""
        return aiohttp.ClientSession(
            connector=connector, request_class=_Request, headers={"Telerad-Run": self.identity.run}
        )

    def _socket(self, info: Any) -> socket.socket:
        """A socket on which a dead line is found while sending, too, where HTTP has no timeout."""
        family, kind, protocol, _, _ = info
        made = socket.socket(family, kind, protocol)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in (
            ("TCP_KEEPIDLE", max(1, int(self._idle / 2))),
            ("TCP_KEEPINTVL", max(1, int(self._idle / 6))),
            ("TCP_KEEPCNT", 3),
            ("TCP_USER_TIMEOUT", int(self._idle * 1000)),  # RFC 5482; milliseconds
        ):
            if hasattr(socket, name):
                made.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
        sockets.for_long_lines(made, bbr=self._bbr)
        return made

    def _first_step(self, error: aiohttp.ClientConnectorError) -> str:
        """Who could not be reached."""
        through = self._proxy is not None and isinstance(error, aiohttp.ClientProxyConnectionError)
        return f"the proxy {self._proxy.url}" if self._proxy is not None and through else "the hub"

    def _no_answer(self) -> str:
        """What it means that no connection came about."""
        if self._proxy is not None:
            return self._proxy.silence(self.identity.line_url)
        there = urlsplit(self.identity.line_url)
        return f"the hub cannot be reached: {why_of(TimeoutError(), there.hostname or '', there.port)}"

    def _proxy_refused(self, error: aiohttp.ClientHttpProxyError) -> str:
        assert self._proxy is not None  # noqa: S101  # who else would have answered CONNECT
        return self._proxy.words(error.status, self.identity.line_url)

    async def _take_turn(self, response: aiohttp.ClientResponse) -> None:
        """Write down the number that the hub hands on; what cannot be written now comes again."""
        turn = response.headers.get(NEXT_TURN_HEADER)
        if turn is None:
            return
        try:
            await asyncio.to_thread(self.identity.take_turn, turn)
        except (StorageFull, OSError) as error:
            log.warning("the next turn cannot be written down", why=str(error))

    def _note_clock(self, response: aiohttp.ClientResponse) -> None:
        try:
            told = parsedate_to_datetime(response.headers["Date"])
            self.clock_offset = told - self._clock.now()
        except (KeyError, ValueError, TypeError):
            return

    async def _what(self, error: aiohttp.ClientError) -> Exception:
        """An error of the library as one of ours, in plain words."""
        match error:
            case aiohttp.ClientConnectorCertificateError():
                there = await self._hub_time() if wrong_time(error) else None
                words = why_not_trusted(error, self._clock.now(), there)
                return Unverified(f"{self.identity.line_url} does not prove to be the hub: {words}")
            case aiohttp.ClientConnectorError():
                return Unavailable(f"{self._first_step(error)} cannot be reached: {why(error)}")
            case aiohttp.ConnectionTimeoutError():
                return Unavailable(self._no_answer())
            case aiohttp.ClientHttpProxyError():
                return Unavailable(self._proxy_refused(error))
            case _:
                return await self._closed(error)

    async def _hub_time(self) -> datetime | None:
        identity = self.identity
        return await diagnosis.hub_time(identity.addresses.web, identity.roots, self._proxy)

    async def _closed(self, error: aiohttp.ClientError) -> Exception:
        """What a broken request means; a fault of whoever feeds the body comes back as itself."""
        cause = error.__cause__
        fed = type(error) is aiohttp.ClientConnectionError  # exactly: so aiohttp tells a failing body
        if fed and isinstance(cause, Exception) and not isinstance(cause, (OSError, aiohttp.ClientError)):
            return cause
        now = self._clock.monotonic()
        if self._diagnosed is None or now - self._diagnosed[0] > DIAGNOSIS_PAUSE:
            self._diagnosed = (now, await self.diagnose() or "")
        words = self._diagnosed[1]
        if words:
            return NotAllowed(f"the hub refuses this edge: {words}")
        return Unavailable(f"the line to the hub broke: {error or type(error).__name__}")


async def _refusal(response: aiohttp.ClientResponse) -> Exception:
    body = (await response.content.read(64 << 10)).decode(errors="replace")
    try:
        words = str(json.loads(body)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        words = f"status {response.status}"
    message = f"the hub says: {words}"
    if response.status >= 500 or response.status in (408, 425, 429):
        return Unavailable(message, retry_after=_seconds(response.headers.get("Retry-After")))
    kinds: dict[int, type[Refused]] = {401: NotAllowed, 403: NotAllowed, 404: NotFound, 409: Stale}
    return kinds.get(response.status, Refused)(message)


def _seconds(text: str | None) -> float | None:
    return float(text) if text is not None and text.isdecimal() else None

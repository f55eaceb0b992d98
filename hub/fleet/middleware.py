"""The door of the line port: who calls is what the TLS certificate says, asked anew on every request.

The table is asked on every request, not on every connection, so a revoked edge is out on the next
request of a connection that was open already. A request that is still streaming when its edge is
revoked is cut by `Door.run` within `SWEEP_SECONDS`.
"""

from __future__ import annotations

import asyncio
import warnings
from collections import Counter
from collections.abc import Awaitable, Callable

from aiohttp import web
from aiohttp.typedefs import Middleware
from cryptography import x509

from gateway.clock import Clock
from gateway.database import Database
from gateway.errors import (
    DataError,
    NotAllowed,
    PeerError,
    ResourceError,
    Unavailable,
    Unverified,
)
from gateway.log import logger
from gateway.tls import peer_identity
from gateway.trust import Identity, Trust, fingerprint
from hub import alerts, outage
from hub.alerts import Alert
from hub.fleet import devices
from hub.fleet.answers import refusal
from hub.fleet.turns import NEXT_HEADER, TURN_HEADER
from hub.fleet.turnstile import Turnstile
from hub.fleet.uses import RUN_HEADER, Uses
from hub.forwarded import Forwarding
from hub.record import Record
from hub.seals import Seals

SWEEP_SECONDS = 2.0
SEEN_SECONDS = 30.0
"""How often at most a calling edge is noted as seen; each note is a durable write."""

IDENTITY = "identity"
"""Key of the caller's `Identity` in a request."""

NEXT = web.RequestKey("telerad.next-turn", str)
"""Key of what the caller is told as its next number; empty: nothing."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
log = logger("hub.fleet")


class Door:
    """Lets devices of the fleet in, and nobody else.

    Args:
        database: holds the fleet.
        trust: the roots.
        clock: the hub's.
        custody: hears of an edge whose key is used twice.
        on_list: whether a certificate is on its authority's revocation list: the second layer.
        forwarding: which proxies may forward an edge's certificate.
        seals: make the numbers that edges hand on; without them there are none.
    """

    def __init__(
        self,
        database: Database,
        trust: Trust,
        clock: Clock,
        custody: Record | None = None,
        on_list: Callable[[x509.Certificate], bool] = lambda _: False,
        forwarding: Forwarding | None = None,
        seals: Seals | None = None,
    ) -> None:
        self._turnstile = None if seals is None else Turnstile(database, seals)
        self._forwarding = forwarding or Forwarding()
        self._on_list = on_list
        self._custody = custody
        self._uses = Uses()
        self._database = database
        self._trust = trust
        self._clock = clock
        self._inside: Counter[tuple[str, asyncio.Transport]] = Counter()
        self._seen: dict[str, float] = {}
        self._quiet = False

    async def run(self) -> None:
        """Cut requests of edges that were revoked meanwhile. A service: ends only by cancellation."""
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            await self.sweep()

    async def sweep(self) -> int:
        """Cut the connections of revoked edges with a request under way. Returns how many."""
        if not self._inside:
            return 0
        async with self._database.reading() as connection:
            marks = {mark for mark, _ in self._inside}
            out = await devices.revoked_among(connection, list(marks))
        cut = [transport for mark, transport in self._inside if mark in out]
        for transport in cut:
            transport.abort()
        return len(cut)

    async def admit(self, request: web.Request) -> Identity:
        """Who calls. Raises Unverified, Malformed or NotAllowed."""
        transport = request.transport
        ssl_object = transport.get_extra_info("ssl_object") if transport is not None else None
        if transport is None or ssl_object is None:
            raise Unverified("the connection is not TLS, or already closed")
        peer = str((transport.get_extra_info("peername") or ("",))[0])
        forwarded = self._forwarding.certificate(request.headers, peer)
        identity = peer_identity(ssl_object, self._trust, self._clock.now(), forwarded)
        async with self._database.reading() as connection:
            await devices.admit(connection, identity)
        if self._on_list(identity.certificate):
            raise NotAllowed(f"the certificate of {identity.name} is on its authority's revocation list")
        await self._watch(identity, request)
        await self._note(identity)
        return identity

    async def _watch(self, identity: Identity, request: web.Request) -> None:
        """Tell the administrators of a key that is used in two places. It goes on: images come first."""
        who = (identity.site or "", identity.edge or "")
        run, address, now = request.headers.get(RUN_HEADER, ""), request.remote or "", self._clock.monotonic()
        await self._tell(identity, self._uses.note(who, run, address, now))
        if self._turnstile is not None:
            words, request[NEXT] = await self._turnstile.pass_through(
                who, request.headers.get(TURN_HEADER, ""), run, now
            )
            await self._tell(identity, words and self._uses.once(who, words, now))

    async def _tell(self, identity: Identity, words: str | None) -> None:
        if words is None:
            return
        site, edge = identity.site or "", identity.edge or ""
        log.error("an edge's key is used twice", site=site, edge=edge, why=words)
        async with self._database.writing() as connection:
            await alerts.tell(connection, Alert("used-twice", words, site, edge), self._clock.now())
            if self._custody is not None:
                mark = fingerprint(identity.certificate)
                detail = {"edge": edge}
                await self._custody.append(
                    connection, "edge-used-twice", site=site, subject=mark, detail=detail
                )

    async def handle(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Admit one request and answer it; a disk or database that fails is an answer, too (503)."""
        try:
            return await self._handle(request, handler)
        except Exception as error:
            if not outage.told(log, request, error):
                raise
            return refusal(ResourceError("the hub's disk or database fails; tell its administrator"))

    async def _handle(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Errors of the tree become HTTP status and JSON."""
        try:
            identity = await self.admit(request)
        except (DataError, NotAllowed) as error:
            log.warning("refused at the door", why=str(error), remote=request.remote)
            response = refusal(NotAllowed(str(error)))
            response.force_close()
            return response
        self._hand_on(request, identity)
        if request.transport is None:  # it hung up while it was being admitted: nobody hears the answer
            return refusal(Unavailable("the connection was closed"))
        inside = (fingerprint(identity.certificate), request.transport)
        self._inside[inside] += 1
        try:
            return _with_turn(request, await handler(request))
        except (PeerError, DataError, ResourceError) as error:
            log.warning("refused", why=str(error), site=identity.site, path=request.path)
            return refusal(error)
        finally:
            self._inside[inside] -= 1
            if self._inside[inside] == 0:
                del self._inside[inside]

    def _hand_on(self, request: web.Request, identity: Identity) -> None:
        """The key is plain text, so that stations need not import this one; aiohttp warns of that, once."""
        if self._quiet:
            request[IDENTITY] = identity
            return
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", web.NotAppKeyWarning)
            request[IDENTITY] = identity
        self._quiet = True

    async def _note(self, identity: Identity) -> None:
        now = self._clock.monotonic()
        if now - self._seen.get(identity.name, -SEEN_SECONDS) < SEEN_SECONDS:
            return
        self._seen[identity.name] = now
        async with self._database.writing() as connection:
            await devices.seen(connection, identity.site or "", identity.edge or "", self._clock.now())


def _with_turn(request: web.Request, response: web.StreamResponse) -> web.StreamResponse:
    """The answer, with the caller's next number. A stream that has begun has none; another answer will."""
    if (turn := request.get(NEXT)) and not response.prepared:
        response.headers[NEXT_HEADER] = turn
    return response


def device_middleware(door: Door) -> Middleware:
    """`door` as aiohttp middleware for the line application."""

    @web.middleware
    async def admit(request: web.Request, handler: Handler) -> web.StreamResponse:
        return await door.handle(request, handler)

    return admit


def caller(request: web.Request) -> Identity:
    """Who sent a request that passed the door."""
    identity: Identity = request[IDENTITY]
    return identity

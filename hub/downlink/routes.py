"""The line port's part of the way back. Behind the door: ``request["identity"]`` says whose site asks.

====================================================  ===================================================
``GET /v1/deliveries?wait=20[&everything=1]``         what waits for the caller's site; the answer comes
                                                      at once if something does, else after `wait` seconds
``GET /v1/deliveries/{id}``                           the package (`gateway.report.delivery`)
``POST /v1/deliveries/{id}/acknowledgement``          the edge's signed word; 204
====================================================  ===================================================
"""

from __future__ import annotations

import asyncio

from aiohttp import web

from gateway.clock import Clock
from gateway.errors import Malformed, NotAllowed
from gateway.report.delivery import MEDIA_TYPE, opaque_id
from gateway.trust import Identity
from hub.downlink.outbox import Outbox

MAX_WAIT = 60.0
LOOK_SECONDS = 0.5
"""How often a waiting request looks: stations meet in rows, and one indexed read costs next to nothing."""

MAX_STATEMENT = 512 << 10


def downlink_routes(outbox: Outbox, clock: Clock) -> list[web.RouteDef]:
    """The routes, for the line application."""

    async def waiting(request: web.Request) -> web.Response:
        caller, everything = _edge(request), request.query.get("everything") == "1"
        until = clock.monotonic() + _wait(request.query.get("wait", "0"))
        while True:
            found = await outbox.waiting(caller, everything=everything)
            if found or clock.monotonic() >= until:
                return web.json_response({"deliveries": found})
            await asyncio.sleep(LOOK_SECONDS)

    async def fetch(request: web.Request) -> web.Response:
        package = await outbox.package(_edge(request), opaque_id(request.match_info["id"]))
        return web.Response(body=package, content_type=MEDIA_TYPE)

    async def acknowledge(request: web.Request) -> web.Response:
        identity = _edge(request)
        statement = await request.content.read(MAX_STATEMENT + 1)
        while len(statement) <= MAX_STATEMENT and not request.content.at_eof():
            statement += await request.content.read(MAX_STATEMENT + 1 - len(statement))
        if len(statement) > MAX_STATEMENT:
            raise Malformed(f"an acknowledgement has at most {MAX_STATEMENT} bytes")
        await outbox.acknowledge(identity, opaque_id(request.match_info["id"]), statement)
        return web.Response(status=204)

    return [
        web.get("/v1/deliveries", waiting),
        web.get("/v1/deliveries/{id}", fetch),
        web.post("/v1/deliveries/{id}/acknowledgement", acknowledge),
    ]


def _edge(request: web.Request) -> Identity:
    identity: Identity = request["identity"]
    if identity.site is None:
        raise NotAllowed(f"{identity.name} is not an edge: its certificate names no site")
    return identity


def _wait(text: str) -> float:
    if not text.isdecimal() or len(text) > 6:
        raise Malformed(f"wait must be whole seconds, not {text[:20]!r}")
    return min(float(text), MAX_WAIT)

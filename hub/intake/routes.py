"""The two addresses of the line. PROTOCOL.md §2."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

from gateway.errors import NotAllowed, Unavailable
from gateway.log import logger
from gateway.model import site_id
from gateway.trust import Identity
from gateway.wire.brief import READS_BRIEF, READS_HEADER
from gateway.wire.frames import MEDIA_TYPE
from hub.intake.desk import Desk
from hub.intake.exchange import Exchange

UPLINK = "/v1/uplink"
STATUS = "/v1/uplink/status"
DRAINING_SECONDS = 10

log = logger("hub.intake")


def line_routes(desk: Desk, draining: Callable[[], bool]) -> list[web.RouteDef]:
    """The line's addresses. The middleware before them puts the caller in ``request["identity"]``."""

    async def uplink(request: web.Request) -> web.StreamResponse:
        return await _exchange(request, desk, draining, only_ask=False)

    async def status(request: web.Request) -> web.StreamResponse:
        return await _exchange(request, desk, draining, only_ask=True)

    return [web.post(UPLINK, uplink), web.post(STATUS, status)]


def local_routes(desk: Desk, draining: Callable[[], bool]) -> list[web.RouteDef]:
    """The same for callers on this machine, who say which site's parcels they bring."""

    async def uplink(request: web.Request) -> web.StreamResponse:
        return await _exchange_of(site_id(request.match_info["site"]), request, desk, draining)

    return [web.post("/v1/sites/{site}/uplink", uplink)]


async def _exchange(
    request: web.Request, desk: Desk, draining: Callable[[], bool], *, only_ask: bool
) -> web.StreamResponse:
    identity: Identity = request["identity"]
    if identity.site is None:
        raise NotAllowed(f"{identity.name} is not an edge: its certificate names no site")
    return await _exchange_of(identity.site, request, desk, draining, only_ask=only_ask)


async def _exchange_of(
    site: str, request: web.Request, desk: Desk, draining: Callable[[], bool], *, only_ask: bool = False
) -> web.StreamResponse:
    if request.content_type != MEDIA_TYPE:
        raise web.HTTPUnsupportedMediaType(text=f"the body must be {MEDIA_TYPE}")
    if draining():
        raise Unavailable("the hub is stopping; it will be back", retry_after=DRAINING_SECONDS)
    response = web.StreamResponse(headers={"Content-Type": MEDIA_TYPE, READS_HEADER: READS_BRIEF})
    response.enable_chunked_encoding()
    await response.prepare(request)
    exchange = Exchange(desk, site, response, only_ask=only_ask)
    try:
        await exchange.run(request.content)
    except (OSError, TimeoutError, web.RequestPayloadError) as error:
        log.info("exchange cut", site=site, why=str(error) or type(error).__name__)
        if request.transport is not None:
            request.transport.abort()
    return response

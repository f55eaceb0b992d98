"""The console's web application."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

from aiohttp import web

from edge.budget import Blocked
from edge.console.facts import metrics, status_json
from edge.console.outlook import outlook
from edge.console.page import page
from edge.console.words import LANGUAGES, choose
from edge.spool.item import LinkState
from edge.spool.spool import Spool
from gateway.clock import Clock
from gateway.errors import Broken, Malformed
from gateway.model import Priority, parcel_id

STYLE = Path(__file__).with_name("style.css").read_text()
SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; form-action 'self';"
    " base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


def console_app(
    spool: Spool,
    link: Callable[[], LinkState | None],
    clock: Clock,
    blocked: Callable[[Priority], Blocked | None] = lambda _: None,
    fault: Callable[[], str] = lambda: "",
) -> web.Application:
    """The application: ``/``, ``/status.json``, ``/metrics``, ``/healthz``.

    Args:
        spool: what is shown.
        link: how the line is just now; None before the first try.
        clock: the time.
        blocked: what the budgets hold back now.
        fault: what is wrong with the changed configuration file.
    """
    console = _Console(spool, link, clock, blocked, fault)
    app = web.Application(middlewares=[_with_headers], client_max_size=1024)
    app.add_routes(
        [
            web.get("/", console.page),
            web.get("/style.css", console.style),
            web.get("/status.json", console.status),
            web.get("/metrics", console.metrics),
            web.get("/healthz", console.health),
            web.post("/held/{parcel}/release", console.release),
        ]
    )
    return app


@web.middleware
async def _with_headers(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        response = await handler(request)
    except web.HTTPException as error:
        error.headers.update(SECURITY_HEADERS)
        raise
    response.headers.update(SECURITY_HEADERS)
    return response


class _Console:
    def __init__(
        self,
        spool: Spool,
        link: Callable[[], LinkState | None],
        clock: Clock,
        blocked: Callable[[Priority], Blocked | None],
        fault: Callable[[], str],
    ) -> None:
        self._spool, self._link, self._clock = spool, link, clock
        self._blocked, self._fault = blocked, fault

    async def page(self, request: web.Request) -> web.Response:
        asked = request.query.get("lang", request.cookies.get("lang", ""))
        language = choose(request.headers.get("Accept-Language", ""), asked)
        link = self._link()
        status = await self._spool.status(link)
        ahead = outlook(status, link, self._blocked, self._fault())
        text = page(status, link, self._clock.now(), language, ahead)
        response = web.Response(text=text, content_type="text/html")
        response.headers["Vary"] = "Accept-Language, Cookie"
        if request.query.get("lang") in LANGUAGES:
            response.set_cookie("lang", language, max_age=31_536_000, httponly=True, samesite="Strict")
        return response

    async def style(self, request: web.Request) -> web.Response:
        return web.Response(text=STYLE, content_type="text/css")

    async def status(self, request: web.Request) -> web.Response:
        link = self._link()
        status = await self._spool.status(link)
        ahead = outlook(status, link, self._blocked, self._fault())
        return web.json_response(status_json(status, link, self._clock.now(), studies=True, ahead=ahead))

    async def metrics(self, request: web.Request) -> web.Response:
        link = self._link()
        text = metrics(await self._spool.status(link), link)
        kind = "text/plain; version=0.0.4; charset=utf-8"
        return web.Response(body=text.encode(), headers={"Content-Type": kind})

    async def health(self, request: web.Request) -> web.Response:
        """200 as long as images can be taken; 503 when the disk is full."""
        status = await self._spool.status()
        return web.Response(
            text="ok\n" if status.accepting else "the disk is below its reserve\n",
            status=200 if status.accepting else 503,
        )

    async def release(self, request: web.Request) -> web.Response:
        """A person says: try a held item again. Only from this page itself."""
        if request.headers.get("Sec-Fetch-Site", "same-origin") != "same-origin":
            raise web.HTTPForbidden(text="only from the console's own page\n")
        origin = request.headers.get("Origin")
        if origin is not None and origin.partition("://")[2] != request.host:
            raise web.HTTPForbidden(text="only from the console's own page\n")
        try:
            await self._spool.release(parcel_id(request.match_info["parcel"]))
        except (Malformed, Broken) as error:
            raise web.HTTPConflict(text=f"{error}\n") from error
        raise web.HTTPSeeOther("/")

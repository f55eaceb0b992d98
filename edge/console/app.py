"""The console's web application."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from aiohttp import web

from edge.console.facts import beside, metrics, status_json
from edge.console.guard import COOKIE, Guard
from edge.console.import_page import login_page
from edge.console.imports import Imports
from edge.console.language import explained, language_of, remember
from edge.console.messages import Messages
from edge.console.outlook import Outlook
from edge.console.page import page
from edge.console.sources import Sources
from edge.console.taken_page import taken_page
from edge.spool.item import LinkState
from edge.spool.spool import Spool
from edge.spool.status import SpoolStatus
from gateway.clock import Clock
from gateway.errors import Broken, Malformed
from gateway.model import parcel_id

STYLE = Path(__file__).with_name("style.css").read_text()
REFRESH_SECONDS = 10
MAX_FORM = 64 << 10
"""Bytes of a form; uploads have their own limit."""


def console_app(
    spool: Spool,
    link: Callable[[], LinkState | None],
    clock: Clock,
    ahead: Callable[[SpoolStatus], Outlook] = lambda _: Outlook(),
    *,
    sources: Sources | None = None,
    passcode: str = "",
    names: Sequence[str] = (),
) -> web.Application:
    """The application: ``/``, ``/import``, ``/messages``, ``/status.json``, ``/metrics``, ``/healthz``.

    Args:
        spool: what is shown.
        link: how the line is just now; None before the first try.
        clock: the time.
        ahead: when things will be at the hub, and what is held back.
        sources: what is shown besides.
        passcode: asked for once a browser; empty: none.
        names: by which browsers may call this machine besides its own.
    """
    sources = sources or Sources()
    guard = Guard(passcode, names, clock)
    console = _Console(spool, link, clock, ahead, sources)
    app = web.Application(middlewares=[explained, guard.middleware, remember], client_max_size=MAX_FORM)
    login = Login(guard)
    app.add_routes(
        [
            web.get("/", console.page),
            web.get("/style.css", console.style),
            web.get("/favicon.ico", console.icon),
            web.get("/study/{study:[0-9.]{1,64}}", console.study),
            web.get("/status.json", console.status),
            web.get("/metrics", console.metrics),
            web.get("/healthz", console.health),
            web.post("/held/{parcel}/release", console.release),
            web.get("/login", login.page),
            web.post("/login", login.enter),
        ]
    )
    if sources.importer is not None:
        app.add_routes(
            Imports(sources.importer, clock, sources.nav, sources.known, orders=sources.orders).routes()
        )
    if sources.talks is not None:
        app.add_routes(Messages(sources.talks, spool.view, clock, sources.nav).routes())
    return app


class _Console:
    def __init__(
        self,
        spool: Spool,
        link: Callable[[], LinkState | None],
        clock: Clock,
        ahead: Callable[[SpoolStatus], Outlook],
        sources: Sources,
    ) -> None:
        self._spool, self._link, self._clock = spool, link, clock
        self._ahead, self._sources = ahead, sources

    async def page(self, request: web.Request) -> web.Response:
        link, still = self._link(), request.query.get("still") == "1"
        status = await self._spool.status(link)
        ahead = self._ahead(status)
        now, language = self._clock.now(), language_of(request)
        text = page(status, link, now, language, ahead, self._sources, still=still)
        response = web.Response(text=text, content_type="text/html")
        if not still:
            response.headers["Refresh"] = str(REFRESH_SECONDS)
        return response

    async def study(self, request: web.Request) -> web.Response:
        """How one study was taken. It does not refresh: somebody may be reading."""
        study, taken = request.match_info["study"], self._sources.taken(request.match_info["study"])
        facts = next((one.facts for one in self._spool.view.studies() if one.facts.study_uid == study), None)
        if facts is None and not taken.series:
            raise web.HTTPNotFound(text="this edge knows no such study\n")
        sources = self._sources
        text = taken_page(study, facts, taken, language_of(request), nav=sources.nav, unread=sources.unread)
        return web.Response(text=text, content_type="text/html")

    async def style(self, request: web.Request) -> web.Response:
        return web.Response(text=STYLE, content_type="text/css")

    async def icon(self, request: web.Request) -> web.Response:
        """There is none; browsers ask all the same."""
        return web.Response(status=204)

    async def status(self, request: web.Request) -> web.Response:
        link = self._link()
        status = await self._spool.status(link)
        ahead = self._ahead(status)
        facts = status_json(status, link, self._clock.now(), studies=True, ahead=ahead)
        return web.json_response(facts | beside(self._sources))

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
        """A person says: try a held item again."""
        try:
            await self._spool.release(parcel_id(request.match_info["parcel"]))
        except (Malformed, Broken) as error:
            raise web.HTTPConflict(text=f"{error}\n") from error
        raise web.HTTPSeeOther("/")


class Login:
    """Asks for the pass-code.

    Args:
        guard: knows it.
    """

    def __init__(self, guard: Guard) -> None:
        self._guard = guard

    async def page(self, request: web.Request) -> web.Response:
        """The form."""
        text = login_page(language_of(request), wrong=False)
        return web.Response(text=text, content_type="text/html")

    async def enter(self, request: web.Request) -> web.Response:
        """Let the right one in."""
        given = str((await request.post()).get("passcode", ""))
        session = self._guard.log_in(given) if self._guard.asks else None
        if session is None:
            text = login_page(language_of(request), wrong=True)
            return web.Response(text=text, content_type="text/html", status=403)
        response = web.Response(status=303, headers={"Location": "/"})
        response.set_cookie(COOKIE, session, httponly=True, samesite="Strict")
        return response

"""Which language a request is answered in."""

from __future__ import annotations

from aiohttp import web

from edge.console.guard import Handler
from edge.console.words import LANGUAGES, choose

YEAR = 31_536_000


def language_of(request: web.Request) -> str:
    """The language asked for now, or before, or preferred by the browser."""
    asked = request.query.get("lang", request.cookies.get("lang", ""))
    return choose(request.headers.get("Accept-Language", ""), asked)


@web.middleware
async def remember(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Keep the language that was asked for."""
    response = await handler(request)
    response.headers["Vary"] = "Accept-Language, Cookie"
    if request.query.get("lang") in LANGUAGES:
        response.set_cookie("lang", language_of(request), max_age=YEAR, httponly=True, samesite="Strict")
    return response

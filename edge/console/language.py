"""Which language a request is answered in."""

from __future__ import annotations

from html import escape

from aiohttp import web

from edge.console.guard import Handler
from edge.console.layout import alert, frame
from edge.console.told import told
from edge.console.words import LANGUAGES, choose, say

YEAR = 31_536_000
_OF_THE_TEXT = ("Content-Type", "Content-Length")


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


@web.middleware
async def explained(request: web.Request, handler: Handler) -> web.StreamResponse:
    """What is refused or not found, as a page in the reader's language for who asks with a browser."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        if error.status < web.HTTPBadRequest.status_code or "text/html" not in request.headers.get(
            "Accept", ""
        ):
            raise
        language = language_of(request)
        back = f'<p><a href="/">{escape(say(language, "back"))}</a></p>'
        body = alert(told((error.text or error.reason).strip(), language)) + back
        headers = {name: value for name, value in error.headers.items() if name not in _OF_THE_TEXT}
        return web.Response(
            text=frame(body, language, here="/"),
            status=error.status,
            headers=headers,
            content_type="text/html",
        )

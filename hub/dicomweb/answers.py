"""What every DICOMweb answer shares: who may ask, where the service is, tags for caches, refusals."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Iterable

from aiohttp import web
from yarl import URL

from gateway.errors import Malformed, NotFound
from hub.archive.scope import Scope
from hub.dicomweb.accept import MediaRange, parse

Authorize = Callable[[web.Request], Awaitable[Scope]]
"""Says what the caller may see; raises if nobody is logged in."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

CACHE = {"Cache-Control": "private, no-cache", "Vary": "Accept, Authorization, Cookie"}
"""A browser may keep an answer and must ask whether it still holds, and whether it may still be seen."""


def plain_refusals(handler: Handler) -> Handler:
    """`handler`, with what cannot be read or is not there answered in plain words."""

    async def run(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except NotFound as error:
            raise web.HTTPNotFound(text=str(error)) from error
        except Malformed as error:
            raise web.HTTPBadRequest(text=str(error)) from error

    return run


class Address:
    """Where the service is, for absolute URIs in answers.

    The host is the one the client used, so that a browser stays on its origin. Some clients leave the
    port out of the Host header: then it is the public one, as is the scheme.

    Args:
        prefix: path of the service.
        public: how clients reach the hub, such as ``https://hub.example:8443``; None: as the request says.
    """

    def __init__(self, prefix: str, public: str | None = None) -> None:
        self.prefix, self._public = prefix, URL(public) if public else None

    def of(self, request: web.Request) -> str:
        """Absolute address, without a slash at the end."""
        asked = request.url.origin()
        if self._public is not None:
            port = asked.explicit_port or self._public.port
            asked = asked.with_scheme(self._public.scheme).with_port(port)
        return f"{str(asked).rstrip('/')}{self.prefix}"


def accepted(request: web.Request) -> tuple[MediaRange, ...]:
    """What the client takes; the query parameter leads (PS3.18 §8.3.3.1)."""
    return parse(request.query.get("accept") or request.headers.get("Accept"))


def not_acceptable(why: str) -> web.HTTPNotAcceptable:
    """406, with the reason and what would do."""
    return web.HTTPNotAcceptable(text=why)


def entity_tag(parts: Iterable[str]) -> str:
    """A strong ETag over what an answer is made of."""
    return f'"{hashlib.sha256(chr(10).join(parts).encode()).hexdigest()}"'


def unchanged(request: web.Request, etag: str) -> bool:
    """Whether the client has this very answer already."""
    given = request.headers.get("If-None-Match", "")
    return etag in {part.strip().removeprefix("W/") for part in given.split(",")} or given.strip() == "*"


def not_modified(etag: str) -> web.Response:
    """304."""
    return web.Response(status=304, headers=CACHE | {"ETag": etag})

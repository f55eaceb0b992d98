"""What a browser sent, read within limits and checked before anything else sees it."""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import web

from gateway import jsontext
from gateway.errors import Malformed

MAX_BYTES = 1 << 20
"""Of a JSON body; a report's text is far below."""

READ_SECONDS = 20.0
"""For the whole body. It is small, so this is no limit on a slow line but on a stalled one."""


async def json_object(request: web.Request) -> dict[str, Any]:
    """The JSON object a request carries.

    Raises:
        Malformed: too large, too slow, not JSON, or no object.
    """
    data = bytearray()
    try:
        async with asyncio.timeout(READ_SECONDS):
            async for piece in request.content.iter_any():
                data += piece
                if len(data) > MAX_BYTES:
                    raise Malformed(f"the body is larger than {MAX_BYTES} bytes")
    except TimeoutError:
        raise Malformed("the body did not come in time") from None
    value = jsontext.load(bytes(data) or b"{}")
    if not isinstance(value, dict):
        raise Malformed("the body is not a JSON object")
    return value


def text(body: dict[str, Any], name: str, *, longest: int = 1024) -> str:
    """A text of the body. Raises Malformed if it is missing, no text or too long."""
    value = body.get(name)
    if not isinstance(value, str):
        raise Malformed(f"{name} must be text")
    if len(value) > longest:
        raise Malformed(f"{name} is longer than {longest} characters")
    return value


def optional_text(body: dict[str, Any], name: str) -> str | None:
    """As `text`; None if it is missing or null."""
    return None if body.get(name) is None else text(body, name)


def number(body: dict[str, Any], name: str) -> int:
    """A whole number from 0 of the body. Raises Malformed."""
    value = body.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**31:
        raise Malformed(f"{name} must be a whole number")
    return value


def mapping(body: dict[str, Any], name: str) -> dict[str, Any]:
    """An object of the body. Raises Malformed."""
    value = body.get(name)
    if not isinstance(value, dict):
        raise Malformed(f"{name} must be an object")
    return value


def case_id(request: web.Request) -> int:
    """The ``{id}`` of a path whose pattern admits digits alone."""
    return int(request.match_info["id"])

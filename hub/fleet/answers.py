"""Errors as HTTP answers: ``{"error": {"code", "message"}}`` and a fitting status."""

from __future__ import annotations

from aiohttp import web

from gateway.brake import TooMany
from gateway.errors import GatewayError, NotAllowed, NotFound, Refused, ResourceError, Stale, Unavailable

_STATUS: tuple[tuple[type[GatewayError], int, str], ...] = (
    (NotAllowed, 403, "not_allowed"),
    (NotFound, 404, "not_found"),
    (Stale, 409, "stale"),
    (Refused, 422, "refused"),
    (TooMany, 429, "too_many"),
    (Unavailable, 503, "unavailable"),
    (ResourceError, 503, "no_resource"),
    (GatewayError, 400, "bad_data"),
)


def refusal(error: GatewayError) -> web.Response:
    """The answer that tells `error`; an edge shows its message to the technician."""
    status, code = next((status, code) for kind, status, code in _STATUS if isinstance(error, kind))
    headers = {}
    if isinstance(error, Unavailable) and error.retry_after is not None:
        headers["Retry-After"] = str(max(1, round(error.retry_after)))
    body = {"error": {"code": code, "message": str(error)}}
    return web.json_response(body, status=status, headers=headers)

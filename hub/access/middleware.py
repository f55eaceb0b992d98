"""What every request to the web port passes: origin, session, CSRF token, policy; and headers on the way out.

A page elsewhere cannot make a browser act here: the cookie is SameSite=Strict, unsafe requests must
come from our own origin (Sec-Fetch-Site, or Origin for browsers without it), and must repeat the
session's token in ``X-CSRF-Token``. Bearer tokens are no ambient credential and need none of this.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Iterable
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web

from gateway import errors
from gateway.brake import TooMany
from gateway.log import logger
from hub import outage
from hub.access.access import Access, NotLoggedIn, SecondFactorRequired, StepUpRequired
from hub.access.accounts import BadCredentials, CodeRequired, PasskeyRequired
from hub.access.roles import Policy
from hub.access.sessions import Session

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
CSRF_HEADER = "X-CSRF-Token"
BACKGROUND_HEADER = "X-Background"
"""``1``: the page asks by itself; no sign of life of whoever sits before it."""

log = logger("hub.access")


FAILS = "the hub's disk or database fails; its administrator finds why in its log"


class CrossSite(errors.NotAllowed):
    """An unsafe request that did not come from our own page."""


PROBLEMS: tuple[tuple[type[errors.GatewayError], int, str], ...] = (  # the first that fits
    (BadCredentials, 401, "bad_credentials"),
    (CodeRequired, 401, "code_required"),
    (PasskeyRequired, 401, "passkey_required"),
    (NotLoggedIn, 401, "not_logged_in"),
    (SecondFactorRequired, 403, "second_factor_required"),
    (StepUpRequired, 403, "step_up_required"),
    (CrossSite, 403, "cross_site"),
    (errors.NotAllowed, 403, "not_allowed"),
    (errors.NotFound, 404, "not_found"),
    (errors.Stale, 409, "stale"),
    (errors.Refused, 409, "refused"),
    (TooMany, 429, "too_many"),
    (errors.Unavailable, 503, "unavailable"),
    (errors.Malformed, 400, "malformed"),
    (errors.UsageError, 400, "malformed"),
    (errors.DataError, 422, "unverified"),
    (errors.StorageFull, 507, "storage_full"),
    (errors.ResourceError, 503, "unavailable"),
)


def guarded(access: Access, policy: Policy, handler: Handler) -> Handler:
    """`handler` behind `policy`; the result carries it as ``policy``, for the test that walks the routes."""

    async def run(request: web.Request) -> web.StreamResponse:
        if policy.roles is not None:
            touch = policy.active and request.headers.get(BACKGROUND_HEADER) != "1"
            session = await access.session(request, touch=touch)
            check_csrf(request, session)
            account = session.account if policy.any_factors else await access.account(request)
            if not policy.allows(account.role):
                log.warning("refused", policy=policy.name, role=account.role, path=request.path)
                await access.refused(request, account, policy.name)
                raise errors.NotAllowed("your role may not do this")
            if policy.fresh:
                access.check_fresh(session)
        return await handler(request)

    run.policy = policy  # type: ignore[attr-defined]  # a mark on a function, read by the test
    return run


def declared(access: Access, policy: Policy, routes: Iterable[web.RouteDef]) -> list[web.RouteDef]:
    """The routes of another station, each behind `policy`."""
    return [
        web.RouteDef(route.method, route.path, guarded(access, policy, route.handler), route.kwargs)
        for route in routes
    ]


def check_csrf(request: web.Request, session: Session) -> None:
    """Raises CrossSite if an unsafe request with a cookie lacks the session's token."""
    if request.method in SAFE_METHODS or session.kind == "bearer":
        return
    given = request.headers.get(CSRF_HEADER, "")
    # "surrogatepass": a header may hold any byte
    if not hmac.compare_digest(given.encode("utf-8", "surrogatepass"), session.csrf.encode()):
        raise CrossSite(f"the {CSRF_HEADER} header is missing or wrong")


@web.middleware
async def same_origin(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse unsafe requests that a browser says come from elsewhere."""
    if request.method not in SAFE_METHODS:
        fetched = request.headers.get("Sec-Fetch-Site")
        origin = request.headers.get("Origin")
        if fetched is not None and fetched != "same-origin":
            return problem_response(CrossSite(f"a {fetched} request may not change anything"))
        if origin is not None and _host_of(origin) != request.host:
            return problem_response(CrossSite("a request from another origin may not change anything"))
    return await handler(request)


def _host_of(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc
    except ValueError:  # such as "https://["
        return None


@web.middleware
async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn refusals into answers, and a disk or database that fails; `Broken` and bugs stay errors (500)."""
    try:
        return await handler(request)
    except errors.GatewayError as error:
        response = problem_response(error)
        if response.status == 401 and request.path.startswith("/dicomweb/"):
            response.headers["WWW-Authenticate"] = "Bearer"  # RFC 9110 §11.6.1
        return response
    except web.HTTPException as error:
        if error.status < 400 or not request.path.startswith("/api/"):
            raise
        return web.json_response(_body(f"http_{error.status}", error.reason), status=error.status)
    except Exception as error:
        if not outage.told(log, request, error):
            raise
        return problem_response(errors.ResourceError(FAILS))


def problem_response(error: errors.GatewayError) -> web.Response:
    """The JSON answer for an error. Re-raises what is no answer but a fault of ours."""
    for kind, status, code in PROBLEMS:
        if isinstance(error, kind):
            body = _body(code, str(error))
            if isinstance(error, errors.Stale):
                body["current"] = error.current
            response = web.json_response(body, status=status)
            if isinstance(error, errors.Unavailable) and error.retry_after is not None:
                response.headers["Retry-After"] = str(max(1, round(error.retry_after)))
            return response
    raise error


def _body(code: str, message: str) -> dict[str, Any]:
    return {"error": {"code": code, "message": message}}

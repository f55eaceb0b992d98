"""Who may use the page: from its own pages, by a name of this machine, with the pass-code if there is one."""

from __future__ import annotations

import hmac
import ipaddress
import secrets
import socket
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from aiohttp import web

from gateway.clock import Clock
from gateway.errors import UsageError

COOKIE = "session"
MONITORED = frozenset(("/healthz", "/metrics"))
OPEN_PATHS = MONITORED | {"/login", "/style.css", "/favicon.ico"}
TRIES, PAUSE_SECONDS = 5, 60.0
"""So many wrong pass-codes, then none is looked at for so long."""

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; form-action 'self';"
    " base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",  # with none, browsers send forms from Origin: null
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def passcode_of(file: Path | None) -> str:
    """What stands in the file of the pass-code; empty if there is none.

    Raises:
        UsageError: the file cannot be read, or is empty.
    """
    if file is None:
        return ""
    try:
        found = file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"console.passcode: {error}") from error
    if not found:
        raise UsageError(f"console.passcode: {file} is empty")
    return found


class Guard:
    """Checks every request.

    Args:
        passcode: asked for once a browser; empty: none.
        names: names of this machine besides its own, its addresses and those without a dot.
        clock: the time.
    """

    def __init__(self, passcode: str, names: Sequence[str], clock: Clock) -> None:
        self._passcode, self._clock = passcode, clock
        own = (*names, "localhost", socket.gethostname(), socket.getfqdn())
        self._names = frozenset(name.lower().rstrip(".") for name in own)
        self._sessions: set[str] = set()
        self._wrong: list[float] = []

    @property
    def asks(self) -> bool:
        """Whether there is a pass-code."""
        return bool(self._passcode)

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Refuse what is not for us; put the security headers on what is."""
        try:
            self._check(request)
            response = await handler(request)
        except web.HTTPException as error:
            error.headers.update(HEADERS)
            raise
        response.headers.update(HEADERS)
        return response

    def _check(self, request: web.Request) -> None:
        # or a page elsewhere reads this one by DNS rebinding; monitors use what names they like
        if request.path not in MONITORED and not self._is_ours(request.host):
            raise web.HTTPMisdirectedRequest(text="this page is not known by that name; see console.names\n")
        if request.method == "POST":
            check_same_origin(request)
        asked = self._passcode and request.path not in OPEN_PATHS
        if asked and request.cookies.get(COOKIE, "") not in self._sessions:
            raise web.HTTPSeeOther("/login")

    def _is_ours(self, host: str) -> bool:
        name = host.rpartition("]")[0].lstrip("[") if host.startswith("[") else host.partition(":")[0]
        name = name.lower().rstrip(".")
        if "." not in name or name in self._names or name.endswith(".local"):
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True

    def log_in(self, given: str) -> str | None:
        """A new session for the right pass-code; None for a wrong one.

        Raises:
            HTTPTooManyRequests: too many were wrong of late.
        """
        now = self._clock.monotonic()
        self._wrong = [at for at in self._wrong if now - at < PAUSE_SECONDS]
        if len(self._wrong) >= TRIES:
            raise web.HTTPTooManyRequests(headers={"Retry-After": f"{PAUSE_SECONDS:.0f}"})
        if not hmac.compare_digest(given.encode(), self._passcode.encode()):
            self._wrong.append(now)
            return None
        session = secrets.token_urlsafe(32)
        self._sessions.add(session)
        return session


def check_same_origin(request: web.Request) -> None:
    """Raises HTTPForbidden unless the request comes from this page itself (RFC 6454; Fetch Metadata)."""
    told = request.headers.get("Sec-Fetch-Site", "same-origin")
    origin = request.headers.get("Origin")
    if told != "same-origin" or (origin is not None and origin.partition("://")[2] != request.host):
        raise web.HTTPForbidden(text="only from the console's own page\n")

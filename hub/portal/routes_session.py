"""Logging in and out, the second factor, the language."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from gateway.errors import Malformed
from hub.access.access import Access, Login
from hub.access.sessions import COOKIE, Session
from hub.portal import body, views

LANGUAGES = ("en", "zh")


class SessionRoutes:
    """``/api/session…``."""

    def __init__(self, access: Access) -> None:
        self._access = access

    async def show(self, request: web.Request) -> web.Response:
        """Who is logged in."""
        return self._told(await self._access.session(request))

    async def log_in(self, request: web.Request) -> web.Response:
        """Open a session; an older one of this browser ends."""
        async with self._noted(request):
            given = await body.json_object(request)
            name, password = body.text(given, "username"), body.text(given, "password")
            code = body.optional_text(given, "code")
        login = await self._access.login(
            name,
            password,
            code,
            address=request.remote or "",
            agent=agent_of(request),
            older=request.cookies.get(COOKIE, ""),
        )
        return self._opened(login)

    async def begin_passkey(self, request: web.Request) -> web.Response:
        """A challenge that any passkey of this hub may answer."""
        self._access.brake(request.remote or "")
        return web.json_response(await self._access.passkeys.begin(None))

    async def log_in_with_passkey(self, request: web.Request) -> web.Response:
        """Open a session by a passkey; an older one of this browser ends."""
        async with self._noted(request):
            credential = body.mapping(await body.json_object(request), "credential")
        login = await self._access.login_with_passkey(
            credential,
            address=request.remote or "",
            agent=agent_of(request),
            older=request.cookies.get(COOKIE, ""),
        )
        return self._opened(login)

    async def log_out(self, request: web.Request) -> web.Response:
        """End the session."""
        await self._access.logout(await self._access.session(request))
        response = web.Response(status=204)
        response.set_cookie(COOKIE, "", max_age=0, path="/", secure=True, httponly=True, samesite="Strict")
        return response

    async def begin_factor(self, request: web.Request) -> web.Response:
        """A new secret for an authenticator app."""
        return web.json_response(await self._access.begin_second_factor(await self._access.session(request)))

    async def confirm_factor(self, request: web.Request) -> web.Response:
        """Put it in force by its first code; the session goes on under a new token."""
        code = body.text(await body.json_object(request), "code", longest=32)
        session = await self._access.session(request)
        token = await self._access.confirm_second_factor(session, code, address=request.remote or "")
        response = web.Response(status=204)
        set_cookie(response, token)
        return response

    async def set_language(self, request: web.Request) -> web.Response:
        """Choose the portal's language, for this and later sessions."""
        language = body.text(await body.json_object(request), "language")
        if language not in LANGUAGES:
            raise Malformed(f"language must be one of {', '.join(LANGUAGES)}")
        session = await self._access.session(request)
        await self._access.accounts.set_language(session.account.name, language)
        return web.Response(status=204)

    @asynccontextmanager
    async def _noted(self, request: web.Request) -> AsyncIterator[None]:
        """A log-in whose body cannot be read is one that was refused: braked and noted like any other."""
        try:
            yield
        except Malformed as error:
            address = request.remote or ""
            self._access.brake(address)
            why = type(error).__name__
            await self._access.note("", "login-refused", address=address, refused=True, why=why)
            raise

    def _opened(self, login: Login) -> web.Response:
        response = self._told(login.session)
        set_cookie(response, login.token)
        return response

    def _told(self, session: Session) -> web.Response:
        return web.json_response(views.session(session, self._access.second_factor(session)))


def set_cookie(response: web.StreamResponse, token: str) -> None:
    """The session cookie (RFC 6265bis ``__Host-``): this host alone, TLS alone, no script, no other site."""
    response.set_cookie(COOKIE, token, path="/", secure=True, httponly=True, samesite="Strict")


def agent_of(request: web.Request) -> str:
    """The browser, as it calls itself; what is no text in it becomes a question mark."""
    return request.headers.get("User-Agent", "")[:128].encode("utf-8", "replace").decode()

"""Single sign-on: to the organisation's log-in and back."""

from __future__ import annotations

from aiohttp import web

from gateway.errors import DataError, GatewayError, NotFound, PeerError
from gateway.log import logger
from hub.access.access import Access
from hub.access.oidc import FLOW_SECONDS, SingleSignOn
from hub.access.sessions import COOKIE
from hub.portal.routes_session import agent_of, set_cookie

STATE_COOKIE = "__Host-telerad-sso"
"""SameSite=Lax: it must come along when the organisation's page sends the browser back."""

LONGEST = 4096

log = logger("hub.portal")


class OidcRoutes:
    """``/api/login`` and ``/api/oidc/…``."""

    def __init__(self, access: Access, sso: SingleSignOn | None) -> None:
        self._access, self._sso = access, sso

    async def ways(self, _: web.Request) -> web.Response:
        """Which ways of logging in there are."""
        return web.json_response({"sso": self._sso.provider.label if self._sso else None})

    async def begin(self, request: web.Request) -> web.Response:
        """Send the browser to the organisation's log-in."""
        sso = self._there()
        self._access.brake(request.remote or "")
        try:
            begun = await sso.begin()
        except (PeerError, DataError) as error:
            return self._failed("unavailable", error)
        response = web.Response(status=303, headers={"Location": begun.url})
        response.set_cookie(
            STATE_COOKIE,
            begun.state,
            max_age=int(FLOW_SECONDS),
            path="/",
            secure=True,
            httponly=True,
            samesite="Lax",
        )
        return response

    async def finish(self, request: web.Request) -> web.Response:
        """Open a session for whoever came back, or say on the log-in page that it failed."""
        sso, address = self._there(), request.remote or ""
        self._access.brake(address)
        try:
            known = await sso.finish(
                code=request.query.get("code", "")[:LONGEST],
                state=request.query.get("state", "")[:LONGEST],
                cookie=request.cookies.get(STATE_COOKIE, ""),
                issuer=request.query.get("iss"),
            )
            if known.linked:
                await self._access.note(known.user, "sso-linked", address=address)
            login = await self._access.enter(
                known.user,
                factors=known.factors,
                address=address,
                agent=agent_of(request),
                how="sso",
                older=request.cookies.get(COOKIE, ""),
            )
        except (PeerError, DataError) as error:
            await self._access.note(
                "", "login-refused", address=address, refused=True, how="sso", why=str(error)
            )
            return self._failed("refused", error)
        response = web.Response(status=303, headers={"Location": "/"})
        set_cookie(response, login.token)
        _forget(response)
        return response

    def _there(self) -> SingleSignOn:
        if self._sso is None:
            raise NotFound("this hub has no single sign-on")
        return self._sso

    @staticmethod
    def _failed(word: str, error: GatewayError) -> web.Response:
        log.warning("single sign-on failed", why=str(error))
        response = web.Response(status=303, headers={"Location": f"/#/sso-{word}"})
        _forget(response)
        return response


def _forget(response: web.Response) -> None:
    response.set_cookie(STATE_COOKIE, "", max_age=0, path="/", secure=True, httponly=True, samesite="Lax")

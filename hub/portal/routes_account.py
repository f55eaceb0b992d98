"""A person's own factors and sessions, and showing a factor again before an act that asks for it."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from gateway.errors import NotFound
from hub.access.access import Access
from hub.access.sessions import Session
from hub.portal import body, views
from hub.portal.routes_session import agent_of, set_cookie


class AccountRoutes:
    """``/api/account…``, ``/api/passkeys…``, ``/api/session/step-up…``, ``/api/recovery``."""

    def __init__(self, access: Access) -> None:
        self._access = access

    async def show(self, request: web.Request) -> web.Response:
        """Factors and open sessions."""
        session = await self._access.session(request)
        name = session.account.name
        row = await self._access.accounts.find(name)
        known = await self._access.passkeys.of(name)
        left = await self._access.accounts.recovery.left(name)
        sessions = await self._access.sessions.of(name)
        return web.json_response(
            {
                "totp": row["totp_secret"] is not None,
                "passkeys": [views.passkey(one) for one in known],
                "recovery_left": left,
                "sessions": [{**one, "current": one["id"] == session.digest} for one in sessions],
            }
        )

    async def begin_passkey(self, request: web.Request) -> web.Response:
        """Options for a new passkey."""
        account = (await self._access.session(request)).account
        return web.json_response(
            await self._access.passkeys.begin_registration(account.name, account.display_name)
        )

    async def add_passkey(self, request: web.Request) -> web.Response:
        """Keep it and end every other session; it counts as a factor shown, so this one has a new token."""
        session = await self._access.session(request)
        given = await body.json_object(request)
        credential, label = body.mapping(given, "credential"), body.text(given, "label", longest=64)
        await self._access.passkeys.register(session.account.name, credential, label)
        await self._access.accounts.end_sessions(session.account.name)
        await self._noted(session, "passkey-added", request, label=label)
        return await self._rotated(session, request)

    async def remove_passkey(self, request: web.Request) -> web.Response:
        """Forget one."""
        session = await self._access.session(request)
        await self._access.passkeys.remove(session.account.name, request.match_info["id"])
        await self._noted(session, "passkey-removed", request)
        return web.Response(status=204)

    async def renew_recovery(self, request: web.Request) -> web.Response:
        """Ten new recovery codes, shown this once."""
        session = await self._access.session(request)
        codes = await self._access.accounts.recovery.renew(session.account.name)
        await self._noted(session, "recovery-codes", request)
        return web.json_response({"codes": codes})

    async def begin_step_up(self, request: web.Request) -> web.Response:
        """How this person can show a factor again."""
        session = await self._access.session(request)
        name = session.account.name
        row = await self._access.accounts.find(name)
        has_passkey = await self._access.accounts.has_passkey(name)
        options = await self._access.passkeys.begin(name) if has_passkey else None
        code = row["totp_secret"] is not None or await self._access.accounts.recovery.left(name) > 0
        return web.json_response({"passkey": options, "code": code})

    async def step_up(self, request: web.Request) -> web.Response:
        """Show it; the session goes on under a new token."""
        session = await self._access.session(request)
        given = await body.json_object(request)
        credential = body.mapping(given, "credential") if given.get("credential") is not None else None
        token = await self._access.step_up(
            session,
            code=body.optional_text(given, "code"),
            credential=credential,
            address=request.remote or "",
            agent=agent_of(request),
        )
        return await self._told(token)

    async def end_session(self, request: web.Request) -> web.Response:
        """End one of one's own sessions. It is not found if it is another person's."""
        session = await self._access.session(request)
        if not await self._access.sessions.end_of(session.account.name, request.match_info["id"]):
            raise NotFound("there is no such session")
        await self._noted(session, "session-ended", request)
        return web.Response(status=204)

    async def _rotated(self, session: Session, request: web.Request) -> web.Response:
        token = await self._access.sessions.raise_factors(
            session, address=request.remote or "", agent=agent_of(request)
        )
        return await self._told(token)

    async def _told(self, token: str) -> web.Response:
        opened = await self._access.sessions.find(token, kind="browser", touch=False)
        if opened is None:
            raise NotFound("the session ended just now")
        response = web.json_response(views.session(opened, self._access.second_factor(opened)))
        set_cookie(response, token)
        return response

    async def _noted(self, session: Session, event: str, request: web.Request, **detail: Any) -> None:
        account = session.account
        await self._access.note(
            account.name, event, role=account.role, address=request.remote or "", **detail
        )

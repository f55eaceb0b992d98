"""Who looked at which images: one deed for each session, study and way, not one for each frame."""

from __future__ import annotations

import asyncio
import re
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Protocol

from aiohttp import web

from hub.people import Account, Role
from hub.record import Deed, Trail

AGAIN_SECONDS = 900.0
"""A study that is looked at for longer is noted again."""

REMEMBERED = 10_000

_STUDY = re.compile(r"/studies/([0-9.]{1,64})(?:/|$)")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Opened(Protocol):
    """A session (`hub.access.sessions.Session`)."""

    @property
    def account(self) -> Account:
        """Whose."""

    @property
    def digest(self) -> str:
        """Names it."""


Ask = Callable[[web.Request], Awaitable[Opened]]


class ImageLog:
    """Notes what is new before the images are given."""

    def __init__(self, ask: Ask, trail: Trail) -> None:
        self._ask, self._trail = ask, trail
        self._noted: OrderedDict[tuple[str, str, str], float] = OrderedDict()

    async def note(self, request: web.Request, now: float) -> None:
        """Keep the deed of a request, unless it was kept a short while ago."""
        session = await self._ask(request)
        found = _STUDY.search(request.path)
        study = found[1] if found else ""
        event = self._event(session.account, study)
        key = (session.digest, event, study or request.query_string)
        if now - self._noted.get(key, -AGAIN_SECONDS) < AGAIN_SECONDS:
            return
        account = session.account
        detail = {} if study else {"path": request.path, "query": request.query_string[:2_000]}
        deed = Deed(
            event,
            person=account.name,
            role=account.role,
            address=request.remote or "",
            study_uid=study,
            detail=detail,
        )
        await self._trail.note(deed)
        self._noted[key] = now
        self._noted.move_to_end(key)
        while len(self._noted) > REMEMBERED:
            self._noted.popitem(last=False)

    @staticmethod
    def _event(account: Account, study: str) -> str:
        if not study:
            return "query"
        return "images-transferred" if account.role is Role.SERVICE else "images-accessed"


def audited_images(routes: Iterable[web.RouteDef], ask: Ask, trail: Trail) -> list[web.RouteDef]:
    """The routes of DICOMweb, each noted before it answers.

    Args:
        routes: of `hub.dicomweb`.
        ask: the session of a request; raises if there is none.
        trail: where deeds are kept.
    """
    kept = ImageLog(ask, trail)

    def noted(handler: Any) -> Handler:
        async def run(request: web.Request) -> web.StreamResponse:
            await kept.note(request, asyncio.get_running_loop().time())
            answer: web.StreamResponse = await handler(request)
            return answer

        return run

    return [web.RouteDef(route.method, route.path, noted(route.handler), route.kwargs) for route in routes]

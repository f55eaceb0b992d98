"""The conversation with the hospital about a case."""

from __future__ import annotations

from aiohttp import web

from gateway.message import message_id
from hub.access.access import Access
from hub.dialogue.desk import Dialogue
from hub.portal import body

LONGEST = 8192
"""Characters looked at; the desk says what is too long."""


class DialogueRoutes:
    """``/api/cases/{id}/messages``."""

    def __init__(self, access: Access, dialogue: Dialogue) -> None:
        self._access, self._dialogue = access, dialogue

    async def show(self, request: web.Request) -> web.Response:
        """All of it."""
        account = await self._access.account(request)
        return web.json_response(await self._dialogue.of_case(account, body.case_id(request)))

    async def say(self, request: web.Request) -> web.Response:
        """Write to the hospital."""
        account = await self._access.account(request)
        given = await body.json_object(request)
        text = body.text(given, "text", longest=LONGEST)
        await self._dialogue.say(account, body.case_id(request), text, ident_of(given))
        return web.Response(status=204)

    async def seen(self, request: web.Request) -> web.Response:
        """The reader has looked at what the hospital wrote."""
        account = await self._access.account(request)
        upto = body.number(await body.json_object(request), "upto")
        await self._dialogue.seen(account, body.case_id(request), upto)
        return web.Response(status=204)


def ident_of(given: dict[str, object]) -> str:
    """The message's identifier, if the browser chose one. Raises Malformed."""
    told = body.optional_text(given, "id")
    return "" if told is None else message_id(told)

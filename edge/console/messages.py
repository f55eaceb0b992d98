"""The routes for messages with the reader."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence

from aiohttp import web

from edge.console.language import language_of
from edge.console.messages_page import conversation_page, messages_page
from edge.console.told import told
from edge.conversing import Conversation, Talks
from edge.spool.view import StudyView
from gateway.clock import Clock
from gateway.errors import Malformed, StorageFull

REFRESH = {"Refresh": "10"}


class Messages:
    """Handlers.

    Args:
        talks: carries the messages.
        view: studies in memory, for names.
        clock: the time.
        nav: keys of the pages to link to.
    """

    def __init__(self, talks: Talks, view: StudyView, clock: Clock, nav: Sequence[str]) -> None:
        self._talks, self._view, self._clock, self._nav = talks, view, clock, nav

    def routes(self) -> list[web.RouteDef]:
        """What to add to the application."""
        one = "/messages/{study:[0-9.]{1,64}}"
        return [web.get("/messages", self.list), web.get(one, self.show), web.post(one, self.say)]

    async def list(self, request: web.Request) -> web.Response:
        """All conversations; looks again by itself."""
        found, now = self._talks.conversations(), self._clock.now()
        text = messages_page(found, self._view.studies(), now, language_of(request), nav=self._nav)
        return web.Response(text=text, content_type="text/html", headers=REFRESH)

    async def show(self, request: web.Request) -> web.Response:
        """One conversation. Who opens it has seen it. It does not refresh: somebody may be writing."""
        conversation = self._conversation(request)
        response = self._page(request, conversation)
        self._talks.seen(conversation.study_uid)
        return response

    async def say(self, request: web.Request) -> web.Response:
        """Write to the reader."""
        conversation = self._conversation(request)
        given = await request.post()
        values = {name: str(given.get(name, "")) for name in ("purpose", "text", "id")}
        study = conversation.study_uid
        try:
            await self._talks.say(study, values["purpose"], values["text"], values["id"])
        except Malformed as error:
            return self._page(request, conversation, values, told(str(error), language_of(request)), 400)
        except StorageFull as error:
            return self._page(request, conversation, values, told(str(error), language_of(request)), 507)
        raise web.HTTPSeeOther(f"/messages/{study}")

    def _conversation(self, request: web.Request) -> Conversation:
        found = self._talks.about(request.match_info["study"])
        if found is None:
            raise web.HTTPNotFound(text="this edge knows no such study\n")
        return found

    def _page(
        self,
        request: web.Request,
        conversation: Conversation,
        values: Mapping[str, str] | None = None,
        fault: str = "",
        status: int = 200,
    ) -> web.Response:
        text = conversation_page(
            conversation,
            self._view.studies(),
            self._clock.now(),
            language_of(request),
            nav=self._nav,
            ident=secrets.token_hex(16),
            values=values,
            fault=fault,
        )
        return web.Response(text=text, content_type="text/html", status=status)

"""Carries messages: the reader's by a long question to the hub, ours into the spool."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Protocol

from edge.config import Messages as Settings
from edge.conversing import Conversation
from edge.dialogue.book import Book
from edge.spool.spool import Spool
from edge.spool.view import StudyProgress
from gateway.backoff import Backoff
from gateway.clock import Clock, rfc3339
from gateway.errors import DataError, Malformed, PeerError
from gateway.log import logger
from gateway.message import SiteMessage, Subject, Told
from gateway.model import Priority

FULL_LOOK = 3600.0
"""Seconds after which the open conversations are asked for anew: a report may have closed a request."""

SLACK = 30.0
"""Seconds the hub may be silent beyond its own waiting time."""

log = logger("edge.dialogue")


class Hub(Protocol):
    """The door to the hub: `edge.hub_client.HubClient`."""

    async def json(self, method: str, path: str, **options: Any) -> Any:
        """Send a request and read its answer as JSON."""


class MessageDesk:
    """The conversations of this hospital.

    Args:
        hub: the door to it.
        spool: takes our messages.
        settings: how long a question may wait.
        clock: the time.
        chance: random numbers in [0, 1).
    """

    def __init__(
        self,
        hub: Hub,
        spool: Spool,
        settings: Settings,
        clock: Clock,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._hub, self._spool, self._settings = hub, spool, settings
        self._clock, self._chance = clock, chance
        self._backoff = Backoff(first=settings.retry_first, cap=settings.retry_cap)
        self._book = Book()
        self._looked_at: dict[str, int] = {}
        self._news = asyncio.Event()
        self._writing = asyncio.Lock()

    # -- for the page ------------------------------------------------------------------------------

    def conversations(self) -> Sequence[Conversation]:
        """Those that need somebody first, then the newest."""
        return self._book.all()

    def about(self, study_uid: str) -> Conversation | None:
        """One of them; None if this edge knows nothing of the study."""
        found = self._book.about(study_uid)
        known = found.lines or self._study(study_uid) is not None
        return found if known else None

    async def say(self, study_uid: str, purpose: str, text: str, ident: str) -> None:
        """Seal a message to the hub; it is durable when this returns. Raises Malformed, StorageFull."""
        at = rfc3339(self._clock.now())
        message = SiteMessage.made(id=ident, study=study_uid, purpose=purpose, text=text, at=at)
        async with self._writing:
            if self._book.knows(ident):
                return  # the form was sent twice
            urgency = self._priority(study_uid)
            await asyncio.to_thread(self._spool.notify, message.notice(), priority=urgency)
            self._book.add(message)
        self.seen(study_uid)
        log.info("message to the reader", study_uid=study_uid, purpose=message.purpose.value)

    def seen(self, study_uid: str) -> None:
        """Somebody has looked at the reader's messages about a study; the hub is told."""
        upto = self._book.look(study_uid)
        if upto is not None:
            self._looked_at[study_uid] = upto
            self._news.set()

    def _study(self, study_uid: str) -> StudyProgress | None:
        return next((one for one in self._spool.view.studies() if one.facts.study_uid == study_uid), None)

    def _priority(self, study_uid: str) -> Priority:
        """That of the study, as this edge sends it, or else as the hub has it."""
        study, subject = self._study(study_uid), self._book.about(study_uid).subject
        if study is not None:
            return study.priority
        return Priority.ROUTINE if subject is None else Priority.parse(subject.priority)

    # -- to and from the hub -----------------------------------------------------------------------

    async def run(self) -> None:
        """A service: ends only by cancellation."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._ask())
            group.create_task(self._tell())

    async def _ask(self) -> None:
        failures, looked = 0, -FULL_LOOK
        while True:
            full = self._clock.monotonic() - looked >= FULL_LOOK
            try:
                await self.look(everything=full)
            except (PeerError, DataError) as error:
                failures += 1
                log.info("no word of messages", why=str(error))
                await asyncio.sleep(self._backoff.delay(failures, self._chance()))
                continue
            failures = 0
            looked = self._clock.monotonic() if full else looked

    async def look(self, *, everything: bool = False) -> None:
        """Ask once; the hub answers when there is something, or when it has waited long enough.

        Args:
            everything: all open conversations, at once.

        Raises:
            PeerError, Malformed: the hub is away, or answers nonsense.
        """
        after = None if everything else self._book.newest
        wait = 0 if after is None else int(self._settings.poll)
        params = {} if after is None else {"after": str(after), "since": self._book.since, "wait": str(wait)}
        answer = await self._hub.json("GET", "/v1/messages", params=params, idle_timeout=wait + SLACK)
        told, subjects = _read(answer)
        since, changed = _changed(answer)
        self._book.learn(told, subjects, newest=_newest(answer) if after is None else None)
        for one in changed:
            self._book.update(one["study"], one["id"], seen=one["seen"], waits=one["waits"])
        self._book.since = since

    async def _tell(self) -> None:
        """Tell the hub what was looked at. A power cut in between shows it as unread again."""
        failures = 0
        while True:
            await self._news.wait()
            self._news.clear()
            for study, upto in list(self._looked_at.items()):
                body = {"study": study, "upto": upto}
                try:
                    await self._hub.json("POST", "/v1/messages/seen", json_body=body)
                except (PeerError, DataError) as error:
                    failures += 1
                    log.info("not told what was seen", why=str(error))
                    self._news.set()
                    await asyncio.sleep(self._backoff.delay(failures, self._chance()))
                    break
                failures = 0
                with suppress(KeyError):
                    if self._looked_at[study] == upto:
                        del self._looked_at[study]


def _read(answer: Any) -> tuple[list[Told], dict[str, Subject]]:
    if not isinstance(answer, dict) or not isinstance(answer.get("messages"), list):
        raise Malformed("the hub's messages cannot be read")
    subjects = answer.get("subjects")
    if not isinstance(subjects, dict):
        raise Malformed("the hub's messages cannot be read")
    return (
        [Told.read(one) for one in answer["messages"]],
        {str(study): Subject.read(one) for study, one in subjects.items()},
    )


def _newest(answer: Any) -> int:
    told = answer.get("newest")
    if type(told) is not int or told < 0:
        raise Malformed("the hub does not say which of its messages is the newest")
    return told


def _changed(answer: Any) -> tuple[str, list[dict[str, Any]]]:
    since, changed = answer.get("since"), answer.get("changed", [])
    kinds = {"study": str, "id": str, "seen": bool, "waits": bool}
    good = isinstance(since, str) and isinstance(changed, list)
    if not good or not all(
        isinstance(one, dict) and all(type(one.get(name)) is kind for name, kind in kinds.items())
        for one in changed
    ):
        raise Malformed("the hub's word of what was seen cannot be read")
    return since, changed

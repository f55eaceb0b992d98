"""Server-sent events: each open page hears what changed within its own reach.

One task polls for all listeners, while there are any. A listener that does not keep up does not
queue: what changed is merged until it is told, so memory stays bounded.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from aiohttp import web

from gateway.clock import Clock
from gateway.database import Database
from hub.access.access import Access
from hub.access.roles import RECORDS
from hub.assign.worklist import Worklist
from hub.portal.changes import Changes, Watch

POLL_SECONDS = 0.5
ARRIVALS_SECONDS = 3.0
"""A study that arrives changes twice a second for minutes; pages are told at this pace."""

HEARTBEAT_SECONDS = 15.0
"""A comment keeps the line open, and the session is looked at."""


class Listener:
    """One open page: what it has not been told yet."""

    def __init__(self) -> None:
        self.pending = Changes()
        self.news = asyncio.Event()

    def tell(self, changes: Changes) -> None:
        """Merge what changed."""
        self.pending.add(changes)
        self.news.set()

    def take(self) -> Changes:
        """What was not told yet; it counts as told now."""
        taken, self.pending = self.pending, Changes()
        self.news.clear()
        return taken


class Notifier:
    """Polls while anybody listens."""

    def __init__(self, database: Database, clock: Clock, *, poll: float = POLL_SECONDS) -> None:
        self._database, self._clock, self._poll = database, clock, poll
        self._listeners: set[Listener] = set()
        self._task: asyncio.Task[None] | None = None

    @contextmanager
    def listening(self) -> Iterator[Listener]:
        """A listener for as long as the block runs."""
        listener = Listener()
        self._listeners.add(listener)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._watch(), name="portal events")
        try:
            yield listener
        finally:
            self._listeners.discard(listener)
            if not self._listeners and self._task is not None:
                self._task.cancel()

    def check(self) -> None:
        """Raises what the polling ended with, so that no page waits for ever for nothing."""
        if self._task is not None and self._task.done() and not self._task.cancelled():
            self._task.result()

    async def _watch(self) -> None:
        watch = Watch(self._database, self._clock)
        held, last_told = False, 0.0
        while True:
            found = await watch.look()
            held |= found.arrivals
            now = self._clock.monotonic()
            due = held and now - last_told >= ARRIVALS_SECONDS
            found.arrivals = due
            if due:
                held, last_told = False, now
            if found:
                for listener in self._listeners:
                    listener.tell(found)
            await asyncio.sleep(self._poll)


class EventRoutes:
    """``GET /api/events``."""

    def __init__(self, access: Access, worklist: Worklist, notifier: Notifier) -> None:
        self._access, self._worklist, self._notifier = access, worklist, notifier

    async def stream(self, request: web.Request) -> web.StreamResponse:
        """Events until the page or the session is closed."""
        account = await self._access.account(request, touch=False)
        response = web.StreamResponse(
            headers={
                "Content-Type": "text/event-stream",
                "Cache-Control": "no-store",
                "X-Accel-Buffering": "no",
            }
        )
        with self._notifier.listening() as listener, suppress(ConnectionResetError):
            await response.prepare(request)
            await response.write(b": connected\n\n")
            while await self._access.alive(request):
                with suppress(TimeoutError):
                    await asyncio.wait_for(listener.news.wait(), HEARTBEAT_SECONDS)
                self._notifier.check()
                changes = listener.take()
                mine = await self._worklist.within_reach(
                    account, changes.cases | {case for case, _ in changes.deliveries}
                )
                await response.write(render(changes, mine, alerts=RECORDS.allows(account.role)))
        return response


def render(changes: Changes, mine: frozenset[int], *, alerts: bool = False) -> bytes:
    """The events of some changes, for somebody who may see the cases `mine`. A comment if there are none.

    Args:
        changes: what happened.
        mine: the cases of this listener.
        alerts: whether they may see alerts.
    """
    told: list[tuple[str, dict[str, object]]] = []
    if changes.arrivals or changes.cases:
        told.append(("worklist", {}))
    if changes.alerts and alerts:
        told.append(("alert", {}))
    told += [("case", {"id": case}) for case in sorted(changes.cases & mine)]
    told += [
        ("delivery", {"case": case, "report": report})
        for case, report in sorted(changes.deliveries)
        if case in mine
    ]
    if not told:
        return b": still here\n\n"
    return "".join(f"event: {name}\ndata: {json.dumps(data)}\n\n" for name, data in told).encode()

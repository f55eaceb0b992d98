"""One courier a destination: tries its deliveries in their order, one at a time, for ever.

If the destination is not there, nothing else is tried until it is (a PACS that is down is down for
all). If it refuses one report, the next one gets its turn, and the refused one a later one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from edge.downlink.deliver import Delivery
from edge.downlink.inbox import Entry, Inbox
from edge.downlink.packages import Packages
from edge.downlink.states import Event, Stage, State
from gateway.backoff import Backoff
from gateway.clock import Clock, rfc3339
from gateway.errors import DataError, Refused, ResourceError, Unavailable
from gateway.log import logger

log = logger("edge.downlink")


class Courier:
    """Delivers to one destination.

    Args:
        delivery: the destination.
        inbox: what is under way.
        packages: the files.
        backoff: how long to wait after failures.
        clock: for waiting and for the records.
        chance: random numbers in [0, 1).
        changed: called when a record has a new word for the hub.
    """

    def __init__(
        self,
        delivery: Delivery,
        inbox: Inbox,
        packages: Packages,
        backoff: Backoff,
        clock: Clock,
        chance: Callable[[], float],
        changed: Callable[[], None],
    ) -> None:
        self._delivery, self._inbox, self._packages = delivery, inbox, packages
        self._backoff, self._clock, self._chance, self._changed = backoff, clock, chance, changed
        self._later: dict[str, tuple[int, float]] = {}  # refused: how often, and when again (monotonic)
        self._absent = 0
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """There may be something to do."""
        self._wake.set()

    async def run(self) -> None:
        """Deliver what is there, then wait. A service: ends only by cancellation."""
        while True:
            self._wake.clear()
            entry = self._next()
            if entry is None:
                await self._rest(self._until_next())
            elif not await self._try(entry):
                self._absent += 1
                await asyncio.sleep(self._backoff.delay(self._absent, self._chance()))
            else:
                self._absent = 0

    def _mine(self) -> list[Entry]:
        """Deliveries this destination still lacks, the oldest first."""
        name = self._delivery.name
        return [
            entry
            for entry in self._inbox.open()
            if name in entry.destinations and entry.destinations[name].stage is not Stage.DELIVERED
        ]

    def _next(self) -> Entry | None:
        now = self._clock.monotonic()
        due = (entry for entry in self._mine() if self._later.get(entry.delivery_id, (0, now))[1] <= now)
        return next(due, None)

    def _until_next(self) -> float | None:
        times = [self._later[entry.delivery_id][1] for entry in self._mine()]
        return max(0.0, min(times) - self._clock.monotonic()) if times else None

    async def _rest(self, seconds: float | None) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _try(self, entry: Entry) -> bool:
        """Returns False if the destination (or the hub, for the files) is not there."""
        try:
            verified = await self._packages.get(entry.delivery_id)
            words = await self._delivery.deliver(verified)
        except (Unavailable, ResourceError) as error:
            self._record(entry, Event.FAIL, str(error))
            return False
        except (Refused, DataError) as error:
            count = self._later.get(entry.delivery_id, (0, 0.0))[0] + 1
            pause = self._backoff.delay(count, self._chance())
            self._later[entry.delivery_id] = (count, self._clock.monotonic() + pause)
            self._record(entry, Event.REFUSE, str(error))
            return True
        self._later.pop(entry.delivery_id, None)
        self._record(entry, Event.DELIVER, words)
        return True

    def _record(self, entry: Entry, event: Event, words: str) -> None:
        """Keep what came of it; other couriers may have changed the record meanwhile."""
        before = self._inbox.get(entry.delivery_id)
        if before is None or self._delivery.name not in before.destinations:
            return
        after = before.tried(self._delivery.name, event, words, rfc3339(self._clock.now()))
        self._inbox.put(after)
        log.info(
            "report delivery",
            destination=self._delivery.name,
            outcome=after.destinations[self._delivery.name].stage.value,
            report=entry.report_id,
            detail=words,
        )
        if after.state is State.ACKNOWLEDGED:
            self._packages.drop(entry.delivery_id)
        if after.revision != before.revision:
            self._changed()

"""The downlink: asks the hub what there is, opens it, and keeps couriers and teller running."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from edge.config import Downlink as Settings
from edge.downlink.courier import Courier
from edge.downlink.deliver import Delivery
from edge.downlink.inbox import Entry, Inbox
from edge.downlink.packages import Hub, Packages
from edge.downlink.states import Stage
from edge.downlink.teller import Teller
from edge.identity import EdgeIdentity
from edge.shown import ReportShown
from gateway.backoff import Backoff
from gateway.clock import Clock
from gateway.errors import DataError, Malformed, Refused, Unavailable
from gateway.log import logger
from gateway.report.delivery import opaque_id

FULL_LOOK = 3600.0
"""Seconds after which the hub is asked for everything again, what was refused among it."""

SLACK = 30.0
"""Seconds a long poll may be silent beyond its own waiting time."""

log = logger("edge.downlink")


class Downlink:
    """Reports, from the hub into the hospital.

    Args:
        folder: for the records, such as ``data/downlink``.
        hub: the door to the hub.
        identity: who we are.
        deliveries: the destinations (`edge.downlink.deliver.deliveries_of`).
        settings: polling and retries.
        clock: for waiting and for the records.
        chance: random numbers in [0, 1).
    """

    def __init__(
        self,
        folder: Path,
        hub: Hub,
        identity: EdgeIdentity,
        deliveries: Sequence[Delivery],
        settings: Settings,
        clock: Clock,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._hub, self._settings, self._clock, self._chance = hub, settings, clock, chance
        self._backoff = Backoff(first=settings.retry_first, cap=settings.retry_cap)
        self._inbox, self._packages = Inbox(folder), Packages(hub, identity, clock)
        self._kinds = {delivery.name: delivery.kind for delivery in deliveries}
        self._teller = Teller(hub, identity, self._inbox, self._backoff, clock, chance)
        self._couriers = [
            Courier(one, self._inbox, self._packages, self._backoff, clock, chance, changed=self._teller.wake)
            for one in deliveries
        ]
        self._trouble = ""

    async def run(self) -> None:
        """A service: ends only by cancellation."""
        async with asyncio.TaskGroup() as group:
            for service in (self._poll, self._teller.run, *(courier.run for courier in self._couriers)):
                group.create_task(service())

    def reports(self) -> list[ReportShown]:
        """Reports under way and delivered of late, the newest first; studies by what was opened here."""
        entries = [*self._inbox.finished, *self._inbox.open()]
        return [
            ReportShown(
                report_id=entry.report_id,
                study_uid=self._packages.studies.get(entry.delivery_id, ""),
                state=entry.state.value,
                at=max([one.at for one in entry.destinations.values()] + [entry.queued_at]),
                delivered=tuple(
                    name for name, one in sorted(entry.destinations.items()) if one.stage is Stage.DELIVERED
                ),
                waiting=tuple(
                    (name, one.detail)
                    for name, one in sorted(entry.destinations.items())
                    if one.stage is not Stage.DELIVERED
                ),
                reason=entry.reason,
            )
            for entry in reversed(entries)
        ]

    def status(self) -> dict[str, Any]:
        """What is under way, for the console: no patient data in it."""
        return {
            "trouble": self._trouble,
            "deliveries": [
                {
                    "delivery": entry.delivery_id,
                    "report": entry.report_id,
                    "state": entry.state.value,
                    "queued_at": entry.queued_at,
                    "reason": entry.reason,
                    "hub_knows": entry.told == entry.revision,
                    "destinations": [
                        {
                            "name": name,
                            "kind": one.kind,
                            "state": one.stage.value,
                            "detail": one.detail,
                            "at": one.at,
                            "tries": one.tries,
                        }
                        for name, one in sorted(entry.destinations.items())
                    ],
                }
                for entry in self._inbox.open()
            ],
        }

    async def _poll(self) -> None:
        failures, looked = 0, -FULL_LOOK
        while True:
            full = self._clock.monotonic() - looked >= FULL_LOOK
            try:
                listed, opened = await self.look(everything=full)
            except (Refused, DataError, Unavailable) as error:
                failures += 1
                self._trouble = str(error)
                log.info("no word of reports", why=str(error))
                await asyncio.sleep(self._backoff.delay(failures, self._chance()))
                continue
            failures, self._trouble = 0, ""
            looked = self._clock.monotonic() if full else looked
            if listed and not opened:  # the hub goes on listing them until it has taken our word
                await asyncio.sleep(self._backoff.delay(1, self._chance()))

    async def look(self, *, everything: bool = False) -> tuple[int, int]:
        """Ask once, and open what is new.

        Returns:
            How many deliveries the hub listed, and how many of them were opened now.

        Raises:
            Unavailable, Refused, Malformed: the hub is away, or answers nonsense.
        """
        wait = 0 if everything else int(self._settings.poll)
        params = {"wait": str(wait)} | ({"everything": "1"} if everything else {})
        answer = await self._hub.json("GET", "/v1/deliveries", params=params, idle_timeout=wait + SLACK)
        rows = _rows(answer)
        return len(rows), sum([await self._open(*row) for row in rows])

    async def _open(self, delivery: str, report: str, queued_at: str, revision: int) -> bool:
        """Judge one delivery and hand it to the couriers. Returns whether it was new and holds."""
        entry = self._inbox.get(delivery)
        if entry is None and self._inbox.is_done(delivery):
            self._keep(self._inbox.reopen(delivery, revision))
            return True
        if entry is None:
            entry = Entry(delivery, queued_at, report_id=report, revision=revision, told=revision)
        if entry.destinations and set(entry.destinations) == set(self._kinds):
            return False
        try:
            verified = await self._packages.get(delivery)
        except DataError as error:
            log.warning("a report does not hold", why=str(error), delivery=delivery)
            if entry.reason != str(error):
                self._keep(entry.reject(str(error)))
            return False
        except (Refused, Unavailable) as error:
            log.info("a report cannot be fetched", why=str(error), delivery=delivery)
            return False
        self._keep(entry.accept(verified.manifest_sha256, self._kinds))
        return True

    def _keep(self, entry: Entry) -> None:
        self._inbox.put(entry)
        self._teller.wake()
        for courier in self._couriers:
            courier.wake()


def _rows(answer: Any) -> list[tuple[str, str, str, int]]:
    try:
        return [
            (opaque_id(row["id"]), opaque_id(row["report"]), str(row["queued_at"])[:27], int(row["revision"]))
            for row in answer["deliveries"]
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise Malformed("the hub's list of deliveries cannot be read") from error

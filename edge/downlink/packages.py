"""Verified packages, in memory alone: the newest few, fetched again when another is needed."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import Any, Protocol

from edge.downlink.verify import Verified, open_package
from edge.identity import EdgeIdentity
from gateway import cpu
from gateway.clock import Clock
from gateway.report.delivery import MAX_PACKAGE

KEPT = 8
"""Packages kept; each has some 300 KB."""


class Hub(Protocol):
    """What the downlink asks of `edge.hub_client.HubClient`."""

    async def json(self, method: str, path: str, **options: Any) -> Any:
        """A request and its answer as JSON."""

    async def read(self, method: str, path: str, *, limit: int = ..., **options: Any) -> bytes:
        """A request and its answer's bytes."""


class Packages:
    """Fetches and judges.

    Attributes:
        studies: delivery → Study Instance UID, of what was opened since the start.
    """

    def __init__(self, hub: Hub, identity: EdgeIdentity, clock: Clock) -> None:
        self.studies: dict[str, str] = {}
        self._hub, self._identity, self._clock = hub, identity, clock
        self._kept: OrderedDict[str, Verified] = OrderedDict()
        self._lock = asyncio.Lock()

    async def get(self, delivery: str) -> Verified:
        """The verified package of a delivery.

        Raises:
            Malformed, Unverified: it does not hold.
            Unavailable, Refused: the hub is away, or does not give it.
        """
        async with self._lock:  # two destinations of one delivery fetch it once
            found = self._kept.get(delivery)
            if found is None:
                package = await self._hub.read("GET", f"/v1/deliveries/{delivery}", limit=MAX_PACKAGE)
                site, trust, now = self._identity.site, self._identity.trust, self._clock.now()
                found = await cpu.run(open_package, package, delivery, site, trust, now)
                self._kept[delivery] = found
                self.studies[delivery] = found.manifest.study_uid
                while len(self._kept) > KEPT:
                    self._kept.popitem(last=False)
            self._kept.move_to_end(delivery)
            return found

    def drop(self, delivery: str) -> None:
        """Forget one that every destination has."""
        self._kept.pop(delivery, None)

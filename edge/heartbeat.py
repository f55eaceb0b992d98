"""Tells the hub regularly how this edge is: what waits, how long, how much disk is left. No patient in it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import Any

from edge import eta
from edge.eta import Takes
from edge.hub_client import HubClient
from edge.spool.item import LinkState
from edge.spool.spool import Spool
from edge.spool.states import WAITING
from edge.spool.view import StudyProgress
from gateway.clock import Clock, rfc3339
from gateway.errors import DataError, PeerError
from gateway.log import logger

SECONDS = 30.0
BUSY_SECONDS = 5.0
"""While something waits, so that a reader sees a study grow."""
THIN = 100_000
"""Bytes per second; on a thinner line the images come first."""
STUDIES = 50
"""Told of at once."""
log = logger("edge.heartbeat")


class Heartbeat:
    """Posts this edge's status to ``/v1/status``.

    Args:
        spool: what is told about.
        client: the way to the hub.
        link: how the line is, as the uplink sees it.
        takes: how long the line takes, as the uplink reckons.
        clock: the time here, by which the hub sees whether it is right.
    """

    def __init__(
        self, spool: Spool, client: HubClient, link: Callable[[], LinkState], takes: Takes, clock: Clock
    ) -> None:
        self._spool, self._client, self._link = spool, client, link
        self._takes, self._clock = takes, clock

    async def run(self) -> None:
        """Tell for ever; a hub that is away is no matter here, the uplink speaks of it."""
        while True:
            status = await self.status()
            try:
                await self._client.json("POST", "/v1/status", json_body=status)
            except (PeerError, DataError) as error:
                log.debug("status not told", reason=str(error))
            thin = status["rate"] < THIN
            await asyncio.sleep(BUSY_SECONDS if status["waiting"] and not thin else SECONDS)

    async def status(self) -> dict[str, Any]:
        """What is told."""
        link = self._link()
        spool = await self._spool.status(link)
        waiting = spool.load(*WAITING)
        return {
            "version": version("telerad-gateway"),
            "waiting": waiting.items,
            "waiting_bytes": waiting.size,
            "oldest_waiting": spool.oldest_waiting,
            "held": len(spool.held),
            "disk_free": spool.free,
            "disk_days_left": spool.days_left,
            "accepting": spool.accepting,
            "rate": link.rate,
            "round_trip": link.round_trip,
            "congestion": link.congestion,
            "streams": link.streams,
            "stalled_since": None if link.stalled_since is None else rfc3339(link.stalled_since),
            "studies": studies(spool.studies, self._takes),
            "now": rfc3339(self._clock.now()),
        }


def studies(progress: Sequence[StudyProgress], takes: Takes) -> list[dict[str, Any]]:
    """What is told of each study, unfinished ones first: how much is here, at the hub, and still to go.

    ``eta_seconds`` is null while nobody knows, and for what is there.

    Args:
        progress: the studies, unfinished ones first.
        takes: how long the line takes.
    """
    seconds = eta.by_study(progress, takes)
    return [
        {
            "study_uid": one.facts.study_uid,
            "received": one.received,
            "confirmed": one.sent,
            "waiting_bytes": one.waiting_bytes,
            "eta_seconds": None if (left := seconds.get(one.facts.study_uid)) is None else round(left),
            "priority": one.priority.word,
        }
        for one in progress[:STUDIES]
    ]

"""Tells the hub regularly how this edge is: what waits, how long, how much disk is left. No patient in it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

from edge.hub_client import HubClient
from edge.spool.item import LinkState
from edge.spool.spool import Spool
from edge.spool.states import WAITING
from gateway.errors import DataError, PeerError
from gateway.log import logger

SECONDS = 30.0
log = logger("edge.heartbeat")


class Heartbeat:
    """Posts this edge's status to ``/v1/status``.

    Args:
        spool: what is told about.
        client: the way to the hub.
        link: how the line is, as the uplink sees it.
    """

    def __init__(self, spool: Spool, client: HubClient, link: Callable[[], LinkState]) -> None:
        self._spool, self._client, self._link = spool, client, link

    async def run(self) -> None:
        """Tell for ever; a hub that is away is no matter here, the uplink speaks of it."""
        while True:
            try:
                await self._client.json("POST", "/v1/status", json_body=await self.status())
            except (PeerError, DataError) as error:
                log.debug("status not told", reason=str(error))
            await asyncio.sleep(SECONDS)

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
        }

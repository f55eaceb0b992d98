"""Tells the hub which bodies this edge has removed, for the custody log: in notices, sealed like all else."""

from __future__ import annotations

import asyncio

from edge.spool.spool import Spool
from gateway.envelope.inner import Notice
from gateway.errors import StorageFull
from gateway.log import logger
from gateway.model import Priority

KIND = "purged"
SECONDS = 600.0
MOST = 500
"""Headers named in one notice."""

log = logger("edge.purges")


class Purges:
    """Looks regularly.

    Args:
        spool: whose bodies go.
    """

    def __init__(self, spool: Spool) -> None:
        self._spool = spool

    async def run(self) -> None:
        """Tell for ever. A service: ends only by cancellation."""
        while True:
            while await asyncio.to_thread(self.tell):
                pass
            await asyncio.sleep(SECONDS)

    def tell(self) -> int:
        """Blocking: one notice. Returns how many bodies it names; 0: there was nothing, or no room."""
        lines = self._spool.confirmed.purged.first(MOST)
        if not lines:
            return 0
        try:
            self._spool.notify(Notice(KIND, {"headers": lines}), priority=Priority.PRIOR)
        except StorageFull as error:
            log.warning("not told yet what was removed", reason=str(error))
            return 0
        self._spool.confirmed.purged.forget(lines)
        return len(lines)

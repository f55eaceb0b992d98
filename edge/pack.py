"""Signs what was received, in order: each header names its sequence number and the one before.

One task does this, so that the chain has no gap and no fork: a header is durable before the next
is made. After a crash the chain goes on from the newest header on the disk (`edge/spool/recovery`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from edge.spool.item import SpoolItem
from edge.spool.spool import Spool
from edge.spool.states import Event
from gateway.clock import Clock, rfc3339
from gateway.envelope.layout import HEADER_KIND
from gateway.envelope.seal import complete, header_digest
from gateway.envelope.signature import sign
from gateway.errors import Malformed, StorageFull
from gateway.log import logger
from gateway.model import SiteId
from gateway.trust import Signer

FULL_PAUSE = 10.0
"""Seconds until the next try when even the reserve is used up."""

log = logger("edge.pack")


class Packer:
    """Gives every received item its signed header.

    Args:
        spool: where they wait.
        site: as the signing certificate says.
        signer: gives the device's key; asked for every header, since it is renewed while running.
        clock: the time.
    """

    def __init__(self, spool: Spool, site: SiteId, signer: Callable[[], Signer], clock: Clock) -> None:
        self._spool, self._site, self._signer, self._clock = spool, site, signer, clock

    async def run(self) -> None:
        """Sign for ever."""
        while True:
            item = await self._spool.next_to_pack()
            try:
                await asyncio.to_thread(self.seal, item)
            except Malformed as error:
                await self._spool.mark(item.parcel_id, Event.HOLD, reason=f"cannot be read here: {error}")
            except StorageFull as error:
                log.warning("cannot sign", parcel=item.parcel_id, reason=str(error))
                await asyncio.sleep(FULL_PAUSE)

    def seal(self, item: SpoolItem) -> SpoolItem:
        """Sign one item's header and keep it durably.

        Raises:
            Malformed: the item's file is damaged.
            StorageFull: the disk is full.
        """
        tip = self._spool.tip
        header = complete(
            self._spool.draft(item.parcel_id),
            site=self._site,
            sequence=tip.sequence + 1,
            previous=tip.digest,
            priority=item.priority,
            created_at=rfc3339(self._clock.now()),
        )
        statement = sign(HEADER_KIND, header.to_bytes(), self._signer())
        return self._spool.signed(item.parcel_id, header.sequence, header_digest(statement), statement)

"""Signs what was received, in order: each header names its sequence number and the one before.

Small instances of one study that wait together are sealed anew as one parcel: one signature, one key
wrap and one receipt for all. Nothing waits for that: only what the line cannot take yet is gathered,
a full parcel is signed at once, and whatever has waited `PATIENCE` seconds too.

One task does this, so that the chain has no gap and no fork: a header is durable before the next
is made. After a crash the chain goes on from the newest header on the disk (`edge/spool/recovery`).
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence

from edge.spool.grouping import group
from edge.spool.item import SpoolItem
from edge.spool.spool import Spool
from edge.spool.states import Event
from gateway.clock import Clock, rfc3339
from gateway.envelope.layout import HEADER_KIND
from gateway.envelope.seal import complete, header_digest
from gateway.envelope.signature import sign
from gateway.errors import DataError, Malformed, StorageFull
from gateway.log import logger
from gateway.model import ParcelId, Priority, SiteId
from gateway.trust import Signer

FULL_PAUSE = 10.0
"""Seconds until the next try when even the reserve is used up."""

LINE_SECONDS = 1.5
"""What a parcel of many instances should take of the line."""
LEAST, LARGEST = 64 << 10, 8 << 20
"""Bounds of its size."""
TARGET = 2 << 20
"""Bytes of a parcel of many instances, unless the line says otherwise."""
AHEAD = 8
"""Signed parcels that the line has still to take; beyond them, what comes is gathered."""
PATIENCE = 3.0
"""Seconds after which an item is signed whether the line is ready or not, so that it can be exported."""
LOOK = 128
"""Unsigned items looked at together."""
STUDIES = 1000
"""Studies remembered as begun."""

log = logger("edge.pack")


def parcel_bytes(rate: float) -> int:
    """How large a parcel of many instances should be on a line of `rate` bytes per second (0: unknown)."""
    return max(LEAST, min(LARGEST, int(rate * LINE_SECONDS))) if rate > 0 else TARGET


class Packer:
    """Gives every received item its signed header.

    Args:
        spool: where they wait.
        site: as the signing certificate says.
        signer: gives the device's key; asked for every header, since it is renewed while running.
        clock: the time.
        target: bytes a parcel of many instances should have now: what the line carries in a second or two.
    """

    def __init__(
        self,
        spool: Spool,
        site: SiteId,
        signer: Callable[[], Signer],
        clock: Clock,
        target: Callable[[], int] = lambda: TARGET,
    ) -> None:
        self._spool, self._site, self._signer, self._clock = spool, site, signer, clock
        self._target = target
        self._begun: OrderedDict[str, None] = OrderedDict()  # studies of which something was signed

    async def run(self) -> None:
        """Sign for ever."""
        while True:
            item = await asyncio.to_thread(self.gather, await self._next())
            try:
                await asyncio.to_thread(self.seal, item)
            except Malformed as error:
                await self._spool.mark(item.parcel_id, Event.HOLD, reason=f"cannot be read here: {error}")
            except StorageFull as error:
                log.warning("cannot sign", parcel=item.parcel_id, reason=str(error))
                await asyncio.sleep(FULL_PAUSE)

    async def _next(self) -> Sequence[SpoolItem]:
        """What is signed next; waits for it, and for the line."""
        waited: tuple[ParcelId, float] | None = None
        while True:
            heard = self._spool.received.rings
            found = await asyncio.to_thread(self._look)
            if found is None:
                await self._spool.received.wait(heard)
                continue
            chosen, ready = found
            first, now = chosen[0].parcel_id, self._clock.monotonic()
            if waited is None or waited[0] != first:
                waited = (first, now)
            left = waited[1] + PATIENCE - now
            if ready or left <= 0:
                return chosen
            await self._spool.received.wait(heard, left)

    def _look(self) -> tuple[Sequence[SpoolItem], bool] | None:
        """Blocking: what goes next, and whether it goes now; None if there is nothing."""
        waiting = self._spool.to_pack(LOOK)
        if not waiting:
            return None
        chosen = group(waiting, self._spool.merger.study_of, self._begun, self._target())
        urgent = waiting[0].priority is Priority.STAT
        return chosen.items, chosen.full or urgent or self._spool.ahead(waiting[0].priority) < AHEAD

    def gather(self, items: Sequence[SpoolItem]) -> SpoolItem:
        """Blocking: one parcel of these; the first of them alone if that cannot be."""
        study = self._spool.merger.study_of(items[0].parcel_id)
        if study is not None:
            self._begun[study] = None
            if len(self._begun) > STUDIES:
                self._begun.popitem(last=False)
        if len(items) > 1:
            try:
                return self._spool.merger.merge(items)
            except (DataError, StorageFull, OSError) as error:
                log.warning("not gathered", parcel=items[0].parcel_id, reason=str(error))
        return items[0]

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

"""Codes and signs what was received, in order: each header names its sequence number and the one before.

What was received lies sealed and uncoded; here it is coded by the way that ends soonest on this line with
this CPU, and sealed anew. Small instances of one study that wait together become one parcel: one signature,
one key wrap and one receipt for all. Nothing waits for that: only what the line cannot take yet is gathered,
a full parcel is signed at once, and whatever has waited `PATIENCE` seconds too. Of every series the first
instance goes ahead, and a middle one, so that reading can begin.

Headers are signed one after another, so that the chain has no gap and no fork: one is durable before the
next is made. After a crash the chain goes on from the newest header on the disk (`edge/spool/recovery`).
"""

from __future__ import annotations

import asyncio
import secrets
from collections import OrderedDict
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from edge.idle import IdleCores
from edge.spool.coding import ASSUMED, Line
from edge.spool.grouping import Group, group, lead, series_of
from edge.spool.item import SpoolItem
from edge.spool.merger import Made
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
"""Bounds of its size, in coded bytes."""
TARGET = 2 << 20
"""Bytes of a parcel of many instances, unless the line says otherwise."""
AHEAD = 8
"""Signed parcels that the line has still to take; beyond them, what comes is gathered."""
PATIENCE = 3.0
"""Seconds after which an item is signed whether the line is ready or not, so that it can be exported."""
STAND_BACK = 6.0
"""Seconds after which an item is signed even while the modalities send, so that nothing stands still."""
HUNGRY = 0.5
"""Seconds of the line: if no more is signed for it, it must not be kept waiting whatever comes in."""
LARGE = 16 << 20
"""Sealed bytes from which coding an instance takes so long that others go by beside it."""
LOOK = 300
"""Unsigned items looked at together."""
LOOK_SECONDS, BUSY_LOOK_SECONDS = 0.02, 0.25
"""Pause between looks: many instances may come in a second, and while they do, looking takes from that."""
SERIES = 10_000
"""Series remembered as begun."""

P = ParamSpec("P")
R = TypeVar("R")
log = logger("edge.pack")


def parcel_bytes(rate: float) -> int:
    """How large a parcel of many instances should be on a line of `rate` bytes per second (0: unknown)."""
    return max(LEAST, min(LARGEST, int(rate * LINE_SECONDS))) if rate > 0 else TARGET


async def _to_the_end(work: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
    """In a thread; when the packer is stopped, what was begun is still ended before the spool closes."""
    task = asyncio.ensure_future(asyncio.to_thread(work, *args, **kwargs))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise


class Packer:
    """Gives every received item its place in a parcel, and that its signed header.

    Args:
        spool: where they wait.
        site: as the signing certificate says.
        signer: gives the device's key; asked for every header, since it is renewed while running.
        clock: the time.
        rate: bytes a second the line carries now; 0: not known yet.
        online: whether the hub can be reached.
        cores: how many have nothing else to do; None: it is measured.
    """

    def __init__(
        self,
        spool: Spool,
        site: SiteId,
        signer: Callable[[], Signer],
        clock: Clock,
        rate: Callable[[], float] = lambda: 0.0,
        cores: Callable[[], float] | None = None,
        online: Callable[[], bool] = lambda: True,
    ) -> None:
        self._spool, self._site, self._signer, self._clock = spool, site, signer, clock
        self._rate, self._online = rate, online
        self._cores = cores or IdleCores(lambda: spool.merger.coding.spent)
        self._begun: OrderedDict[str, int] = OrderedDict()  # series of which something was signed
        self._under_way: set[ParcelId] = set()
        self._packed = 0  # how often something was
        self._large: Priority | None = None  # of the large instance that is being coded
        self._signing = asyncio.Lock()

    @property
    def figures(self) -> dict[str, dict[str, dict[str, float]]]:
        """Kind of image → way → ratio and bytes a second, as measured here, for the status page."""
        return self._spool.merger.coding.chooser.figures.table()

    async def run(self) -> None:
        """Code and sign for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._pack_for_ever(beside=False))
            group.create_task(self._pack_for_ever(beside=True))

    async def _pack_for_ever(self, *, beside: bool) -> None:
        """Take everything in order; or (`beside`) what need not wait while a large instance is coded."""
        while True:
            chosen = await self._next(beside=beside)
            new = ParcelId(secrets.token_hex(16))
            parcels = {new, *(item.parcel_id for item in chosen.items)}
            if parcels & self._under_way:
                continue  # the other was quicker
            self._under_way |= parcels
            if not beside and chosen.items[0].sealed_size >= LARGE:
                self._large = chosen.items[0].priority
                self._spool.received.ring()
            try:
                await self._pack(chosen, new)
            finally:
                self._under_way -= parcels
                self._packed += 1
                self._large = self._large if beside else None

    async def _pack(self, chosen: Group, new: ParcelId) -> None:
        made = await _to_the_end(self.gather, chosen, new)
        item = made.item
        try:
            async with self._signing:
                await _to_the_end(self.seal, item)
        except Malformed as error:
            await self._spool.mark(item.parcel_id, Event.HOLD, reason=f"cannot be read here: {error}")
        except StorageFull as error:
            log.warning("cannot sign", parcel=item.parcel_id, reason=str(error))
            await asyncio.sleep(FULL_PAUSE)
        else:
            log.info(
                "packed",
                parcel=item.parcel_id,
                instances=item.instances,
                plain=made.plain,
                coded=made.coded,
                ways=dict(made.ways),
                seconds=round(made.seconds, 3),
            )

    async def _next(self, *, beside: bool) -> Group:
        """What is signed next; waits for it, and for the line."""
        waited: tuple[ParcelId, float] | None = None
        while True:
            heard = self._spool.received.rings
            packed = self._packed
            found = await asyncio.to_thread(self._look, beside=beside)
            if packed != self._packed:
                continue  # what was seen may be signed already
            if found is None:
                await self._spool.received.wait(heard)
                await asyncio.sleep(self._pause)
                continue
            chosen, ready = found
            first, now = chosen.items[0].parcel_id, self._clock.monotonic()
            if waited is None or waited[0] != first:
                waited = (first, now)
            if await asyncio.to_thread(self._stands_back, chosen, now - waited[1]):
                await asyncio.sleep(BUSY_LOOK_SECONDS)
                continue
            left = waited[1] + PATIENCE - now
            if ready or left <= 0:
                return chosen
            await self._spool.received.wait(heard, left)
            await asyncio.sleep(self._pause)

    @property
    def _pause(self) -> float:
        return BUSY_LOOK_SECONDS if self._spool.traffic.busy else LOOK_SECONDS

    def _stands_back(self, chosen: Group, waited: float) -> bool:
        """Blocking: whether this can wait until less comes in, as modalities and people wait for that."""
        if chosen.lead or chosen.items[0].priority is Priority.STAT or waited > STAND_BACK:
            return False
        if not self._spool.traffic.busy:
            return False
        return not self._online() or self._spool.unsent() > HUNGRY * (self._rate() or ASSUMED)

    def _waiting(self, *, beside: bool) -> list[SpoolItem]:
        """Blocking: what may be taken now, most urgent first."""
        large = self._large
        if beside and large is None:
            return []
        found = [item for item in self._spool.to_pack(LOOK) if item.parcel_id not in self._under_way]
        if large is None:
            return found
        kept = self._spool.merger.kept  # a notice waits: it follows what was received before it
        return [
            item
            for item in found
            if kept(item.parcel_id) and (item.sealed_size < LARGE or item.priority < large)
        ]

    def _look(self, *, beside: bool = False) -> tuple[Group, bool] | None:
        """Blocking: what goes next, and whether it goes now; None if there is nothing."""
        waiting = self._waiting(beside=beside)
        if not waiting:
            return None
        merger = self._spool.merger
        ahead = lead(waiting, merger.kept, self._begun)
        if ahead is not None:
            return Group((ahead[0],), full=True, lead=True, again=ahead[1]), True
        chosen = group(waiting, merger.kept, parcel_bytes(self._rate()), merger.size)
        urgent = waiting[0].priority is Priority.STAT
        return chosen, chosen.full or urgent or self._spool.ahead(waiting[0].priority) < AHEAD

    def gather(self, chosen: Group, new: ParcelId | None = None) -> Made:
        """Blocking: one parcel of these; the first of them as it is if that cannot be."""
        first = chosen.items[0]
        if self._spool.inspector is not None:
            self._spool.inspector.look(item.parcel_id for item in chosen.items)
        kept = self._spool.merger.kept(first.parcel_id)
        if chosen.lead and kept is not None:
            self._begun[series_of(kept)] = chosen.again
            if len(self._begun) > SERIES:
                self._begun.popitem(last=False)
        if kept is not None:
            try:
                return self._spool.merger.merge(chosen.items, self._line(chosen), lead=chosen.lead, new=new)
            except (DataError, StorageFull, OSError) as error:
                log.warning("not coded", parcel=first.parcel_id, reason=str(error))
        return self._spool.merger.plain(first, lead=chosen.lead)

    def _line(self, chosen: Group) -> Line:
        """What coding is weighed against now."""
        rate = self._rate()
        ahead = chosen.lead or chosen.items[0].priority is Priority.STAT
        behind = {item.parcel_id for item in chosen.items}
        waiting = [] if ahead else self._spool.to_pack(LOOK)
        return Line(
            rate=rate,
            cores=self._cores(),
            waiting=sum(item.sealed_size for item in waiting if item.parcel_id not in behind),
            busy=0.0 if ahead else self._spool.unsent() / (rate or ASSUMED),
        )

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

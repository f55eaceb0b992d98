"""Codes and signs what was received, in order: each header names its sequence number and the one before.

What was received lies sealed and uncoded; here it is coded by the way that ends soonest on this line with
this CPU, and sealed anew. Small instances of one study that wait together become one parcel: one signature,
one key wrap and one receipt for all. Nothing waits for that: only what the line cannot take yet is gathered,
a full parcel is signed at once, and whatever has waited `PATIENCE` seconds too. How much a full one is
follows what the line has still to do (`edge/spool/demand`). Of every series the first instance goes ahead,
and a middle one, so that reading can begin.

Two parcels are made at a time: one is coded while the other is written, compared and signed, and small ones
go by beside a large one. What cannot be opened here, above all a notice, is taken only when nothing else
is under way, as it must follow what was received before it.

Headers are signed one after another, so that the chain has no gap and no fork: one is durable before the
next is made. After a crash the chain goes on from the newest header on the disk (`edge/spool/recovery`).
"""

from __future__ import annotations

import asyncio
import secrets
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from itertools import takewhile
from math import inf
from typing import ParamSpec, TypeVar

from edge.idle import IdleCores
from edge.spool.coding import Line
from edge.spool.demand import SHUT_SECONDS, Demand, carries, within
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

AHEAD = 8
"""Signed parcels that the line has still to take; beyond them, what comes is gathered."""
PATIENCE = 3.0
"""Seconds after which an item is signed whether the line is ready or not, so that it can be exported."""
STAND_BACK = 6.0
"""Seconds after which an item is signed even while the modalities send, so that nothing stands still."""
LARGE = 16 << 20
"""Sealed bytes from which coding an instance takes so long that others go by beside it."""
LOOK = 300
"""Unsigned items looked at together."""
LOOK_SECONDS, BUSY_LOOK_SECONDS = 0.02, 0.25
"""Pause between looks: many instances may come in a second, and while they do, looking takes from that."""
SERIES = 10_000
"""Series remembered as begun."""

AT_A_TIME = 2
"""Parcels that are made at the same time."""

P = ParamSpec("P")
R = TypeVar("R")
log = logger("edge.pack")


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
        rate: bytes a second the line can carry; 0: not known yet.
        cores: how many have nothing else to do; None: it is measured.
        online: whether the hub can be reached.
        flown: sealed bytes on their way to the hub, of parcels of which it has not all yet.
        burst: bytes a second at which the little arrived that the line was given; 0: not known.
        pace: bytes a second that the budgets let through of a priority now.
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
        flown: Callable[[], int] = lambda: 0,
        burst: Callable[[], float] = lambda: 0.0,
        pace: Callable[[Priority], float] = lambda _: inf,
    ) -> None:
        self._spool, self._site, self._signer, self._clock = spool, site, signer, clock
        self._rate, self._online, self._flown, self._burst = rate, online, flown, burst
        self._pace = pace
        self._cores = cores or IdleCores(lambda: spool.merger.coding.spent)
        self._begun: OrderedDict[str, int] = OrderedDict()  # series of which something was signed
        self._under_way: set[ParcelId] = set()
        self._packed = 0  # how often something was
        self._row = 0  # parcels of many instances since nothing waited
        self._large: Priority | None = None  # of the large instance that is being coded
        self._leading: Priority | None = None  # of the instance that reading begins with, while it is packed
        self._choosing, self._signing = asyncio.Lock(), asyncio.Lock()
        self._ended = asyncio.Event()  # something was packed

    @property
    def figures(self) -> dict[str, dict[str, dict[str, float]]]:
        """Kind of image → way → ratio and bytes a second, as measured here, for the status page."""
        return self._spool.merger.coding.chooser.figures.table()

    async def run(self) -> None:
        """Code and sign for ever."""
        async with asyncio.TaskGroup() as group:
            for _ in range(AT_A_TIME):
                group.create_task(self._pack_for_ever())

    async def _pack_for_ever(self) -> None:
        while True:
            async with self._choosing:
                chosen = await self._next()
                new = ParcelId(secrets.token_hex(16))
                parcels = {new, *(item.parcel_id for item in chosen.items)}
                self._under_way |= parcels
                self.begin(chosen)  # before anyone else looks
                self._row += not chosen.lead
                large = self._large is None and chosen.items[0].sealed_size >= LARGE
                if large:
                    self._large = chosen.items[0].priority
                elif chosen.lead:
                    self._leading = chosen.items[0].priority
            try:
                await self._pack(chosen, new)
            finally:
                self._under_way -= parcels
                self._packed += 1
                self._ended.set()
                self._large = None if large else self._large
                self._leading = None if chosen.lead else self._leading
                self._spool.received.ring()  # what could not go beside it may go now

    def begin(self, chosen: Group) -> None:
        """Remember that a series has begun."""
        kept = self._spool.merger.kept(chosen.items[0].parcel_id)
        if chosen.lead and kept is not None:
            self._begun[series_of(kept)] = chosen.again
            if len(self._begun) > SERIES:
                self._begun.popitem(last=False)

    async def _pack(self, chosen: Group, new: ParcelId) -> None:
        made = await _to_the_end(self.gather, chosen, new, self._flown())
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

    async def _next(self) -> Group:
        """What is signed next; waits for it, and for the line."""
        waited: tuple[ParcelId, float] | None = None
        while True:
            heard = self._spool.received.rings
            packed = self._packed
            found = await asyncio.to_thread(self._look, self._flown())
            if packed != self._packed:
                continue  # what was seen may be signed already
            if found is None:
                self._row = 0
                await self._spool.received.wait(heard)
                await self._breathe(packed)
                continue
            chosen, ready, demand = found
            first, now = chosen.items[0].parcel_id, self._clock.monotonic()
            if waited is None or waited[0] != first:
                waited = (first, now)
            if self._stands_back(chosen, now - waited[1], demand):
                await asyncio.sleep(BUSY_LOOK_SECONDS)
                continue
            left = waited[1] + PATIENCE - now
            if ready or left <= 0:
                return chosen
            await self._spool.received.wait(heard, left)
            await self._breathe(packed)

    async def _breathe(self, packed: int) -> None:
        """A pause before the next look; none once more than `packed` were packed: others wait for that."""
        if packed != self._packed:
            return
        self._ended.clear()
        with suppress(TimeoutError):
            seconds = BUSY_LOOK_SECONDS if self._spool.traffic.busy else LOOK_SECONDS
            await asyncio.wait_for(self._ended.wait(), seconds)

    def _stands_back(self, chosen: Group, waited: float, demand: Demand) -> bool:
        """Whether this can wait until less comes in, as modalities and people wait for that."""
        if waited > STAND_BACK:
            return False
        traffic = self._spool.traffic
        if not self._online():  # nothing can go, so nothing hurries
            return traffic.lately
        return traffic.busy and not (
            chosen.lead or chosen.items[0].priority is Priority.STAT or demand.hungry
        )

    def _waiting(self) -> list[SpoolItem]:
        """Blocking: what may be taken now, most urgent first."""
        large, leading = self._large, self._leading
        under_way = set(self._under_way)
        found = [item for item in self._spool.to_pack(LOOK) if item.parcel_id not in under_way]
        if not under_way:
            return found
        kept = self._spool.merger.kept  # a notice waits: it follows what was received before it
        if leading is not None:  # nothing that is sooner ready may go before it
            found = [item for item in found if item.priority < leading]
        if large is None:
            return list(takewhile(lambda item: kept(item.parcel_id), found))
        return [
            item
            for item in found
            if kept(item.parcel_id) and (item.sealed_size < LARGE or item.priority < large)
        ]

    def _look(self, flown: int = 0) -> tuple[Group, bool, Demand] | None:
        """Blocking: what goes next, whether it goes now, and for what line; None if there is nothing."""
        waiting = self._waiting()
        if not waiting:
            return None
        merger = self._spool.merger
        priority = waiting[0].priority
        demand = self._demand(flown, priority, self._spool.ahead(priority))
        ahead = lead(waiting, merger.kept, self._begun)
        if ahead is not None:
            return Group((ahead[0],), full=True, lead=True, again=ahead[1]), True, demand
        chosen = group(waiting, merger.kept, demand.parcel_bytes, merger.size)
        return chosen, chosen.full or priority is Priority.STAT or demand.takes(AHEAD), demand

    def _demand(self, flown: int, priority: Priority, ahead: int = 0) -> Demand:
        queued = max(0, self._spool.unsent() - flown)
        rate = within(carries(self._rate(), self._burst(), queued), self._pace(priority))
        return Demand(rate, queued, ahead, self._row)

    def gather(self, chosen: Group, new: ParcelId | None = None, flown: int = 0) -> Made:
        """Blocking: one parcel of these; the first of them as it is if that cannot be."""
        first = chosen.items[0]
        if self._spool.inspector is not None:
            self._spool.inspector.look(item.parcel_id for item in chosen.items)
        if self._spool.merger.kept(first.parcel_id) is not None:
            try:
                line = self._line(chosen, flown)
                return self._spool.merger.merge(chosen.items, line, lead=chosen.lead, new=new)
            except (DataError, StorageFull, OSError) as error:
                log.warning("not coded", parcel=first.parcel_id, reason=str(error))
        return self._spool.merger.plain(first, lead=chosen.lead)

    def _line(self, chosen: Group, flown: int) -> Line:
        """What coding is weighed against now."""
        priority = chosen.items[0].priority
        demand = self._demand(flown, priority)
        ahead = chosen.lead or priority is Priority.STAT
        busy = 0.0 if ahead else demand.lasts
        own = sum(item.sealed_size for item in chosen.items)
        return Line(
            rate=demand.rate,
            cores=self._cores(),
            waiting=0 if ahead else max(0, self._spool.unsigned() - own),
            busy=busy if self._pace(priority) else max(busy, SHUT_SECONDS),
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

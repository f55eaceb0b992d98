"""Carries what the spool holds to the hub until every item has its receipt: the station, put together.

`sending` fills the line, `asking` settles doubts, `exchange` speaks with the hub, `desk` does what it
says; `board` knows what is to be sent, `flow` how the line is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from math import inf

from edge.budget import Blocked, Budgets, shortest
from edge.config import Budget
from edge.hub_client import HubClient
from edge.spool.bell import Bell
from edge.spool.item import LinkState, SpoolItem
from edge.spool.spool import Spool
from edge.spool.states import UNSENT, WAITING, Event, State
from edge.uplink.asking import Asking
from edge.uplink.board import Board
from edge.uplink.desk import KNOWN, Desk
from edge.uplink.exchange import Exchanges
from edge.uplink.flow import SAMPLE_SECONDS, Flow
from edge.uplink.handed import accept_receipt
from edge.uplink.pacing import Gate, Lately
from edge.uplink.parcel import Parcel
from edge.uplink.receipts import check_receipt
from edge.uplink.recheck import Recheck
from edge.uplink.sending import Sending
from edge.uplink.settings import Settings
from edge.uplink.stall import Stall
from gateway import cpu
from gateway.backoff import Backoff
from gateway.clock import Clock, rfc3339
from gateway.errors import DataError, ResourceError, Unverified
from gateway.log import logger
from gateway.model import ParcelId, Priority
from gateway.trust import Trust
from gateway.wire import sender
from gateway.wire.messages import Receipt

LOOK_SECONDS = 30.0
"""The spool is looked through at least so often, whether it rang or not."""

log = logger("edge.uplink")


class Uplink:
    """The station that sends.

    Args:
        spool: what waits.
        client: the door to the hub.
        trust: the roots, to judge receipts.
        settings: streams and waiting times.
        clock: this machine's.
        budgets: how much of the line may be used; None: all of it.
    """

    def __init__(
        self,
        spool: Spool,
        client: HubClient,
        trust: Trust,
        settings: Settings,
        clock: Clock,
        budgets: Budgets | None = None,
    ) -> None:
        self._spool, self._trust, self._clock = spool, trust, clock
        self._budgets = budgets or Budgets()
        backoff = Backoff(settings.retry_first, settings.retry_cap)
        self._gate = Gate(backoff, since=clock.monotonic())
        self._board, self._bell, self._stall, self._lately = Board(), Bell(), Stall(), Lately()
        self._flow = Flow(
            clock,
            settings.streams,
            direct=client is None or client.direct,
            urgent=lambda: self._sending.urgent,
        )
        self._desk = Desk(spool, self._board, self._bell, trust, client, clock, backoff)
        self._exchanges = Exchanges(
            client, self._desk, self._board, self._gate, self._flow, self._bell, clock, self._next_try_words
        )
        self._sending = Sending(
            spool,
            self._exchanges,
            self._desk,
            self._board,
            self._gate,
            self._flow,
            self._budgets,
            self._bell,
            clock,
            self._rest,
        )
        self._asking = Asking(
            self._exchanges,
            self._board,
            self._gate,
            self._flow,
            self._bell,
            clock,
            backoff.first,
            self._rest,
        )

        self._recheck = Recheck(spool, self._exchanges, self._desk, self._gate, self._flow, clock)
        self._taking = asyncio.Lock()  # nobody ends an item while it is taken onto the board

    @property
    def link(self) -> LinkState:
        """How the line is, for the console and the hub's fleet page."""
        gate, flow, now = self._gate, self._flow, self._clock.monotonic()
        since = self._clock.now() - timedelta(seconds=now - gate.since)
        due = None if gate.online else self._clock.now() + timedelta(seconds=max(0.0, gate.next_try - now))
        stuck = self._stall.since
        return LinkState(
            gate.online,
            since,
            gate.reason,
            due,
            self._lately.rate if self._paced else flow.rate,
            round_trip=flow.round_trip,
            congestion=flow.congestion,
            streams=self._sending.streams,
            stalled_since=None if stuck is None else self._clock.now() - timedelta(seconds=now - stuck),
        )

    @property
    def troubles(self) -> list[str]:
        """What is wrong on this side of the line."""
        found = self._desk.disk.look(self._clock.monotonic())
        return [found] if found else []

    @property
    def capacity(self) -> float:
        """Bytes per second that the line could carry, if it is given enough; 0: not known yet."""
        return self._flow.capacity

    @property
    def burst(self) -> float:
        """Bytes per second at which the little arrived that the line was given; 0: not known."""
        return self._flow.burst

    @property
    def flown(self) -> int:
        """Sealed bytes that have been put on the line, of parcels of which the hub has not all yet."""
        return sum(parcel.flown for parcel in self._board.parcels.values())

    @property
    def ahead(self) -> int:
        """Sealed bytes that are still to be put on the line."""
        return sum(parcel.ahead for parcel in self._board.parcels.values())

    async def run(self) -> None:
        """Send for ever. A service: ends only by cancellation, or with the error that stops the edge."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._look())
            group.create_task(self._watch())
            group.create_task(self._asking.run())
            group.create_task(self._sending.run())
            group.create_task(self._recheck.run())

    def budget(self, entries: Sequence[Budget]) -> None:
        """Other budgets from now on; what may go by them goes at once."""
        self._budgets.replace(entries)
        self._bell.ring()

    def blocked(self, priority: Priority) -> Blocked | None:
        """Why the budgets let nothing of a priority go now; None: they do."""
        return self._sending.blocked(priority)

    def takes(self, priority: Priority, size: int, after: float = 0.0) -> float | None:
        """Seconds from now until so much of a priority has gone; None: nobody knows (`edge.eta.Takes`)."""
        rate = self._flow.rate or inf
        if not self._gate.online or min(rate, self.pace(priority)) == inf:
            return None
        begin = self._clock.now().astimezone() + timedelta(seconds=after)
        seconds = self._budgets.through(priority, size, rate, begin)
        return None if seconds is None else after + seconds

    @property
    def _paced(self) -> bool:
        """Whether it is the budgets, not the line, that decide how fast what waits goes."""
        return any(self.pace(priority) < inf for priority in self._board.waiting())

    def pace(self, priority: Priority) -> float:
        """Bytes a second that the budgets let through of a priority now; infinite: no limit."""
        return self._budgets.pace(priority, self._clock.now().astimezone())

    async def handed(self, parcel: ParcelId, receipt: bytes) -> None:
        """A receipt that came another way than the line.

        Raises:
            DataError: it does not hold.
            ResourceError: it holds, and cannot be kept yet.
            OSError: likewise.
        """
        async with self._taking:
            known = self._board.parcels.get(parcel)
            if known is None:
                await accept_receipt(self._spool, parcel, receipt, self._trust, self._desk.now())
                return
        async with known.lock:
            await cpu.run(check_receipt, receipt, known, self._trust, self._desk.now())
            await self._desk.do(known, sender.Heard(0, Receipt(parcel, receipt)))
            item = await self._spool.item(parcel)
        self._bell.ring()
        if item is None or item.state not in (State.CONFIRMED, State.PURGED):
            raise ResourceError("it holds, and this machine's disk does not keep it yet")

    async def give_up(self, parcel: ParcelId, words: str) -> None:
        """A person says that a parcel need not arrive. Raises Unverified if there is nothing to give up."""
        async with self._taking:
            item = await self._spool.item(parcel)
            if item is None or item.state not in WAITING | {State.HELD}:
                state = "was never here" if item is None else f"is {item.state.value}"
                raise Unverified(f"there is nothing to give up: parcel {parcel} {state}")
            known = self._board.parcels.get(parcel)
            if known is None and item.state is not State.HELD:
                await self._spool.mark(parcel, Event.HOLD, reason=words)
        if known is not None:
            async with known.lock:
                await self._desk.do(known, sender.Rotten(words))
        await self._spool.give_up(parcel, words)

    # -- what there is to do ------------------------------------------------------------------------

    async def _look(self) -> None:
        """Find items in the spool. What is there at the start may have been sent in part: ask first."""
        state = sender.State.DOUBTFUL
        while True:
            heard = self._spool.sealed.rings
            self._desk.room.clear()
            items = await self._spool.waiting(KNOWN)
            for item in items:
                if item.parcel_id not in self._board.parcels:
                    await self._take_on(item, state)
            state = sender.State.FRESH
            self._bell.ring()
            if len(items) < KNOWN:
                await self._spool.sealed.wait(heard, LOOK_SECONDS)
            else:  # there are more than we look after: look again when some have gone
                with suppress(TimeoutError):  # or none ever goes: all were held, or could not be marked
                    await asyncio.wait_for(self._desk.room.wait(), LOOK_SECONDS)

    async def _take_on(self, item: SpoolItem, state: sender.State) -> None:
        if item.reason and state is sender.State.FRESH:
            state = sender.State.DOUBTFUL  # it was tried before, by a person's or the hub's word
        parcel, words = None, ""
        try:
            parcel = await cpu.run(Parcel.load, self._spool, item, state)
        except (DataError, OSError) as error:
            words = f"the signed header cannot be read: {error}"
        async with self._taking:
            current = await self._spool.item(item.parcel_id)
            if current is None or current.state not in UNSENT:
                return  # it came to its end while the list was gone through
            if parcel is not None:
                self._board.add(parcel)
            else:
                held = self._spool.mark(item.parcel_id, Event.HOLD, reason=words)
                await self._desk.kept(item.parcel_id, held)

    async def _watch(self) -> None:
        """Look at the connections, and tell once when the line is stuck, and when it goes on."""
        while True:
            self._flow.sample()
            self._lately.look(self._clock.monotonic(), self._flow.carried)
            busy = self._gate.online and any(
                one.not_before <= self._clock.monotonic() and self.blocked(one.priority) is None
                for one in self._board.parcels.values()
            )
            now = self._clock.monotonic()
            if self._stall.look(now, busy=busy, progress_at=self._flow.progress_at):
                if self._stall.since is None:
                    log.info("the line moves again")
                else:
                    log.warning("the line is stuck: nothing moves", seconds=round(now - self._stall.since))
            await asyncio.sleep(SAMPLE_SECONDS)

    async def _rest(self, heard: int, seconds: float) -> None:
        """Until something may be done, or `seconds` are over."""
        now = self._clock.monotonic()
        due = [
            time for time in (self._board.next_wake(), self._next_try()) if time is not None and time > now
        ]
        paid = shortest([self.blocked(priority) for priority in self._board.waiting()])
        await self._bell.wait(heard, min([time - now for time in due] + [paid, seconds]))

    def _next_try(self) -> float | None:
        return None if self._gate.online else self._gate.next_try

    def _next_try_words(self) -> str | None:
        due = self.link.next_try
        return None if due is None else rfc3339(due)

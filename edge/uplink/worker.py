"""Carries what the spool holds to the hub, over several streams, until every item has its receipt."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import deque
from collections.abc import AsyncIterator
from datetime import datetime, timedelta

from edge.budget import Blocked, Budgets, shortest
from edge.hub_client import HubClient
from edge.spool.bell import Bell
from edge.spool.item import LinkState, SpoolItem
from edge.spool.spool import Spool
from edge.spool.states import UNSENT, Event
from edge.uplink.board import Board
from edge.uplink.handed import accept_receipt
from edge.uplink.pacing import Gate, Meter, exchange_bytes
from edge.uplink.parcel import Parcel
from edge.uplink.receipts import check_receipt
from edge.uplink.settings import Settings
from gateway import cpu
from gateway.backoff import Backoff
from gateway.clock import Clock, rfc3339
from gateway.errors import DataError, PeerError, Unavailable
from gateway.log import logger
from gateway.model import ParcelId, Priority
from gateway.trust import Trust
from gateway.wire import sender
from gateway.wire.frames import MEDIA_TYPE, Decoder, encode
from gateway.wire.messages import (
    EVERY_PARCEL,
    Announce,
    Ask,
    Done,
    End,
    Have,
    Later,
    Message,
    Pulse,
    Receipt,
    Refused,
    Unknown,
)

UPLINK = "/v1/uplink"
STATUS = "/v1/uplink/status"
HEADERS = {"Content-Type": MEDIA_TYPE}

KNOWN = 2000
"""Parcels looked after at once; the spool holds the others."""
ASKED = 500
"""Parcels asked for in one exchange."""
LINGER_SENT_MS = 1000
LINGER_ASKED_MS = 5000
"""How long the hub may hold an answer open for receipts."""
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

    Attributes:
        round_trip: seconds a question to the hub took, of late; None before the first.
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
        self._budgets = budgets or Budgets()
        self._spool, self._client, self._trust, self._clock = spool, client, trust, clock
        self._streams = settings.streams
        self._backoff = Backoff(settings.retry_first, settings.retry_cap)
        self._gate = Gate(self._backoff, since=clock.monotonic())
        self._meter = Meter()
        self._board = Board()
        self._bell = Bell()  # rings when something may be done that could not be done before
        self._numbers = itertools.count(1)
        self._carried: dict[int, set[ParcelId]] = {}
        self._own: dict[int, deque[Parcel]] = {}  # announced there, and not yet known at the hub
        self._full = asyncio.Event()
        self.round_trip: float | None = None

    @property
    def link(self) -> LinkState:
        """How the line is, for the console and the hub's fleet page."""
        gate, now = self._gate, self._clock.monotonic()
        since = self._clock.now() - timedelta(seconds=now - gate.since)
        due = None if gate.online else self._clock.now() + timedelta(seconds=max(0.0, gate.next_try - now))
        return LinkState(gate.online, since, gate.reason, due, self._meter.rate)

    async def run(self) -> None:
        """Send for ever. A service: ends only by cancellation, or with the error that stops the edge."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._look())
            group.create_task(self._ask_for_ever())
            for _ in range(self._streams):
                group.create_task(self._send_for_ever())

    async def handed(self, parcel: ParcelId, receipt: bytes) -> None:
        """A receipt that came another way than the line. Raises DataError if it does not hold."""
        known = self._board.parcels.get(parcel)
        if known is None:
            await accept_receipt(self._spool, parcel, receipt, self._trust, self._now())
            return
        async with known.lock:
            await cpu.run(check_receipt, receipt, known, self._trust, self._now())
            await self._do(known, sender.Heard(0, Receipt(parcel, receipt)))
        self._bell.ring()

    # -- what there is to do ------------------------------------------------------------------------

    async def _look(self) -> None:
        """Find items in the spool. What is there at the start may have been sent in part: ask first."""
        state = sender.State.DOUBTFUL
        while True:
            heard = self._spool.sealed.rings
            self._full.clear()
            items = await self._spool.waiting(KNOWN)
            for item in items:
                if item.parcel_id not in self._board.parcels:
                    await self._take_on(item, state)
            state = sender.State.FRESH
            self._bell.ring()
            if len(items) < KNOWN:
                await self._spool.sealed.wait(heard, LOOK_SECONDS)
            else:  # there are more than we look after: look again when some have gone
                await self._full.wait()

    async def _take_on(self, item: SpoolItem, state: sender.State) -> None:
        if item.reason and state is sender.State.FRESH:
            state = sender.State.DOUBTFUL  # it was tried before, by a person's or the hub's word
        parcel, words = None, ""
        try:
            parcel = await cpu.run(Parcel.load, self._spool, item, state)
        except (DataError, OSError) as error:
            words = f"the signed header cannot be read: {error}"
        current = await self._spool.item(item.parcel_id)
        if current is None or current.state not in UNSENT:
            return  # it came to its end while the list was gone through
        if parcel is not None:
            self._board.add(parcel)
        else:
            await self._spool.mark(item.parcel_id, Event.HOLD, reason=words)

    async def _rest(self, heard: int) -> None:
        """Until something may be done."""
        now = self._clock.monotonic()
        due = [
            time for time in (self._board.next_wake(), self._next_try()) if time is not None and time > now
        ]
        paid = shortest([self.blocked(priority) for priority in self._board.waiting()])
        await self._bell.wait(heard, min([time - now for time in due] + [paid, LOOK_SECONDS]))

    def blocked(self, priority: Priority) -> Blocked | None:
        """Why the budgets let nothing of a priority go now; None: they do."""
        return self._budgets.blocked(priority, self._clock.now().astimezone(), self._clock.monotonic())

    def _peek(self) -> Parcel | None:
        return self._board.peek(self._clock.monotonic(), lambda priority: self.blocked(priority) is None)

    def _next_try(self) -> float | None:
        return None if self._gate.online else self._gate.next_try

    # -- sending ------------------------------------------------------------------------------------

    async def _send_for_ever(self) -> None:
        while True:
            heard = self._bell.rings
            now = self._clock.monotonic()
            if self._peek() is None or not self._gate.open(now):
                await self._rest(heard)
                continue
            number = next(self._numbers)
            self._carried[number], self._own[number] = set(), deque()
            first = await self._frames(number)
            if first:
                await self._exchange(number, UPLINK, self._body(number, first))
            else:
                self._gate.released()
                self._end(number, clean=True)

    async def _body(self, number: int, first: list[bytes]) -> AsyncIterator[bytes]:
        """Frames, each chosen when the line has taken the one before: what is urgent overtakes here."""
        budget = exchange_bytes(self._meter.rate, self._streams)
        frames = first
        while frames:
            for frame in frames:
                yield frame
                self._meter.add(self._clock.monotonic(), len(frame))
                budget -= len(frame)
            frames = await self._frames(number) if budget > 0 else []
        yield encode(End(LINGER_SENT_MS))

    async def _frames(self, number: int) -> list[bytes]:
        """The next chunk to send in this exchange, with its header before it if need be; empty: nothing."""
        while (parcel := self._choose(number)) is not None:
            async with parcel.lock:
                frames = await self._frames_of(number, parcel)
            announced = parcel.sender.state is sender.State.ANNOUNCED and parcel.sender.unsent
            if frames and announced and number in self._own:
                self._own[number].append(parcel)  # until the hub knows it, no other exchange may
            elif frames:
                self._board.offer(
                    parcel
                )  # without frames it waits for what the hub says, or an exchange's end
            if frames:
                return frames
        return []

    def _choose(self, number: int) -> Parcel | None:
        if number not in self._own:
            return None
        own, best = self._own[number], self._peek()
        while own and own[0].sender.state is not sender.State.ANNOUNCED:
            self._board.offer(own.popleft())
            best = self._peek()
        if own and (best is None or own[0].rank <= best.rank) and self.blocked(own[0].priority) is None:
            return own.popleft()
        if best is not None:
            self._board.pop(best)
        return best

    async def _frames_of(self, number: int, parcel: Parcel) -> list[bytes]:
        frames: list[bytes] = []
        if number not in self._carried:
            return []  # the exchange has broken while this was waiting; nothing may be handed to it
        for action in parcel.sender.handle(sender.Take(number, 1)):
            self._carried[number].add(parcel.id)
            match action:
                case sender.SendHeader():
                    frames.append(encode(Announce(parcel.id, parcel.signed)))
                case sender.SendAsk():
                    frames.append(encode(Ask(parcel.id)))
                case sender.SendChunk(index):
                    try:
                        frames.append(encode(await cpu.run(parcel.chunk, self._spool, index)))
                    except (DataError, OSError) as error:
                        await self._do(parcel, sender.Rotten(str(error)))
                        return []
        spent, local = sum(map(len, frames)), self._clock.now().astimezone()
        self._budgets.spend(parcel.priority, spent, local, self._clock.monotonic())
        if frames and not parcel.started:
            parcel.started = True
            await self._spool.mark(parcel.id, Event.START)
        return frames

    # -- asking -------------------------------------------------------------------------------------

    async def _ask_for_ever(self) -> None:
        while True:
            heard = self._bell.rings
            now = self._clock.monotonic()
            doubtful = self._board.doubtful(now)[:ASKED]
            asked = doubtful or self._without_company(self._board.whole(now))[:ASKED]
            if not asked or not self._gate.open(now):
                await self._rest(heard)
                continue
            number = next(self._numbers)
            self._carried[number] = {parcel.id for parcel in asked}
            self._own[number] = deque()
            frames = b"".join(encode(Ask(parcel.id)) for parcel in asked)
            linger = 0 if doubtful else LINGER_ASKED_MS
            states = [parcel.sender.state for parcel in asked]
            clean = await self._exchange(number, STATUS, _once(frames + encode(End(linger))))
            took = self._clock.monotonic() - now
            if clean and doubtful:
                self.round_trip = took if self.round_trip is None else 0.8 * self.round_trip + 0.2 * took
            for parcel, before in zip(asked, states, strict=True):
                if parcel.sender.state is before:  # nothing new: do not ask again at once
                    self._board.sleep(parcel, self._clock.monotonic() + self._backoff.first)

    def _without_company(self, parcels: list[Parcel]) -> list[Parcel]:
        """Those that no open exchange will hear of anyway."""
        carried = {parcel for parcels in self._carried.values() for parcel in parcels}
        return [parcel for parcel in parcels if parcel.id not in carried]

    # -- one exchange -------------------------------------------------------------------------------

    async def _exchange(self, number: int, path: str, body: AsyncIterator[bytes]) -> bool:
        """Send and hear, to the end or to the break. Returns whether it ended well."""
        clean = False
        try:
            async with self._client.request("POST", path, data=body, headers=HEADERS) as response:
                if self._gate.worked(self._clock.monotonic()):
                    log.info("the line is back")
                    self._bell.ring()
                decoder = Decoder()
                async for data in response.content.iter_any():
                    decoder.feed(data)
                    clean = await self._hear_all(number, decoder) or clean
                decoder.finish()
            if not clean:
                raise Unavailable("the hub's answer was cut")
        except (PeerError, DataError) as error:
            clean = False
            self._failed(error)
        finally:
            self._end(number, clean=clean)
        return clean

    def _failed(self, error: Exception) -> None:
        after = error.retry_after if isinstance(error, Unavailable) else None
        if self._gate.failed(self._clock.monotonic(), str(error), random.random(), after):
            next_try = self.link.next_try and rfc3339(self.link.next_try)
            log.warning("the line is down", why=str(error), next_try=next_try)

    def _end(self, number: int, *, clean: bool) -> None:
        for own in self._own.pop(number):
            self._board.offer(own)
        for parcel in self._carried.pop(number):
            known = self._board.parcels.get(parcel)
            if known is not None:
                known.sender.handle(sender.Ended(number, clean))
                self._board.offer(known)
        self._bell.ring()

    async def _hear_all(self, number: int, decoder: Decoder) -> bool:
        """Everything that has come so far. Returns whether DONE was in it."""
        done = False
        hearings = []
        while (message := decoder.next()) is not None:
            if isinstance(message, Done):
                done = True
            elif not isinstance(message, Pulse):
                hearings.append(self._hear(number, message))
        for outcome in await asyncio.gather(*hearings, return_exceptions=True):
            if isinstance(outcome, BaseException):
                raise outcome
        return done

    async def _hear(self, number: int, message: Message) -> None:
        match message:
            case Refused(parcel, code, words) if parcel == EVERY_PARCEL:
                raise Unavailable(f"the hub ended the exchange ({code}): {words}")
            case Later(parcel, seconds, words) if parcel == EVERY_PARCEL:
                raise Unavailable(words, retry_after=seconds)
            case Receipt() | Have() | Unknown() | Refused() | Later():
                known = self._board.parcels.get(message.parcel)
                if known is None:
                    return
                async with known.lock:
                    await self._do(known, sender.Heard(number, message))
                self._board.offer(known)
                self._bell.ring()
            case _:
                raise Unavailable(f"the hub said {type(message).__name__}, which has no place here")

    async def _do(self, parcel: Parcel, event: sender.Input) -> None:
        """Give a parcel's machine an event and do what it says; the parcel is locked."""
        for action in parcel.sender.handle(event):
            match action:
                case sender.Judge(receipt):
                    await self._judge(parcel, receipt)
                case sender.Arrived():
                    parcel.pauses, parcel.started = 0, False
                    await self._spool.mark(parcel.id, Event.ARRIVE)
                case sender.Confirm(receipt):
                    await self._spool.confirm(parcel.id, receipt)
                    self._drop(parcel)
                    log.info("confirmed", parcel=parcel.id, sequence=parcel.header.sequence)
                case sender.Hold(words):
                    await self._spool.mark(parcel.id, Event.HOLD, reason=words)
                    self._drop(parcel)
                case sender.Pause(seconds, words):
                    await self._pause(parcel, seconds, words)

    async def _judge(self, parcel: Parcel, receipt: bytes) -> None:
        try:
            await cpu.run(check_receipt, receipt, parcel, self._trust, self._now())
        except DataError as error:
            log.warning("a receipt that does not hold", parcel=parcel.id, why=str(error))
            await self._do(parcel, sender.Judged(False, str(error)))
        else:
            await self._do(parcel, sender.Judged(True))

    async def _pause(self, parcel: Parcel, seconds: int | None, words: str) -> None:
        parcel.pauses += 1
        wait = float(seconds) if seconds is not None else self._backoff.delay(parcel.pauses, random.random())
        self._board.sleep(parcel, self._clock.monotonic() + wait)
        until = rfc3339(self._clock.now() + timedelta(seconds=wait))
        parcel.started = False
        await self._spool.mark(parcel.id, Event.INTERRUPT, reason=words, next_try=until)

    def _drop(self, parcel: Parcel) -> None:
        self._board.drop(parcel)
        if len(self._board.parcels) < KNOWN // 2:
            self._full.set()

    def _now(self) -> datetime:
        """The time by the hub's clock, when it is known: the hub's signatures are judged by it."""
        return self._clock.now() + (self._client.clock_offset or timedelta())


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data

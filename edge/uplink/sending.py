"""Keeps the line full: as many exchanges as it takes, each frame chosen when there is room for it.

The body of an exchange stays open while there is something to send, and a little longer; the next one
begins when the last byte of it is written, while its receipts are still awaited. One exchange more
than fill the line is opened for what is more urgent than all that is being sent.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

from edge.budget import Blocked, Budgets
from edge.spool.bell import Bell
from edge.spool.spool import Spool
from edge.spool.states import Event
from edge.uplink.board import Board
from edge.uplink.desk import Desk
from edge.uplink.exchange import Exchanges
from edge.uplink.flow import Flow
from edge.uplink.pacing import EXCHANGE_SECONDS, PROXIED_SECONDS, Allowance, Gate, exchange_bytes
from edge.uplink.parcel import Parcel
from edge.uplink.stream import Stream, worth
from gateway import cpu
from gateway.clock import Clock
from gateway.errors import DataError
from gateway.log import logger
from gateway.model import Priority
from gateway.wire import sender
from gateway.wire.brief import Abridger
from gateway.wire.frames import encode
from gateway.wire.messages import Ask, End

UPLINK = "/v1/uplink"
LINGER_MS = 5000
"""How long the hub may hold an answer open for receipts; the next exchange does not wait for it."""
KEEP_OPEN = 3.0
"""Seconds a body waits for more to send before it ends."""
HEDGE_LOOK = 0.25
"""Seconds between looks at what is overdue, when there is nothing else to send."""
OPEN = 40
"""Exchanges open at once at most, those that only await their last receipts among them."""
LOOK_SECONDS = 30.0
"""What waits is looked at at least so often."""

log = logger("edge.uplink")


@dataclass(slots=True, eq=False)
class _Body:
    """One exchange's request while it is written."""

    number: int
    stream: Stream
    abridger: Abridger = field(default_factory=Abridger)
    chosen: asyncio.Event = field(default_factory=asyncio.Event)  # it has its first frames, or has none
    parcel: Parcel | None = None  # of the last frame; None while there is nothing to send

    @property
    def priority(self) -> Priority | None:
        """Of that."""
        return None if self.parcel is None else self.parcel.priority


class Sending:
    """The station's sending half.

    Args:
        spool: where the bytes are, and who hears that they go.
        exchanges: the way to the hub.
        desk: hears of bytes that have rotted.
        board: what there is to send.
        gate: whether the line may be tried.
        flow: the connections.
        budgets: what the line may be used for.
        bell: rings when something may be done that could not be done before.
        clock: this machine's.
        rest: waits until it has rung since the rings given, something may be done, or the seconds are over.
    """

    def __init__(
        self,
        spool: Spool,
        exchanges: Exchanges,
        desk: Desk,
        board: Board,
        gate: Gate,
        flow: Flow,
        budgets: Budgets,
        bell: Bell,
        clock: Clock,
        rest: Callable[[int, float], Awaitable[None]],
    ) -> None:
        self._spool, self._exchanges, self._desk, self._board = spool, exchanges, desk, board
        self._gate, self._flow, self._budgets, self._bell, self._clock = gate, flow, budgets, bell, clock
        self._rest = rest
        self._bodies: set[_Body] = set()
        self._open = asyncio.Semaphore(OPEN)
        self._allowance = Allowance()

    async def run(self) -> None:
        """Send for ever. A service: ends only by cancellation, or with the error that stops the edge."""
        async with asyncio.TaskGroup() as group:
            while True:
                heard = self._bell.rings
                if not self._due() or not self._gate.open(self._clock.monotonic()):
                    await self._rest(heard, HEDGE_LOOK if self._flying() else LOOK_SECONDS)
                    continue
                await self._open.acquire()
                number = self._exchanges.begin()
                body = _Body(number, self._flow.streams[number])
                self._bodies.add(body)
                group.create_task(self._carry(body))
                await body.chosen.wait()  # or the next would be opened for the same parcel

    @property
    def streams(self) -> int:
        """How many exchanges carry chunks now."""
        return len(self._bodies)

    def blocked(self, priority: Priority) -> Blocked | None:
        """Why the budgets let nothing of a priority go now; None: they do."""
        return self._budgets.blocked(priority, self._clock.now().astimezone(), self._clock.monotonic())

    @property
    def urgent(self) -> Priority | None:
        """Of what may go now; None: nothing waits."""
        best = self._peek()
        return None if best is None else best.priority

    # -- how many exchanges ---------------------------------------------------------------------------

    def _due(self) -> bool:
        """Whether another exchange is wanted now."""
        best = self._peek()
        if best is None:
            return not self._bodies and self._overdue() is not None
        if self._flow.has_place(len(self._bodies)):
            return True
        now_sent = [body.priority for body in self._bodies if body.priority is not None]
        if len(now_sent) < len(self._bodies) or best.priority >= min(now_sent):
            return False
        return not self._flow.soon_free(best.priority)

    def _surplus(self, body: _Body) -> bool:
        """Whether there are more exchanges than needed, and this one carries nothing urgent."""
        best = self._peek()
        return len(self._bodies) > self._flow.wanted and (
            best is None or body.priority is None or best.priority >= body.priority
        )

    # -- one exchange -----------------------------------------------------------------------------------

    async def _carry(self, body: _Body) -> None:
        try:
            first = await self._frames(body)
            body.chosen.set()
            if first:
                await self._exchanges.talk(body.number, UPLINK, self._written(body, first), worth)
            else:
                self._gate.released()
                self._exchanges.end(body.number, clean=True)
        finally:
            body.chosen.set()
            self._ended(body)
            self._open.release()

    def _ended(self, body: _Body) -> None:
        body.parcel = None
        self._bodies.discard(body)

    async def _written(self, body: _Body, first: list[bytes]) -> AsyncIterator[bytes]:
        """The body of a request.

        If it cannot be written on, the connection is cut: the hub waits for more, and its answer would be
        awaited for a minute (aiohttp does not tell the answer's reader that the body has failed).
        """
        try:
            async for piece in self._all_frames(body, first):
                yield piece
        except Exception:
            log.exception("a request broke off", exchange=body.number)
            body.stream.cut()
            raise

    async def _all_frames(self, body: _Body, first: list[bytes]) -> AsyncIterator[bytes]:
        """Frames, each chosen when the line has taken the one before: what is urgent overtakes here."""
        seconds = EXCHANGE_SECONDS if self._flow.direct else PROXIED_SECONDS
        frames, written = first, 0
        while frames:
            for frame in frames:
                async for piece in self._pieces(body, frame):
                    yield piece
                written += len(frame)
            body.stream.rank = None
            most = exchange_bytes(self._flow.rate, self._flow.wanted, seconds)  # the rate as it is by now
            frames = await self._next_frames(body) if written < most and not self._surplus(body) else []
        self._ended(body)
        self._bell.ring()  # the next exchange may begin
        yield encode(End(LINGER_MS))

    async def _pieces(self, body: _Body, frame: bytes) -> AsyncIterator[bytes]:
        """A frame, cut so that something urgent on another stream need not wait for the whole of it."""
        view, at = memoryview(frame), 0
        rank = (int(Priority.ROUTINE), sys.maxsize) if body.parcel is None else body.parcel.goes_first
        while at < len(view):
            body.stream.left = len(view) - at
            size = min(self._flow.piece(body.stream), body.stream.left)
            await self._flow.room(body.stream, rank, size)
            yield bytes(view[at : at + size])
            at += size

    async def _next_frames(self, body: _Body) -> list[bytes]:
        """What goes next; waits a little for it. Empty: the body may end."""
        began = self._clock.monotonic()
        while True:
            heard = self._bell.rings
            frames = await self._frames(body) or await self._hedged(body)
            left = began + KEEP_OPEN - self._clock.monotonic()
            if frames or left <= 0 or body.number not in self._exchanges.own:
                return frames
            body.parcel = None
            await self._bell.wait(heard, min(left, HEDGE_LOOK))

    # -- one frame --------------------------------------------------------------------------------------

    async def _frames(self, body: _Body) -> list[bytes]:
        """The next chunk to send in this exchange, with its header before it if need be; empty: nothing."""
        while (parcel := self._choose(body.number)) is not None:
            async with parcel.lock:
                frames = await self._frames_of(body, parcel, sender.Take(body.number, 1))
            announced = parcel.sender.state is sender.State.ANNOUNCED and parcel.sender.unsent
            if frames and announced and body.number in self._exchanges.own:
                self._exchanges.own[body.number].append(parcel)  # until the hub knows it, no other may
            elif frames:
                self._board.offer(parcel)  # without frames it waits for what the hub says, or for an end
            if frames:
                body.parcel = parcel
                self._allowance.sent(sum(map(len, frames)))
                return frames
        return await self._hedged(body) if not self._bodies - {body} else []

    def _peek(self) -> Parcel | None:
        return self._board.peek(self._clock.monotonic(), lambda priority: self.blocked(priority) is None)

    def _choose(self, number: int) -> Parcel | None:
        own = self._exchanges.own.get(number)
        if own is None:
            return None
        best = self._peek()
        while own and own[0].sender.state is not sender.State.ANNOUNCED:
            self._board.offer(own.popleft())
            best = self._peek()
        if own and (best is None or own[0].rank <= best.rank) and self.blocked(own[0].priority) is None:
            return own.popleft()
        if best is not None:
            self._board.pop(best)
        return best

    async def _frames_of(self, body: _Body, parcel: Parcel, event: sender.Take | sender.Hedge) -> list[bytes]:
        frames: list[bytes] = []
        number = body.number
        if number not in self._exchanges.carried:
            return []  # the exchange has broken while this was waiting; nothing may be handed to it
        for action in parcel.sender.handle(event):
            self._exchanges.carried[number].add(parcel.id)
            match action:
                case sender.SendHeader():
                    brief = number in self._exchanges.brief
                    frames.append(encode(body.abridger.announce(parcel.id, parcel.signed, brief=brief)))
                case sender.SendAsk():
                    frames.append(encode(Ask(parcel.id)))
                case sender.SendChunk(index):
                    try:
                        frames.append(encode(await cpu.run(parcel.chunk, self._spool, index)))
                    except (DataError, OSError) as error:
                        body.abridger.forget()
                        await self._desk.do(parcel, sender.Rotten(str(error)))
                        return []
        spent, local = sum(map(len, frames)), self._clock.now().astimezone()
        self._budgets.spend(parcel.priority, spent, local, self._clock.monotonic())
        if frames and not parcel.started:
            parcel.started = True
            await self._spool.mark(parcel.id, Event.START)
        return frames

    # -- what is overdue --------------------------------------------------------------------------------

    def _flying(self) -> bool:
        """Whether chunks are on their way of which the hub has said nothing yet."""
        return any(parcel.sender.carrying for parcel in self._board.parcels.values())

    def _overdue(self, number: int = 0) -> Parcel | None:
        """The most urgent parcel with chunks out on exchanges that are stuck, and on no other."""
        if self._allowance.left <= 0:
            return None
        found = [
            parcel
            for parcel in self._board.parcels.values()
            if (out := parcel.sender.carrying - {number})
            and number not in parcel.sender.carrying
            and all(self._flow.stuck(one) for one in out)
            and self.blocked(parcel.priority) is None
        ]
        return min(found, key=lambda parcel: parcel.rank, default=None)

    async def _hedged(self, body: _Body) -> list[bytes]:
        """Chunks that are overdue elsewhere, once more."""
        parcel = self._overdue(body.number)
        if parcel is None:
            return []
        async with parcel.lock:
            frames = await self._frames_of(body, parcel, sender.Hedge(body.number, 1))
        if frames:
            body.parcel = parcel
            self._allowance.again(sum(map(len, frames)))
            log.info("sent again on another stream", parcel=parcel.id)
        return frames

"""Asks the hub how far it is: after any doubt, for receipts that are owed, and to keep the line warm.

A connection that knows the line's rate sends the next study at once as fast as the line carries; a new one
has to find it again. So those are kept for a while, with a word now and then, and afterwards one.

While the line is full, a connection more is kept ready: what is urgent need not shake hands behind
everything that waits in the line's queue.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

from edge.spool.bell import Bell
from edge.uplink.board import Board
from edge.uplink.exchange import Exchanges
from edge.uplink.flow import Flow
from edge.uplink.pacing import Gate
from edge.uplink.parcel import Parcel
from edge.uplink.stream import worth
from gateway.clock import Clock
from gateway.wire.frames import encode
from gateway.wire.messages import Ask, End

STATUS = "/v1/uplink/status"
ASKED = 500
"""Parcels asked for in one exchange."""
LINGER_MS = 5000
"""How long the hub may hold an answer open for receipts."""
SPARE_SECONDS = 1.0
"""A look at whether a connection is ready is taken so often while something is sent."""
WARM_SECONDS = 25.0
"""Seconds between words on an idle line: shorter than what makes proxies and servers close it."""
KEPT_SECONDS = 1800.0
"""How long after the last study the connections that know the line are kept: some 20 bytes a second each."""


class Asking:
    """The station's asking half.

    Args:
        exchanges: the way to the hub.
        board: the parcels.
        gate: whether the line may be tried.
        flow: hears how long an answer took.
        bell: rings when something may be done that could not be done before.
        clock: this machine's.
        pause: seconds before a parcel is asked for again of which there was nothing new.
        rest: waits until it has rung since the rings given, something may be done, or the seconds are over.
    """

    def __init__(
        self,
        exchanges: Exchanges,
        board: Board,
        gate: Gate,
        flow: Flow,
        bell: Bell,
        clock: Clock,
        pause: float,
        rest: Callable[[int, float], Awaitable[None]],
    ) -> None:
        self._exchanges, self._board, self._gate, self._flow = exchanges, board, gate, flow
        self._bell, self._clock, self._pause, self._rest = bell, clock, pause, rest
        self._spoken_at = clock.monotonic() - WARM_SECONDS

    async def run(self) -> None:
        """Ask for ever. A service: ends only by cancellation, or with the error that stops the edge."""
        while True:
            heard = self._bell.rings
            now = self._clock.monotonic()
            doubtful = self._board.doubtful(now)[:ASKED]
            asked = doubtful or self._without_company(self._board.whole(now))[:ASKED]
            if not (asked or self._due(now)) or not self._gate.open(now):
                soon = max(1.0, self._spoken_at + WARM_SECONDS - now)
                await self._rest(heard, SPARE_SECONDS if self._flow.streams else soon)
                continue
            if asked:
                await self._ask(asked, 0 if doubtful else LINGER_MS)
            else:
                await asyncio.gather(*(self._ask([], 0) for _ in range(self._kept())))

    def _kept(self) -> int:
        """Connections on which a word is due."""
        kept = self._gate.online and self._flow.idle_seconds < KEPT_SECONDS
        return max(1, self._flow.idle if kept else 0)

    def _due(self, now: float) -> bool:
        """Whether a word is due though there is nothing to ask."""
        quiet = now - self._spoken_at
        lonely = self._flow.streams and self._flow.rate > 0 and not self._exchanges.spare
        return quiet >= WARM_SECONDS or (bool(lonely) and quiet >= SPARE_SECONDS)

    async def _ask(self, asked: list[Parcel], linger: int) -> None:
        number = self._exchanges.begin()
        self._exchanges.carried[number] = {parcel.id for parcel in asked}
        frames = b"".join(encode(Ask(parcel.id)) for parcel in asked)
        states = [parcel.sender.state for parcel in asked]
        began = self._clock.monotonic()
        clean = await self._exchanges.talk(
            number, STATUS, _once(frames + encode(End(linger))), None if asked else worth
        )
        self._spoken_at = self._clock.monotonic()
        if clean and not linger:
            self._flow.answered(self._spoken_at - began)
        for parcel, before in zip(asked, states, strict=True):
            if parcel.sender.state is before:  # nothing new: do not ask again at once
                self._board.sleep(parcel, self._spoken_at + self._pause)

    def _without_company(self, parcels: list[Parcel]) -> list[Parcel]:
        """Those that no open exchange will hear of anyway, unless that one is stuck."""
        carried = {
            parcel
            for number, parcels in self._exchanges.carried.items()
            if not self._flow.stuck(number)
            for parcel in parcels
        }
        return [parcel for parcel in parcels if parcel.id not in carried]


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data

"""Exchanges with the hub: one request and its answer, both at once. PROTOCOL.md §2."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import deque
from collections.abc import AsyncIterator, Callable

from edge.hub_client import HubClient, Worth
from edge.spool.bell import Bell
from edge.uplink.board import Board
from edge.uplink.desk import Desk
from edge.uplink.flow import Flow
from edge.uplink.pacing import Gate
from edge.uplink.parcel import Parcel
from gateway.clock import Clock
from gateway.errors import DataError, PeerError, Unavailable
from gateway.log import logger
from gateway.model import ParcelId
from gateway.wire import sender
from gateway.wire.brief import READS_BRIEF, READS_HEADER
from gateway.wire.frames import MEDIA_TYPE, Decoder
from gateway.wire.messages import (
    EVERY_PARCEL,
    Done,
    Have,
    Later,
    Message,
    Pulse,
    Receipt,
    Refused,
    Unknown,
)

HEADERS = {"Content-Type": MEDIA_TYPE}

log = logger("edge.uplink")


class Exchanges:
    """All that are open.

    Args:
        client: the door to the hub.
        desk: does what the hub says.
        board: the parcels.
        gate: hears whether the line works.
        flow: the connections.
        bell: rings when something may be done that could not be done before.
        clock: this machine's.
        next_try: when the line is tried next, for the log.

    Attributes:
        numbers: the next one's.
        carried: the parcels named in each.
        own: parcels announced in each, and not yet known at the hub: no other may carry them.
        brief: those whose hub reads headers said briefly, as it says in its answer.
    """

    def __init__(
        self,
        client: HubClient,
        desk: Desk,
        board: Board,
        gate: Gate,
        flow: Flow,
        bell: Bell,
        clock: Clock,
        next_try: Callable[[], str | None],
    ) -> None:
        self._client, self._desk, self._board, self._gate = client, desk, board, gate
        self._flow, self._bell, self._clock, self._next_try = flow, bell, clock, next_try
        self.numbers = itertools.count(1)
        self.carried: dict[int, set[ParcelId]] = {}
        self.own: dict[int, deque[Parcel]] = {}
        self.brief: set[int] = set()

    @property
    def spare(self) -> bool:
        """Whether a connection stands ready for one more."""
        return self._client.spare

    def begin(self) -> int:
        """A new one. Its number."""
        number = next(self.numbers)
        self.carried[number], self.own[number] = set(), deque()
        self._flow.open(number)
        return number

    async def talk(
        self, number: int, path: str, body: AsyncIterator[bytes], worth: Worth | None = None
    ) -> bool:
        """Send and hear, to the end or to the break.

        Args:
            number: the exchange's.
            path: at the hub.
            body: what is sent.
            worth: of an idle connection, as for `HubClient.request`.

        Returns:
            Whether it ended well.
        """
        clean = False
        connected = self._flow.connected(self._flow.streams[number])
        try:
            async with self._client.request(
                "POST", path, data=body, headers=HEADERS, connected=connected, worth=worth
            ) as response:
                if self._gate.worked(self._clock.monotonic()):
                    log.info("the line is back")
                    self._bell.ring()
                if response.headers.get(READS_HEADER) == READS_BRIEF:
                    self.brief.add(number)
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
            self.end(number, clean=clean)
        return clean

    def end(self, number: int, *, clean: bool) -> None:
        """It is over; what it carried and the hub has not may go elsewhere."""
        self._flow.close(number)
        self.brief.discard(number)
        for own in self.own.pop(number):
            self._board.offer(own)
        for parcel in self.carried.pop(number):
            known = self._board.parcels.get(parcel)
            if known is not None:
                known.sender.handle(sender.Ended(number, clean))
                self._board.offer(known)
        self._bell.ring()

    def _failed(self, error: Exception) -> None:
        after = error.retry_after if isinstance(error, Unavailable) else None
        if self._gate.failed(self._clock.monotonic(), str(error), random.random(), after):
            log.warning("the line is down", why=str(error), next_try=self._next_try())

    async def _hear_all(self, number: int, decoder: Decoder) -> bool:
        """Everything that has come so far. Returns whether DONE was in it."""
        done = False
        hearings = []
        while (message := decoder.next()) is not None:
            if isinstance(message, Done):
                done = True
            elif not isinstance(message, Pulse):
                hearings.append(self._hear(number, message))
        if done or hearings:
            self._flow.heard(number)
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
                await self._desk.hear(number, message)
            case _:
                raise Unavailable(f"the hub said {type(message).__name__}, which has no place here")

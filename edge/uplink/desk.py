"""Gives each parcel's machine what was heard of it, and does what the machine says."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from edge.hub_client import HubClient
from edge.spool.bell import Bell
from edge.spool.spool import Spool
from edge.spool.states import Event
from edge.uplink.board import Board
from edge.uplink.disk import Disk
from edge.uplink.parcel import Parcel
from edge.uplink.receipts import check_receipt
from gateway import cpu
from gateway.backoff import Backoff
from gateway.clock import Clock, rfc3339
from gateway.errors import DataError, StorageFull
from gateway.log import logger
from gateway.model import ParcelId
from gateway.trust import Trust
from gateway.wire import sender
from gateway.wire.messages import Have, Later, Receipt, Refused, Unknown

KNOWN = 2000
"""Parcels looked after at once; the spool holds the others."""

log = logger("edge.uplink")


class Desk:
    """Where what the hub says has its effect.

    Args:
        spool: hears of it.
        board: the parcels.
        bell: rings when something may be done that could not be done before.
        trust: the roots, to judge receipts.
        client: knows the hub's clock.
        clock: this machine's.
        backoff: how long to pause.

    Attributes:
        room: set when more parcels may be looked after.
        vouched: called when the hub shows its receipt for a parcel that is confirmed already.
        disk: whether what was heard can be written down.
    """

    def __init__(
        self,
        spool: Spool,
        board: Board,
        bell: Bell,
        trust: Trust,
        client: HubClient,
        clock: Clock,
        backoff: Backoff,
    ) -> None:
        self._spool, self._board, self._bell = spool, board, bell
        self._trust, self._client, self._clock, self._backoff = trust, client, clock, backoff
        self.room = asyncio.Event()
        self.vouched: Callable[[ParcelId], None] = _ignored
        self.disk = Disk()

    async def hear(self, number: int, message: Receipt | Have | Unknown | Refused | Later) -> None:
        """The hub said something of a parcel, in exchange `number`."""
        known = self._board.parcels.get(message.parcel)
        if known is None:
            await self._hear_of_kept(message)
            return
        async with known.lock:
            await self.do(known, sender.Heard(number, message))
        self._board.offer(known)
        self._bell.ring()

    async def _hear_of_kept(self, message: Receipt | Have | Unknown | Refused | Later) -> None:
        """Of a confirmed parcel there is only one thing to hear, unless the hub has lost it."""
        match message:
            case Receipt():
                self.vouched(message.parcel)
            case Unknown() | Have():
                await self.kept(message.parcel, self._spool.lost(message.parcel))

    async def do(self, parcel: Parcel, event: sender.Input) -> None:
        """Give a parcel's machine an event and do what it says; the parcel is locked."""
        for action in parcel.sender.handle(event):
            match action:
                case sender.Judge(receipt):
                    await self._judge(parcel, receipt)
                case sender.Arrived():
                    parcel.pauses, parcel.started = 0, False
                    await self._spool.mark(parcel.id, Event.ARRIVE)
                case sender.Confirm(receipt):
                    if not await self._confirmed(parcel, receipt):
                        return
                    log.info("confirmed", parcel=parcel.id, sequence=parcel.header.sequence)
                case sender.Hold(words):
                    await self.kept(parcel.id, self._spool.mark(parcel.id, Event.HOLD, reason=words))
                    self.drop(parcel)
                case sender.Pause(seconds, words):
                    await self._pause(parcel, seconds, words)

    async def _confirmed(self, parcel: Parcel, receipt: bytes) -> bool:
        """Keep a receipt and let its parcel go. False: it cannot be kept yet.

        It stays on the board until that is tried, or it would be taken on anew meanwhile. Either way it goes
        then: what could not be kept is listed by the spool still, and is taken on anew in the next round.
        """
        try:
            return await self.kept(parcel.id, self._spool.confirm(parcel.id, receipt))
        finally:
            self.drop(parcel)

    async def kept(self, parcel: ParcelId, writing: Awaitable[object]) -> bool:
        """Write down what was heard. False: the disk is full or fails; the spool offers the parcel again."""
        try:
            await writing
        except (StorageFull, OSError) as error:
            log.warning("what was heard cannot be written down yet", parcel=parcel, why=str(error))
            self.disk.fails(error, self._clock.monotonic())
            return False
        self.disk.keeps()
        return True

    def drop(self, parcel: Parcel) -> None:
        """It has come to its end."""
        self._board.drop(parcel)
        if len(self._board.parcels) < KNOWN // 2:
            self.room.set()

    def now(self) -> datetime:
        """The time by the hub's clock, when it is known: the hub's signatures are judged by it."""
        return self._clock.now() + (self._client.clock_offset or timedelta())

    async def _judge(self, parcel: Parcel, receipt: bytes) -> None:
        try:
            await cpu.run(check_receipt, receipt, parcel, self._trust, self.now())
        except DataError as error:
            log.warning("a receipt that does not hold", parcel=parcel.id, why=str(error))
            await self.do(parcel, sender.Judged(False, str(error)))
        else:
            await self.do(parcel, sender.Judged(True))

    async def _pause(self, parcel: Parcel, seconds: int | None, words: str) -> None:
        parcel.pauses += 1
        wait = float(seconds) if seconds is not None else self._backoff.delay(parcel.pauses, random.random())
        self._board.sleep(parcel, self._clock.monotonic() + wait)
        until = rfc3339(self._clock.now() + timedelta(seconds=wait))
        parcel.started = False
        await self._spool.mark(parcel.id, Event.INTERRUPT, reason=words, next_try=until)


def _ignored(_: ParcelId) -> None:
    return

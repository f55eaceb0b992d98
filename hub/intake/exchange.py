"""One exchange: frames in, frames out, both at once. PROTOCOL.md §2 and §4."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import TypeAlias

from aiohttp import StreamReader, web

from gateway.errors import Malformed
from gateway.log import logger
from gateway.model import ParcelId
from gateway.wire.brief import Restorer
from gateway.wire.frames import Decoder, encode
from gateway.wire.messages import (
    EVERY_PARCEL,
    Announce,
    Ask,
    Brief,
    Chunk,
    Code,
    Done,
    End,
    Message,
    Pulse,
    Refused,
    shorten,
)
from gateway.wire.receiver import State
from hub.intake.arrivals import Arrival
from hub.intake.desk import Desk, Reply, Request

IDLE_SECONDS = 60.0
"""An exchange in which nothing moves for so long is cut. There is no deadline on a whole one."""
PULSE_SECONDS = IDLE_SECONDS / 4
BATCH_BYTES = 8 << 20
"""Made durable together at most."""
AHEAD_BYTES = 8 << 20
"""Read from the line ahead of that at most."""

ENDED = (State.DONE, State.REFUSED)

Said: TypeAlias = Reply | Done | Pulse
log = logger("hub.intake")


class Inbox:
    """Messages read ahead, bounded by their size."""

    def __init__(self) -> None:
        self._messages: deque[tuple[Message, int]] = deque()
        self._size = 0
        self._changed = asyncio.Condition()
        self._error: BaseException | None = None
        self._closed = False

    async def put(self, message: Message) -> None:
        """Add one, when there is room."""
        size = len(message.data) if isinstance(message, Chunk) else 256
        size += len(message.header) if isinstance(message, Announce) else 0
        async with self._changed:
            await self._changed.wait_for(lambda: self._size < AHEAD_BYTES)
            self._messages.append((message, size))
            self._size += size
            self._changed.notify_all()

    async def close(self, error: BaseException | None) -> None:
        """Nothing more comes: the stream has ended, or broke with `error`."""
        async with self._changed:
            self._closed, self._error = True, error
            self._changed.notify_all()

    async def take(self) -> list[Message]:
        """All that is there, up to `BATCH_BYTES`; waits for at least one; empty at the end."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._messages or self._closed)
            if not self._messages and self._error is not None:
                raise self._error
            taken: list[Message] = []
            size = 0
            while self._messages and size < BATCH_BYTES:
                message, length = self._messages.popleft()
                taken.append(message)
                size += length
            self._size -= size
            self._changed.notify_all()
            return taken


class Exchange:
    """One request of one edge and the answer to it.

    Args:
        desk: makes batches durable.
        site: as the edge's certificate says.
        response: prepared; frames are written to it.
        only_ask: whether anything but questions is refused.
    """

    def __init__(
        self, desk: Desk, site: str, response: web.StreamResponse, *, only_ask: bool = False
    ) -> None:
        self._desk, self._site, self._response, self._only_ask = desk, site, response, only_ask
        self._named: dict[ParcelId, Arrival] = {}  # of which the end has not been told yet
        self._news = asyncio.Event()  # one of them may have come to its end
        self._saying = asyncio.Lock()

    async def run(self, body: StreamReader) -> None:
        """Read and answer until END, or until the exchange breaks.

        Raises:
            ConnectionError: the edge is gone.
            TimeoutError: nothing moved.
        """
        inbox = Inbox()
        reading = asyncio.create_task(_read(body, inbox))
        telling = asyncio.create_task(self._tell_for_ever())
        try:
            linger = await self._answer(inbox)
            await self._finish(linger)
        except Malformed as error:
            log.warning("frames that cannot be read", site=self._site, why=str(error))
            await self._say([Refused(EVERY_PARCEL, Code.FRAMING, shorten(str(error)))])
            self._response.force_close()
        finally:
            reading.cancel()
            telling.cancel()
            await asyncio.gather(reading, telling, return_exceptions=True)
            for arrival in self._named.values():
                arrival.hearers.discard(self._news)

    async def _answer(self, inbox: Inbox) -> int:
        """Until END; returns its linger, in milliseconds."""
        while True:
            try:
                taken = await asyncio.wait_for(inbox.take(), PULSE_SECONDS)
            except TimeoutError:
                await self._say([Pulse()])
                continue
            if not taken:
                raise Malformed("the stream ended without END")
            requests: list[Request] = []
            end: End | None = None
            for message in taken:
                match message:
                    case Announce() | Chunk() | Ask() if end is None:
                        requests.append(self._allowed(message))
                    case End():
                        end = message
                    case Pulse():
                        pass
                    case _:
                        raise Malformed(f"{type(message).__name__} has no place here")
            if requests:
                replies, named = await self._desk.take(requests, self._site)
                for parcel, arrival in named.items():
                    arrival.hearers.add(self._news)
                    self._named[parcel] = arrival
                await self._say(replies)
                self._news.set()  # one may have ended before anybody listened
            if end is not None:
                return end.linger

    def _allowed(self, message: Request) -> Request:
        if self._only_ask and not isinstance(message, Ask):
            raise Malformed("only questions are taken here")
        return message

    async def _tell_for_ever(self) -> None:
        """Receipts (and refusals) as they come, while the edge goes on sending."""
        while True:
            await self._news.wait()
            self._news.clear()
            try:
                await self._tell_ended()
            except OSError:
                return  # the edge is gone; whoever reads from it finds out

    async def _tell_ended(self) -> None:
        await self._say([one.status() for one in self._named.values() if one.receiver.state in ENDED])

    async def _finish(self, linger: int) -> None:
        """Wait a little for receipts, then say where everything stands."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + linger / 1000
        quiet_since = loop.time()
        while (now := loop.time()) < deadline:
            left = [one for one in self._named.values() if not one.settled.is_set()]
            if not left:
                break
            with suppress(TimeoutError):
                await asyncio.wait_for(left[0].settled.wait(), min(deadline - now, PULSE_SECONDS))
            if loop.time() - quiet_since >= PULSE_SECONDS:
                await self._say([Pulse()])
                quiet_since = loop.time()
        await self._say([*(one.status() for one in self._named.values()), Done()])

    async def _say(self, messages: Sequence[Said]) -> None:
        if not messages:
            return
        async with self._saying:
            for message in messages:
                if not isinstance(message, (Done, Pulse)) and message.parcel in self._named:
                    arrival = self._named[message.parcel]
                    if arrival.receiver.state in ENDED:
                        arrival.hearers.discard(self._news)
                        del self._named[message.parcel]
            await self._response.write(b"".join(encode(message) for message in messages))


async def _read(body: StreamReader, inbox: Inbox) -> None:
    """Frames from the request's body into the inbox."""
    decoder, restorer = Decoder(), Restorer()
    error: BaseException | None = None
    try:
        while data := await asyncio.wait_for(body.readany(), IDLE_SECONDS):
            decoder.feed(data)
            while (message := decoder.next()) is not None:
                await inbox.put(restorer.read(message))
                if isinstance(message, Brief):
                    await asyncio.sleep(0)  # many of them may come at once, and each takes a moment
        decoder.finish()
    except (Malformed, OSError, TimeoutError, web.RequestPayloadError) as caught:
        error = caught  # raised again by whoever takes from the inbox
    await inbox.close(error)

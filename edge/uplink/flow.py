"""The connections that carry parcels: what is on its way, how fast it goes, and who writes next.

Bytes count when the other end's kernel has acknowledged them, not when a buffer has taken them. What
a buffer has taken can no longer be overtaken, so little is put there, and where something more
urgent goes on another stream the others stand still meanwhile. But one that is quick already does not wait
on a new line for one that has only just begun, of the same priority: it would gain nothing by that.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

from edge.uplink import anew, overtaking
from edge.uplink.pacing import BBR, Loss, Meter, piece_bytes, streams_wanted, unsent_bytes
from edge.uplink.stream import Rank, Stream, socket_of
from gateway import sockets
from gateway.clock import Clock

SAMPLE_SECONDS = 0.25
HOLD_SECONDS = 2.0
"""A more urgent stream on which nothing moves for so long holds the others back no more."""
TRICKLE_SECONDS = 20.0
"""A stream that is held back writes a piece so often all the same, or the hub would take it for dead."""
LOOK_SECONDS = 0.02
OVERDUE_SECONDS, OVERDUE_TRIPS = 1.0, 3.0
"""Something must be acknowledged within so many seconds or round trips, whichever is longer."""
SURE_SECONDS = 5.0
"""Of work, after which a line counts as known though BBR still looks."""
SETTLED = 0.98
"""Of the fastest that was seen before, what stays of it with each sample."""
SLOW_HUB = 10.0
"""So many times that, where the hub's kernel has it all and only the hub is slow."""
QUICKER = 2
"""So many times as quick as one that has only just begun: the line has shown that there is more than that."""
FULL = 0.998
"""Of the most that the line carried, what stays of it with each sample: half after 87 seconds of work."""


@dataclass(slots=True)
class Flow:
    """All of them together.

    Args:
        clock: this machine's.
        most: streams that may carry chunks side by side.
        urgent: the most urgent priority that may go now and has no stream yet; None: nothing waits.

    Attributes:
        round_trip: seconds; None before the first answer.
        congestion: the congestion control in force, such as ``bbr``; empty if it is not known.
        progress_at: monotonic seconds; when anything last moved.
        connections: made since the start.
        carried: bytes acknowledged since the start.
        direct: whether TCP leads to the hub itself, not to a proxy.
    """

    clock: Clock
    most: int
    direct: bool = True
    urgent: Callable[[], int | None] = lambda: None
    round_trip: float | None = None
    congestion: str = ""
    progress_at: float = 0.0
    connections: int = 0
    carried: int = 0
    streams: dict[int, Stream] = field(default_factory=dict)
    _began: WeakKeyDictionary[asyncio.Transport, float] = field(default_factory=WeakKeyDictionary)
    _meter: Meter = field(default_factory=Meter)
    _arrivals: Meter = field(default_factory=Meter)
    _sampled_at: float | None = None
    _loss: Loss = field(default_factory=Loss)
    _burst: float = 0.0
    _looking: bool = False
    _worked_at: float | None = None
    _full: float = 0.0  # bytes a second that the line carried at most over some time

    @property
    def rate(self) -> float:
        """Bytes per second that arrive."""
        return self._meter.rate

    @property
    def capacity(self) -> float:
        """Bytes per second that the line could carry, as far as it has shown; 0 if it has not.

        While BBR still looks for a new line's rate, what has been carried says little of it: whoever spent
        time on smaller bytes, as if the line were slow, would leave it without any just when it gets quick.
        """
        return 0.0 if self._new else self._meter.best

    @property
    def _new(self) -> bool:
        return self._looking and self._meter.seconds < SURE_SECONDS

    @property
    def burst(self) -> float:
        """Bytes per second at which the little arrived that a line was given; 0 where nobody counts."""
        return self._burst

    @property
    def idle_seconds(self) -> float:
        """Since there was something to send; infinite if there never was."""
        return math.inf if self._worked_at is None else self.clock.monotonic() - self._worked_at

    @property
    def wanted(self) -> int:
        """How many streams fill the line."""
        trip = self.round_trip or 0.0
        return streams_wanted(self.congestion, self._loss.share, self.rate, trip, self.most)

    def has_place(self, bodies: int) -> bool:
        """Whether another stream is wanted beside so many that carry something."""
        return bodies < (self.wanted if self.connections else 1)  # the first tells what TCP does here

    @property
    def idle(self) -> int:
        """Connections without an exchange that the line is worth."""
        used = {stream.transport for stream in self.streams.values()}
        there = sum(one not in used and not one.is_closing() for one in self._began)
        return min(there, self.wanted)

    def open(self, number: int) -> Stream:
        """An exchange begins."""
        now = self.clock.monotonic()
        stream = self.streams[number] = Stream(number, moved_at=now)
        return stream

    def connected(self, stream: Stream) -> Callable[[asyncio.Transport], None]:
        """For `HubClient.request`: the exchange has its connection."""

        def note(transport: asyncio.Transport) -> None:
            stream.transport = transport
            socket = socket_of(transport)
            congestion = "" if socket is None else sockets.congestion_of(socket)
            self.congestion = congestion or self.congestion  # it may be closed already
            if transport not in self._began:
                self._began[transport] = self.clock.monotonic()
                self.connections += 1
                if socket is not None and congestion == BBR:
                    sockets.begin_anew(socket)  # others may have used it before, nobody knows how long ago
            if (info := stream.info()) is not None:
                stream.acknowledged, stream.delivered = info.acknowledged, info.delivered
                stream.sent, stream.repeated = info.sent, info.repeated

        return note

    def close(self, number: int) -> None:
        """An exchange has ended."""
        stream = self.streams.pop(number, None)
        if stream is not None:
            stream.restrict(None, self.clock.monotonic())  # another exchange may use its connection

    def heard(self, number: int) -> None:
        """The hub has said something in an exchange."""
        self.progress_at = self.clock.monotonic()
        if number in self.streams:
            self.streams[number].moved_at = self.progress_at

    def answered(self, seconds: float) -> None:
        """A question was answered at once, and that took so long."""
        if self.round_trip is None or not self.direct:
            self.round_trip = seconds if self.round_trip is None else 0.8 * self.round_trip + 0.2 * seconds

    def stuck(self, number: int) -> bool:
        """Whether what an exchange carries is overdue, and had better go on another one too."""
        stream = self.streams.get(number)
        if stream is None:
            return True
        quiet = self.clock.monotonic() - stream.moved_at
        limit = max(OVERDUE_SECONDS, OVERDUE_TRIPS * (self.round_trip or 0.0))
        info = stream.info()
        waits = info is not None and (info.flying > 0 or info.unsent > 0)
        return quiet > (limit if waits else SLOW_HUB * limit)

    def piece(self, stream: Stream) -> int:
        """Bytes to write at once."""
        return piece_bytes(self._may_wait(stream))

    def _may_wait(self, stream: Stream) -> int:
        info = stream.info()
        return unsent_bytes(self.rate, self.wanted, 0 if info is None else info.pacing)

    async def room(self, stream: Stream, rank: Rank, size: int) -> None:
        """Until `size` bytes of `rank` may be written on a stream."""
        stream.rank = rank
        began = self.clock.monotonic()
        while self._held(stream, rank) and self.clock.monotonic() - began < TRICKLE_SECONDS:  # noqa: ASYNC110  # the kernel rings no bell
            await asyncio.sleep(LOOK_SECONDS)
        while stream.unsent() > self._may_wait(stream):  # noqa: ASYNC110  # as above
            await asyncio.sleep(LOOK_SECONDS)
        stream.written += size

    def _held(self, stream: Stream, rank: Rank) -> bool:
        return self._goes_first(stream, rank) or self._makes_way(stream)

    def _goes_first(self, stream: Stream, rank: Rank) -> bool:
        limit = self.clock.monotonic() - HOLD_SECONDS
        return any(
            other.rank is not None
            and other.rank < rank
            and other.moved_at > limit
            and not (other.roomy and other.rank[0] == rank[0] and stream.speed > QUICKER * other.speed)
            for other in self.streams.values()
            if other is not stream
        )

    def soon_free(self, urgent: int) -> bool:
        """Whether a stream is done with its frame sooner than a new one would be connected and quick."""
        return self._next_free(urgent) is not None

    def _next_free(self, urgent: int) -> int | None:
        """Number of that stream; None: a new one is sooner."""
        found = overtaking.nearest(self._frames(), urgent)
        soon = overtaking.NEW_TRIPS * (self.round_trip or 0.0) * self.rate
        return found.number if found is not None and found.left <= soon else None

    def _makes_way(self, stream: Stream) -> bool:
        """Whether a stream waits until the one nearest its frame's end is free for what is urgent."""
        if (urgent := self.urgent()) is None:
            return False
        return self._next_free(urgent) not in (None, stream.number)

    def _frames(self) -> list[overtaking.Frame]:
        """What is being written by those who may send and on which something moves."""
        limit = self.clock.monotonic() - HOLD_SECONDS
        return [
            overtaking.Frame(one.number, one.rank[0], one.left)
            for one in self.streams.values()
            if one.rank is not None and one.moved_at > limit
        ]

    def sample(self) -> None:
        """Look at all connections; call it every `SAMPLE_SECONDS`."""
        now = self.clock.monotonic()
        came, arrived = 0, 0
        trips: list[float] = []
        counts = [0, 0]
        burst = 0.0
        told: dict[int, sockets.TcpInfo] = {}
        for stream in self.streams.values():
            info = stream.info()
            moved = self._moved(stream, info, trips, counts)
            if moved:
                stream.moved_at = self.progress_at = now
            came += moved
            arrived += moved if info is None or not info.delivered else info.delivered - stream.delivered
            stream.delivered = 0 if info is None else info.delivered
            if info is not None:
                burst += info.delivery
                told[stream.number] = info
        self._burst = max(burst, SETTLED * self._burst)
        self.carried += came
        self._looking = any(info.looking for info in told.values())
        if trips and self.direct:
            self.round_trip = min(trips)
        busy = any(stream.rank is not None for stream in self.streams.values())
        if self._sampled_at is not None and busy:
            self._meter.add(now - self._sampled_at, came)
            self._arrivals.add(now - self._sampled_at, arrived)
            self._loss.add(now - self._sampled_at, *counts)
        self._sampled_at = now if busy else None
        if busy:
            self._worked_at = now
            self._full = max(self._arrivals.best, FULL * self._full)
        for number, one in told.items():
            stream = self.streams[number]
            stream.speed, stream.roomy = one.found, self._new and anew.roomy(one)
        self._look_anew(told, now)

    def _look_anew(self, told: dict[int, sockets.TcpInfo], now: float) -> None:
        """Let BBR begin anew where it is time, and hold it meanwhile (`anew`)."""
        for number, info in told.items():
            stream = self.streams[number]
            transport = stream.transport
            if transport is None or transport not in self._began:
                continue
            left = anew.left(self._full, sum(self._takes(told, one) for one in told if one != number))
            held = now - stream.limited_at
            before = stream.found.look(now, info.found, info.round_trip)
            stands = anew.Standing(info, now - self._began[transport], stream.limit, held, left, before)
            if (limit := stands.begins) is not None:
                self._began[transport] = now
                stream.restrict(limit, now, anew=True)
            elif (limit := stands.overflows) is not None:
                stream.restrict(limit, now)
            elif stands.ends:
                stream.restrict(None, now)
                self._full *= anew.FAILED if stands.failed else 1.0

    def _takes(self, told: dict[int, sockets.TcpInfo], number: int) -> int:
        """Bytes a second that a stream sends, or may find while it looks."""
        info = told[number]
        return max(info.found if info.flying else 0, self.streams[number].limit or 0)

    @staticmethod
    def _moved(stream: Stream, info: sockets.TcpInfo | None, trips: list[float], counts: list[int]) -> int:
        """Bytes acknowledged on a stream since the last look."""
        if info is None and stream.transport is not None and stream.transport.is_closing():
            return 0
        if info is None:
            seen, stream.acknowledged = stream.acknowledged or 0, stream.written - stream.unsent()
            return max(0, stream.acknowledged - seen)
        moved = info.acknowledged - (stream.acknowledged or 0)
        counts[0] += info.sent - stream.sent
        counts[1] += info.repeated - stream.repeated
        stream.acknowledged, stream.sent, stream.repeated = info.acknowledged, info.sent, info.repeated
        if info.round_trip:
            trips.append(info.round_trip)
        return max(0, moved)

"""The connections that carry parcels: what is on its way, how fast it goes, and who writes next.

Bytes count when the other end's kernel has acknowledged them, not when a buffer has taken them. What
a buffer has taken can no longer be overtaken, so little is put there, and where something more
urgent goes on another stream the others stand still meanwhile.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from weakref import WeakSet

from edge.uplink import overtaking
from edge.uplink.found import Line
from edge.uplink.pacing import Loss, Meter, piece_bytes, streams_wanted, takes_turns, unsent_bytes
from edge.uplink.relay import LONG, SURE, TEAMS, Relay, share
from edge.uplink.stream import Rank, Stream, info_of, socket_of
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
SETTLED = 0.98
"""Of the fastest that was seen before, what stays of it with each sample."""
SLOW_HUB = 10.0
"""So many times that, where the hub's kernel has it all and only the hub is slow."""
FULL = 0.998
"""Of the most that the line carried, what stays of it with each sample: half after 87 seconds of work."""
GROWN, GROWN_TRIPS = 1.02, 4.0
"""How much more the line is taken to carry with each sample that shows that it could: twice in nine seconds;
and round trips from the begin of a turn until a queue would show."""
LEFT_OVER, OVERLAP_SECONDS = 16 << 10, 1.0
"""Bytes of the team before in this machine's buffers that count as none; how long it holds up the next."""


@dataclass(slots=True)
class Flow:
    """All of them together.

    Args:
        clock: this machine's.
        most: streams that may carry chunks side by side.
        ahead: sealed bytes that wait for the line.
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
    ahead: Callable[[], int] = lambda: 0
    urgent: Callable[[], int | None] = lambda: None
    round_trip: float | None = None
    congestion: str = ""
    progress_at: float = 0.0
    connections: int = 0
    carried: int = 0
    streams: dict[int, Stream] = field(default_factory=dict)
    relay: Relay = field(default_factory=Relay)
    _transports: WeakSet[asyncio.Transport] = field(default_factory=WeakSet)
    _meter: Meter = field(default_factory=Meter)
    _arrivals: Meter = field(default_factory=Meter)
    _sampled_at: float | None = None
    _loss: Loss = field(default_factory=Loss)
    _turn: float | None = None  # the turn that is looked at
    _left_at: float = 0.0  # when what was sent before it had left this machine
    _queue: float = 0.0  # seconds it then waited on the line
    _burst: float = 0.0
    _busy: float = 0.0  # seconds for which there was always something to send
    _turning: bool = False
    _worked_at: float | None = None
    _full: float = 0.0  # bytes a second that the line carried at most over some time

    @property
    def rate(self) -> float:
        """Bytes per second that arrive."""
        return self._meter.rate

    @property
    def capacity(self) -> float:
        """Bytes per second that the line could carry, as far as it has shown; 0 if it has not."""
        return self._meter.best

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
        return self._wanted(turns=self._turning)

    def _wanted(self, *, turns: bool) -> int:
        trip = self.round_trip or 0.0
        return streams_wanted(self.congestion, self._loss.share, self.rate, trip, self.most, turns=turns)

    @property
    def relayed(self) -> bool:
        """Whether streams take turns."""
        return self._turning and takes_turns(self.congestion, self.wanted, self.rate, self.round_trip or 0.0)

    def has_place(self, bodies: int) -> bool:
        """Whether another stream is wanted beside so many that carry something."""
        if not self.connections:
            return bodies < 1  # the first connection tells what TCP does here
        if not bodies:
            self._turning = self.known() >= TEAMS - 1
        if not self.relayed:
            return bodies < self.wanted
        return self.relay.has_place(self.wanted, self.clock.monotonic(), self.known())

    def known(self) -> int:
        """Connections without an exchange that know the line."""
        used = {stream.transport for stream in self.streams.values()}
        idle = [one for one in self._transports if one not in used and not one.is_closing()]
        line = self._line
        return sum(line.knows(info) for one in idle if (info := info_of(one)))

    @property
    def _line(self) -> Line:
        return Line(self._full, self.round_trip or 0.0, share(self._wanted(turns=True)))

    def worth(self, number: int = 0) -> Callable[[asyncio.Transport | None], int]:
        """For `HubClient.request`: how good an idle connection is to send much; 0: a new one is better.

        Those that know the line are spread over the teams: beside one, a new one soon finds the rest.

        Args:
            number: the exchange's; 0: it is no stream of a team.
        """
        line = self._line

        def of(transport: asyncio.Transport | None) -> int:
            info = info_of(transport)
            spread = self.relayed and info is not None and line.knows(info)
            return 0 if spread and self.relay.keeps(number, self.known()) else line.worth(info)

        return of

    def _judge(self, *, over: bool) -> None:
        """See which streams have found the line's rate; what has not when its turn is over never will."""
        relay, line = self.relay, self._line
        sending, began = self._told(relay.sending), relay.since or 0.0
        enough = line.enough(sending.values())
        for number, info in sending.items():
            if line.knows(info) or (over and line.found(info, little=enough)):
                relay.knows(number)
            elif over:
                self.streams[number].slow = self.streams[number].opened_at <= began
        for number, info in self._told(relay.newcomers - relay.sending).items():
            if line.knows(info):
                relay.knows(number)
            else:
                self.streams[number].slow = line.looked(info)

    def _held_back(self) -> bool:
        """Whether the limit holds back who sends, not the line, and not for newcomers."""
        held = self.clock.monotonic() - (self.relay.since or math.inf)
        if self.relay.newcomers or held < GROWN_TRIPS * (self.round_trip or 0.0):
            return False
        told = self._told(self.relay.sending)
        return any(self._line.held_back(info, self.streams[number].limit) for number, info in told.items())

    def _told(self, numbers: Iterable[int]) -> dict[int, sockets.TcpInfo]:
        """What the kernel knows of these, where it tells."""
        found = [(number, self.streams[number].info()) for number in numbers if number in self.streams]
        return {number: info for number, info in found if info is not None}

    def _share_out(self) -> None:
        """Newcomers look for no more than their share, and those that send leave them room (`found`)."""
        new = self.relay.newcomers if self.relayed else frozenset[int]()
        others = self.relay.knowing if self.relayed else frozenset[int]()
        limits = self._line.limits(self._told(others), self._told(new))
        for number, stream in self.streams.items():
            stream.restrict(limits.get(number))

    def may_send(self, number: int) -> bool:
        """Whether a stream that has something to send may do so now, or rests."""
        if not self.relayed:
            return True
        now = self.clock.monotonic()
        self.relay.wants(number, now)
        return self.relay.may_send(number, now)

    def open(self, number: int) -> Stream:
        """An exchange begins."""
        now = self.clock.monotonic()
        stream = self.streams[number] = Stream(number, opened_at=now, moved_at=now)
        return stream

    def connected(self, stream: Stream) -> Callable[[asyncio.Transport], None]:
        """For `HubClient.request`: the exchange has its connection."""

        def note(transport: asyncio.Transport) -> None:
            stream.transport = transport
            socket = socket_of(transport)
            if transport not in self._transports:
                self._transports.add(transport)
                self.connections += 1
            self.congestion = "" if socket is None else sockets.congestion_of(socket)
            if (info := stream.info()) is not None:
                stream.acknowledged, stream.delivered = info.acknowledged, info.delivered
                stream.sent, stream.repeated = info.sent, info.repeated
                if self._line.knows(info):
                    self.relay.knows(stream.number)
            self._share_out()

        return note

    def close(self, number: int) -> None:
        """An exchange has ended."""
        stream = self.streams.pop(number, None)
        if stream is not None:
            stream.restrict(None)  # another exchange may use its connection

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
        if not waits and self.relayed and number in self.relay.resting:
            return False
        return quiet > (limit if waits else SLOW_HUB * limit)

    def piece(self, stream: Stream) -> int:
        """Bytes to write at once."""
        return piece_bytes(self._may_wait(stream))

    def _may_wait(self, stream: Stream) -> int:
        info = stream.info()
        sharing = share(self.wanted) if self.relayed else self.wanted
        return unsent_bytes(self.rate, sharing, 0 if info is None else info.pacing)

    async def room(self, stream: Stream, rank: Rank, size: int) -> None:
        """Until `size` bytes of `rank` may be written on a stream."""
        stream.rank = rank
        began = self.clock.monotonic()
        while self._held(stream, rank) and self.clock.monotonic() - began < TRICKLE_SECONDS:  # noqa: ASYNC110  # the kernel rings no bell
            await asyncio.sleep(LOOK_SECONDS)
        while stream.unsent() > self._may_wait(stream):
            self.may_send(stream.number)  # it is at work: its team is not quiet
            await asyncio.sleep(LOOK_SECONDS)
        stream.written += size

    def _held(self, stream: Stream, rank: Rank) -> bool:
        if self._goes_first(stream, rank) or self._makes_way(stream):
            return True
        if stream.slow:
            return False  # so that it can end
        if self.may_send(stream.number):
            return self._drains(stream.number)
        others = [one.rank for one in self.streams.values() if one is not stream and one.rank is not None]
        return not others or rank >= min(others)  # what is urgent waits for no turn

    def _drains(self, number: int) -> bool:
        """Whether what the team before has sent still fills a queue on the line.

        The first round trip of a turn is what BBR takes for the shortest: with that queue in it, queues would
        grow from turn to turn. So it begins when what went before leaves the queue, and the line never idles.
        """
        turn, now = self.relay.since, self.clock.monotonic()
        if not self.relayed or turn is None or number in (resting := self.relay.resting):
            return False
        before = [info for one in resting if one in self.streams and (info := self.streams[one].info())]
        if self._turn != turn:
            queues = (info.round_trip - info.least_trip for info in before if info.flying and info.least_trip)
            self._turn, self._left_at, self._queue = turn, now, max(queues, default=0.0)
        if sum(info.unsent for info in before) > LEFT_OVER:
            self._left_at = now
        return now < min(self._left_at + self._queue, turn + OVERLAP_SECONDS)

    def _goes_first(self, stream: Stream, rank: Rank) -> bool:
        limit = self.clock.monotonic() - HOLD_SECONDS
        return any(
            other.rank is not None and other.rank < rank and other.moved_at > limit
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
        if stream.slow or (urgent := self.urgent()) is None:
            return False
        return self._next_free(urgent) not in (None, stream.number)

    def _frames(self) -> list[overtaking.Frame]:
        """What is being written by those who may send and on which something moves."""
        limit = self.clock.monotonic() - HOLD_SECONDS
        resting = self.relay.resting if self.relayed else frozenset[int]()
        return [
            overtaking.Frame(one.number, one.rank[0], one.left)
            for one in self.streams.values()
            if one.rank is not None and one.number not in resting and one.moved_at > limit
        ]

    def sample(self) -> None:
        """Look at all connections; call it every `SAMPLE_SECONDS`."""
        now = self.clock.monotonic()
        came, arrived = 0, 0
        trips: list[float] = []
        counts = [0, 0]
        burst = 0.0
        resting = self.relay.resting if self.relayed else frozenset[int]()
        for stream in self.streams.values():
            info = stream.info()
            moved = self._moved(stream, info, trips, counts)
            if moved:
                stream.moved_at = self.progress_at = now
            came += moved
            arrived += moved if info is None or not info.delivered else info.delivered - stream.delivered
            stream.delivered = 0 if info is None else info.delivered
            if info is not None and stream.number not in resting:
                burst += info.delivery
        self._burst = max(burst, SETTLED * self._burst)
        self.carried += came
        if trips and self.direct:
            self.round_trip = min(trips)
        busy = any(stream.rank is not None for stream in self.streams.values())
        self._busy = self._busy + now - self._sampled_at if busy and self._sampled_at is not None else 0.0
        self._turning = self._turning or (busy and self._long())
        if self._sampled_at is not None and busy:
            self._meter.add(now - self._sampled_at, came)
            self._arrivals.add(now - self._sampled_at, arrived)
            self._loss.add(now - self._sampled_at, *counts)
        self._sampled_at = now if busy else None
        if busy:
            self._worked_at = now
            self._full = max(self._arrivals.best, FULL * self._full)
        if self.relayed:
            self._judge(over=self.relay.over(now + SAMPLE_SECONDS))
            self._full *= GROWN if self._held_back() else 1.0
        self._share_out()

    def _long(self) -> bool:
        """Whether there is so much to do that turns are worth their beginning."""
        sure = self._meter.seconds >= SURE
        return self._busy >= LONG or (sure and self._busy + self.ahead() / self.capacity >= LONG)

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

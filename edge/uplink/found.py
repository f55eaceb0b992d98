"""Which connections have found what the line carries. Pure.

BBR finds a line's rate in a few round trips when it starts, since it doubles what it sends. What it finds
beside others or on a bad moment may be far too little, and afterwards it tries a quarter more every eight
round trips: at 600 ms that is a minute. So such a connection is better replaced.

A newcomer beside those that send is therefore given its part of the line: the kernel lets it send no more
than that, so that its looking overflows no queue, and the others leave it what it is about to send. Bare
TCP, 10 Mbit/s, 600 ms and 2 % loss, two newcomers beside two others, four tries: so they found 43 to 52 % of
the line each, but one; without that 7 to 28 %.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from gateway.sockets import TcpInfo

LOOKED_TRIPS = 4.0
"""A connection has done looking when it has carried what its share of the line is in so many round trips."""
SHARE = 0.6
"""It has found the line if it would send so much of its share."""
ENOUGH, LITTLE = 0.85, 0.3
"""If its team sends so much of all, so much will do."""
SPARE = 1.1
"""What may be sent of what the line was seen to carry: headers and repeated segments count as sent."""
GROWTH = 2.0
"""What a newcomer sends in a round trip, of what it sent in the one before."""
LEAST = 0.2
"""Of the line, what those who send keep."""
REACHED, FREE = 0.98, 1.1
"""Who sends so much of what it may, while a round trip takes no more than so many times the shortest, could
send more: the line has become faster, or a budget that held it back is over."""


@dataclass(frozen=True, slots=True)
class Line:
    """What the line has shown so far.

    Attributes:
        full: bytes a second that it carried at most over some time; 0 before anything is known.
        round_trip: seconds.
        sharing: connections that send on it at the same time.
    """

    full: float
    round_trip: float
    sharing: int

    def looked(self, info: TcpInfo) -> bool:
        """Whether a connection has found what it can: BBR says so, or it has carried enough."""
        if self.full <= 0:
            return False
        if info.found:
            return not info.looking
        return info.acknowledged * self.sharing >= LOOKED_TRIPS * self.full * self.round_trip

    def found(self, info: TcpInfo, *, little: bool = False) -> bool:
        """Whether it would send what it should, or a `little`. Who looks sends more than it has found."""
        return (info.found or info.pacing) * self.sharing >= (LITTLE if little else SHARE) * self.full

    def knows(self, info: TcpInfo) -> bool:
        """Whether it has found what the line carries."""
        return self.looked(info) and self.found(info)

    def worth(self, info: TcpInfo | None) -> int:
        """How good it is to send much: the more the better; 0: a new one is better; None: nobody can tell."""
        if info is None:
            return 1
        return 0 if self.looked(info) and not self.found(info) else 1 + info.window

    def enough(self, infos: Iterable[TcpInfo]) -> bool:
        """Whether those who send together would fill the line."""
        return sum(info.found or info.pacing for info in infos) >= ENOUGH * self.full

    @property
    def part(self) -> int | None:
        """Bytes a second that a newcomer may send; None: nobody knows."""
        return int(SPARE * self.full / self.sharing) or None

    @staticmethod
    def held_back(info: TcpInfo, limit: int | None) -> bool:
        """Whether a connection would send more than its `limit`, and the line would carry it."""
        no_queue = info.least_trip > 0 and info.round_trip <= FREE * info.least_trip
        return limit is not None and no_queue and info.found >= REACHED * limit

    def limits(
        self, senders: Mapping[int, TcpInfo], newcomers: Mapping[int, TcpInfo]
    ) -> dict[int, int | None]:
        """Bytes a second that each connection may send at most; None: as much as it likes.

        Args:
            senders: who know the line, by number.
            newcomers: who look for its rate beside them.
        """
        part = self.part
        if part is None:
            return dict.fromkeys([*senders, *newcomers])
        taken = sum(min(part, GROWTH * info.found) for info in newcomers.values())
        left = max(SPARE * self.full - taken, LEAST * self.full)
        weights = {number: info.found or part for number, info in senders.items()}
        of_all = left / max(1, sum(weights.values()))
        limits: dict[int, int | None] = dict.fromkeys(newcomers, part)
        return limits | {number: int(weight * of_all) for number, weight in weights.items()}

"""Which connections have found what the line carries. Pure.

BBR finds a line's rate in a few round trips when it starts, since it doubles what it sends. What it finds
beside others or on a bad moment may be far too little, and afterwards it tries a quarter more every eight
round trips: at 600 ms that is a minute. So such a connection is better replaced.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from gateway.sockets import TcpInfo

LOOKED_TRIPS = 4.0
"""A connection has done looking when it has carried what its share of the line is in so many round trips."""
SHARE, ENOUGH = 0.6, 0.85
"""It has found the line if it would send so much of its share; or if its team sends so much of all."""


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
        """Whether a connection has carried enough to have found what it can."""
        return (
            self.full > 0 and info.acknowledged * self.sharing >= LOOKED_TRIPS * self.full * self.round_trip
        )

    def found(self, info: TcpInfo) -> bool:
        """Whether it would send as much as it should. One that still looks sends more than it has found."""
        return info.pacing * self.sharing >= SHARE * self.full

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
        return sum(info.pacing for info in infos) >= ENOUGH * self.full

"""When BBR begins anew on a connection, and how much it may send meanwhile. Pure.

BBR (draft-cardwell-iccrg-bbr-congestion-control-00, §4.3.5) wants a new least round trip every ten seconds
and, unless it sees one by chance, sends next to nothing for a round trip: at 600 ms that is 8 % of the line,
and streams beside each other do so together. And what it has found too little of at a bad moment it corrects
by a quarter every eight round trips. Set anew (`sockets.begin_anew`) it starts with the least round trip that
TCP itself remembers, and doubles what it sends with each until it has found the rate. Held meanwhile to what
it had, or to what the others leave, it overflows no queue, and the line stays full.

TCP remembers for minutes (`tcp_min_rtt_wlen`). So where a round trip has become much longer, the line may be
another one, and BBR is left to look for itself.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from gateway.sockets import TcpInfo

EVERY = 8.0
"""Seconds: less than BBR's ten."""
LOOKED_TRIPS = 4.0
"""Round trips in which one that began anew has found what it may."""
LOOKED_SECONDS = 0.25
GIVEN_UP = 3.0
"""Times that, after which it is let go on whatever it does."""
LITTLE = 0.5
"""One that has found so much of what the others leave is not worth a new beginning before its time."""
FAILED = 0.8
"""Of what the line was seen to carry, what is believed after one was let look for more and found little:
else a line that has become slower would be overflowed until the rate of before is forgotten."""
SPARE = 1.1
"""What may be sent of what the line was seen to carry: headers and repeated segments count as sent."""
QUEUE = 1.2
"""So many times the shortest round trip: a queue shows."""
FAR = 2.5
"""So many times: it may be another line."""
LONG_TRIP = 0.05
"""Seconds: at shorter ones BBR has done looking from one look at it to the next."""
GROWING = 1.25
"""So many times what it had found a round trip ago: it has not passed the line's rate yet, by BBR's rule."""
SURE = 64 << 10
"""Bytes a connection must have carried before what it shows of the line is believed."""
MEMORY_SECONDS = 3.0
"""For so long it is remembered what a connection had found."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where one connection stands.

    Attributes:
        info: what the kernel tells.
        seconds: since BBR began on it.
        limit: bytes a second it is held to; None: it is not.
        held: seconds for which it has been.
        left: bytes a second that the line carried at most and others have not found; 0: nobody knows.
        before: bytes a second that it had found a round trip ago; 0: nobody knows.
    """

    info: TcpInfo
    seconds: float
    limit: int | None = None
    held: float = 0.0
    left: float = 0.0
    before: int = 0

    @property
    def begins(self) -> int | None:
        """Bytes a second to be held to while BBR begins anew now; None: it is not the time."""
        info = self.info
        if not info.found or not info.unsent or self.limit is not None:
            return None  # it has nothing to say, or too little to send: then nobody looks
        if info.looking:
            return None  # what it has found so far may be of a few words that were said on an idle line
        if info.least_trip <= 0 or info.round_trip > FAR * info.least_trip:
            return None
        due = self.seconds >= EVERY
        poor = self.seconds >= self._looked and info.found < LITTLE * self.left
        return int(max(info.found, self.left)) if due or poor else None

    @property
    def overflows(self) -> int | None:
        """Bytes a second to be held to, as it looks for a rate that it has passed; None: it has not."""
        info = self.info
        if (
            not info.looking
            or self.limit is not None
            or info.acknowledged < SURE
            or info.least_trip < LONG_TRIP
        ):
            return None
        if info.on_way < info.found * info.least_trip or info.found >= GROWING * self.before:
            return None  # a round trip may have become longer by itself
        return info.found if info.round_trip >= QUEUE * info.least_trip else None

    @property
    def ends(self) -> bool:
        """Whether it need be held no longer."""
        if self.limit is None:
            return False
        return self.held >= (GIVEN_UP if self.info.looking else 1.0) * self._looked

    @property
    def failed(self) -> bool:
        """Whether it found little of what it was let look for."""
        return self.limit is not None and 0 < self.info.found < LITTLE * self.limit

    @property
    def _looked(self) -> float:
        return LOOKED_TRIPS * self.info.round_trip + LOOKED_SECONDS


def roomy(info: TcpInfo) -> bool:
    """Whether a connection still doubles what it sends, on a line that has room beside it: no queue shows."""
    return info.looking and info.least_trip >= LONG_TRIP and info.round_trip < QUEUE * info.least_trip


class Found:
    """What one connection had found lately."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def look(self, now: float, found: int, round_trip: float) -> int:
        """Remember it. Returns what it was a round trip ago; 0: nobody knows."""
        before = next((value for at, value in reversed(self._seen) if now - at >= round_trip), 0)
        self._seen.append((now, found))
        while now - self._seen[0][0] > MEMORY_SECONDS:
            self._seen.popleft()
        return before


def left(full: float, others: float) -> float:
    """Bytes a second that are left of a line, where others have found so much; 0: nobody knows."""
    return max(0.0, SPARE * full - others)

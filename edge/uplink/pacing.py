"""How much goes where on the line, how fast it is, when to try again. Pure: time is handed in."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from gateway.backoff import Backoff

EXCHANGE_SECONDS, PROXIED_SECONDS = 600.0, 30.0
"""What one exchange should carry: so long that the next one, often on a connection that has to find the
line's rate anew, does not show; not longer than needed through a proxy, which may hold back a whole body."""
MIN_EXCHANGE = 8 << 20
MAX_EXCHANGE = 1 << 30
"""Bytes of one exchange."""
WINDOW_SECONDS = 10.0
BEST_SECONDS = 3.0
"""Over which the most is taken that the line has carried: after a loss, acknowledgements come in heaps."""

WINDOWS, LOSS_SECONDS, LOSS_SEGMENTS = 3, 4.0, 400
"""How loss is measured: windows of at least so many seconds and segments."""

UNSENT_SECONDS = 0.25
"""What may wait unsent in the machine's buffers; what is urgent can no longer overtake it."""
PACED_SECONDS = 0.1
"""What must wait unsent, or TCP finds nothing to send when it may: BBR then measures us instead of the
line, and goes on looking for its rate by sending nearly three times as much as the line carries."""
LEAST_UNSENT, MOST_UNSENT = 8 << 10, 4 << 20
UNSENT_AT_FIRST = 64 << 10
"""While the rate is not known."""
LEAST_PIECE, MOST_PIECE = 4 << 10, 256 << 10
"""Bytes written at once; between two pieces something urgent may go first."""

BBR = "bbr"
WINDOW_BYTES = 2 << 20
"""What one connection has on its way at most at hosts that nobody has tuned: Linux' `tcp_rmem` of 6 MB."""
BY_BBR = 2
"""One stream fills the line, the other what it leaves while it probes."""
FEW, MANY, MOST = 4, 8, 16
"""Streams that share the line where loss makes each of them shy: without loss, with some, with much."""
SOME_LOSS, MUCH_LOSS = 0.001, 0.005

HEDGE_SHARE = 0.02
HEDGE_AT_FIRST = 2 << 20
"""Bytes that may be sent twice: this share of all, and so much at the start."""


def exchange_bytes(rate: float, streams: int, seconds: float = EXCHANGE_SECONDS) -> int:
    """Sealed bytes one exchange should carry.

    Args:
        rate: measured bytes per second of all streams together; 0 if unknown.
        streams: how many share it.
        seconds: of the line.
    """
    return max(MIN_EXCHANGE, min(MAX_EXCHANGE, int(rate / max(1, streams) * seconds)))


def unsent_bytes(rate: float, streams: int, pacing: float = 0.0) -> int:
    """Bytes of one stream that may wait unsent in the machine's buffers.

    Args:
        rate: as above.
        streams: as above.
        pacing: bytes a second at which TCP would send on this one now; 0 if unknown.
    """
    wanted = int(rate / max(1, streams) * UNSENT_SECONDS) if rate > 0 else UNSENT_AT_FIRST
    return max(LEAST_UNSENT, min(MOST_UNSENT, max(wanted, int(pacing * PACED_SECONDS))))


def piece_bytes(unsent: int) -> int:
    """Bytes to write at once, where so many may wait unsent."""
    return max(LEAST_PIECE, min(MOST_PIECE, unsent // 2))


def streams_wanted(congestion: str, loss: float, rate: float, round_trip: float, most: int) -> int:
    """How many streams fill the line.

    Args:
        congestion: the kernel's congestion control, such as ``bbr``.
        loss: share of the segments that had to be sent again.
        rate: bytes per second; 0 if unknown.
        round_trip: seconds; 0 if unknown.
        most: as configured.
    """
    windows = int(-(-rate * round_trip // WINDOW_BYTES))
    if congestion.startswith(BBR):
        wanted = max(BY_BBR, windows)
    else:
        wanted = max(FEW if loss < SOME_LOSS else MANY if loss < MUCH_LOSS else MOST, windows)
    return max(1, min(most, wanted))


@dataclass(slots=True)
class Allowance:
    """How much may be sent twice."""

    left: float = HEDGE_AT_FIRST

    def sent(self, size: int) -> None:
        """`size` bytes were sent for the first time."""
        self.left = min(self.left + HEDGE_SHARE * size, 16 * HEDGE_AT_FIRST)

    def again(self, size: int) -> None:
        """`size` bytes were sent again."""
        self.left -= size


@dataclass(slots=True)
class Loss:
    """Share of the segments that had to be sent again, apart from what we ourselves cause.

    A connection that finds the line's rate overflows the queue before it for a moment. So the share is
    taken over windows, and follows them only where the last `WINDOWS` agree that it is more, or less.

    Attributes:
        share: 0 to 1; 0 before anything is known.
    """

    share: float = 0.0
    _windows: deque[float] = field(default_factory=lambda: deque(maxlen=WINDOWS))
    _seconds: float = 0.0
    _sent: int = 0
    _repeated: int = 0

    def add(self, seconds: float, sent: int, repeated: int) -> None:
        """In the last `seconds`, so many segments were sent, so many of them again."""
        self._seconds += seconds
        self._sent += sent
        self._repeated += repeated
        if self._seconds < LOSS_SECONDS or self._sent < LOSS_SEGMENTS:
            return
        self._windows.append(self._repeated / self._sent)
        self._seconds, self._sent, self._repeated = 0.0, 0, 0
        if len(self._windows) == WINDOWS:
            self.share = max(min(self._windows), min(self.share, max(self._windows)))


@dataclass(slots=True)
class Meter:
    """Bytes per second over the last `WINDOW_SECONDS` in which there was something to send."""

    _seen: deque[tuple[float, int]] = field(default_factory=deque)  # seconds, bytes
    _seconds: float = 0.0
    _bytes: int = 0
    _best: float | None = None  # as long as nothing was added

    def add(self, seconds: float, size: int) -> None:
        """In the last `seconds`, all of them busy, `size` bytes were acknowledged."""
        self._seen.append((seconds, size))
        self._seconds += seconds
        self._bytes += size
        self._best = None
        while self._seconds - self._seen[0][0] > WINDOW_SECONDS:
            old, gone = self._seen.popleft()
            self._seconds -= old
            self._bytes -= gone

    @property
    def seconds(self) -> float:
        """Over which it has been measured of late; at most `WINDOW_SECONDS`."""
        return self._seconds

    @property
    def rate(self) -> float:
        """Bytes per second, as last measured; 0 before."""
        return self._bytes / self._seconds if self._seconds >= 0.5 else 0.0

    @property
    def best(self) -> float:
        """The most of them in a few seconds: what the line can carry, if it is given enough."""
        if self._best is None:
            self._best = self._most()
        return self._best

    def _most(self) -> float:
        most = self.rate
        seconds, size, held = 0.0, 0, deque[tuple[float, int]]()
        for one in self._seen:
            held.append(one)
            seconds, size = seconds + one[0], size + one[1]
            while seconds - held[0][0] >= BEST_SECONDS:
                old, gone = held.popleft()
                seconds, size = seconds - old, size - gone
            if seconds >= BEST_SECONDS:
                most = max(most, size / seconds)
        return most


@dataclass(slots=True)
class Lately:
    """Bytes per second that arrived in the last `WINDOW_SECONDS`, whether something was to be sent or not."""

    _seen: deque[tuple[float, int]] = field(default_factory=deque)  # monotonic seconds, bytes since the start

    def look(self, now: float, carried: int) -> None:
        """By `now`, `carried` bytes have arrived since the start."""
        self._seen.append((now, carried))
        while now - self._seen[0][0] > WINDOW_SECONDS:
            self._seen.popleft()

    @property
    def rate(self) -> float:
        """0 before anything is known."""
        if len(self._seen) < 2:
            return 0.0
        (began, before), (now, carried) = self._seen[0], self._seen[-1]
        return (carried - before) / (now - began) if now > began else 0.0


@dataclass(slots=True)
class Gate:
    """Whether the line may be tried now. One try at a time while it is down; failures only ever delay.

    Attributes:
        backoff: how long to wait.
        online: whether the last try reached the hub.
        since: when that began, monotonic seconds.
        reason: what went wrong, in plain words.
        next_try: when the next try is due, monotonic seconds.
    """

    backoff: Backoff
    online: bool = True
    since: float = 0.0
    reason: str = ""
    next_try: float = 0.0
    failures: int = 0
    _probing: bool = False

    def open(self, now: float) -> bool:
        """Ask to try. While the line is down only the first who asks when it is due may."""
        if self.online:
            return True
        if now < self.next_try or self._probing:
            return False
        self._probing = True
        return True

    def worked(self, now: float) -> bool:
        """The hub answered. Returns whether that is news."""
        news = not self.online
        if news:
            self.since = now
        self.online, self.failures, self.reason, self._probing = True, 0, "", False
        return news

    def failed(self, now: float, reason: str, chance: float, retry_after: float | None = None) -> bool:
        """A try failed. Several streams that fall together count as one failure. Returns if that is news."""
        if not self.online and not self._probing:
            return False
        if self.online:
            self.since = now
        news = self.online or reason != self.reason
        self.failures += 1
        wait = self.backoff.delay(self.failures, chance)
        self.online, self.reason, self._probing = False, reason, False
        self.next_try = now + max(wait, retry_after or 0.0)
        return news

    def released(self) -> None:
        """Whoever was let through gave up without trying."""
        self._probing = False

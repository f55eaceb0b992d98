"""Which way of coding ends soonest on this link with this CPU. Pure.

Coding and sending overlap: piece after piece goes through two stations, the CPU and the line. For `n`
equal pieces that take `c` and `s` seconds each, the last has been sent after ``c + s + (n − 1) × max(c, s)``
(a flow shop of two machines). While the line still has other things to carry, coding costs nothing: with
`b` seconds of them the first `c` is ``max(c, b)``. ``raw`` needs no coding and is always among the ways, so
what is chosen never ends later than it. A way that costs the CPU much to save the line little is not taken.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gateway.codec.plan import STRIP
from gateway.codec.way import RAW, Way

GAIN = 0.99
"""A slower way must cost at least 1 % less, other things on the line left out."""
PRICE = 0.03
"""Seconds of the line that a second of a core's work must save: the CPU has other things to do."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What one way would cost.

    Attributes:
        way: the codec and its level.
        ratio: original bytes to coded bytes.
        speed: original bytes a second, of one core, with decoding to compare.
        coding, sending: seconds for all of it, each by itself.
        ends: seconds until the last byte has been sent.
    """

    way: Way
    ratio: float
    speed: float
    coding: float
    sending: float
    ends: float

    def costs(self, total: int) -> float:
        """Seconds until it has been sent, and the price of the CPU's work on `total` bytes."""
        return self.ends + PRICE * total / self.speed


@dataclass(frozen=True, slots=True)
class Choice:
    """The way that ends soonest, and what was weighed.

    Attributes:
        way: chosen.
        estimates: of every way that was weighed. Left out are those whose coding alone would end too late.
    """

    way: Way
    estimates: tuple[Estimate, ...]

    @property
    def best(self) -> Estimate:
        """The estimate of the chosen way."""
        return next(each for each in self.estimates if each.way == self.way)

    @property
    def why(self) -> str:
        """One line for status and log."""
        others = ", ".join(
            f"{each.way.name} {each.ends:.2f} s" for each in self.estimates if each.way != self.way
        )
        best = self.best
        return (
            f"{self.way.name} ends in {best.ends:.2f} s (ratio {best.ratio:.2f}, coding {best.coding:.2f} s, "
            f"sending {best.sending:.2f} s); {others}"
        ).rstrip("; ")


def choose(
    ways: Sequence[Way],
    *,
    size: int,
    waiting: int = 0,
    link: float,
    cores: float,
    busy: float = 0.0,
    handling: float = 0.0,
    piece: int = STRIP,
    speed: Callable[[Way], float],
    ratio: Callable[[Way], float],
    probing: Callable[[Way], float] = lambda _: 0.0,
) -> Choice:
    """Weigh the ways.

    Args:
        ways: that fit the instance, from the fastest to the slowest; ``raw`` need not be among them.
        size: bytes of the instance.
        waiting: bytes of its like behind it, which will be coded the same way.
        link: bytes a second the line carries.
        cores: idle cores that can code at once, perhaps part of one.
        busy: seconds for which the line has other things to carry.
        handling: seconds a byte costs besides, if it is coded at all: reading, sealing and comparing.
        piece: bytes that are coded before any of them is sent, at most.
        speed: what a way codes with one core, bytes a second.
        ratio: how much smaller a way makes it. May be dear (a probe), so it is asked for only when a way's
            coding alone would not end too late.
        probing: seconds it takes to find that out.
    """
    total = max(size + waiting, 1)
    pieces = max(1, round(total / min(max(size, 1), max(piece, 1))))
    parts = max(1, round(total / min(max(size, 1), STRIP)))  # that can be coded at the same time
    busy = max(busy, 0.0)
    line = _Line(link, busy, pieces)
    raw = _estimate(RAW, total, line, coding=0.0, ratio=1.0, speed=float("inf"))
    estimates = [raw]
    best = raw
    for way in ways:
        if way == RAW:
            continue
        rate = speed(way) * max(min(cores, parts), 0.1)
        coding = total / rate + total * handling
        if coding + probing(way) >= best.ends:
            continue
        estimate = _estimate(way, total, line, coding=coding, ratio=max(ratio(way), 1e-3), speed=speed(way))
        estimates.append(estimate)
        if estimate.costs(total) - busy < (best.costs(total) - busy) * GAIN:
            best = estimate
    return Choice(best.way, tuple(estimates))


@dataclass(frozen=True, slots=True)
class _Line:
    link: float
    busy: float
    pieces: int


def _estimate(way: Way, total: int, line: _Line, *, coding: float, ratio: float, speed: float) -> Estimate:
    sending, pieces = total / ratio / max(line.link, 1.0), line.pieces
    each = max(coding, sending) / pieces
    ends = max(coding / pieces, line.busy) + sending / pieces + (pieces - 1) * each
    return Estimate(way, ratio, speed, coding, sending, ends)

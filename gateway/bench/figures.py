"""From samples to figures. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gateway.bench.link import Shape

STEADY = (0.1, 0.9)
"""Between these parts of its bytes a transfer is neither beginning nor ending."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One moment.

    Attributes:
        at: seconds since the first C-STORE.
        arrived: bytes that have come out of the link at the hub, headers and repeats included.
        sealed: sealed bytes the edge has made of what it took.
        confirmed: sealed bytes the hub has given receipts for.
        waiting: parcels without a receipt.
        instances: with a receipt.
    """

    at: float
    arrived: int
    sealed: int
    confirmed: int
    waiting: int
    instances: int


@dataclass(frozen=True, slots=True)
class Packed:
    """One parcel as the edge coded it.

    Attributes:
        at: seconds since the first C-STORE.
        plain: bytes before.
        coded: bytes after.
        ways: codec → instances.
    """

    at: float
    plain: int
    coded: int
    ways: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Figures:
    """What one transfer came to. None: could not be taken.

    Attributes:
        original: bytes of all datasets.
        coded: payload that carried them: sealed bytes here, dataset bytes with a peer.
        wire: bytes put on the link, headers and repeats included.
        seconds: from the first C-STORE to the last receipt; with a peer, of its transfer alone.
        finished: False: it was stopped then.
        first_image: seconds until the hub had the first image.
        stat: seconds until the hub had a STAT study that came in the middle.
        utilisation: payload by what the link could have carried in that time.
        steady: the same between `STEADY` parts of the transfer.
        effective: original bytes by what the link could have carried.
        limit: seconds the link needs for the payload, and one round trip.
        ratio: seconds by limit.
    """

    original: int
    coded: int
    wire: int
    seconds: float
    finished: bool = True
    first_image: float | None = None
    stat: float | None = None
    utilisation: float | None = None
    steady: float | None = None
    effective: float | None = None
    limit: float | None = None
    ratio: float | None = None


def work_out(
    shape: Shape | None,
    samples: Sequence[Sample],
    *,
    original: int,
    coded: int,
    wire: int,
    seconds: float,
    finished: bool = True,
    first_image: float | None = None,
    stat: float | None = None,
) -> Figures:
    """The figures of one transfer.

    Args:
        shape: of the link; None if there was none: nothing is said of what it could have carried.
        samples: in order of time; may be none.
        original: see `Figures`, as the rest.
        coded: likewise.
        wire: likewise.
        seconds: likewise.
        finished: likewise.
        first_image: likewise.
        stat: likewise.
    """
    taken = Figures(original, coded, wire, seconds, finished, first_image, stat)
    if shape is None or not finished:
        return taken
    could = shape.rate / 8 * seconds
    limit = coded * 8 / shape.rate + shape.rtt
    return Figures(
        original,
        coded,
        wire,
        seconds,
        finished,
        first_image,
        stat,
        utilisation=coded / could,
        steady=steady(samples, coded, shape.rate),
        effective=original / could,
        limit=limit,
        ratio=seconds / limit,
    )


def steady(samples: Sequence[Sample], coded: int, rate: float) -> float | None:
    """Part of the link's rate that carried payload in the middle of a transfer; None if it was too short."""
    if len(samples) < 2:
        return None
    first, total = samples[0].arrived, samples[-1].arrived - samples[0].arrived
    if total <= 0:
        return None
    middle = [s for s in samples if STEADY[0] * total <= s.arrived - first <= STEADY[1] * total]
    if len(middle) < 2 or middle[-1].at <= middle[0].at:
        return None
    moved = (middle[-1].arrived - middle[0].arrived) * min(1.0, coded / total)
    return moved * 8 / rate / (middle[-1].at - middle[0].at)


def rates(samples: Sequence[Sample], window: float = 1.0) -> list[tuple[float, float]]:
    """(seconds, bits per second out of the link), each over at least `window` seconds."""
    found, last = [], samples[0] if samples else None
    for sample in samples[1:]:
        if last is not None and sample.at - last.at >= window:
            found.append((sample.at, (sample.arrived - last.arrived) * 8 / (sample.at - last.at)))
            last = sample
    return found

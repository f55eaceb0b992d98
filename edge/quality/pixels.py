"""A cheap statistic of one frame: whether anything is on it, and whether it was cut off. Pure.

One frame in the middle is sampled at up to `SIDE` × `SIDE` places; the corners are looked at pixel by
pixel, since that is where devices write text.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

SIDE = 192
"""Places sampled along each edge of a frame."""

CORNER_ROWS, CORNER_COLUMNS = 48, 160
"""Pixels of a corner that are looked at for writing."""

LARGEST_FRAME = 256 << 20
_TYPES = {(8, False): "u1", (8, True): "i1", (16, False): "u2", (16, True): "i2"}


@dataclass(frozen=True, slots=True)
class Statistic:
    """One frame.

    Args:
        low: the smallest sampled value.
        high: the largest.
        top: share of samples at the largest value that fits the stored bits, 0 to 1.
        bottom: likewise at the smallest.
        writing: share of sharp edges in the corner that has most of them, where it else is flat; 0 to 1.
        stored: bits of a value.
    """

    low: int
    high: int
    top: float
    bottom: float
    writing: float
    stored: int

    @property
    def blank(self) -> bool:
        """Whether every sample has one value."""
        return self.low == self.high


def measure(
    data: memoryview,
    *,
    rows: int,
    columns: int,
    samples: int,
    frames: int,
    allocated: int,
    stored: int,
    signed: bool,
    little: bool,
) -> Statistic | None:
    """Measure the middle frame of native pixel data (PS3.5 §8.1.1).

    Returns:
        None for what is not measured: other depths than 8 and 16 bits, colour by planes of odd sizes,
        data shorter than it claims.
    """
    kind = _TYPES.get((allocated, signed))
    size = rows * columns * samples * allocated // 8
    if kind is None or samples not in (1, 3) or not 0 < size <= LARGEST_FRAME or not 0 < stored <= allocated:
        return None
    start = frames // 2 * size
    if start + size > len(data):
        return None
    order = "<" if little else ">"
    frame = np.frombuffer(data[start : start + size], dtype=np.dtype(order + kind))
    return statistic(frame.reshape(rows, columns * samples), samples=samples, stored=stored, signed=signed)


def statistic(frame: Any, *, samples: int, stored: int, signed: bool) -> Statistic:
    """Measure one frame.

    Args:
        frame: rows by columns times samples.
        samples: of a pixel.
        stored: bits of a sample.
        signed: whether it is.
    """
    rows, columns = frame.shape[0], frame.shape[1] // samples
    sampled = frame[:: max(1, rows // SIDE), :: max(1, columns // SIDE)].astype(np.int32)
    low, high = int(sampled.min()), int(sampled.max())
    least, most = (-(1 << stored - 1), (1 << stored - 1) - 1) if signed else (0, (1 << stored) - 1)
    return Statistic(
        low=low,
        high=high,
        top=float((sampled >= most).mean()),
        bottom=float((sampled <= least).mean()),
        writing=_writing(frame, high - low) if samples == 1 else 0.0,
        stored=stored,
    )


def _writing(frame: Any, spread: int) -> float:
    """Letters are sharp steps of full contrast on a flat ground: how much of a corner such steps are."""
    if spread < 8:
        return 0.0
    most = 0.0
    for part in (
        frame[:CORNER_ROWS, :CORNER_COLUMNS],
        frame[:CORNER_ROWS, -CORNER_COLUMNS:],
        frame[-CORNER_ROWS:, :CORNER_COLUMNS],
        frame[-CORNER_ROWS:, -CORNER_COLUMNS:],
    ):
        steps = np.abs(np.diff(part.astype(np.int32), axis=1))
        if steps.size == 0:
            continue
        sharp, flat = float((steps > spread * 0.4).mean()), float((steps <= max(1, spread // 100)).mean())
        if sharp + flat > 0.97:  # nothing in between: drawn, not seen by a detector
            most = max(most, sharp)
    return most

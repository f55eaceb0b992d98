"""Frames that are still to be decoded: of each series the first and then some, within a bound of memory."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass

from edge.quality.coded import Coded

FIRST, EVERY = 8, 8
"""Of a series the first images are decoded, and then one in so many."""
MOST_BYTES = 64 << 20
"""Of codestreams that wait; what comes beyond is not decoded."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One that waits.

    Attributes:
        study_uid: of which study.
        series_uid: of which series.
        sop_instance_uid: of which image.
        place: of that in the series, as it came.
        coded: the frame.
    """

    study_uid: str
    series_uid: str
    sop_instance_uid: str
    place: int
    coded: Coded


class Later:
    """Not thread-safe: its owner holds a lock."""

    def __init__(self) -> None:
        self._frames: deque[Frame] = deque()
        self._bytes = 0
        self.waiting: Counter[str] = Counter()  # of each study

    def add(self, frame: Frame) -> None:
        """Take it, if its series is to be looked at there and there is room."""
        size = len(frame.coded.stream)
        sampled = frame.place < FIRST or frame.place % EVERY == 0
        if sampled and self._bytes + size <= MOST_BYTES:
            self._frames.append(frame)
            self._bytes += size
            self.waiting[frame.study_uid] += 1

    def next(self) -> Frame | None:
        """The one that waits longest; call `done` when it is decoded."""
        if not self._frames:
            return None
        frame = self._frames.popleft()
        self._bytes -= len(frame.coded.stream)
        return frame

    def done(self, frame: Frame) -> None:
        """It is decoded, or never will be."""
        self.waiting -= Counter((frame.study_uid,))

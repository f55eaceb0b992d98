"""Which stream takes what has become urgent while others are sent. Pure.

A frame that has begun must be ended on its stream, and a new connection takes three round trips before its
first byte and some more until it is as fast as the line: at 100 ms with a queue before the line that was a
second. The stream that is nearest its frame's end is known to be fast; with the whole line to itself it is
soon there. So the others stand still until it is free, and it takes what is urgent next.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

NEW_TRIPS = 6.0
"""Round trips until a new connection is about as quick as the line: TCP, TLS, and what it sends at first."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One that is being written.

    Attributes:
        number: of its stream.
        priority: the more urgent the smaller.
        left: bytes that are not written yet.
    """

    number: int
    priority: int
    left: int


def nearest(frames: Iterable[Frame], urgent: int) -> Frame | None:
    """The frame after which something of priority `urgent` goes; None if something as urgent is sent."""
    found = sorted(frames, key=lambda frame: (frame.left, frame.number))
    if not found or any(frame.priority <= urgent for frame in found):
        return None
    return found[0]

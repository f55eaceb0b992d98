"""Who goes next among parcels of one priority: nobody waits for a giant. Pure.

Start-time fair queueing (Goyal, Vin, Cheng, SIGCOMM 1996): each flow gets its share by bytes, and a
flow that was silent has saved nothing up. A flow is what the spool knows without looking inside a
parcel: the modality. A radiograph that comes behind 2 GB of CT goes as soon as the CT's present parcel.
"""

from __future__ import annotations

from collections import defaultdict


class Turns:
    """Gives every parcel its turn; of two with the same priority the smaller goes first."""

    def __init__(self) -> None:
        self._reached: defaultdict[int, float] = defaultdict(float)  # priority → turn now being sent
        self._ends: defaultdict[int, dict[str, float]] = defaultdict(dict)  # priority → flow → its end

    def give(self, priority: int, flow: str | None, size: int) -> float:
        """The turn of a parcel that has just come.

        Args:
            priority: only parcels of one priority share the line; the more urgent take all of it.
            flow: who sends; None: a word about what was received before, which goes behind all of it.
            size: sealed bytes.
        """
        ends = self._ends[priority]
        reached = self._reached[priority]
        if flow is None:
            return max(reached, *ends.values(), 0.0)
        start = max(reached, ends.get(flow, 0.0))
        ends[flow] = start + size
        return start

    def sent(self, priority: int, turn: float) -> None:
        """A parcel with this turn goes on the line."""
        self._reached[priority] = max(self._reached[priority], turn)

"""Whether one edge's key is used in two places at once. Pure.

Every run of an edge marks its requests with a random word (`RUN_HEADER`), new at each start. Runs follow each
other: once a later one was heard, an earlier one never speaks again, unless two hold the same key. So
*first, second, first* means two, whatever addresses they come from. A thief who leaves the word out is a run
of his own, without a name. One who copies the word of the running edge still shows as two addresses that
take turns; that alone is told more softly, since a line that changes between two providers looks alike.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

RUN_HEADER = "Telerad-Run"
RUN_LIMIT = 64
"""Characters of it that are looked at."""

KEPT = 16
"""Runs of one edge that are remembered."""

WINDOW = 600.0
"""Seconds in which addresses must take turns."""

TURNS = 4
QUIET = 3600.0
"""Seconds between alerts of one kind for one edge."""


@dataclass(slots=True)
class _Edge:
    runs: deque[str] = field(default_factory=lambda: deque(maxlen=KEPT))
    turns: deque[tuple[float, str]] = field(default_factory=lambda: deque(maxlen=TURNS))
    told: dict[str, float] = field(default_factory=dict)


class Uses:
    """Remembers how each edge was heard, since this hub's start."""

    def __init__(self) -> None:
        self._edges: dict[tuple[str, str], _Edge] = {}

    def note(self, who: tuple[str, str], run: str, address: str, now: float) -> str | None:
        """One request of an edge.

        Args:
            who: site and edge.
            run: what it said in `RUN_HEADER`; empty if nothing.
            address: where it came from.
            now: seconds, of a clock that only goes forward.

        Returns:
            What to tell the administrators; None if nothing, or if it was told lately.
        """
        edge = self._edges.setdefault(who, _Edge())
        back = self._returned(edge, run[:RUN_LIMIT])
        swaps = self._swaps(edge, address, now)
        if back:
            words = "its key is used in two places at once: two runs of the edge take turns"
            return _once(edge, "runs", f"{words} (now from {address}); revoke it unless both are yours", now)
        if swaps:
            words = f"its requests come from {' and '.join(swaps)} by turns"
            return _once(
                edge, "addresses", f"{words}: one edge with two lines, or its key in two places", now
            )
        return None

    def once(self, who: tuple[str, str], words: str, now: float) -> str | None:
        """`words` found otherwise about this edge; None if such were told lately."""
        return _once(self._edges.setdefault(who, _Edge()), words[:24], words, now)

    @staticmethod
    def _returned(edge: _Edge, run: str) -> bool:
        if edge.runs and edge.runs[-1] == run:
            return False
        back = run in edge.runs
        edge.runs.append(run)
        return back

    @staticmethod
    def _swaps(edge: _Edge, address: str, now: float) -> list[str]:
        if edge.turns and edge.turns[-1][1] == address:
            return []
        edge.turns.append((now, address))
        quick = len(edge.turns) == TURNS and now - edge.turns[0][0] <= WINDOW
        places = sorted({place for _, place in edge.turns})
        return places if quick and len(places) == 2 else []


def _once(edge: _Edge, kind: str, words: str, now: float) -> str | None:
    if kind in edge.told and now - edge.told[kind] < QUIET:
        return None
    edge.told[kind] = now
    return words

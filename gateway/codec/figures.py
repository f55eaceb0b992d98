"""How fast each way codes here and how small it makes each kind of image: measured while working.

Kept in memory; a restart begins with `START`, measured once on one core of a small server, and is right
again after a few instances. Thread-safe: a single dictionary entry is replaced at a time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from gateway.codec.way import WAYS, Way

MB = 1e6
START: Mapping[str, float] = {
    "zstd-1": 300 * MB,
    "zstd-3": 160 * MB,
    "jxl-1": 120 * MB,
    "htj2k": 120 * MB,
    "jxl-2": 45 * MB,
    "jpegls": 50 * MB,
    "jpeg-jxl": 4 * MB,
    "jxl-3": 27 * MB,
    "zstd-9": 30 * MB,
    "jxl-5": 7 * MB,
    "zstd-19": 2 * MB,
    "jxl-7": 4 * MB,
}
"""Bytes a second, coding and comparing, before anything has been measured."""

WEIGHT = 0.2
"""Of a new figure against the old mean."""

FRESH = 200
"""So many instances of a kind are coded on the strength of one probe; then it is probed again."""

SMALLEST = 16 << 10
"""Fewer bytes say little about speed."""


@dataclass(frozen=True, slots=True)
class _Known:
    ratio: float | None = None
    speed: float | None = None
    used: int = 0  # how often the ratio was asked for since it was measured


class Figures:
    """Means of what was measured, by kind of image and way."""

    def __init__(self, start: Mapping[str, float] = START) -> None:
        self._start = start
        self._known: dict[tuple[str, str], _Known] = {}

    def speed(self, kind: str, way: Way) -> float:
        """Bytes a second with one core: measured for this kind, else for any, else `START`'s."""
        for key in ((kind, way.name), ("", way.name)):
            known = self._known.get(key)
            if known is not None and known.speed is not None:
                return known.speed
        return self._start.get(way.name, float("inf"))

    def knows(self, kind: str, way: Way) -> bool:
        """Whether a ratio was measured, and lately."""
        known = self._known.get((kind, way.name))
        return known is not None and known.ratio is not None and known.used < FRESH

    def ratio(self, kind: str, way: Way) -> float | None:
        """Original to coded bytes; None if it was not measured, or not lately."""
        if not self.knows(kind, way):
            return None
        key = (kind, way.name)
        known = self._known[key]
        self._known[key] = replace(known, used=known.used + 1)
        return known.ratio

    def observe(self, kind: str, way: Way, plain: int, coded: int, seconds: float) -> None:
        """Take in what coding `plain` bytes to `coded` took, in seconds of one core."""
        if plain <= 0 or coded <= 0:
            return
        for key, ratio in (((kind, way.name), plain / coded), (("", way.name), None)):
            known = self._known.get(key, _Known())
            speed = plain / seconds if seconds > 0 and plain >= SMALLEST else None
            self._known[key] = _Known(
                ratio=_mean(known.ratio, ratio),
                speed=_mean(known.speed, speed),
                used=0 if ratio else known.used,
            )

    def forget(self, kind: str) -> None:
        """Images of this kind shrink otherwise than they did: their ratios are to be measured again."""
        for key, known in list(self._known.items()):
            if key[0] == kind:
                self._known[key] = replace(known, ratio=None)

    def table(self) -> dict[str, dict[str, dict[str, float]]]:
        """Kind → way → figures, for status pages; the kind "" is all together."""
        found: dict[str, dict[str, dict[str, float]]] = {}
        order = [way.name for way in WAYS]
        for (kind, name), known in sorted(self._known.items(), key=lambda item: order.index(item[0][1])):
            figures = {"ratio": known.ratio, "speed": known.speed}
            found.setdefault(kind, {})[name] = {
                word: figure for word, figure in figures.items() if figure is not None
            }
        return found


def _mean(old: float | None, new: float | None) -> float | None:
    if old is None or new is None:
        return old if new is None else new
    return old + WEIGHT * (new - old)

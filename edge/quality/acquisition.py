"""How each series was taken, for the technologist and the reader: kVp, mAs, dose, sequence, TE/TR. Pure."""

from __future__ import annotations

from typing import Any

from edge.quality.glimpse import ACQUISITION, Glimpse
from edge.quality.warning import Study

MOST = 50
"""Series told of one study."""


def acquisition(study: Study) -> list[dict[str, Any]]:
    """Series that say how they were taken, each with its parameters; a range where its images differ."""
    shown = [
        {"series": uid, "parameters": parameters}
        for uid, images in study.series.items()
        if (parameters := _of(images))
    ]
    return shown[:MOST]


def _of(images: list[Glimpse]) -> dict[str, str]:
    found = {}
    for name in ACQUISITION:
        values = {one.taken[name] for one in images if name in one.taken}
        if values:
            found[name] = _range(values)
    return found


def _range(values: set[str]) -> str:
    """One value, or from – to where they are numbers; else the first few."""
    if len(values) == 1:
        return _short(next(iter(values)))
    try:
        numbers = sorted(float(value) for value in values)
    except ValueError:
        several = sorted(values)
        return ", ".join(several[:3]) + (" …" if len(several) > 3 else "")
    return f"{numbers[0]:g}–{numbers[-1]:g}" if numbers[0] != numbers[-1] else f"{numbers[0]:g}"


def _short(value: str) -> str:
    try:
        return f"{float(value):g}"
    except ValueError:
        return value

"""Slices that are missing, or lie unevenly, by where they say they lie (PS3.3 C.7.6.2.1.1).

The slices of a series are taken apart by orientation and by what else tells them apart (echo, time,
acquisition), so that four-dimensional series are judged stack by stack. A single wide step whose
neighbours are regular is a hole; a run of other steps is how some scanners go through a skull.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise
from statistics import median

from edge.quality.glimpse import Glimpse
from edge.quality.warning import QualityWarning, Study, slices

FEWEST = 5
"""Places below which nothing can be called a regular step."""

SAME = 0.01
"""Millimetres within which two slices lie at one place."""

ROUGH = 0.2
"""A step that differs from the usual one by this share of it is another step."""

RUN = 3
"""So many other steps one after another are meant."""


def check(study: Study) -> Iterator[QualityWarning]:
    """Every series, every stack."""
    for uid, images in study.series.items():
        missing, uneven, usual, worst = 0, 0, 0.0, 0.0
        for stack in stacks(slices(images)):
            step, holes, odd = judge(stack)
            missing += sum(holes)
            uneven += len(odd)
            if holes or odd:
                usual, worst = step, max([worst, *odd, *((hole + 1) * step for hole in holes)])
        if missing:
            yield study.warn("slices-missing", uid, missing=missing, step=f"{usual:.2f}")
        if uneven:
            yield study.warn("spacing-uneven", uid, places=uneven, step=f"{usual:.2f}", worst=f"{worst:.2f}")


def stacks(images: Sequence[Glimpse]) -> list[list[float]]:
    """Places along the normal, in order, of each stack that is large enough to judge."""
    grouped: dict[tuple[object, ...], list[float]] = defaultdict(list)
    for one in images:
        if len(one.position) == 3 and len(one.orientation) == 6:
            normal = _cross(one.orientation[:3], one.orientation[3:])
            place = sum(a * b for a, b in zip(normal, one.position, strict=True))
            grouped[(tuple(round(each, 2) for each in one.orientation), *one.stack)].append(place)
    found = [_distinct(places) for places in grouped.values()]
    if found and max(map(len, found)) < FEWEST:  # each image may be its own “acquisition”
        merged: dict[object, list[float]] = defaultdict(list)
        for key, places in grouped.items():
            merged[key[0]] += places
        found = [_distinct(places) for places in merged.values()]
    return [places for places in found if len(places) >= FEWEST]


def judge(places: Sequence[float]) -> tuple[float, list[int], list[float]]:
    """One stack: its usual step, how many slices each hole lacks, and steps that are odd otherwise."""
    steps = [after - before for before, after in pairwise(places)]
    usual = median(steps)
    other = [abs(step - usual) > ROUGH * usual for step in steps]
    holes, odd = [], []
    for at, step in enumerate(steps):
        if not other[at] or _run(other, at) >= RUN:
            continue
        times = step / usual
        if times > 1.5 and abs(times - round(times)) <= ROUGH:
            holes.append(round(times) - 1)
        else:
            odd.append(step)
    return usual, holes, odd


def _run(other: Sequence[bool], at: int) -> int:
    """How many other steps stand together around `at`."""
    first = last = at
    while first > 0 and other[first - 1]:
        first -= 1
    while last + 1 < len(other) and other[last + 1]:
        last += 1
    return last - first + 1


def _distinct(places: Sequence[float]) -> list[float]:
    found: list[float] = []
    for place in sorted(places):
        if not found or place - found[-1] > SAME:
            found.append(place)
    return found


def _cross(a: Sequence[float], b: Sequence[float]) -> tuple[float, float, float]:
    return (a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0])

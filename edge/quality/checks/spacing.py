"""Slices that are missing, or lie unevenly, by where they say they lie (PS3.3 C.7.6.2.1.1).

Slices of a series, and frames of an enhanced image, stack by stack (`planes`). A single wide step whose
neighbours are regular is a hole; a run of other steps is how some scanners go through a skull.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from statistics import median

from edge.quality.planes import stacks
from edge.quality.warning import QualityWarning, Study, slices

ROUGH = 0.2
"""A step that differs from the usual one by this share of it is another step."""

RUN = 3
"""So many other steps one after another are meant."""


def check(study: Study) -> Iterator[QualityWarning]:
    """Every series, every stack."""
    for uid, images in study.series.items():
        missing, uneven, usual, worst = 0, 0, 0.0, 0.0
        for stack in [*stacks(slices(images)), *(stack for one in images for stack in one.stacks)]:
            step, holes, odd = judge(stack)
            missing += sum(holes)
            uneven += len(odd)
            if holes or odd:
                usual, worst = step, max([worst, *odd, *((hole + 1) * step for hole in holes)])
        if missing:
            yield study.warn("slices-missing", uid, missing=missing, step=f"{usual:.2f}")
        if uneven:
            yield study.warn("spacing-uneven", uid, places=uneven, step=f"{usual:.2f}", worst=f"{worst:.2f}")


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

"""Where slices and frames lie along their normal, stack by stack (PS3.3 C.7.6.2.1.1, C.7.6.16.2). Pure.

They are taken apart by orientation and by what else tells images at one place apart (echo, time,
acquisition), so that four-dimensional series are judged stack by stack.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any, Protocol

from gateway.dicom.walk import Element

FEWEST = 5
"""Places below which nothing can be called a regular step."""

SAME = 0.01
"""Millimetres within which two slices lie at one place."""

MOST_FRAMES = 4000
"""Of one instance; of one with more nothing is said."""

SHARED, PER_FRAME = 0x52009229, 0x52009230
PLANES = frozenset(
    (
        0x00209113,  # Plane Position
        0x00209116,  # Plane Orientation
        0x00209111,  # Frame Content
        0x00189114,  # MR Echo
        0x00189117,  # MR Diffusion
    )
)
"""Functional groups that tell where a frame lies, and from which others it is to be told apart."""

_POSITION, _ORIENTATION = 0x00200032, 0x00200037
_APART = (
    0x00209056,  # Stack ID
    0x00209128,  # Temporal Position Index
    0x00189082,  # Effective Echo Time
    0x00189087,  # Diffusion b-value
)


class Placed(Protocol):
    """What lies in the patient."""

    @property
    def position(self) -> tuple[float, ...]:
        """Image Position (Patient), or nothing."""

    @property
    def orientation(self) -> tuple[float, ...]:
        """Image Orientation (Patient), or nothing."""

    @property
    def stack(self) -> tuple[Any, ...]:
        """What tells it apart from others at its place."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame (`Placed`)."""

    position: tuple[float, ...]
    orientation: tuple[float, ...]
    stack: tuple[Any, ...]


def frames(shared: Element | None, each: Element | None) -> list[Frame]:
    """The frames of an enhanced image.

    Args:
        shared: Shared Functional Groups Sequence.
        each: Per-Frame Functional Groups Sequence.
    """
    items = (each.items if each is not None else None) or []
    if len(items) > MOST_FRAMES:
        return []
    common = _found((shared.items or [[]])[0] if shared is not None else [])
    return [_frame(common | _found(item)) for item in items]


def _found(groups: Iterable[Element]) -> dict[int, Element]:
    """The elements in the first items of the groups that are looked at."""
    return {
        element.tag: element
        for group in groups
        if group.tag in PLANES
        for element in (group.items or [[]])[0]
    }


def _frame(found: dict[int, Element]) -> Frame:
    apart = tuple(bytes(found[tag].value or b"") if tag in found else b"" for tag in _APART)
    return Frame(_numbers(found.get(_POSITION), 3), _numbers(found.get(_ORIENTATION), 6), apart)


def _numbers(element: Element | None, count: int) -> tuple[float, ...]:
    text = b"" if element is None else bytes(element.value or b"")
    return numbers(text.decode("ascii").strip(" \0"), count) if text.isascii() else ()


def numbers(text: str, count: int) -> tuple[float, ...]:
    """Exactly so many finite numbers of a DS value, or none at all."""
    try:
        found = tuple(float(part) for part in text.split("\\"))
    except ValueError:
        return ()
    return found if len(found) == count and all(map(isfinite, found)) else ()


def stacks(images: Iterable[Placed]) -> list[list[float]]:
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


def _distinct(places: Sequence[float]) -> list[float]:
    found: list[float] = []
    for place in sorted(places):
        if not found or place - found[-1] > SAME:
            found.append(place)
    return found


def _cross(a: Sequence[float], b: Sequence[float]) -> tuple[float, float, float]:
    return (a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0])

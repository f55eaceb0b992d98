"""Which unsigned items travel in one parcel. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from edge.spool.item import SpoolItem
from gateway.model import ParcelId, Priority

SMALL = 1 << 20
"""Sealed bytes from which an item travels alone."""
MOST = 64
"""Instances of one parcel."""
FIRST = 2
"""Instances of a study's first parcel, so that reading can begin."""


@dataclass(frozen=True, slots=True)
class Group:
    """What goes next.

    Attributes:
        items: in the order they came; the first is the one that goes first of all.
        full: whether nothing could join by waiting.
    """

    items: tuple[SpoolItem, ...]
    full: bool


def group(
    waiting: Sequence[SpoolItem],
    study_of: Callable[[ParcelId], str | None],
    begun: Collection[str],
    target: int,
) -> Group:
    """Choose what is signed next. What is most urgent of all is not gathered: it goes as it came.

    Items are only ever drawn forward to the first one, never put back behind another: a notice still
    follows everything that was received before it.

    Args:
        waiting: unsigned items, most urgent first, then in the order they came; at least one.
        study_of: the study of an item that may travel with others; None if it may not.
        begun: studies of which something has been signed already.
        target: sealed bytes a parcel should have.
    """
    first = waiting[0]
    study = study_of(first.parcel_id)
    if study is None or first.sealed_size >= SMALL or first.priority is Priority.STAT:
        return Group((first,), full=True)
    most = MOST if study in begun else FIRST
    chosen, size, full = [first], first.sealed_size, False
    for item in waiting[1:]:
        if len(chosen) >= most or size >= target:
            break
        if item.priority != first.priority or item.sealed_size >= SMALL:
            continue
        if study_of(item.parcel_id) != study:
            continue
        if size + item.sealed_size > target:
            full = True
            break
        chosen.append(item)
        size += item.sealed_size
    return Group(tuple(chosen), full or len(chosen) >= most or size >= target or study not in begun)

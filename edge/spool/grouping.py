"""Which unsigned items go next, and which of them travel in one parcel. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from edge.spool.item import SpoolItem
from edge.spool.kept import Kept
from gateway.model import ParcelId

SMALL = 1 << 20
"""Sealed bytes from which an item travels alone."""
MOST = 128
"""Instances of one parcel."""
PLAIN = 32 << 20
"""Bytes of a parcel's instances before they are coded: they are held in memory together."""
MIDDLE = 8
"""Instances of a series that wait before its middle one is drawn forward for the first time."""
AGAIN = 4
"""It is done again when so many times more wait: the series was still growing."""

KeptOf = Callable[[ParcelId], Kept | None]


@dataclass(frozen=True, slots=True)
class Group:
    """What goes next.

    Attributes:
        items: in the order they came; the first is the one that goes first of all.
        full: whether nothing could join by waiting.
        lead: whether reading can begin with it.
        again: of a lead, how many instances of its series must wait for the next one.
    """

    items: tuple[SpoolItem, ...]
    full: bool
    lead: bool = False
    again: int = 0


def series_of(kept: Kept) -> str:
    """By what the instances of a series are told."""
    return kept.series or kept.study


def lead(
    waiting: Sequence[SpoolItem], kept_of: KeptOf, begun: Mapping[str, int]
) -> tuple[SpoolItem, int] | None:
    """The first instance of a series that has not begun, or the middle one of what waits of a series.

    Args:
        waiting: unsigned items, most urgent first, then in the order they came; at least one.
        kept_of: what is remembered of an item.
        begun: series that have begun, and how many instances of each must wait for a middle one.

    Returns:
        The item, and the count for `begun` once it is signed; None if there is none.
    """
    series: dict[str, list[tuple[int | None, SpoolItem]]] = {}
    for item in waiting:
        kept = kept_of(item.parcel_id)
        if item.priority == waiting[0].priority and kept is not None and kept.study:
            series.setdefault(series_of(kept), []).append((kept.number, item))
    for uid, found in series.items():
        if uid not in begun:
            return found[0][1], MIDDLE
        if len(found) >= begun[uid]:
            ordered = sorted(found, key=lambda one: (one[0] is None, one[0] or 0))
            return ordered[len(ordered) // 2][1], AGAIN * len(found)
    return None


def group(
    waiting: Sequence[SpoolItem], kept_of: KeptOf, target: int, size_of: Callable[[SpoolItem], float]
) -> Group:
    """Choose what is signed next.

    Items are only ever drawn forward to the first one, never put back behind another: a notice still
    follows everything that was received before it.

    Args:
        waiting: unsigned items, most urgent first, then in the order they came; at least one.
        kept_of: what is remembered of an item; None if it cannot be opened (any more).
        target: coded bytes a parcel should have.
        size_of: coded bytes an item will probably take.
    """
    first = waiting[0]
    kept = kept_of(first.parcel_id)
    if kept is None or not kept.study or first.sealed_size >= SMALL:
        return Group((first,), full=True)
    chosen, plain, size, full = [first], first.sealed_size, size_of(first), False
    for item in waiting[1:]:
        if len(chosen) >= MOST or size >= target:
            break
        if item.priority != first.priority or item.sealed_size >= SMALL:
            continue
        other = kept_of(item.parcel_id)
        if other is None or other.study != kept.study:
            continue
        if size + size_of(item) > target or plain + item.sealed_size > PLAIN:
            full = True
            break
        chosen.append(item)
        plain += item.sealed_size
        size += size_of(item)
    return Group(tuple(chosen), full or len(chosen) >= MOST or size >= target)

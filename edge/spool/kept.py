"""What the spool remembers of items it has sealed itself, in memory alone: how to open them again.

A stolen disk shows nothing, since none of this is ever written. After a restart it is gone, and what
is in the spool goes to the hub as it was sealed.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field

from gateway.model import ParcelId

LIMIT = 100_000
"""Items remembered at once: some tens of megabytes."""


@dataclass(frozen=True, slots=True)
class Kept:
    """How to open one item, and what it may travel with.

    Attributes:
        key: the parcel's own key.
        study: Study Instance UID; empty if it must travel alone.
        series: Series Instance UID; empty if it says none.
        number: Instance Number (PS3.3 C.7.6.1); None if it says none.
    """

    key: bytes = field(repr=False)
    study: str
    series: str = ""
    number: int | None = None


def instance_number(text: str) -> int | None:
    """An integer string (PS3.5 §6.2) as a number; None if it is none."""
    text = text.strip(" \0")
    return int(text) if 0 < len(text) <= 12 and text.lstrip("+-").isdecimal() and text.isascii() else None


class KeptKeys:
    """By parcel. Thread-safe."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._kept: dict[ParcelId, Kept] = {}

    def keep(self, parcel: ParcelId, kept: Kept) -> None:
        """Remember one item, if there is room."""
        with self._lock:
            if len(self._kept) < self._limit:
                self._kept[parcel] = kept

    def get(self, parcel: ParcelId) -> Kept | None:
        """What is remembered of an item."""
        with self._lock:
            return self._kept.get(parcel)

    def drop(self, parcels: Iterable[ParcelId]) -> None:
        """Forget these."""
        with self._lock:
            for parcel in parcels:
                self._kept.pop(parcel, None)

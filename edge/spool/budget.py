"""How much may still be taken in. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.errors import StorageFull

OVERHEAD = 64 << 10
"""Bytes set aside for an item's headers, receipt and index row."""


@dataclass(frozen=True, slots=True)
class Budget:
    """Keeps `reserve` bytes of the disk for receipts, logs and the hospital."""

    reserve: int

    def check(self, free: int, incoming: int) -> None:
        """Whether `incoming` bytes may be written while `free` bytes are left.

        Raises:
            StorageFull: the disk would fall below its reserve.
        """
        if free - incoming - OVERHEAD < self.reserve:
            raise StorageFull(
                f"{incoming} bytes would leave {max(free - incoming, 0)} of the disk free,"
                f" the reserve is {self.reserve}"
            )

    def days_left(self, free: int, per_day: float) -> float | None:
        """Days until the reserve is reached at this rate with nothing leaving; None if nothing comes in."""
        return max(free - self.reserve, 0) / per_day if per_day > 0 else None

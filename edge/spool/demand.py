"""What the line asks of the packer: how long it has to do, and how large the next parcel should be. Pure.

The first parcel of many instances is small, so that the line has something to do at once, and each that
follows it without a pause may be twice as large, up to a second of the line, or two of a thin one: header and
signature are some 3 kB, which weigh less the larger a parcel is.
"""

from __future__ import annotations

from dataclasses import dataclass

ASSUMED = 2.5e6
"""Bytes a second of a line that has not been measured yet."""
FIRST_SECONDS, LINE_SECONDS, THIN_SECONDS = 0.2, 1.0, 2.0
"""What the first parcel of many instances should take of the line; any; and any that is below `ENOUGH`."""
ENOUGH = 512 << 10
"""Coded bytes beside which header and signature weigh nothing."""
LEAST, LARGEST = 128 << 10, 8 << 20
"""Bounds of its size, in coded bytes."""
TARGET = 256 << 10
"""Its size while the line has not been measured."""
LITTLE_SECONDS = 0.25
"""What waits for a line that is given less than it can carry lasts no longer."""
HUNGRY = 2.0
"""Seconds: a line that has less to do must not be kept waiting, whatever comes in: a parcel takes a while to
be coded, signed and taken up."""
SHUT_SECONDS = 3600.0
"""What nothing of may go for now has time to be coded: so much is reckoned with."""


def carries(rate: float, burst: float, queued: int) -> float:
    """Bytes a second to reckon with; 0: not known.

    A line that is given less than it can carry shows a low rate, and would be given ever less, as more time
    were spent on making that smaller: then it counts how fast the little arrived.

    Args:
        rate: measured while there was something to send; 0: not yet.
        burst: at which the little arrived that it was given; 0: not known.
        queued: bytes that wait for it.
    """
    if not rate:
        return burst if burst > ASSUMED else 0.0
    best = max(rate, burst)
    return rate if queued > LITTLE_SECONDS * best else best


def within(rate: float, pace: float) -> float:
    """Bytes a second to reckon with where the budgets let only `pace` through; one of 0 is waited for.

    Args:
        rate: what the line carries; 0: not known.
        pace: infinite: no limit.
    """
    return pace if 0 < pace < (rate or ASSUMED) else rate


@dataclass(frozen=True, slots=True)
class Demand:
    """How the line stands.

    Attributes:
        rate: bytes a second it carries; 0: not known yet.
        queued: sealed bytes signed for it that are not on their way yet.
        ahead: signed parcels that are not at the hub yet.
        row: parcels of many instances that were made since nothing waited.
    """

    rate: float = 0.0
    queued: int = 0
    ahead: int = 0
    row: int = 0

    @property
    def lasts(self) -> float:
        """Seconds until it has nothing to send any more."""
        return self.queued / (self.rate or ASSUMED)

    @property
    def hungry(self) -> bool:
        """Whether it must not be kept waiting."""
        return self.lasts < HUNGRY

    @property
    def parcel_bytes(self) -> int:
        """Coded bytes that a parcel of many instances should have now."""
        if self.rate <= 0:
            return TARGET
        most = max(self.rate * LINE_SECONDS, min(self.rate * THIN_SECONDS, ENOUGH))
        wanted = min(most, self.rate * FIRST_SECONDS * 2 ** min(self.row, 8))
        return max(LEAST, min(LARGEST, int(wanted)))

    def takes(self, ahead: int) -> bool:
        """Whether a parcel is welcome that could still grow: little is signed, or all that is has been sent.

        Args:
            ahead: signed parcels from which on what comes is gathered.
        """
        return self.ahead < ahead or not self.queued

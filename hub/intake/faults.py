"""Which of this hub's folders the disk fails, for which parcels, and since when. Pure.

=================  ============================================================  ====================
kind of alert      what the system says                                          it stands
=================  ============================================================  ====================
``disk-fails``     EIO, ENXIO, ENODEV, EUCLEAN and whatever is not below         at once
``disk-readonly``  EROFS                                                         at once
``disk-full``      ENOSPC, EDQUOT, or no room for the database                   at a parcel's second
``disk-denied``    EACCES, EPERM, ENOENT, ENOTDIR, EMFILE, ENFILE, ENOMEM        at a parcel's second
=================  ============================================================  ====================

It is over when every parcel has gone on, and nothing failed for `REST_SECONDS`: a disk that fails one write
in ten is one trouble, not many.
"""

from __future__ import annotations

import errno
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from gateway.clock import Clock
from gateway.errors import StorageFull
from gateway.model import ParcelId

FAILS, READ_ONLY, FULL, DENIED = "disk-fails", "disk-readonly", "disk-full", "disk-denied"
KINDS = (FAILS, READ_ONLY, FULL, DENIED)

REST_SECONDS = 60.0
"""How long nothing must have failed before it counts as over."""

LEFT_SECONDS = 600.0
"""After so long with a disk that takes others, a parcel on its way in is not waited for: its edge is gone."""

REPEATED = 2
"""Failures of one parcel that are no accident."""

MOST = 10_000
"""Parcels that are remembered."""

_KIND_OF = {
    errno.EROFS: READ_ONLY,
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), FULL),
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.ENOENT, errno.ENOTDIR), DENIED),
    **dict.fromkeys((errno.EMFILE, errno.ENFILE, errno.ENOMEM), DENIED),
}


@dataclass(frozen=True, slots=True)
class Fault:
    """One folder, and what the system says of it.

    Attributes:
        folder: that of the hub's in which it happened.
        code: the errno.
    """

    folder: Path
    code: int

    @property
    def kind(self) -> str:
        """Of alert."""
        return _KIND_OF.get(self.code, FAILS)

    @property
    def name(self) -> str:
        """Of the errno, such as ``EIO``."""
        return errno.errorcode.get(self.code, str(self.code))


@dataclass(slots=True)
class _Course:
    last: float
    tries: dict[ParcelId, int] = field(default_factory=dict)
    stands: bool = False


class Faults:
    """What fails now.

    Args:
        folders: the hub's, each of which may be a disk of its own; the first is meant where none is named.
        clock: the time that passes.
    """

    def __init__(self, folders: Collection[Path], clock: Clock) -> None:
        self._folders, self._clock = tuple(folders), clock
        self._courses: dict[Fault, _Course] = {}

    def note(self, parcels: Iterable[ParcelId], error: OSError | StorageFull) -> None:
        """The disk failed these; it was one of them, and none knows which."""
        if isinstance(error, (ConnectionError, TimeoutError)):
            return  # it is not the disk that is away
        fault, now = self._fault(error), self._clock.monotonic()
        wanted = set(parcels)
        for other, course in self._courses.items():
            if other != fault:
                _drop(course, wanted)
        course = self._courses.setdefault(fault, _Course(now))
        course.last = now
        course.stands |= fault.kind in (FAILS, READ_ONLY)
        for parcel in wanted:
            if parcel in course.tries or len(course.tries) < MOST:
                course.tries[parcel] = course.tries.get(parcel, 0) + 1
                course.stands |= course.tries[parcel] >= REPEATED

    def over(self, parcels: Iterable[ParcelId]) -> None:
        """These have gone on, in whatever way."""
        if not self._courses:
            return
        gone, now = set(parcels), self._clock.monotonic()
        for fault, course in list(self._courses.items()):
            _drop(course, gone)
            if now - course.last >= LEFT_SECONDS:
                course.tries.clear()
            if not course.tries and not course.stands:
                del self._courses[fault]

    def standing(self) -> dict[Fault, set[ParcelId]]:
        """What a person must look at, with the parcels that have failed and not gone on."""
        now = self._clock.monotonic()
        for fault, course in list(self._courses.items()):
            if not course.tries and now - course.last >= REST_SECONDS:
                del self._courses[fault]
        return {fault: set(course.tries) for fault, course in self._courses.items() if course.stands}

    def _fault(self, error: OSError | StorageFull) -> Fault:
        caused = error if isinstance(error, OSError) else error.__cause__
        if not isinstance(caused, OSError):
            return Fault(self._folders[0], errno.ENOSPC)  # the database's word for it
        named = caused.filename
        place = Path(named) if isinstance(named, str) and named else self._folders[0]
        within = (one for one in self._folders if place.is_relative_to(one))
        return Fault(next(within, place), caused.errno or errno.EIO)


def _drop(course: _Course, parcels: set[ParcelId]) -> None:
    for parcel in parcels & course.tries.keys():
        del course.tries[parcel]

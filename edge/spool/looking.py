"""Showing instances to whoever looks at their quality: later than they come, and before they are coded."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from edge.spool.files import SpoolFiles
from edge.spool.kept import Kept
from edge.spool.opening import own_body
from gateway.errors import DataError
from gateway.log import logger
from gateway.model import ParcelId

INSPECTED = 64 << 20
"""Bytes of an instance up to which it is read back, in memory, to be looked at."""

log = logger("edge.spool")


class Inspects(Protocol):
    """Looks at instances. Called from any thread."""

    def offer(
        self, parcel: ParcelId, read: Callable[[], bytes | None], syntax: str, study_uid: str
    ) -> object:
        """An instance is durable: look at it soon, and do not wait. `read` gives its bytes, or None."""

    def look(self, parcels: Iterable[ParcelId]) -> object:
        """These are about to be packed, and cannot be read afterwards: look at those not looked at yet."""


def plain(files: SpoolFiles, parcel: ParcelId, kept: Kept | None) -> bytes | None:
    """The bytes of an unsigned item's instance; None if they cannot be read, or are too many. Blocks."""
    if kept is None:
        return None
    try:
        with files.opened(parcel) as file:
            own = own_body(file, parcel, kept.key)
            entry = own.manifest.instances[0]
            if entry.length > INSPECTED:
                return None
            return b"".join(map(bytes, own.coded(entry, file.read)))
    except (DataError, OSError) as error:
        log.warning("not looked at", parcel=parcel, reason=str(error))
        return None

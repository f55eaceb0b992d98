"""What the next burst of images needs at once, made in quiet moments: keys, and segments written before.

A record in blocks that were never written takes a commit of the file system's journal: 0.55 instead of 0.37
ms for a CT image here, one seventh of the time it takes with one association. To write blocks while images
come costs more than it saves (0.93 × with one association), but for many small ones, which leave the disk
time. So room for a large study lies ready, and what was used lies ready again when its images are coded.
Where the disk has no room to spare, it is given back.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

from edge.spool.ahead import KeysAhead
from edge.spool.segments import SIZE, Segments
from edge.spool.traffic import Traffic
from gateway import durable
from gateway.errors import GatewayError, StorageFull
from gateway.log import logger

FIRST, LEAST = 4, 2
"""Segments that are ready before senders come; and that are made ready while many small instances come."""
SHARE = 64
"""Of the volume, at most one part in so many lies ready."""
LOOK_SECONDS, FULL_SECONDS = 1.0, 60.0
"""Between looks whether something is to be made; after the disk failed or had no room for it."""
REST = 1.0
"""Times as long as writing a segment took the disk is then left to others."""

log = logger("edge.spool")


def segments_on(data: Path, wanted: int) -> int:
    """How many segments lie ready below a folder.

    Args:
        data: on the volume, or where it will be made.
        wanted: bytes, as configured.
    """
    there = next(folder for folder in (data, *data.absolute().parents) if folder.is_dir())
    return max(FIRST, min(wanted, durable.volume_bytes(there) // SHARE) // SIZE)


class Provision:
    """Of one spool.

    Args:
        keys: of parcels to come.
        segments: where they will lie; as many are made ready as they keep.
        traffic: whether anything comes now.
        room: raises StorageFull if so many bytes may not be taken now.
    """

    def __init__(
        self, keys: KeysAhead, segments: Segments, traffic: Traffic, room: Callable[[int], object]
    ) -> None:
        self._keys, self._segments, self._traffic, self._room = keys, segments, traffic, room

    @property
    def ready(self) -> int:
        """Bytes of segments that lie ready."""
        return self._segments.ready * SIZE

    @property
    def wanted(self) -> int:
        """Bytes of segments that shall lie ready."""
        return self._segments.spares * SIZE

    def first(self) -> None:
        """Before senders come. Blocks for a moment."""
        self._make(FIRST)

    async def run(self) -> None:
        """For ever: have so much ready that the next burst finds it."""
        pause = 0.0
        while True:
            await asyncio.sleep(pause)
            pause = await asyncio.to_thread(self.turn)

    def turn(self) -> float:
        """Make one thing, if it is time. Blocks. Returns the seconds to rest."""
        ready = self._segments.ready
        try:
            self._room(2 * SIZE)
        except StorageFull:
            if ready > FIRST:
                self._segments.spare_less()
                return 0.0
            return LOOK_SECONDS
        quiet = not self._traffic.busy
        if quiet and (ready < self._segments.spares or self._keys.few):
            count = min(ready + 1, self._segments.spares)
        elif self._traffic.narrow and ready < LEAST:
            count = ready + 1
        else:
            return LOOK_SECONDS
        began = time.monotonic()
        return (time.monotonic() - began) * REST if self._make(count) else FULL_SECONDS

    def _make(self, count: int) -> bool:
        try:
            self._keys.fill(stop=lambda: self._traffic.busy)
            self._room(2 * SIZE)
            self._segments.prepare(count)
        except (GatewayError, OSError) as error:  # images then take longer
            log.warning("nothing prepared", reason=str(error))
            return False
        return True

"""What the next burst of images needs at once, made in quiet moments: keys, and segments written before.

A record in blocks that were never written takes a commit of the file system's journal: 0.55 instead of 0.37
ms for a CT image here, one seventh of the time it takes with one association. To write blocks while images
come costs more than it saves (0.93 × with one association), but for many small ones, which leave the disk
time. So room for a large study lies ready, and what was used lies ready again when its images are coded.

It is a convenience and gives way: it takes nothing from what the hub has signed for and is still kept, a
disk that nears its reserve gets all of it back, and no failure here ends anything.
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
from gateway.errors import GatewayError
from gateway.log import logger

FIRST, LEAST = 4, 2
"""Segments that are ready before senders come; and that are made ready while many small instances come."""
SHARE = 64
"""Of the volume, at most one part in so many lies ready."""
MUCH, LITTLE = 8 * SIZE, 2 * SIZE
"""Bytes free beyond the reserve from which room is made ready, and below which it is given back. Far apart,
or what was given back would be made again."""
LOOK_SECONDS, FAILED_SECONDS = 1.0, 60.0
"""Between looks whether something is to be made; after that has failed."""
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
        room: bytes free beyond the reserve. Raises OSError.
        timer: monotonic seconds.
    """

    def __init__(
        self,
        keys: KeysAhead,
        segments: Segments,
        traffic: Traffic,
        room: Callable[[], int],
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self._keys, self._segments, self._traffic = keys, segments, traffic
        self._room, self._timer = room, timer
        self._again = timer()

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
        while self._guarded(lambda: self._make(FIRST)):
            pass

    async def run(self) -> None:
        """For ever: have so much ready that the next burst finds it."""
        pause = 0.0
        while True:
            await asyncio.sleep(pause)
            pause = await asyncio.to_thread(self.turn)

    def turn(self) -> float:
        """Make one thing, or give one back, if it is time. Blocks. Returns the seconds to rest."""
        began = self._timer()
        if self._guarded(self._give_back):
            return 0.0
        if began >= self._again and self._guarded(lambda: self._make(self._most())):
            return (self._timer() - began) * REST
        return LOOK_SECONDS

    def _guarded(self, step: Callable[[], bool]) -> bool:
        """Whether a step did something. One that fails is told of, and images then take longer."""
        try:
            return step()
        except (GatewayError, OSError) as error:
            log.warning("nothing prepared", reason=str(error))
            self._again = self._timer() + FAILED_SECONDS
            return False

    def _most(self) -> int:
        if not self._traffic.busy:
            return self._segments.spares
        return LEAST if self._traffic.narrow else 0

    def _make(self, most: int) -> bool:
        if self._keys.few and not self._traffic.busy:
            self._keys.fill(stop=lambda: self._traffic.busy)
        ready = self._segments.ready
        if ready >= most or self._room() < MUCH:
            return False
        self._segments.prepare(ready + 1)
        return True

    def _give_back(self) -> bool:
        if not self._segments.ready or self._room() >= LITTLE:
            return False
        self._segments.spare_less()
        return True

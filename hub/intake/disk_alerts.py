"""Tells the administrator of a disk that holds up what has come, and takes it back when it goes on.

A database that cannot take the alert itself for want of room is tried again; the log has it meanwhile.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path

from sqlalchemy import select

from gateway.clock import Clock
from gateway.database import Database
from gateway.errors import StorageFull
from gateway.log import logger
from gateway.model import ParcelId
from hub import alerts
from hub.alerts import Alert
from hub.intake.faults import KINDS, MOST, REST_SECONDS, Fault, Faults
from hub.intake.states import State
from hub.tables.arrival import arrivals

LOOK_SECONDS = 2.0

_ABOUT = 128
"""Characters of what tells two alerts apart."""

MOUNTS = Path("/proc/self/mountinfo")
_ESCAPED = re.compile(rb"\\([0-7]{3})")

log = logger("hub.intake")


class DiskAlerts:
    """Brings the alerts up to what fails now. `run` is a service.

    Args:
        database: the hub's.
        faults: what fails.
        idle: whether nothing waits to be carried: until then, a hub that has just begun takes nothing back.
        clock: the time.
    """

    def __init__(self, database: Database, faults: Faults, idle: Callable[[], bool], clock: Clock) -> None:
        self._database, self._faults, self._idle, self._clock = database, faults, idle, clock
        self._since = clock.monotonic()
        self._told: list[Alert] | None = None

    async def run(self) -> None:
        """Look for ever; ends only by cancellation."""
        while True:
            try:
                await self.look()
            except StorageFull as error:
                log.warning("an alert cannot be kept yet", why=str(error))
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> list[Alert]:
        """Once. Returns the alerts that began.

        Raises:
            StorageFull: there is no room for them.
        """
        standing, past = self._faults.standing(), self._clock.monotonic() - self._since
        if self._told is None and not standing and not self._idle() and past < REST_SECONDS:
            return []  # what stood when the hub ended may stand yet
        whole = await self._whole() if standing else set()
        found = [alert_of(fault, len(whole | parcels)) for fault, parcels in standing.items()]
        if found == self._told:
            return []
        async with self._database.writing() as connection:
            new = await alerts.settle(connection, found, KINDS, self._clock.now())
        self._told = found
        for one in new:
            log.error("alert", kind=one.kind, why=one.words)
        return new

    async def _whole(self) -> set[ParcelId]:
        """What has come and is not carried yet."""
        query = select(arrivals.c.parcel_id).where(arrivals.c.state == State.WHOLE.value).limit(MOST)
        async with self._database.reading() as connection:
            return set((await connection.execute(query)).scalars())


def alert_of(fault: Fault, number: int) -> Alert:
    """As the administrator is told.

    Args:
        fault: what.
        number: of parcels that wait.
    """
    facts: Mapping[str, object] = {
        "folder": str(fault.folder),
        "volume": str(volume(fault.folder)),
        "error": f"{fault.name}, {os.strerror(fault.code)}",
        "number": number,
    }
    words = "{error}, in {folder} (volume {volume}). Parcels that wait: {number}".format_map(facts)
    about = f"{fault.name} {fault.folder}"
    return Alert(fault.kind, words, about=about[-_ABOUT:], facts=facts)


def volume(folder: Path) -> Path:
    """Where the file system of a folder is mounted, bind mounts too: proc(5), mountinfo."""
    real = Path(os.path.realpath(folder))
    mounts = MOUNTS.read_bytes().splitlines() if MOUNTS.exists() else []
    places = (Path(os.fsdecode(_ESCAPED.sub(_plain, line.split(b" ")[4]))) for line in mounts)
    return max((one for one in places if real.is_relative_to(one)), key=_depth, default=Path("/"))


def _plain(escaped: re.Match[bytes]) -> bytes:
    return bytes([int(escaped[1], 8)])


def _depth(place: Path) -> int:
    return len(place.parts)

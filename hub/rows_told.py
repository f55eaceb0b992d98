"""Tells of rows that were edited behind the program's back: the program's log, the custody log, the trail."""

from __future__ import annotations

from collections import OrderedDict

from gateway.clock import Clock
from gateway.database import Database
from gateway.log import logger
from hub import alerts
from hub.alerts import Alert
from hub.record import Deed, Record, Trail

EVENT = "rows-edited"
MOST = 50
"""Faults that one deed of the trail names."""

REMEMBERED = 10_000
"""Faults that were told already, by this run of the hub."""

log = logger("hub.rows")


class Told:
    """Remembers what it told, so that a fault that stands is told once a run.

    Args:
        database: the hub's.
        custody: the log; hears how many.
        trail: the audit trail, and by it the hospital's repository; hears which.
        clock: for the time of the alert.
    """

    def __init__(self, database: Database, custody: Record, trail: Trail, clock: Clock) -> None:
        self._database, self._custody, self._trail, self._clock = database, custody, trail, clock
        self._known: OrderedDict[str, None] = OrderedDict()

    async def tell(self, faults: list[str]) -> list[str]:
        """Tell what is new of `faults`. Returns it."""
        new = [fault for fault in faults if fault not in self._known]
        for fault in new:
            log.error("the database was edited behind the program's back", what=fault)
            self._known[fault] = None
        while len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        if new:
            async with self._database.writing() as connection:
                await self._custody.append(connection, EVENT, detail={"faults": len(new)})
                await self._trail.append(connection, Deed(EVENT, detail={"what": new[:MOST]}))
                found = Alert(EVENT, "; ".join(new), facts={"faults": len(new)})
                await alerts.tell(connection, found, self._clock.now())
        return new

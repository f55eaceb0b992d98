"""Tells of rows that were edited behind the program's back: in the program's own log and the custody log."""

from __future__ import annotations

from collections import OrderedDict

from gateway.clock import Clock
from gateway.database import Database
from gateway.log import logger
from hub.record import Record

REMEMBERED = 10_000
"""Faults that were told already, by this run of the hub."""

log = logger("hub.rows")


class Told:
    """Remembers what it told, so that a fault that stands is told once a run.

    Args:
        database: the hub's.
        custody: the log; from there the audit trail and its repository hear of it.
        clock: the hub's.
    """

    def __init__(self, database: Database, custody: Record, clock: Clock) -> None:
        self._database, self._custody, self._clock = database, custody, clock
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
                await self._custody.append(connection, "rows-edited", detail={"faults": len(new)})
        return new

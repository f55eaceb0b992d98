"""What the hub rests on, told to the custody log when it is another than the log said last.

=====================  ===========================================================================
event                  its detail
=====================  ===========================================================================
``authority-changed``  SHA-256 of the certificates of roots and issuing authorities, and of the list
                       of what was revoked
``kem-changed``        SHA-256 of every public key that parcels may be sealed to
``rules-loaded``       SHA-256 of the rule file
=====================  ===========================================================================
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import select

from gateway import canonical
from gateway.database import Database
from gateway.log import logger
from hub.record import Record
from hub.tables.custody import custody

LOOK_SECONDS = 3.0
"""How soon a change that was taken up is in the log."""

log = logger("hub.foundations")


class Foundations:
    """Tells the log of changes. `run` is a service.

    Args:
        database: the hub's.
        record: the custody log.
        facts: what holds now: the detail of every event, by its name. Cheap; asked again and again.
    """

    def __init__(
        self, database: Database, record: Record, facts: Callable[[], Mapping[str, Mapping[str, Any]]]
    ) -> None:
        self._database, self._record, self._facts = database, record, facts
        self._told: Mapping[str, Mapping[str, Any]] = {}

    async def run(self) -> None:
        """Look for ever; ends only by cancellation."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> list[str]:
        """Once. Returns the events that were entered."""
        facts = self._facts()
        if facts == self._told:
            return []
        entered = []
        for event, detail in facts.items():
            async with self._database.writing() as connection:
                newest = select(custody.c.leaf).where(custody.c.event == event)
                query = newest.order_by(custody.c.position.desc()).limit(1)
                leaf = (await connection.execute(query)).scalar()
                if leaf is None or canonical.load(leaf.encode())["detail"] != detail:
                    await self._record.append(connection, event, detail=detail)
                    entered.append(event)
        if entered:
            log.info("the custody log was told what the hub rests on", events=entered)
        self._told = facts
        return entered

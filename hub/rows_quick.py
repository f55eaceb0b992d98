"""The quick audit: each minute, what somebody could put in, use and take away between two long ones."""

from __future__ import annotations

import asyncio

from gateway.clock import Clock
from gateway.database import Database
from hub import rows_accounts, rows_cases, rows_fleet
from hub.rows_told import Told
from hub.sealed import SealedLog
from hub.seals import Seals
from hub.standing import Standing, cases_before

PERIOD = 60.0
"""Seconds between two looks."""


class Quick:
    """Looks at accounts, sessions, cases, tokens and new entries of the custody log.

    Args:
        database: the hub's.
        seals: what ours have.
        standing: begins to know of accounts when a log does not yet.
        clock: the hub's.
        told: hears of what does not fit.
    """

    def __init__(
        self, database: Database, seals: Seals, standing: Standing, clock: Clock, told: Told
    ) -> None:
        self._database, self._seals, self._standing = database, seals, standing
        self._clock, self._told = clock, told
        self._log = SealedLog(database, seals)
        self._before: int | None = None

    async def run(self) -> None:
        """For ever. A service: ends only by cancellation or error."""
        async with self._database.writing() as connection:
            await self._standing.begin(connection)
        while True:
            await self.look()
            await asyncio.sleep(PERIOD)

    async def look(self) -> list[str]:
        """Once. Returns what does not fit."""
        found = await rows_accounts.look(self._database, self._seals, self._clock)
        if self._before is None:
            async with self._database.reading() as connection:
                self._before = await cases_before(connection)
        found += await rows_cases.look(self._database, self._before, self._clock.now())
        found += await rows_fleet.look(self._database) + await self._log.look()
        await self._told.tell(found)
        return found

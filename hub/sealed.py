"""Which entries of the custody log the program itself did not write.

A signed checkpoint shows that an entry was *changed*; one that somebody *appended* with SQL fits the tree as
well as ours, and would be signed with it. It has no seal (`hub.seals`). Entries older than the first
``seals-begun`` have none and need none; another ``seals-begun`` counts only if somebody vouches in it.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from gateway.custody import merkle
from gateway.database import Database
from hub.custody import SEALS_BEGUN, entry_of
from hub.seals import Seals, same
from hub.tables.custody import custody, leaf_seals

BATCH = 5_000
MOST = 50
"""Stretches of entries that are named."""

_MARK = f'"event":"{SEALS_BEGUN}"'


class SealedLog:
    """Reads the log once, and later only what is new.

    Args:
        database: the hub's.
        seals: what ours have.
    """

    def __init__(self, database: Database, seals: Seals) -> None:
        self._database, self._seals = database, seals
        self._next = 0
        self._begun = False
        self._odd: list[tuple[int, int, str]] = []  # first, last, why

    async def look(self) -> list[str]:
        """Everything odd in the log so far, one line for each stretch of entries."""
        while rows := await self._rows():
            for row in rows:
                self._take(row)
            self._next = rows[-1].position + 1
        return [_line(*one) for one in self._odd[:MOST]]

    async def _rows(self) -> list[Any]:
        query = (
            select(custody.c.position, custody.c.leaf, leaf_seals.c.seal)
            .outerjoin(leaf_seals, leaf_seals.c.position == custody.c.position)
            .where(custody.c.position >= self._next)
            .order_by(custody.c.position)
            .limit(BATCH)
        )
        async with self._database.reading() as connection:
            return list((await connection.execute(query)).all())

    def _take(self, row: Any) -> None:
        leaf: bytes = row.leaf.encode()
        ours = same(row.seal, self._seals.leaf(merkle.leaf_hash(leaf)))
        if _MARK in row.leaf and (entry := entry_of(row.leaf))["event"] == SEALS_BEGUN:
            vouched = "by" in entry["detail"]
            if ours and vouched:
                self._odd.clear()
            elif self._begun:
                ours = False
            self._begun = True
        if self._begun and not ours:
            self._note(row.position, "has no seal" if row.seal is None else "has another seal")

    def _note(self, position: int, why: str) -> None:
        start = position
        if self._odd and self._odd[-1][1:] == (position - 1, why):
            start = self._odd.pop()[0]
        self._odd.append((start, position, why))


def _line(first: int, last: int, why: str) -> str:
    which = f"entry {first}" if first == last else f"entries {first} to {last}"
    key = "" if why == "has no seal" else ", or keys/access.key is not the one they were sealed with"
    return f"{which} of the custody log: {why}: this program did not write it{key}"

"""The chains of all edges, kept in the database (`turns.py` says what they mean)."""

from __future__ import annotations

import secrets

from sqlalchemy import ColumnElement, delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.database import Database
from hub.fleet.turns import TAG_BYTES, Chain, Turn, read
from hub.seals import Seals, same
from hub.tables.fleet import edge_turns

Who = tuple[str, str]
"""Site and edge."""


class Turnstile:
    """Reads what edges show, keeps the newest, and makes the next.

    Args:
        database: the hub's.
        seals: tell numbers of this hub from others.
    """

    def __init__(self, database: Database, seals: Seals) -> None:
        self._database, self._seals = database, seals
        self._chains: dict[Who, Chain] = {}

    async def pass_through(self, who: Who, text: str, run: str, now: float) -> tuple[str | None, str]:
        """One request.

        Args:
            who: site and edge.
            text: what it showed; empty: nothing.
            run: its word.
            now: seconds, of a clock that only goes forward.

        Returns:
            What to tell the administrators, if anything; and the next number for the answer, or nothing.
        """
        shown = self._read(who, text)
        chain = self._chains.get(who) or await self._load(who, now)
        before = chain.newest
        words, due = chain.show(shown, run, now)
        if words is not None and (kept := await self._load(who, now)).newest is None:
            words, due = kept.show(shown, run, now)  # it was enrolled anew meanwhile
            chain = kept
        if chain.newest != before and chain.newest is not None:
            await self._keep(who, chain.newest)
        return words, self._next(who, chain.newest or Turn()) if due else ""

    def _read(self, who: Who, text: str) -> Turn:
        found = read(text)
        if found is None:
            return Turn()
        turn, seal = found
        return turn if same(seal, self._seals.turn(*who, turn.number, turn.tag)) else Turn()

    def _next(self, who: Who, newest: Turn) -> str:
        turn = Turn(newest.number + 1, secrets.token_hex(TAG_BYTES))
        return turn.text(self._seals.turn(*who, turn.number, turn.tag))

    async def _load(self, who: Who, now: float) -> Chain:
        query = select(edge_turns.c.number, edge_turns.c.tag).where(_is(who))
        async with self._database.reading() as connection:
            row = (await connection.execute(query)).first()
        chain = self._chains.get(who)
        if chain is None or row is None:
            chain = self._chains[who] = Chain(None if row is None else Turn(row.number, row.tag), now)
        return chain

    async def _keep(self, who: Who, turn: Turn) -> None:
        async with self._database.writing() as connection:
            await forget(connection, *who)
            row = {"site": who[0], "edge": who[1], "number": turn.number, "tag": turn.tag}
            await connection.execute(insert(edge_turns).values(row))


async def forget(connection: AsyncConnection, site: str, edge: str) -> None:
    """An edge was enrolled anew: its chain begins anew."""
    await connection.execute(delete(edge_turns).where(_is((site, edge))))


def _is(who: Who) -> ColumnElement[bool]:
    return (edge_turns.c.site == who[0]) & (edge_turns.c.edge == who[1])

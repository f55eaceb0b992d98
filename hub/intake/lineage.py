"""Whether an edge's headers come without one left out or replaced, and telling it when they do not.

Every header names its number and the one before (FORMAT.md, `previous`). What does not fit is told at
once; a number that is missing is told after `PATIENCE`, since urgent parcels overtake others. Nothing
here ever stops a parcel: an image that came is worth more than the order it came in.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import groupby

from sqlalchemy import func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.clock import Clock, parse_rfc3339, rfc3339
from gateway.custody.chain import Link, check_fits
from gateway.database import Database
from gateway.errors import Unverified
from gateway.log import logger
from gateway.model import Sha256
from hub.intake.journal import Announcement
from hub.record import Record, subject_of
from hub.tables.arrival import arrivals, chain_findings, header_chain

PATIENCE = timedelta(hours=1)
"""How long a number may be missing while later ones are here, before it is told."""
LOOK_SECONDS = 60.0
FORK, GAP = "fork", "gap"

log = logger("hub.intake")


@dataclass(frozen=True, slots=True, order=True)
class Edge:
    """Whose chain it is."""

    site: str
    edge: str


@dataclass(frozen=True, slots=True)
class Gap:
    """Numbers that have not come, and since when a later one is here."""

    first: int
    last: int
    since: str


def gaps(numbers: Iterable[tuple[int, str]], whole: int) -> tuple[list[Gap], int]:
    """Gaps among the numbers after `whole`, and up to where there is none. Pure.

    Args:
        numbers: (sequence, when it was announced), rising, all above `whole`.
        whole: all up to this one are here.
    """
    found: list[Gap] = []
    before = whole
    for number, at in numbers:
        if number > before + 1:
            found.append(Gap(before + 1, number - 1, at))
        elif not found:
            whole = number
        before = max(before, number)
    return found, whole


class Lineage:
    """The chains of all edges.

    Args:
        database: holds `header_chain` and `chain_findings`.
        custody: hears of every finding.
        clock: for their times.
        patience: how long a gap may stand untold.
    """

    def __init__(
        self, database: Database, custody: Record, clock: Clock, *, patience: timedelta = PATIENCE
    ) -> None:
        self._database, self._custody, self._clock, self._patience = database, custody, clock, patience
        self._whole: dict[Edge, int] = {}
        self._edges: set[Edge] = set()
        self._loaded = False  # the edges of before this start

    async def note(self, connection: AsyncConnection, new: Sequence[Announcement]) -> None:
        """Add headers to their chains, inside the transaction that records their parcels."""
        ordered = sorted(new, key=lambda one: (_edge(one), one.header.sequence))
        for edge, group in groupby(ordered, key=_edge):
            links = [Link(one.header.sequence, one.digest, one.header.previous) for one in group]
            await self._add(connection, edge, links)

    async def _add(self, connection: AsyncConnection, edge: Edge, links: Sequence[Link]) -> None:
        self._edges.add(edge)
        now = rfc3339(self._clock.now())
        known = await _neighbours(connection, edge, links)
        for link in links:
            of_number = known.get(link.sequence)
            try:
                check_fits(
                    link,
                    same=of_number,
                    before=known.get(link.sequence - 1),
                    after=known.get(link.sequence + 1),
                )
            except Unverified as error:
                await self._find(connection, edge, FORK, link.sequence, link.sequence, str(error))
            known.setdefault(link.sequence, link)
        rows = [
            {"site": edge.site, "edge": edge.edge, "sequence": one.sequence, "digest": one.digest}
            | {"previous": one.previous, "at": now}
            for one in links
        ]
        await connection.execute(insert(header_chain), rows)

    async def run(self) -> None:
        """Look for gaps for ever. A service: ends only by cancellation or error."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """Tell of gaps that stand too long, and of those that have closed."""
        if not self._loaded:
            async with self._database.reading() as connection:
                rows = await connection.execute(select(header_chain.c.site, header_chain.c.edge).distinct())
                self._edges |= {Edge(row.site, row.edge) for row in rows}
            self._loaded = True
        for edge in sorted(self._edges):
            standing = await self._standing(edge)
            async with self._database.reading() as connection:
                told = await _open_gaps(connection, edge)
            if told or standing:
                await self._settle(edge, standing, told)

    async def _standing(self, edge: Edge) -> list[Gap]:
        chain = header_chain.c
        async with self._database.reading() as connection:
            whole = self._whole.get(edge, 0) or await _begins_after(connection, edge)
            above = (chain.site == edge.site, chain.edge == edge.edge, chain.sequence > whole)
            count, last = (
                await connection.execute(
                    select(func.count(chain.sequence.distinct()), func.max(chain.sequence)).where(*above)
                )
            ).one()
            if last is None or count == last - whole:  # as nearly always: nothing is missing
                self._whole[edge] = last or whole
                return []
            rows = await connection.execute(
                select(chain.sequence, chain.at).where(*above).order_by(chain.sequence)
            )
            found, self._whole[edge] = gaps([(row.sequence, row.at) for row in rows], whole)
        limit = self._clock.now() - self._patience
        return [gap for gap in found if parse_rfc3339(gap.since) <= limit]

    async def _settle(self, edge: Edge, standing: Sequence[Gap], told: dict[tuple[int, int], int]) -> None:
        now_open = {(gap.first, gap.last): gap for gap in standing}
        async with self._database.writing() as connection:
            for span, ident in told.items():
                if span not in now_open:
                    await self._close(connection, edge, span, ident)
            for span, gap in now_open.items():
                if span not in told:
                    words = f"{_numbers(gap)} not come, though header {gap.last + 1} came at {gap.since}"
                    await self._find(connection, edge, GAP, gap.first, gap.last, words)

    async def _find(
        self, connection: AsyncConnection, edge: Edge, kind: str, first: int, last: int, words: str
    ) -> None:
        log.warning("the chain of an edge is broken", site=edge.site, edge=edge.edge, kind=kind, why=words)
        row = {"site": edge.site, "edge": edge.edge, "kind": kind, "first": first, "last": last}
        row |= {"words": words, "at": rfc3339(self._clock.now())}
        await connection.execute(insert(chain_findings), [row])
        await self._record(connection, f"chain-{kind}", edge, first, last)

    async def _close(
        self, connection: AsyncConnection, edge: Edge, span: tuple[int, int], ident: int
    ) -> None:
        log.info("a gap is no longer as it was", site=edge.site, edge=edge.edge, first=span[0], last=span[1])
        values = {"closed_at": rfc3339(self._clock.now())}
        await connection.execute(update(chain_findings).where(chain_findings.c.id == ident).values(**values))
        await self._record(connection, "chain-gap-closed", edge, *span)

    async def _record(
        self, connection: AsyncConnection, event: str, edge: Edge, first: int, last: int
    ) -> None:
        detail = {"edge": edge.edge, "first": first, "last": last}
        subject = subject_of("edge", f"{edge.site}/{edge.edge}")
        await self._custody.append(connection, event, site=edge.site, subject=subject, detail=detail)


def _edge(one: Announcement) -> Edge:
    return Edge(one.header.site, one.edge)


def _numbers(gap: Gap) -> str:
    return f"header {gap.first} has" if gap.first == gap.last else f"headers {gap.first} to {gap.last} have"


async def _neighbours(connection: AsyncConnection, edge: Edge, links: Sequence[Link]) -> dict[int, Link]:
    """What is known under the numbers of `links`, before and after them; of several, the first that came."""
    chain = header_chain.c
    wanted = {one.sequence + step for one in links for step in (-1, 0, 1)}
    rows = await connection.execute(
        select(chain.sequence, chain.digest, chain.previous)
        .where(chain.site == edge.site, chain.edge == edge.edge, chain.sequence.in_(sorted(wanted)))
        .order_by(chain.at)
    )
    known: dict[int, Link] = {}
    for row in rows:
        known.setdefault(row.sequence, Link(row.sequence, Sha256(row.digest), Sha256(row.previous)))
    return known


async def _begins_after(connection: AsyncConnection, edge: Edge) -> int:
    """Where the chain begins: 0, or the number that an edge enrolled anew goes on from."""
    chain = header_chain.c
    first = (
        await connection.execute(
            select(chain.sequence, chain.previous)
            .where(chain.site == edge.site, chain.edge == edge.edge)
            .order_by(chain.sequence)
            .limit(1)
        )
    ).one_or_none()
    if first is None:
        return 0
    query = select(arrivals.c.sequence).where(
        arrivals.c.site == edge.site,
        arrivals.c.sequence == first.sequence - 1,
        arrivals.c.header_digest == first.previous,
    )
    before = (await connection.execute(query)).scalar()
    return 0 if before is None else int(before)


async def _open_gaps(connection: AsyncConnection, edge: Edge) -> dict[tuple[int, int], int]:
    found = chain_findings.c
    rows = await connection.execute(
        select(found.id, found.first, found.last).where(
            found.site == edge.site, found.edge == edge.edge, found.kind == GAP, found.closed_at.is_(None)
        )
    )
    return {(row.first, row.last): row.id for row in rows}

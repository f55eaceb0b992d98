"""Whether an edge's headers come without one left out or replaced: found, told, and never in the way."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import insert, select

from gateway.clock import rfc3339
from gateway.custody.chain import Link, examine
from gateway.database import open_database, sqlite_url
from gateway.envelope.layout import NO_PREVIOUS
from gateway.model import Sha256
from hub.custody import CustodyLog
from hub.intake.lineage import Lineage, gaps
from hub.tables import VERSION, metadata
from hub.tables.arrival import arrivals, chain_findings
from hub.tables.custody import custody
from tests.doubles.clock import SetClock


def digest(number: int, history: str = "a") -> Sha256:
    return Sha256(f"{history}{number:063x}")


def header(number: int, *, history: str = "a", previous: Sha256 | None = None, edge: str = "1"):
    """What the lineage reads of an announcement."""
    before = NO_PREVIOUS if number == 1 else digest(number - 1, history)
    of = SimpleNamespace(site="H001", sequence=number, previous=previous or before)
    return SimpleNamespace(header=of, digest=digest(number, history), edge=edge)


class Chains:
    def __init__(self, database, clock) -> None:
        self.database, self.clock = database, clock
        self.log = CustodyLog(database, None, clock)
        self.lineage = Lineage(database, self.log, clock, patience=timedelta(hours=1))

    async def come(self, *headers) -> None:
        async with self.database.writing() as connection:
            await self.lineage.note(connection, headers)

    async def arrival(self, number: int) -> None:
        """The row of a parcel of this number."""
        row = {"site": "H001", "sequence": number, "header_digest": digest(number), "header": b"h"}
        row |= {"parcel_id": f"{number:032x}", "state": "indexed", "chunks": 1, "size": 1}
        row |= {"announced_at": "", "changed_at": ""}
        async with self.database.writing() as connection:
            await connection.execute(insert(arrivals), [row])

    async def later(self, **time: int) -> None:
        self.clock.advance(timedelta(**time).total_seconds())
        await self.lineage.look()

    async def findings(self) -> list[tuple[str, int, int, bool]]:
        async with self.database.reading() as connection:
            rows = await connection.execute(select(chain_findings).order_by(chain_findings.c.id))
            return [(row.kind, row.first, row.last, row.closed_at is None) for row in rows]

    async def events(self) -> list[str]:
        await self.log.audit()
        async with self.database.reading() as connection:
            return [row.event for row in await connection.execute(select(custody.c.event))]


@pytest.fixture
async def chains(tmp_path: Path):
    database = await open_database(sqlite_url(tmp_path / "hub.db"), metadata, version=VERSION)
    yield Chains(database, SetClock())
    await database.close()


async def test_headers_in_any_order_are_nothing_to_tell(chains: Chains) -> None:
    await chains.come(header(3), header(1))
    await chains.later(minutes=59)
    await chains.come(header(5), header(2), header(4))
    await chains.later(days=9)
    assert (await chains.findings(), await chains.events()) == ([], [])


async def test_a_parcel_left_out_is_told_after_the_patience_and_once(chains: Chains) -> None:
    await chains.come(*(header(number) for number in (1, 2, 5, 6, 9)))
    await chains.later(minutes=59)
    assert await chains.findings() == []
    await chains.later(minutes=2)
    await chains.later(minutes=2)
    assert await chains.findings() == [("gap", 3, 4, True), ("gap", 7, 8, True)]
    await chains.come(header(4), header(3))
    await chains.later(minutes=1)
    assert await chains.findings() == [("gap", 3, 4, False), ("gap", 7, 8, True)]
    assert await chains.events() == ["chain-gap", "chain-gap", "chain-gap-closed"]


async def test_a_missing_beginning_is_a_gap(chains: Chains) -> None:
    await chains.come(header(4))
    await chains.later(hours=2)
    assert await chains.findings() == [("gap", 1, 3, True)]


async def test_a_replaced_header_is_told_at_once(chains: Chains) -> None:
    await chains.come(header(1), header(2), header(3, history="b"))
    assert await chains.findings() == [("fork", 3, 3, True)]
    await chains.come(header(2, history="c"))
    assert (await chains.findings())[1:] == [("fork", 2, 2, True)]
    assert await chains.events() == ["chain-fork", "chain-fork"]


async def test_an_edge_enrolled_anew_goes_on_where_it_was(chains: Chains) -> None:
    await chains.come(header(1), header(2))
    await chains.arrival(2)
    await chains.come(header(3, edge="2"))
    await chains.later(hours=2)
    assert await chains.findings() == []
    await chains.come(header(5, edge="2"))
    await chains.later(hours=2)
    assert await chains.findings() == [("gap", 4, 4, True)]


async def test_two_edges_of_a_site_have_a_chain_each(chains: Chains) -> None:
    await chains.come(header(1), header(1, history="d", edge="2"), header(2, history="d", edge="2"))
    await chains.later(hours=2)
    assert await chains.findings() == []


@given(st.sets(st.integers(1, 30)), st.integers(0, 5))
def test_the_gaps_are_those_that_a_look_at_all_headers_finds(numbers: set[int], cut: int) -> None:
    links = [Link(n, digest(n), NO_PREVIOUS if n == 1 else digest(n - 1)) for n in numbers]
    first, whole = gaps([(n, rfc3339(SetClock().now())) for n in sorted(numbers)], 0)
    assert [(gap.first, gap.last) for gap in first] == list(examine(links).missing)
    assert set(range(1, whole + 1)) <= numbers
    assert whole + 1 not in numbers
    rest = [(n, "") for n in sorted(numbers) if n > whole]
    assert [(gap.first, gap.last) for gap in gaps(rest, whole)[0]] == list(examine(links).missing)

"""What the edge removes is told to the hub and stands in the custody log, once."""

from __future__ import annotations

import os
from pathlib import Path

from sqlalchemy import select

from edge.purges import Purges
from gateway.custody.timeline import PURGED, of_log
from gateway.envelope.inner import Notice
from gateway.model import Priority
from hub.intake.purges import KIND
from hub.tables.arrival import arrivals
from hub.tables.custody import custody
from tests.doubles.edges import Edge, edge_of
from tests.doubles.lines import LineHub, line_hub


async def _told(hub: LineHub) -> list[tuple[str, str]]:
    async with hub.small.database.reading() as connection:
        rows = await connection.execute(
            select(custody.c.site, custody.c.subject).where(custody.c.event == PURGED)
        )
        return [(row.site, row.subject) for row in rows]


async def _sent(hub: LineHub, edge: Edge) -> list[tuple[str, str]]:
    async with hub.small.database.reading() as connection:
        rows = await connection.execute(select(arrivals.c.site, arrivals.c.header_digest))
        return [(row.site, row.header_digest) for row in rows]


async def test_removed_bodies_stand_in_the_custody_log_once(tmp_path: Path) -> None:
    async with line_hub(tmp_path) as hub, edge_of(hub, tmp_path / "edge") as edge:
        for number in range(3):
            edge.receive(number, os.urandom(4000))
        await edge.emptied()
        edge.spool.confirmed.let_go()
        before = set(await _sent(hub, edge))
        told = Purges(edge.spool)
        assert told.tell() == len(before) > 0
        assert told.tell() == 0
        await edge.emptied()
        assert set(await _told(hub)) == before
        digests = [digest for _, digest in before]
        edge.spool.notify(Notice(KIND, {"headers": [*digests, "0" * 64, 7]}), priority=Priority.ROUTINE)
        await edge.emptied()
        assert sorted(await _told(hub)) == sorted(before), "neither twice nor of what never was"


def test_the_timeline_tells_it_in_one_moment() -> None:
    entry = {"event": PURGED, "site": "H001", "subject": "0" * 64, "detail": {}}
    entries = [{**entry, "at": f"2026-11-26T0{n}:00:00.000000Z", "position": n} for n in (3, 5)]
    (moment,) = of_log(entries)
    assert moment.at == entries[0]["at"]
    assert "2 parcels" in moment.words
    assert "05:00" in moment.words

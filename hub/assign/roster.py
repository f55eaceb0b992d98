"""The readers of a group as candidates for one case: load, licence, presence."""

from __future__ import annotations

from sqlalchemy import RowMapping, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.assign.policy import Candidate, Licence
from hub.assign.states import LOADS
from hub.tables.account import users
from hub.tables.case import cases, reader_groups, reader_sites, readers


async def candidates(connection: AsyncConnection, group: str, site: str) -> list[Candidate]:
    """The members of `group`, with their licence for `site`. Barred accounts are no members."""
    query = (
        select(readers, users.c.display_name)
        .join_from(readers, users)
        .join(reader_groups, reader_groups.c.user == readers.c.user)
        .where(reader_groups.c.group == group, users.c.disabled.is_(False))
    )
    rows = (await connection.execute(query)).mappings().all()
    names = [row["user"] for row in rows]
    loads = await _loads(connection, names)
    licences = await _licences(connection, names)
    return [_candidate(row, loads, licences.get(row["user"], {}), site) for row in rows]


async def _loads(connection: AsyncConnection, names: list[str]) -> dict[str, tuple[int, str]]:
    open_ones = cases.c.state.in_([state.value for state in LOADS])
    load = func.sum(cases.c.weight).filter(open_ones)
    query = (
        select(cases.c.assignee, load, func.max(cases.c.assigned_at))
        .where(cases.c.assignee.in_(names))
        .group_by(cases.c.assignee)
    )
    found = (await connection.execute(query)).all()
    return {name: (int(units or 0), last or "") for name, units, last in found}


async def _licences(connection: AsyncConnection, names: list[str]) -> dict[str, dict[str, str | None]]:
    query = select(reader_sites).where(reader_sites.c.user.in_(names))
    licences: dict[str, dict[str, str | None]] = {}
    for row in (await connection.execute(query)).mappings():
        licences.setdefault(row["user"], {})[row["site"]] = row["licensed_until"]
    return licences


def _candidate(
    row: RowMapping, loads: dict[str, tuple[int, str]], sites: dict[str, str | None], site: str
) -> Candidate:
    load, last = loads.get(row["user"], (0, ""))
    return Candidate(
        name=row["user"],
        display_name=row["display_name"],
        available=row["available"],
        capacity=row["capacity"],
        load=load,
        licence=Licence(every_site=not sites, here=site in sites, until=sites.get(site)),
        waited_since=last,
    )

"""What an administrator sets of a reader: groups, licences, capacity, presence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import delete, select, update

from gateway.database import Database
from gateway.errors import NotFound
from hub.standing import Standing
from hub.tables.account import users
from hub.tables.case import reader_groups, reader_sites, readers


class Readers:
    """The tables of readers; `standing` is told of every change."""

    def __init__(self, database: Database, standing: Standing) -> None:
        self._database, self._standing = database, standing

    async def all(self) -> list[dict[str, Any]]:
        """Every reader with groups and licences, by name."""
        async with self._database.reading() as connection:
            query = select(readers, users.c.display_name).join_from(readers, users).order_by(readers.c.user)
            found = (await connection.execute(query)).mappings().all()
            groups = (await connection.execute(select(reader_groups))).mappings().all()
            sites = (await connection.execute(select(reader_sites))).mappings().all()
        return [
            {
                "name": row["user"],
                "display_name": row["display_name"],
                "available": row["available"],
                "capacity": row["capacity"],
                "groups": sorted(one["group"] for one in groups if one["user"] == row["user"]),
                "sites": [
                    {"site": one["site"], "licensed_until": one["licensed_until"]}
                    for one in sites
                    if one["user"] == row["user"]
                ],
            }
            for row in found
        ]

    async def change(
        self,
        name: str,
        *,
        groups: Sequence[str] | None = None,
        sites: Sequence[tuple[str, str | None]] | None = None,
        capacity: int | None = None,
        available: bool | None = None,
    ) -> None:
        """Replace what is given; leave what is None. Raises NotFound if there is no such reader."""
        wanted = {"capacity": capacity, "available": available}
        values = {key: value for key, value in wanted.items() if value is not None}
        async with self._database.writing() as connection:
            known = await connection.execute(select(readers.c.user).where(readers.c.user == name))
            if known.first() is None:
                raise NotFound(f"there is no reader {name!r}")
            if values:
                await connection.execute(update(readers).where(readers.c.user == name).values(values))
            if groups is not None:
                await connection.execute(delete(reader_groups).where(reader_groups.c.user == name))
                for group in dict.fromkeys(groups):
                    await connection.execute(reader_groups.insert().values(user=name, group=group))
            if sites is not None:
                await connection.execute(delete(reader_sites).where(reader_sites.c.user == name))
                for site, until in dict(sites).items():
                    await connection.execute(
                        reader_sites.insert().values(user=name, site=site, licensed_until=until)
                    )
            await self._standing.enter(connection, name)

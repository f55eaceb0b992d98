"""Transactions: whole or nothing, durable settings on, foreign versions refused."""

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, func, select

from gateway.database import open_database, sqlite_url
from gateway.errors import Broken

metadata = MetaData()
things = Table("things", metadata, Column("id", Integer, primary_key=True), Column("n", Integer))


async def test_a_transaction_that_raises_leaves_nothing(tmp_path: Path) -> None:
    database = await open_database(sqlite_url(tmp_path / "x.db"), metadata, version=1)
    with pytest.raises(RuntimeError):
        async with database.writing() as connection:
            await connection.execute(things.insert().values(n=1))
            raise RuntimeError
    async with database.writing() as connection:
        await connection.execute(things.insert().values(n=2))
    async with database.reading() as connection:
        assert (await connection.execute(select(things.c.n))).scalars().all() == [2]
    await database.close()


async def test_select_then_insert_is_safe_between_writers(tmp_path: Path) -> None:
    database = await open_database(sqlite_url(tmp_path / "x.db"), metadata, version=1)

    async def increment() -> None:
        async with database.writing() as connection:
            top = (await connection.execute(select(func.coalesce(func.max(things.c.n), 0)))).scalar_one()
            await asyncio.sleep(0)
            await connection.execute(things.insert().values(n=top + 1))

    await asyncio.gather(*(increment() for _ in range(20)))
    async with database.reading() as connection:
        numbers = (await connection.execute(select(things.c.n).order_by(things.c.n))).scalars().all()
    assert numbers == list(range(1, 21))
    await database.close()


async def test_sqlite_is_durable_and_checks_references(tmp_path: Path) -> None:
    database = await open_database(sqlite_url(tmp_path / "x.db"), metadata, version=1)
    async with database.reading() as connection:
        for pragma, wanted in (("journal_mode", "wal"), ("synchronous", 2), ("foreign_keys", 1)):
            found = (await connection.exec_driver_sql(f"PRAGMA {pragma}")).scalar()
            assert found == wanted
    await database.close()


async def test_tables_of_another_version_are_not_touched(tmp_path: Path) -> None:
    await (await open_database(sqlite_url(tmp_path / "x.db"), metadata, version=1)).close()
    with pytest.raises(Broken, match="version 1, this program needs 2"):
        await open_database(sqlite_url(tmp_path / "x.db"), metadata, version=2)

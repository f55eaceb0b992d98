"""The door to the database: one async engine, one explicit transaction a step.

SQLite runs in WAL mode with ``synchronous=FULL``: when a transaction has ended, it has survived a
power cut. Transactions that will write begin IMMEDIATE, so that two writers queue instead of
failing half-way. The URL decides the database; statements are SQLAlchemy Core and stay portable
to PostgreSQL.
"""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import MetaData, event, make_url, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from gateway import durable
from gateway.errors import Broken, StorageFull

BUSY_TIMEOUT_MS = 30_000
"""How long a writer waits for another one (SQLite)."""


class Database:
    """An engine, and the two kinds of transaction on it."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """A consistent snapshot to read from; nothing it does is kept."""
        async with self.engine.connect() as connection:
            yield connection

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        """One transaction: committed and durable when the block ends well, undone when it raises.

        Raises:
            StorageFull: the disk is full (SQLite); nothing of it was kept.
        """
        try:
            async with self._transaction() as connection:
                yield connection
        except OperationalError as error:
            if getattr(error.orig, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
                raise StorageFull("no room for the database") from error
            raise

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[AsyncConnection]:
        async with self.engine.connect() as connection:
            if connection.dialect.name == "sqlite":
                await connection.exec_driver_sql("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                await connection.rollback()
                raise
            await connection.commit()

    async def close(self) -> None:
        """Close every connection."""
        await self.engine.dispose()


async def open_database(url: str, metadata: MetaData, *, version: int) -> Database:
    """Open (and on first use create) the database.

    Args:
        url: an SQLAlchemy async URL, such as ``sqlite+aiosqlite:////var/lib/telerad/hub.db``.
        metadata: the tables.
        version: of the tables; an older or newer database is not touched.

    Raises:
        Broken: the database was written by another version of the tables.
    """
    engine = create_async_engine(url, pool_size=8) if ":memory:" not in url else create_async_engine(url)
    if engine.dialect.name == "sqlite":
        event.listen(engine.sync_engine, "connect", _prepare_sqlite)
        if engine.url.database and ":memory:" not in url:
            durable.make_folder(Path(engine.url.database).parent)
    database = Database(engine)
    try:
        await _settle_tables(database, metadata, version)
    except BaseException:
        await database.close()
        raise
    return database


@asynccontextmanager
async def looking(url: str) -> AsyncIterator[AsyncConnection]:
    """Read a database that is there, and make or change nothing in it; somebody else may run on it."""
    engine = create_async_engine(url)
    try:
        async with engine.connect() as connection:
            yield connection
    finally:
        await engine.dispose()


async def _settle_tables(database: Database, metadata: MetaData, version: int) -> None:
    """Create what is missing and compare the version, in one transaction."""
    async with database.writing() as connection:
        await connection.run_sync(metadata.create_all)
        await connection.exec_driver_sql(
            "CREATE TABLE IF NOT EXISTS table_version (version INTEGER NOT NULL)"
        )
        found = (await connection.execute(text("SELECT version FROM table_version"))).scalar()
        if found is None:
            await connection.execute(
                text("INSERT INTO table_version VALUES (:version)"), {"version": version}
            )
        elif found != version:
            raise Broken(f"the database has tables of version {found}, this program needs {version}")


def sqlite_url(file: Path) -> str:
    """The URL of an SQLite database file."""
    return f"sqlite+aiosqlite:///{file.absolute()}"


def shown_url(url: str) -> str:
    """A database's URL for people: the file, or the server without its password."""
    return (
        make_url(url).database or "" if is_file(url) else make_url(url).render_as_string(hide_password=True)
    )


def is_file(url: str) -> bool:
    """Whether a database is a file on this machine."""
    return make_url(url).get_backend_name() == "sqlite"


def _prepare_sqlite(connection: Any, _: Any) -> None:
    connection.isolation_level = None  # transactions begin where this file says, not where the driver guesses
    cursor = connection.cursor()
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        f"busy_timeout={BUSY_TIMEOUT_MS}",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()

"""What a machine that fails is told as: one sentence with what to do; a defect keeps its trace."""

from __future__ import annotations

import errno
import os
import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import MetaData, text
from sqlalchemy.exc import InterfaceError

from gateway import cli, failed
from gateway.database import open_database, shown_url, sqlite_url
from gateway.errors import Broken, DiskFailed, StorageFull

KEPT = failed.Kept("the index /spool/index.sqlite", "move it aside")


def of_sqlite(code: int) -> sqlite3.Error:
    made = sqlite3.OperationalError("what it says")
    made.sqlite_errorcode = code
    return made


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            of_sqlite(sqlite3.SQLITE_IOERR_WRITE),
            "index.sqlite cannot be read or written (what it says): look",
        ),
        (
            of_sqlite(sqlite3.SQLITE_READONLY_DBMOVED),
            "cannot be written (what it says): see whether its disk",
        ),
        (of_sqlite(sqlite3.SQLITE_CANTOPEN_ISDIR), "cannot be opened"),
        (of_sqlite(sqlite3.SQLITE_FULL), "has no room"),
        (of_sqlite(sqlite3.SQLITE_NOTADB), "is damaged (what it says): move it aside"),
        (of_sqlite(sqlite3.SQLITE_BUSY_SNAPSHOT), "is held by another program"),
        (StorageFull("no room for the database"), "no room for the database: make room"),
        (OSError(errno.EIO, os.strerror(errno.EIO), "/a"), "/a cannot be used (Input/output error): look at"),
        (
            OSError(errno.EROFS, os.strerror(errno.EROFS)),
            "a file cannot be used (Read-only file system): see",
        ),
        (
            InterfaceError("SELECT", {}, OSError("server closed\nmore")),
            "what it is asked (server closed): see",
        ),
    ],
)
def test_what_the_machine_fails_at(error: Exception, words: str) -> None:
    for one in (error, ExceptionGroup("outer", [ZeroDivisionError(), ExceptionGroup("inner", [error])])):
        with pytest.raises(DiskFailed) as told, failed.plainly(KEPT):
            raise one
        assert words in str(told.value)
        assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    "error",
    [
        ZeroDivisionError(),
        of_sqlite(sqlite3.SQLITE_ERROR),  # no such table, a syntax error
        sqlite3.IntegrityError("UNIQUE"),
        ConnectionResetError("not the database"),
        OSError("no errno"),
    ],
)
def test_a_defect_keeps_its_trace(error: Exception) -> None:
    assert failed.told(error) is None
    with pytest.raises(type(error)), failed.plainly(KEPT):
        raise error


def test_what_says_already_what_to_do_comes_first() -> None:
    group = ExceptionGroup("", [OSError(errno.EIO, "x"), ExceptionGroup("", [Broken("restore the backup")])])
    with pytest.raises(Broken, match=r"^restore the backup$"), failed.plainly(KEPT):
        raise group


async def test_where_it_happened_and_how_the_database_is_called(tmp_path: Path) -> None:
    (tmp_path / "hub.db").write_bytes(b"no database" * 1000)
    with pytest.raises(Exception, match="not a database") as told:
        await open_database(sqlite_url(tmp_path / "hub.db"), MetaData(), version=1)
    assert failed.where(told.value).startswith("gateway.database:")
    assert shown_url(sqlite_url(tmp_path / "hub.db")) == str(tmp_path / "hub.db")
    assert (
        shown_url("postgresql+asyncpg://hub:secret@db:5432/hub") == "postgresql+asyncpg://hub:***@db:5432/hub"
    )
    database = await open_database(sqlite_url(tmp_path / "good.db"), MetaData(), version=1)
    with pytest.raises(Exception, match="no such table") as told:
        async with database.reading() as connection:
            await connection.execute(text("SELECT * FROM nowhere"))
    assert failed.told(told.value) is None
    await database.close()


def test_a_command_ends_with_the_sentence(monkeypatch, capsys) -> None:
    def fails(_: object) -> int:
        raise ExceptionGroup("", [OSError(errno.EIO, os.strerror(errno.EIO), "/data/hub.db")])

    monkeypatch.setattr("hub.commands._run", fails)
    assert cli.main(["hub", "run", "-c", "hub.yaml"]) == 1
    out = capsys.readouterr().err
    assert out == (
        "telerad: /data/hub.db cannot be used (Input/output error): look at its disk (system log, SMART, cables)\n"
    )

"""The index of the spool: one row an item, so that what goes next is found without reading a folder.

Rows say what files cannot (priority and modality before signing, tries) and repeat what they can. The
journal may lose its last moments in a power cut (``synchronous=NORMAL``): `recovery` compares it
with the files at every start. It holds no UID and no name.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Sequence
from dataclasses import astuple, fields, replace
from pathlib import Path
from typing import Any

from edge.spool.item import SpoolItem
from edge.spool.states import State
from gateway.errors import Broken
from gateway.model import ParcelId, Priority, Sha256

VERSION = 2
_COLUMNS = tuple(field.name for field in fields(SpoolItem))
_TABLE = """
CREATE TABLE IF NOT EXISTS items (
    parcel_id TEXT PRIMARY KEY, state TEXT NOT NULL,
    sealed_size INTEGER NOT NULL, chunk_count INTEGER NOT NULL, instances INTEGER NOT NULL,
    priority INTEGER NOT NULL, modality TEXT NOT NULL, received_at TEXT NOT NULL,
    sequence INTEGER, digest TEXT, lead INTEGER NOT NULL DEFAULT 0, reason TEXT NOT NULL, next_try TEXT
);
CREATE INDEX IF NOT EXISTS items_next ON items (state, priority, sequence);
CREATE INDEX IF NOT EXISTS items_received ON items (received_at);
CREATE INDEX IF NOT EXISTS items_sequence ON items (sequence);
"""
FIRST_VERSION = 1
_TO_SECOND = f"""
BEGIN IMMEDIATE;
ALTER TABLE items ADD COLUMN lead INTEGER NOT NULL DEFAULT 0;
PRAGMA user_version={VERSION};
COMMIT;
"""


class Journal:
    """The index file. Safe to share between threads.

    Raises:
        Broken: the file is of another version.
    """

    def __init__(self, file: Path) -> None:
        self._lock = threading.Lock()
        self._connection = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
        (version,) = self._connection.execute("PRAGMA user_version").fetchone()
        if version == FIRST_VERSION:
            self._connection.executescript(_TO_SECOND)
        elif version not in (0, VERSION):
            raise Broken(f"{file} is of version {version}, this program needs {VERSION}")
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=NORMAL")
        self._connection.executescript(_TABLE)
        self._connection.execute(f"PRAGMA user_version={VERSION}")

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    def put(self, item: SpoolItem) -> None:
        """Insert or replace one row."""
        self.put_all((item,))

    def put_all(self, items: Iterable[SpoolItem]) -> None:
        """Insert or replace rows in one transaction."""
        marks = ",".join("?" * len(_COLUMNS))
        statement = f"INSERT OR REPLACE INTO items ({','.join(_COLUMNS)}) VALUES ({marks})"  # noqa: S608  # our own column names
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                self._connection.executemany(statement, map(_row, items))
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def forget(self, parcels: Iterable[ParcelId], *, durably: bool = False) -> None:
        """Remove rows; `durably`: when this returns, they stay removed after a power cut."""
        with self._lock:
            if durably:
                self._connection.execute("PRAGMA synchronous=FULL")
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                self._connection.executemany(
                    "DELETE FROM items WHERE parcel_id=?", [(parcel,) for parcel in parcels]
                )
                self._connection.execute("COMMIT")
            finally:
                if durably:
                    self._connection.execute("PRAGMA synchronous=NORMAL")

    def ahead(self, priority: Priority) -> int:
        """Signed items at least so urgent that are not at the hub yet, nor asked to pause."""
        words = (State.SEALED.value, State.SENDING.value)
        query = "SELECT COUNT(*) FROM items WHERE state IN (?,?) AND priority<=? AND next_try IS NULL"
        count: int = self._query(query, (*words, int(priority)))[0][0]
        return count

    def unsent(self) -> int:
        """Sealed bytes of signed items that are not at the hub yet."""
        query = "SELECT COALESCE(SUM(sealed_size), 0) FROM items WHERE state IN (?,?)"
        total: int = self._query(query, (State.SEALED.value, State.SENDING.value))[0][0]
        return total

    def mark_lead(self, parcel: ParcelId) -> None:
        """Reading can begin with it. It keeps its place in the order of arrival."""
        with self._lock:
            self._connection.execute("UPDATE items SET lead=1 WHERE parcel_id=?", (parcel,))

    def get(self, parcel: ParcelId) -> SpoolItem | None:
        """One row, if there is one."""
        found = self._select("WHERE parcel_id=?", (parcel,))
        return found[0] if found else None

    def all(self) -> list[SpoolItem]:
        """Every row but the purged ones."""
        return self._select("WHERE state != ?", (State.PURGED.value,))

    def to_pack(self, limit: int) -> list[SpoolItem]:
        """Unsigned items: by priority, then in the order they came."""
        return self._select("WHERE state=? ORDER BY priority, rowid LIMIT ?", (State.RECEIVED.value, limit))

    def in_states(self, states: Iterable[State], limit: int) -> list[SpoolItem]:
        """Items in `states`: by priority, then by sequence."""
        words = [state.value for state in states]
        marks = ",".join("?" * len(words))
        return self._select(
            f"WHERE state IN ({marks}) ORDER BY priority, sequence, rowid LIMIT ?", (*words, limit)
        )

    def counts(self) -> dict[State, tuple[int, int, int]]:
        """For every state: items, instances, sealed bytes."""
        rows = self._query(
            "SELECT state, COUNT(*), SUM(instances), SUM(sealed_size) FROM items GROUP BY state", ()
        )
        return {State(row[0]): (row[1], row[2], row[3]) for row in rows}

    def received_since(self, moment: str) -> int:
        """Sealed bytes of what came in since `moment` (RFC 3339)."""
        query = "SELECT COALESCE(SUM(sealed_size), 0) FROM items WHERE received_at >= ?"
        total: int = self._query(query, (moment,))[0][0]
        return total

    def oldest(self, states: Iterable[State]) -> str | None:
        """When the oldest item in `states` was received."""
        words = [state.value for state in states]
        marks = ",".join("?" * len(words))
        query = f"SELECT MIN(received_at) FROM items WHERE state IN ({marks})"  # noqa: S608  # only marks
        found: str | None = self._query(query, tuple(words))[0][0]
        return found

    def newest_signed(self) -> SpoolItem | None:
        """The row with the highest sequence."""
        found = self._select("WHERE sequence IS NOT NULL ORDER BY sequence DESC LIMIT 1", ())
        return found[0] if found else None

    def purged_before(self, moment: str, limit: int) -> list[ParcelId]:
        """Purged items received before `moment`."""
        rows = self._query(
            "SELECT parcel_id FROM items WHERE state=? AND received_at < ? LIMIT ?",
            (State.PURGED.value, moment, limit),
        )
        return [ParcelId(row[0]) for row in rows]

    def _select(self, where: str, values: Sequence[Any]) -> list[SpoolItem]:
        rows = self._query(f"SELECT {','.join(_COLUMNS)} FROM items {where}", values)  # noqa: S608  # our own clauses; values are bound
        return [_item(row) for row in rows]

    def _query(self, statement: str, values: Sequence[Any]) -> list[Any]:
        with self._lock:
            return self._connection.execute(statement, values).fetchall()


def _row(item: SpoolItem) -> tuple[Any, ...]:
    return astuple(replace(item, state=item.state.value, priority=int(item.priority)))  # type: ignore[arg-type]  # as the columns hold them


def _item(row: Sequence[Any]) -> SpoolItem:
    known = dict(zip(_COLUMNS, row, strict=True))
    known["parcel_id"] = ParcelId(known["parcel_id"])
    known["state"] = State(known["state"])
    known["priority"] = Priority(known["priority"])
    known["digest"] = None if known["digest"] is None else Sha256(known["digest"])
    known["lead"] = bool(known["lead"])
    return SpoolItem(**known)

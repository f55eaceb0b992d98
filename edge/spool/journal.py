"""The index of the spool: one row an item, so that what goes next is found without reading a folder.

Rows say what files cannot (priority and modality before signing, tries) and repeat what they can. The
journal may lose its last moments in a power cut (``synchronous=NORMAL``): `recovery` compares it
with the files at every start. It holds no UID and no name.

Nothing here takes longer the more rows there are: every query has its index, and how much there is of
each state and hour is kept up to date by triggers.
"""

from __future__ import annotations

import math
import sqlite3
import threading
from collections.abc import Iterable, Sequence
from dataclasses import fields
from operator import attrgetter
from pathlib import Path
from typing import Any

from edge.spool.item import SpoolItem
from edge.spool.states import State
from gateway.errors import Broken
from gateway.model import ParcelId, Priority, Sha256

VERSION = 3
_COLUMNS = tuple(field.name for field in fields(SpoolItem))
_VALUES = attrgetter(*_COLUMNS)
_TABLE = """
CREATE TABLE IF NOT EXISTS items (
    parcel_id TEXT PRIMARY KEY, state TEXT NOT NULL,
    sealed_size INTEGER NOT NULL, chunk_count INTEGER NOT NULL, instances INTEGER NOT NULL,
    priority INTEGER NOT NULL, modality TEXT NOT NULL, received_at TEXT NOT NULL,
    sequence INTEGER, digest TEXT, lead INTEGER NOT NULL DEFAULT 0, reason TEXT NOT NULL, next_try TEXT
);
CREATE INDEX IF NOT EXISTS items_next ON items (state, priority, sequence);
CREATE INDEX IF NOT EXISTS items_age ON items (state, received_at);
CREATE INDEX IF NOT EXISTS items_ready ON items (state, priority) WHERE next_try IS NULL;
CREATE INDEX IF NOT EXISTS items_sequence ON items (sequence);
DROP INDEX IF EXISTS items_received;
CREATE TABLE IF NOT EXISTS totals (
    state TEXT PRIMARY KEY, items INTEGER NOT NULL, instances INTEGER NOT NULL, sealed INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS hours (hour TEXT PRIMARY KEY, sealed INTEGER NOT NULL);
"""
_ADD = """
    INSERT INTO totals VALUES (NEW.state, 1, NEW.instances, NEW.sealed_size) ON CONFLICT DO UPDATE SET
        items = items + 1, instances = instances + NEW.instances, sealed = sealed + NEW.sealed_size;
    INSERT INTO hours VALUES (substr(NEW.received_at, 1, 13), NEW.sealed_size) ON CONFLICT DO UPDATE SET
        sealed = sealed + NEW.sealed_size;
"""
_SUBTRACT = """
    UPDATE totals SET items = items - 1, instances = instances - OLD.instances,
        sealed = sealed - OLD.sealed_size WHERE state = OLD.state;
    UPDATE hours SET sealed = sealed - OLD.sealed_size WHERE hour = substr(OLD.received_at, 1, 13);
"""
_TRIGGERS = f"""
CREATE TRIGGER IF NOT EXISTS items_added AFTER INSERT ON items BEGIN {_ADD} END;
CREATE TRIGGER IF NOT EXISTS items_changed AFTER UPDATE ON items BEGIN {_SUBTRACT} {_ADD} END;
CREATE TRIGGER IF NOT EXISTS items_removed AFTER DELETE ON items BEGIN {_SUBTRACT} END;
"""
_LEAD = "ALTER TABLE items ADD COLUMN lead INTEGER NOT NULL DEFAULT 0;"
_COUNT = """
INSERT INTO totals SELECT state, COUNT(*), SUM(instances), SUM(sealed_size) FROM items GROUP BY state;
INSERT INTO hours SELECT substr(received_at, 1, 13), SUM(sealed_size) FROM items GROUP BY 1;
"""
_PUT = (
    f"INSERT INTO items ({','.join(_COLUMNS)}) VALUES ({','.join('?' * len(_COLUMNS))})"  # noqa: S608  # our own column names
    f" ON CONFLICT (parcel_id) DO UPDATE SET {','.join(f'{name}=excluded.{name}' for name in _COLUMNS[1:])}"
)
_ORDERED = f"SELECT {','.join(_COLUMNS)}, rowid FROM items WHERE state=? ORDER BY priority, sequence, rowid"  # noqa: S608  # as above
MANY = 64
"""More signed items than this need not be counted: the line has enough to do."""

_PENDING = 256
"""Rows put off at most."""


class Journal:
    """The index file. Safe to share between threads.

    Raises:
        Broken: the file is of another version.
    """

    def __init__(self, file: Path) -> None:
        self._lock = threading.Lock()
        self._pending: list[SpoolItem] = []
        self._connection = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
        (version,) = self._connection.execute("PRAGMA user_version").fetchone()
        if version not in (0, 1, 2, VERSION):
            raise Broken(f"{file} is of version {version}, this program needs {VERSION}")
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=NORMAL")
        self._connection.executescript(
            "BEGIN;" + _LEAD * (version == 1) + _TABLE + _COUNT * (version in (1, 2)) + _TRIGGERS + "COMMIT;"
        )
        self._connection.execute(f"PRAGMA user_version={VERSION}")

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._flush()
            self._connection.close()

    def put(self, item: SpoolItem) -> None:
        """Insert or replace one row."""
        self.put_all((item,))

    def put_soon(self, items: Iterable[SpoolItem]) -> None:
        """Insert rows whose files say all of them: written when somebody asks, or many wait."""
        with self._lock:
            self._pending += items
            if len(self._pending) >= _PENDING:
                self._flush()

    def put_all(self, items: Iterable[SpoolItem]) -> None:
        """Insert or replace rows in one transaction."""
        with self._lock:
            self._flush()
            self._put(items)

    def _flush(self) -> None:
        if self._pending:
            self._put(self._pending)
            self._pending.clear()

    def _put(self, items: Iterable[SpoolItem]) -> None:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            self._connection.executemany(_PUT, map(_row, items))
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    def forget(self, parcels: Iterable[ParcelId], *, durably: bool = False) -> None:
        """Remove rows; `durably`: when this returns, they stay removed after a power cut."""
        with self._lock:
            self._flush()
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
        """Signed items at least so urgent that are not at the hub yet, nor asked to pause; `MANY` at most."""
        query = (
            "SELECT COUNT(*) FROM"
            " (SELECT 1 FROM items WHERE state=? AND priority<=? AND next_try IS NULL LIMIT ?)"
        )
        states = (State.SEALED.value, State.SENDING.value)
        counts: list[int] = [self._query(query, (word, int(priority), MANY))[0][0] for word in states]
        return min(sum(counts), MANY)

    def unsent(self) -> int:
        """Sealed bytes of signed items that are not at the hub yet."""
        return self._sealed(State.SEALED, State.SENDING)

    def unsigned(self) -> int:
        """Sealed bytes of items that are not signed yet."""
        return self._sealed(State.RECEIVED, State.RECEIVED)

    def _sealed(self, *states: State) -> int:
        query = "SELECT COALESCE(SUM(sealed), 0) FROM totals WHERE state IN (?,?)"
        total: int = self._query(query, [state.value for state in states])[0][0]
        return total

    def mark_lead(self, parcel: ParcelId) -> None:
        """Reading can begin with it. It keeps its place in the order of arrival."""
        with self._lock:
            self._flush()
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
        return self.in_states((State.RECEIVED,), limit)

    def in_states(self, states: Iterable[State], limit: int) -> list[SpoolItem]:
        """Items in `states`: by priority, then by sequence, then those without one as they came."""
        found = []
        for state in states:  # each by its own index: several at once would be sorted whole
            rows = self._query(f"{_ORDERED} LIMIT ?", (state.value, limit))
            found += [(row[-1], _item(row[:-1])) for row in rows]
        found.sort(key=lambda one: (one[1].priority, one[1].sequence or math.inf, one[0]))
        return [item for _, item in found[: None if limit < 0 else limit]]

    def counts(self) -> dict[State, tuple[int, int, int]]:
        """For every state: items, instances, sealed bytes."""
        rows = self._query("SELECT state, items, instances, sealed FROM totals WHERE items > 0", ())
        return {State(row[0]): (row[1], row[2], row[3]) for row in rows}

    def received_since(self, moment: str) -> int:
        """Sealed bytes of what came in since the hour of `moment` (RFC 3339)."""
        query = "SELECT COALESCE(SUM(sealed), 0) FROM hours WHERE hour >= substr(?, 1, 13)"
        total: int = self._query(query, (moment,))[0][0]
        return total

    def oldest(self, states: Iterable[State]) -> str | None:
        """When the oldest item in `states` was received."""
        query = "SELECT MIN(received_at) FROM items WHERE state=?"
        found = [self._query(query, (state.value,))[0][0] for state in states]
        return min((moment for moment in found if moment is not None), default=None)

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
            self._flush()
            return self._connection.execute(statement, values).fetchall()


def _row(item: SpoolItem) -> tuple[Any, ...]:
    parcel, state, *rest = _VALUES(item)  # the priority is a number itself
    return (parcel, state.value, *rest)


def _item(row: Sequence[Any]) -> SpoolItem:
    known = dict(zip(_COLUMNS, row, strict=True))
    known["parcel_id"] = ParcelId(known["parcel_id"])
    known["state"] = State(known["state"])
    known["priority"] = Priority(known["priority"])
    known["digest"] = None if known["digest"] is None else Sha256(known["digest"])
    known["lead"] = bool(known["lead"])
    return SpoolItem(**known)

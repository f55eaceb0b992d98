"""Which instances came, and for which of them the hub has signed: what storage commitment is given by.

``data/services/ledger.sqlite``. A row holds marks of the UIDs (`vault`) and a digest of the dataset as
receipts list it, whatever parcel it travelled in: that which was taken while it came, and instead of it the
SHA-256 once this is taken for the line (the column has its name from before there was another). A row is
written a moment behind the answer to the C-STORE, in a burst up to 0.6 s, and then outlives the death of this
process; a kill may lose those of that moment, a power cut the last ones, and then the instance is not
committed, so that the modality keeps it. What the ledger does not know is never committed.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from edge.ingest.vault import Vault
from edge.spool.custodian import Named
from gateway.envelope.receipt import Receipt
from gateway.envelope.signature import Statement
from gateway.errors import Malformed
from gateway.log import logger

KEEP_SECONDS = 90 * 86400.0
WAITING = 100_000
"""Rows that may wait to be written; what comes then is not noted."""

CLASSES = 256
"""SOP classes whose marks are remembered."""

TOGETHER_SECONDS = 0.05
"""Rows of so long are written together, so that receiving is hardly disturbed."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS came(
  instance BLOB NOT NULL, class BLOB NOT NULL, sha256 BLOB NOT NULL, at INTEGER NOT NULL,
  PRIMARY KEY (instance, sha256)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS signed(sha256 BLOB PRIMARY KEY, at INTEGER NOT NULL) WITHOUT ROWID;
"""
_CAME = "INSERT OR REPLACE INTO came VALUES (?, ?, ?, ?)"
_SIGNED = "INSERT OR REPLACE INTO signed VALUES (?, ?)"
_NAMED = "UPDATE OR REPLACE came SET sha256 = ? WHERE instance = ? AND sha256 = ?"
_LOST = "DELETE FROM signed WHERE sha256 = ?"

_Row = tuple[bytes | int, ...]


class _Came(NamedTuple):
    sop_class: str
    instance: str
    digest: str
    at: int


_Told = list[_Came] | tuple[str, Sequence[_Row]]  # or a statement and its rows

log = logger("edge.ingest")


class Ledger:
    """May be called from any thread.

    Args:
        vault: makes marks, and says where the ledger lies.
        receipts: the folder of kept receipts; those that came shortly before the end are read again.
    """

    def __init__(self, vault: Vault, receipts: Path | None = None) -> None:
        self._vault = vault
        self._file = vault.folder / "ledger.sqlite"
        self._class_mark = lru_cache(CLASSES)(self._mark)
        self._news = threading.Condition()
        self._waiting: list[_Told] = []
        self._rows = 0  # of those
        self._writing = self._closed = False
        self._reading = self._connect()
        self._reading.executescript(_SCHEMA)
        self._lock = threading.Lock()
        (last,) = self._reading.execute("SELECT max(at) FROM signed").fetchone()
        self._thread = threading.Thread(target=self._write, name="ledger", daemon=True)
        self._thread.start()
        if receipts is not None:
            self._catch_up(receipts, (last or 0) - 60)

    def came(self, instances: Iterable[tuple[str, str, str]]) -> None:
        """These are durable here: SOP class, SOP instance and digest of each."""
        now = int(time.time())
        self._put([_Came(*one, now) for one in instances])

    def named(self, instances: Sequence[Named]) -> None:
        """What receipts will list these by, instead of the digest that was taken while they came."""
        rows = [
            (bytes.fromhex(one.sha256), self._mark(one.instance), bytes.fromhex(one.digest))
            for one in instances
        ]
        if rows:
            self._put((_NAMED, rows))

    def receipt(self, signed: bytes) -> None:
        """A verified receipt is durable here."""
        now = int(time.time())
        self._put((_SIGNED, [(one, now) for one in _digests(signed)]))

    def lost(self, signed: bytes) -> None:
        """A receipt no longer counts."""
        self._put((_LOST, [(one,) for one in _digests(signed)]))

    def find(self, instance: str) -> list[tuple[bytes, bool]]:
        """What came under this UID: the mark of its class, and whether the hub has signed for it."""
        with self._lock:
            rows = self._reading.execute(
                "SELECT class, EXISTS (SELECT 1 FROM signed WHERE signed.sha256 = came.sha256)"
                " FROM came WHERE instance = ?",
                (self._mark(instance),),
            ).fetchall()
        return [(bytes(sop_class), bool(signed)) for sop_class, signed in rows]

    def is_class(self, mark: bytes, sop_class: str) -> bool:
        """Whether this is the mark of that class."""
        return mark == self._class_mark(sop_class)

    def settle(self) -> None:
        """Wait until everything that was told so far can be found."""
        with self._news:
            self._news.wait_for(lambda: not self._waiting and not self._writing)

    def close(self) -> None:
        """Write what waits, and close."""
        with self._news:
            self._closed = True
            self._news.notify_all()
        self._thread.join()
        with self._lock:
            self._reading.close()

    def _mark(self, uid: str) -> bytes:
        return self._vault.mark("instance", uid.strip(" \0"))

    def _row(self, came: _Came) -> _Row:
        """Marks are made here, in the ledger's own thread: who received the instance has to answer."""
        marks = self._mark(came.instance), self._class_mark(came.sop_class)
        return *marks, bytes.fromhex(came.digest), came.at

    def _put(self, told: _Told) -> None:
        with self._news:
            full = self._rows >= WAITING
            if not full:
                self._waiting.append(told)
                self._rows += len(told if isinstance(told, list) else told[1])
                self._news.notify_all()
        if full:  # not committed then; the modality keeps it
            log.warning("not noted for storage commitment", reason="the disk is too slow")

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._file, check_same_thread=False, isolation_level=None)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        self._file.chmod(0o600)
        return connection

    def _write(self) -> None:
        connection = self._connect()
        old = int(time.time() - KEEP_SECONDS)
        for table in ("came", "signed"):
            connection.execute(f"DELETE FROM {table} WHERE at < ?", (old,))  # noqa: S608  # two fixed names
        while work := self._taken():
            try:
                connection.execute("BEGIN")
                for told in work:
                    statement, rows = (_CAME, map(self._row, told)) if isinstance(told, list) else told
                    connection.executemany(statement, rows)
                connection.execute("COMMIT")
            except sqlite3.Error as error:  # as above: without a row nothing is committed
                log.warning("not noted for storage commitment", reason=str(error))
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
            with self._news:
                self._writing = False
                self._news.notify_all()
        connection.close()

    def _taken(self) -> list[_Told]:
        """What was told meanwhile, to be written together; nothing: it was the last."""
        with self._news:
            self._news.wait_for(lambda: self._waiting or self._closed)
            closed = self._closed
        if not closed:
            time.sleep(TOGETHER_SECONDS)
        with self._news:
            work, self._waiting, self._rows = self._waiting, [], 0
            self._writing = bool(work)
        return work

    def _catch_up(self, folder: Path, since: float) -> None:
        for path in folder.glob("*/*.receipt"):
            if path.stat().st_mtime >= since:
                try:
                    self.receipt(path.read_bytes())
                except Malformed as error:
                    log.warning("receipt not read", parcel=path.stem, reason=str(error))


def _digests(signed: bytes) -> Iterable[bytes]:
    receipt = Receipt.from_bytes(Statement.from_bytes(signed).payload)
    digests = [digest for one in receipt.instances for digest in (one.sha256, one.blake3) if digest]
    return [bytes.fromhex(digest) for digest in digests]

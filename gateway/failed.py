"""What the machine under this program fails at, in one sentence that says what to do.

A database or a disk that fails ends the program: whoever starts it again (systemd, a person) reads why in
its last line, and no trace of calls. A defect of the program keeps its trace.
"""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType

from gateway.errors import DiskFailed, GatewayError, StorageFull

OWN = frozenset({"gateway", "hub", "edge", "certs"})
"""Packages whose lines say where it happened."""

SHOWN = 300
"""Characters of another program's words."""

LOOK = "look at its disk (system log, SMART, cables)"
MOUNTED = "see whether its disk was mounted read-only after a fault, and whose the file is"
ROOM = "make room on its disk, or raise the quota"
ALLOWED = "see that it is there, on a mounted volume, and belongs to this program's user"
LIMITS = "give this program more memory and open files (ulimit -n)"

_OF_SYSTEM = {
    **dict.fromkeys((errno.EIO, errno.ENXIO, errno.ENODEV, errno.EUCLEAN, errno.ESTALE), LOOK),
    errno.EROFS: MOUNTED,
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), ROOM),
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.ENOENT, errno.ENOTDIR), ALLOWED),
    **dict.fromkeys((errno.EMFILE, errno.ENFILE, errno.ENOMEM), LIMITS),
}
_OF_SQLITE = {
    sqlite3.SQLITE_IOERR: ("cannot be read or written", f"{LOOK}, and at the room on it"),
    sqlite3.SQLITE_READONLY: ("cannot be written", MOUNTED),
    sqlite3.SQLITE_FULL: ("has no room", ROOM),
    sqlite3.SQLITE_CANTOPEN: ("cannot be opened", ALLOWED),
    sqlite3.SQLITE_PERM: ("cannot be opened", ALLOWED),
    sqlite3.SQLITE_NOMEM: ("has no memory", LIMITS),
    sqlite3.SQLITE_BUSY: ("is held by another program", "end that one"),
    sqlite3.SQLITE_LOCKED: ("is held by another program", "end that one"),
    **dict.fromkeys((sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB), ("is damaged", "")),
}
_OF_SERVER = frozenset({"OperationalError", "InterfaceError", "InternalError", "DBAPIError"})


@dataclass(frozen=True, slots=True)
class Kept:
    """A database, as its administrator knows it.

    Attributes:
        name: such as its file; no password.
        damaged: what to do if it can no longer be read as one.
    """

    name: str = "the database"
    damaged: str = "keep the file as it is, look at its disk, and restore the newest backup"


def leaves(error: BaseException) -> Iterator[BaseException]:
    """The errors of a group, whatever the groups within it; one that is no group is itself."""
    if isinstance(error, BaseExceptionGroup):
        for one in error.exceptions:
            yield from leaves(one)
    else:
        yield error


def told(error: BaseException, database: Kept | None = None) -> GatewayError | None:
    """What to tell of an error that ends the program; None: it is a defect, and its trace is to be seen."""
    known, found = database or Kept(), list(leaves(error))
    for one in found:
        if isinstance(one, GatewayError) and not isinstance(one, StorageFull):
            return one
    words = next((said for one in found if (said := _words(one, known))), None)
    return None if words is None else DiskFailed(words)


@contextmanager
def plainly(database: Kept) -> Iterator[None]:
    """Let an error of the machine leave the block in one sentence.

    Args:
        database: that is used in it.

    Raises:
        DiskFailed: the database or a disk failed.
    """
    try:
        yield
    except Exception as error:
        said = told(error, database)
        if said is None or said is error:
            raise
        raise said from error


def where(error: BaseException) -> str:
    """The line of ours in which it happened, such as ``hub.watch:74``."""
    found = ""
    trace: TracebackType | None = next(leaves(error)).__traceback__
    while trace is not None:
        module = str(trace.tb_frame.f_globals.get("__name__", ""))
        if module.partition(".")[0] in OWN:
            found = f"{module}:{trace.tb_lineno}"
        trace = trace.tb_next
    return found


def _words(error: BaseException, database: Kept) -> str | None:
    if isinstance(error, StorageFull):
        return f"{error}: {ROOM}"
    cause = getattr(error, "orig", None) or error  # SQLAlchemy wraps what the driver raised
    if isinstance(cause, sqlite3.Error):
        code = getattr(cause, "sqlite_errorcode", None)
        if code is None or (code & 0xFF) not in _OF_SQLITE:
            return None
        fault, remedy = _OF_SQLITE[code & 0xFF]
        return f"{database.name} {fault} ({_short(cause)}): {remedy or database.damaged}"
    if type(error).__module__ == "sqlalchemy.exc":
        if type(error).__name__ not in _OF_SERVER:
            return None
        return (
            f"{database.name} does not do what it is asked ({_short(cause)}): see that it runs, and its log"
        )
    if isinstance(error, ConnectionError) and where(error).startswith("gateway.database:"):
        return f"{database.name} cannot be reached ({_short(error)}): see that it runs, and its log"
    if isinstance(error, OSError) and error.errno in _OF_SYSTEM:
        place = error.filename or "a file"
        return f"{place} cannot be used ({error.strerror}): {_OF_SYSTEM[error.errno]}"
    return None


def _short(error: BaseException) -> str:
    said = str(error).strip().splitlines() or [type(error).__name__]
    return said[0][:SHOWN]

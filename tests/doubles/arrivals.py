"""The hub's intake and archive without TLS, that can die at any system call and start again."""

from __future__ import annotations

import errno
import hashlib
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from sqlalchemy import select
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.clock import Clock, rfc3339
from gateway.database import Database, open_database, sqlite_url
from gateway.envelope.kem import KemKeys
from gateway.envelope.layout import HEADER_KIND, NO_PREVIOUS, Header
from gateway.envelope.seal import complete, header_digest
from gateway.envelope.signature import sign
from gateway.model import ParcelId, Priority, SiteId
from gateway.wire import messages as m
from hub.archive.archive import Archive
from hub.archive.store import BlobStore
from hub.custody import CustodyLog
from hub.intake import journal
from hub.intake.intake import Intake
from hub.intake.states import Event, State, follow
from hub.tables import VERSION, metadata
from tests.doubles.clock import SetClock
from tests.doubles.parcels import Parcel, seal
from tests.doubles.signers import NOW, MemoryAuthority

SITE = SiteId("H001")
CALLS = ("open", "pwrite", "fdatasync", "fsync", "posix_fallocate", "link", "unlink", "rename", "mkdir")


class Killed(BaseException):
    """kill -9: nothing after it is done."""


@dataclass
class Sealed:
    """A parcel as an edge has it."""

    parcel: Parcel
    header: Header
    signed: bytes

    @property
    def id(self) -> ParcelId:
        return self.header.parcel_id

    def announce(self) -> m.Announce:
        return m.Announce(self.id, self.signed)

    def chunk(self, index: int) -> m.Chunk:
        return m.Chunk(
            self.id, index, self.header.chunks[index], self.parcel.read(*self.header.chunk_span(index))
        )

    def all(self) -> list[m.Announce | m.Chunk]:
        return [self.announce(), *map(self.chunk, range(len(self.header.chunks)))]


@dataclass
class Arrivals:
    """One hub's way in; `open` and `die` stand for its process."""

    folder: Path
    clock: Clock = field(default_factory=lambda: SetClock(NOW))
    keys: KemKeys = field(default_factory=lambda: KemKeys.generate("hub-1"))
    authority: MemoryAuthority = field(default_factory=MemoryAuthority)

    def __post_init__(self) -> None:
        self.device, self.signer = self.authority.device(SITE, "1"), self.authority.hub()
        self.last = NO_PREVIOUS

    async def open(self) -> None:
        """Start, without recovering yet."""
        self.database: Database = await open_database(
            sqlite_url(self.folder / "hub.db"), metadata, version=VERSION
        )
        custody = CustodyLog(self.database, None, self.clock)
        self.archive = Archive(self.database, BlobStore(self.folder / "archive"), custody, self.clock)
        self.intake = Intake(
            self.database,
            self.folder,
            self.archive,
            self.authority.trust,
            self.keys,
            self.signer,
            custody,
            self.clock,
            0,
        )

    async def die(self) -> None:
        """What was in memory is gone."""
        await self.database.close()

    async def recover(self) -> None:
        """As `hub.app` does at start, and then what `run` does until nothing waits."""
        await self.intake.recover()
        await self.carry()

    async def carry(self) -> None:
        """Until nothing whole waits."""
        await self.intake._conveyor.drain()

    async def take(self, *messages: m.Announce | m.Chunk | m.Ask) -> list[Any]:
        """One batch of the edge; what it is answered."""
        replies, _ = await self.intake._desk.take(messages, SITE)
        return replies

    async def ask(self, parcel: ParcelId) -> m.Have | m.Receipt | m.Refused | m.Unknown:
        """Where it stands."""
        (answer,) = await self.take(m.Ask(parcel))
        return answer

    def said(self, parcel: ParcelId) -> Any:
        """What an edge still listening would have been told last; None if nothing is known in memory."""
        arrival = self.intake._arrivals._known.get(parcel)
        return None if arrival is None else arrival.status()

    def sealed(self, number: int, instances: Sequence[bytes], *, first: int | None = None) -> Sealed:
        """A parcel for this hub; they are made in the order of their numbers, from 1 on."""
        parcel = seal(
            self.keys,
            instances,
            parcel_id=ParcelId(f"{number:032x}"),
            codec="raw",
            first=first or 10 * number,
        )
        header = complete(
            parcel.draft,
            site=SITE,
            sequence=number,
            previous=self.last,
            priority=Priority.ROUTINE,
            created_at=rfc3339(self.clock.now()),
        )
        signed = sign(HEADER_KIND, header.to_bytes(), self.device)
        self.last = header_digest(signed)
        return Sealed(parcel, header, signed)

    def lying(self, number: int) -> Sealed:
        """Sealed and signed well, but the manifest's SHA-256 is of other bytes."""
        real = hashlib.sha256
        calls = iter([Lying()])
        with patch("gateway.envelope.taken.sha256", lambda *a: next(calls, None) or real(*a)):
            return self.sealed(number, [b"x" * 2500])

    async def rows(self, table: Any) -> list[dict[str, Any]]:
        """All of a table."""
        async with self.database.reading() as connection:
            return [dict(row) for row in (await connection.execute(select(table))).mappings()]


class Lying:
    """A SHA-256 of something else."""

    def __init__(self) -> None:
        self.true = hashlib.sha256()

    def update(self, data: bytes) -> None:
        self.true.update(b"!" + data)

    def hexdigest(self) -> str:
        return self.true.hexdigest()


@dataclass
class Killer:
    """Ends the process at its `at`-th durable step: system calls that change files, and commits.

    From then on no such step happens at all, so that no clean-up runs either.

    Attributes:
        at: 0: never, count only.
        after: whether a commit at which it dies has happened still.
        seen: steps so far.
        commits: the steps that are commits.
        passed: transitions that were committed.
        fails_with: an errno: then step `at` alone fails so, and everything goes on.
    """

    at: int
    after: bool = False
    fails_with: int = 0
    seen: int = 0
    commits: list[int] = field(default_factory=list)
    passed: set[tuple[State, Event]] = field(default_factory=set)
    _pending: set[tuple[State, Event]] = field(default_factory=set)

    @contextmanager
    def armed(self) -> Iterator[Killer]:
        """While this is open, it may strike."""
        with pytest.MonkeyPatch.context() as patching:
            for name in CALLS:
                patching.setattr(os, name, self._call(getattr(os, name), reads=name == "open"))
            patching.setattr(AsyncConnection, "commit", self._commit(AsyncConnection.commit))
            patching.setattr(journal, "follow", self._follow)
            yield self

    @property
    def dead(self) -> bool:
        return 0 < self.at <= self.seen and not self.fails_with

    def _step(self) -> bool:
        """One step. Raises Killed unless it may happen; returns whether it is the last one."""
        if self.dead:
            raise Killed
        self.seen += 1
        if self.seen != self.at:
            return False
        if self.fails_with:
            raise OSError(self.fails_with, os.strerror(self.fails_with))
        if not self.after:
            raise Killed
        return True

    def _call(self, real: Callable[..., Any], *, reads: bool) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            if reads and not args[1] & os.O_CREAT:
                return real(*args, **options)
            last = self._step()
            result = real(*args, **options)
            if last:
                if reads:
                    os.close(result)
                raise Killed
            return result

        return call

    def _commit(self, real: Callable[..., Any]) -> Callable[..., Any]:
        async def commit(connection: AsyncConnection) -> None:
            try:
                last = self._step()
            except OSError as error:
                raise _of_sqlite(error) from error
            await real(connection)
            self.commits.append(self.seen)
            self.passed |= self._pending
            self._pending.clear()
            if last:
                raise Killed

        return commit

    def _follow(self, state: State, *events: Event) -> State:
        at = state
        for event in events:
            self._pending.add((at, event))
            at = follow(at, event)
        return at


def _of_sqlite(error: OSError) -> OperationalError:
    """As the database tells it."""
    full = error.errno == errno.ENOSPC
    told = sqlite3.OperationalError("database or disk is full" if full else "disk I/O error")
    told.sqlite_errorcode = sqlite3.SQLITE_FULL if full else sqlite3.SQLITE_IOERR
    return OperationalError("COMMIT", {}, told)


async def until_killed(killer: Killer, work: Callable[[], Any]) -> bool:
    """Do `work` until the killer strikes, or what it has failed stops the hub. Returns whether either came."""
    with killer.armed(), suppress(Killed, OSError, OperationalError):
        await work()
        return False
    return True

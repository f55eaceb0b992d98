"""The table `arrivals`: one row a parcel, and every change of its state."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import RowMapping, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.clock import Clock, rfc3339
from gateway.database import Database
from gateway.envelope.layout import Header
from gateway.envelope.signature import Statement
from gateway.model import ParcelId, Sha256
from gateway.wire.receiver import Facts
from hub.intake.states import Event, State, follow
from hub.tables.arrival import arrivals

PER_QUERY = 500
"""Bound parameters of one statement are limited (SQLite of old: 999)."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One row: a parcel as it was recorded."""

    parcel: ParcelId
    site: str
    state: State
    header: bytes
    receipt: bytes | None
    reason: str | None

    def read_header(self) -> Header:
        """The header, which was verified before it was recorded."""
        return Header.from_bytes(Statement.from_bytes(self.header).payload)


@dataclass(frozen=True, slots=True)
class Announcement:
    """A verified header that is to be recorded."""

    signed: bytes
    header: Header
    digest: Sha256
    edge: str  # of its site, as the certificate that signed it says

    @property
    def facts(self) -> Facts:
        """What the line needs of it."""
        return facts_of(self.header, self.digest)


def facts_of(header: Header, digest: Sha256) -> Facts:
    """What the line needs of a header: where each sealed chunk lies."""
    size = header.chunk_span(0)[1] if len(header.chunks) == 1 else header.chunk_span(1)[0]
    return Facts(header.parcel_id, digest, header.chunks, size, header.sealed_size)


Noted = Callable[[AsyncConnection, Sequence[Announcement]], Awaitable[None]]


class Journal:
    """Reads and writes `arrivals`.

    Args:
        database: holds it.
        clock: for the time of changes.
        noted: told of new parcels, inside the transaction that records them.
    """

    def __init__(self, database: Database, clock: Clock, noted: Noted) -> None:
        self.database, self._clock, self._noted = database, clock, noted

    async def find_all(self, parcels: Collection[ParcelId]) -> dict[ParcelId, Entry]:
        """The rows of those of these parcels that have one, read in as few steps as may be."""
        found: dict[ParcelId, Entry] = {}
        wanted = sorted(parcels)
        async with self.database.reading() as connection:
            for at in range(0, len(wanted), PER_QUERY):
                query = select(arrivals).where(arrivals.c.parcel_id.in_(wanted[at : at + PER_QUERY]))
                for row in (await connection.execute(query)).mappings():
                    entry = _entry(row)
                    found[entry.parcel] = entry
        return found

    async def unfinished(self) -> list[Entry]:
        """Every parcel that is neither indexed nor quarantined, in the order of its announcement."""
        ended = [State.INDEXED.value, State.QUARANTINED.value]
        query = (
            select(arrivals)
            .where(arrivals.c.state.not_in(ended))
            .order_by(arrivals.c.announced_at, arrivals.c.sequence)
        )
        async with self.database.reading() as connection:
            return [_entry(row) for row in (await connection.execute(query)).mappings()]

    async def record(self, new: Sequence[tuple[Announcement, State]], whole: Sequence[ParcelId]) -> None:
        """One durable step: rows of new parcels, and which known ones have become whole."""
        if not new and not whole:
            return
        now = rfc3339(self._clock.now())
        async with self.database.writing() as connection:
            if new:
                await connection.execute(insert(arrivals), [_row(one, state, now) for one, state in new])
                await self._noted(connection, [one for one, _ in new])
            for parcel in whole:
                await self.change(connection, parcel, State.RECEIVING, Event.COMPLETED)

    async def change(
        self,
        connection: AsyncConnection,
        parcel: ParcelId,
        state: State,
        *events: Event,
        receipt: bytes | None = None,
        reason: str | None = None,
    ) -> None:
        """Move a parcel from `state` along the table, inside the caller's transaction."""
        values = {"state": follow(state, *events).value, "changed_at": rfc3339(self._clock.now())}
        if receipt is not None or reason is not None:
            values |= {"receipt": receipt, "reason": reason}  # type: ignore[dict-item]  # a row's mixed values
        await connection.execute(
            update(arrivals)
            .where(arrivals.c.parcel_id == parcel, arrivals.c.state == state.value)
            .values(**values)
        )


def _entry(row: RowMapping) -> Entry:
    return Entry(
        ParcelId(row["parcel_id"]),
        row["site"],
        State(row["state"]),
        row["header"],
        row["receipt"],
        row["reason"],
    )


def _row(one: Announcement, state: State, now: str) -> dict[str, object]:
    return {
        "parcel_id": one.header.parcel_id,
        "site": one.header.site,
        "sequence": one.header.sequence,
        "header_digest": one.digest,
        "header": one.signed,
        "state": state.value,
        "chunks": len(one.header.chunks),
        "size": one.header.sealed_size,
        "announced_at": now,
        "changed_at": now,
    }

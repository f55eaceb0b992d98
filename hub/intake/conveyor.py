"""From whole to indexed: open, compare, store, index, sign the receipt.

Instances are extracted into the store's own folder and compared with the SHA-256 the edge signed;
then one transaction holds their rows, the arrival's state, its receipt and the custody event. A crash
anywhere before it leaves the parcel WHOLE, and the same steps give the same result.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeAlias

from sqlalchemy.ext.asyncio import AsyncConnection

from gateway import cpu, durable
from gateway.clock import Clock, rfc3339
from gateway.envelope.kem import KemKeys
from gateway.envelope.layout import Header, InnerManifest, InstanceEntry, Notice
from gateway.envelope.receipt import Receipt, received, sign_receipt
from gateway.envelope.seal import header_digest
from gateway.envelope.unseal import BodyOpener, check_chunk
from gateway.errors import DataError, StorageFull, Unverified
from gateway.log import logger
from gateway.model import ParcelId, Sha256
from gateway.trust import Signer
from gateway.wire.chunks import ChunkSet
from gateway.wire.messages import Code
from gateway.wire.receiver import Failed, Lost, Stored
from gateway.wire.receiver import State as Line
from hub import alerts
from hub.alerts import Alert
from hub.archive.archive import Archive
from hub.archive.incoming import Incoming
from hub.archive.incoming import Stored as Outcome
from hub.intake import purges
from hub.intake.arrivals import Arrival, Arrivals
from hub.intake.faults import Faults
from hub.intake.journal import Journal
from hub.intake.partials import Partials, Read
from hub.intake.quarantine import Quarantine
from hub.intake.states import Event, State
from hub.record import Record

MAX_PARCELS = 64
"""Parcels that share one transaction."""
MAX_BYTES = 64 << 20
"""Sealed bytes after which a batch is closed; one parcel may be larger."""
ABREAST = 2
"""Batches under way: one is opened while another is stored."""
FULL_SECONDS = 5.0
"""Pause when the disk is full or fails."""

log = logger("hub.intake")


class _Places(Protocol):
    """The part of the archive's store that gives names to extract to."""

    def incoming_path(self) -> Path: ...


@dataclass(frozen=True, slots=True)
class Opened:
    """A parcel whose every instance lies verified and durable in the store's folder."""

    parcel: ParcelId
    header: Header
    signed: bytes
    manifest: InnerManifest
    blobs: tuple[Path, ...]

    def incoming(self) -> list[Incoming]:
        """As the archive wants it."""
        pairs = zip(self.manifest.instances, self.blobs, strict=True)
        return [
            Incoming(self.header.site, one, blob, self.parcel, self.header.priority) for one, blob in pairs
        ]

    def notes(self) -> list[tuple[str, Notice]]:
        """What the edge tells along with it."""
        return [(self.header.site, notice) for notice in self.manifest.notices]


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Chunks that are no longer on our disk as they came."""

    indexes: tuple[int, ...]


Outcomes: TypeAlias = Opened | Unreadable | Failed


class Conveyor:
    """Carries whole parcels into the archive, several in one transaction."""

    def __init__(
        self,
        arrivals: Arrivals,
        journal: Journal,
        partials: Partials,
        quarantine: Quarantine,
        archive: Archive,
        keys: KemKeys,
        signer: Signer,
        custody: Record,
        clock: Clock,
        faults: Faults,
    ) -> None:
        self._arrivals, self._journal, self._faults = arrivals, journal, faults
        self._partials, self._quarantine = partials, quarantine
        self._archive, self._keys, self._signer = archive, keys, signer
        self._custody, self._clock = custody, clock
        self._waiting: deque[ParcelId] = deque()
        self._alone: set[ParcelId] = set()  # of these, those that shared a batch the disk failed, or were it
        self._some = asyncio.Event()
        self._taking = asyncio.Lock()
        self._storing = asyncio.Lock()

    @property
    def idle(self) -> bool:
        """Whether nothing waits to be carried."""
        return not self._waiting

    def put(self, parcel: ParcelId) -> None:
        """A parcel has become whole."""
        self._waiting.append(parcel)
        self._some.set()

    async def run(self) -> None:
        """Carry for ever. A service: ends only by cancellation, or with the error that stops the hub."""
        async with asyncio.TaskGroup() as group:
            for _ in range(ABREAST):
                group.create_task(self._carry_for_ever())

    async def _carry_for_ever(self) -> None:
        while True:
            await self._some.wait()
            if batch := await self._next():
                await self.convey(batch)

    async def drain(self) -> None:
        """Carry all that waits now."""
        while self._waiting:
            if batch := await self._next():
                await self.convey(batch)

    def _put_alone(self, parcel: ParcelId) -> None:
        """The disk failed it, or one beside it: it goes by itself, so that one holds up no other."""
        self._alone.add(parcel)
        self.put(parcel)

    async def _next(self) -> list[Arrival]:
        """As many as may share a transaction; none if another has just taken all."""
        batch: list[Arrival] = []
        size = 0
        async with self._taking:
            while self._waiting and len(batch) < MAX_PARCELS and size < MAX_BYTES:
                alone = self._waiting[0] in self._alone
                if alone and batch:
                    break
                parcel = self._waiting.popleft()
                self._alone.discard(parcel)
                arrival = await self._find(parcel)
                if arrival is not None and arrival.header is not None:
                    batch.append(arrival)
                    size += arrival.header.sealed_size
                if alone:
                    break
            if not self._waiting:
                self._some.clear()
        return batch

    async def _find(self, parcel: ParcelId) -> Arrival | None:
        """A parcel as recorded; none if the disk fails what is kept of it: it is looked at later."""
        try:
            return await self._arrivals.find(parcel)
        except OSError as error:
            log.warning("waiting for the disk", why=str(error), parcels=1)
            asyncio.get_running_loop().call_later(FULL_SECONDS, self.put, parcel)
            return None

    async def convey(self, batch: Sequence[Arrival]) -> None:
        """Carry these parcels. A disk that is full or fails is waited for; they stay WHOLE meanwhile.

        It may have failed one of them only: after the pause each goes alone.
        """
        try:
            with durable.telling_full(self._partials.folder):
                await self._convey(batch)
        except (StorageFull, OSError) as error:
            left = [one.receiver.parcel for one in batch if one.receiver.state is Line.WHOLE]
            log.warning("waiting for the disk", why=str(error), parcels=len(left))
            self._faults.over({one.receiver.parcel for one in batch} - set(left))
            self._faults.note(left, error)
            await asyncio.sleep(FULL_SECONDS)
            for parcel in left:
                self._put_alone(parcel)
        else:
            self._faults.over([one.receiver.parcel for one in batch])

    async def _convey(self, batch: Sequence[Arrival]) -> None:
        found = await self._open_all(batch)
        opened = [one for one in found if isinstance(one, Opened)]
        try:
            async with self._storing:  # two at once would only wait for each other in the database
                receipts = await self._store(opened) if opened else {}
        except (StorageFull, OSError):
            await cpu.run(_discard, opened)
            raise
        pairs = list(zip(batch, found, strict=True))
        for arrival, outcome in pairs:  # what is stored first: what follows may fail on the disk
            if isinstance(outcome, Opened):
                arrival.handle(Stored(receipts[outcome.parcel]))
                self._arrivals.forget(outcome.parcel)
        await cpu.run(self._partials.remove, [one.parcel for one in opened])
        for arrival, outcome in pairs:
            match outcome:
                case Unreadable(indexes):
                    await self._lost(arrival, indexes)
                case Failed():
                    await self._put_aside(arrival, outcome)

    async def _open_all(self, batch: Sequence[Arrival]) -> list[Outcomes]:
        """Open several at a time. If one cannot be, nothing of the others is left in the store's folder."""
        found = await asyncio.gather(
            *(cpu.run(self._open, arrival) for arrival in batch), return_exceptions=True
        )
        errors = [one for one in found if isinstance(one, BaseException)]
        good = [one for one in found if not isinstance(one, BaseException)]
        if errors:
            await cpu.run(_discard, [one for one in good if isinstance(one, Opened)])
            raise errors[0]
        return good

    def _open(self, arrival: Arrival) -> Outcomes:
        """Blocking: extract and compare every instance of one parcel."""
        parcel, header, signed = arrival.receiver.parcel, arrival.header, arrival.signed
        assert header is not None  # noqa: S101  # a whole parcel was announced
        assert signed is not None  # noqa: S101  # as above
        if not self._partials.path(parcel).exists():
            return Unreadable(tuple(range(len(header.chunks))))
        with self._partials.reading(parcel) as read:
            try:
                opener = BodyOpener(header, self._keys)
                with durable.naming(self._archive.store.folder):
                    blobs, digests = _extract(opener, read, self._archive.store)
            except (DataError, OSError) as error:
                lost = tuple(index for index in range(len(header.chunks)) if not _intact(header, index, read))
                if lost:
                    return Unreadable(lost)
                if isinstance(error, OSError):
                    raise  # it is the store that cannot be written
                return Failed(Code.QUARANTINED, str(error))
        return Opened(parcel, header, signed, opener.manifest.named(digests), blobs)

    async def _store(self, opened: Sequence[Opened]) -> dict[ParcelId, bytes]:
        """Archive, receipts, states and custody: kept together or not at all."""
        receipts: dict[ParcelId, bytes] = {}

        async def within(connection: AsyncConnection, outcomes: list[Outcome]) -> None:
            for one in opened:
                receipt = receipts[one.parcel] = sign_receipt(self._receipt(one), self._signer)
                events = (Event.VERIFIED, Event.STORED, Event.INDEXED)
                await self._journal.change(connection, one.parcel, State.WHOLE, *events, receipt=receipt)
                await self._custody.append(
                    connection,
                    "parcel-stored",
                    site=one.header.site,
                    subject=header_digest(one.signed),
                    detail={
                        "parcel": one.parcel,
                        "sequence": one.header.sequence,
                        "instances": [entry.sha256 for entry in one.manifest.instances],
                    },
                )
                await purges.record(connection, self._custody, one.header.site, one.manifest.notices)

        incoming = [instance for one in opened for instance in one.incoming()]
        notes = [note for one in opened for note in one.notes()]
        with durable.naming(self._archive.store.folder):
            await self._archive.ingest(incoming, notes, within=within)
        return receipts

    def _receipt(self, one: Opened) -> Receipt:
        return Receipt(
            parcel_id=one.parcel,
            header_digest=header_digest(one.signed),
            site=one.header.site,
            sequence=one.header.sequence,
            instances=received(one.manifest),
            received_at=rfc3339(self._clock.now()),
        )

    async def _lost(self, arrival: Arrival, indexes: tuple[int, ...]) -> None:
        """Our disk lost chunks: ask for them again."""
        parcel = arrival.receiver.parcel
        log.error("chunks can no longer be read back", parcel=parcel, chunks=len(indexes))
        facts, have = arrival.receiver.facts, arrival.receiver.have
        async with self._arrivals.holding([parcel]):
            if facts is not None and have is not None:
                left = ChunkSet(have.size, have.to_bytes())
                for index in indexes:
                    left.discard(index)
                await cpu.run(self._partials.forget, facts, left)
            async with self._journal.database.writing() as connection:
                await self._journal.change(connection, parcel, State.WHOLE, Event.LOST)
                words = f"{len(indexes)} chunks of parcel {parcel} could not be read back"
                found = Alert("chunks-lost", words, facts={"number": len(indexes)})
                await alerts.tell(connection, found, self._clock.now())
            arrival.handle(Lost(indexes))  # the edge is told what has been recorded

    async def _put_aside(self, arrival: Arrival, failed: Failed) -> None:
        parcel, header, signed = arrival.receiver.parcel, arrival.header, arrival.signed
        assert header is not None  # noqa: S101  # a whole parcel was announced
        assert signed is not None  # noqa: S101  # as above
        log.error("parcel put aside", parcel=parcel, site=header.site, why=failed.words)
        with durable.naming(self._quarantine.folder):
            place = await cpu.run(self._quarantine.keep, parcel, self._partials.path(parcel), signed)
        now = rfc3339(self._clock.now())
        async with self._journal.database.writing() as connection:
            await self._quarantine.record(connection, parcel, header.site, place, failed.words, now)
            await self._journal.change(connection, parcel, State.WHOLE, Event.FAILED, reason=failed.words)
            await self._custody.append(
                connection, "parcel-quarantined", site=header.site, subject=header_digest(signed)
            )
        arrival.handle(failed)
        self._arrivals.forget(parcel)
        await cpu.run(self._partials.remove, [parcel])


def _intact(header: Header, index: int, read: Read) -> bool:
    try:
        check_chunk(header, index, read(*header.chunk_span(index)))
    except (Unverified, OSError):  # it cannot be read at all
        return False
    return True


def _discard(opened: Sequence[Opened]) -> None:
    """Blocking: what was extracted and is not stored; those that have their final name are not touched."""
    for one in opened:
        for blob in one.blobs:
            blob.unlink(missing_ok=True)


def _extract(opener: BodyOpener, read: Read, places: _Places) -> tuple[tuple[Path, ...], list[Sha256]]:
    """Every instance, and the SHA-256 of each."""
    blobs: list[Path] = []
    digests: list[Sha256] = []
    try:
        for entry in opener.manifest.instances:
            blobs.append(places.incoming_path())
            digests.append(_extract_one(opener, entry, read, blobs[-1]))
    except BaseException:
        for blob in blobs:
            blob.unlink(missing_ok=True)
        raise
    return tuple(blobs), digests


def _extract_one(opener: BodyOpener, entry: InstanceEntry, read: Read, target: Path) -> Sha256:
    handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "wb") as file:
        whole = opener.extract(entry, read, file.write)
        file.flush()
        os.fdatasync(file.fileno())
    return whole.sha256

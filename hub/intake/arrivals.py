"""The parcels now on their way in, in memory: one machine each, and who waits for its end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager

from gateway import cpu
from gateway.envelope.layout import Header
from gateway.envelope.seal import header_digest
from gateway.model import ParcelId
from gateway.wire.chunks import ChunkSet
from gateway.wire.messages import Code, Have, Receipt, Refused, Unknown
from gateway.wire.receiver import Action, Answer, Asked, Input, Receiver, State
from hub.intake import states
from hub.intake.faults import Faults
from hub.intake.journal import Entry, Journal, facts_of
from hub.intake.partials import Partials


class Arrival:
    """One parcel: its machine, a lock so that its batches follow one another, and an end to wait for."""

    def __init__(self, receiver: Receiver, site: str | None) -> None:
        self.receiver = receiver
        self.site = site
        self.signed: bytes | None = None
        self.header: Header | None = None
        self.lock = asyncio.Lock()
        self.users = 0
        self.settled = asyncio.Event()
        self.hearers: set[asyncio.Event] = set()  # set when it comes to its end
        self._note()

    def handle(self, event: Input) -> tuple[Action, ...]:
        """Give the machine an event."""
        actions = self.receiver.handle(event)
        self._note()
        return actions

    def status(self) -> Have | Receipt | Refused | Unknown:
        """Where it stands, as the line says it."""
        (action,) = self.receiver.handle(Asked())
        assert isinstance(action, Answer)  # noqa: S101  # a question has one answer and no other effect
        return action.message

    def _note(self) -> None:
        """Only a whole parcel has an end worth waiting for."""
        if self.receiver.state is State.WHOLE:
            self.settled.clear()
            return
        self.settled.set()
        if self.receiver.state in (State.DONE, State.REFUSED):
            for hearer in self.hearers:
                hearer.set()


class Arrivals:
    """Finds parcels, in memory or in the journal."""

    def __init__(self, journal: Journal, partials: Partials, faults: Faults) -> None:
        self._journal, self._partials, self._faults = journal, partials, faults
        self._known: dict[ParcelId, Arrival] = {}
        self._looking = 0  # looks at the journal under way
        self._forgets = 0
        self._forgotten: dict[ParcelId, int] = {}  # dropped meanwhile: what was read of them may be old

    @asynccontextmanager
    async def holding(self, parcels: Iterable[ParcelId]) -> AsyncIterator[dict[ParcelId, Arrival]]:
        """These parcels, locked against other batches; in one order, so that no two wait for each other."""
        held: dict[ParcelId, Arrival] = {}
        wanted = sorted(set(parcels))
        try:
            async with AsyncExitStack() as stack:
                await self._fetch(wanted)
                for parcel in wanted:
                    arrival = held[parcel] = await self.find(parcel)
                    arrival.users += 1
                    await stack.enter_async_context(arrival.lock)
                yield held
        except BaseException:
            self._drop(held, ended_only=False)  # what is in memory may be ahead of what is durable
            raise
        self._drop(held, ended_only=True)

    def _drop(self, held: dict[ParcelId, Arrival], *, ended_only: bool) -> None:
        for parcel, arrival in held.items():
            arrival.users -= 1
            ended = arrival.receiver.state not in (State.RECEIVING, State.WHOLE)
            if (ended and arrival.users == 0) or not ended_only:
                self.forget(parcel)

    def forget(self, parcel: ParcelId) -> None:
        """Drop a parcel from memory; the next to mention it gets it as it was recorded."""
        self._known.pop(parcel, None)
        self._forgets += 1
        if self._looking:
            self._forgotten[parcel] = self._forgets

    async def find(self, parcel: ParcelId) -> Arrival:
        """One parcel, as it was last recorded."""
        while parcel not in self._known:
            await self._fetch([parcel])
        return self._known[parcel]

    async def _fetch(self, parcels: Iterable[ParcelId]) -> None:
        """Bring those of these that are not in memory there, with one look at the journal."""
        strange = [parcel for parcel in parcels if parcel not in self._known]
        if not strange:
            return
        before = self._forgets
        self._looking += 1
        try:
            entries = await self._journal.find_all(strange)
            for parcel in strange:
                entry = entries.get(parcel)
                made = Arrival(Receiver(parcel), None) if entry is None else await self.restore(entry)
                if self._forgotten.get(parcel, 0) <= before:
                    self._known.setdefault(parcel, made)
        finally:
            self._looking -= 1
            if not self._looking:
                self._forgotten.clear()

    async def restore(self, entry: Entry) -> Arrival:
        """A parcel from its row and its part file."""
        header = entry.read_header()
        facts = facts_of(header, header_digest(entry.header))
        size = len(facts.chunks)
        if entry.state is states.State.RECEIVING:
            have = await self._have(entry.parcel, size)
        else:
            have = ChunkSet.full(size)
        quarantined = entry.state is states.State.QUARANTINED
        receiver = Receiver.restored(
            facts,
            have,
            whole=entry.state is states.State.WHOLE,
            receipt=entry.receipt,
            refusal=(Code.QUARANTINED, entry.reason or "") if quarantined else None,
        )
        arrival = Arrival(receiver, entry.site)
        arrival.signed, arrival.header = entry.header, header
        return arrival

    async def _have(self, parcel: ParcelId, size: int) -> ChunkSet:
        try:
            return await cpu.run(self._partials.have, parcel, size)
        except OSError as error:
            self._faults.note([parcel], error)
            raise

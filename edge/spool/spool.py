"""The spool itself: takes instances in, gives items out, lets them go on a receipt."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Self

from edge.spool.ahead import KeysAhead
from edge.spool.bell import Bell
from edge.spool.budget import Budget
from edge.spool.census import census
from edge.spool.confirmed import Confirmed
from edge.spool.custodian import Custodian, Nobody
from edge.spool.files import BodyFile, SpoolFiles
from edge.spool.intake import Intake
from edge.spool.item import ChainTip, LinkState, SpoolItem
from edge.spool.journal import Journal
from edge.spool.looking import Inspects
from edge.spool.merger import Merger
from edge.spool.provision import Provision, segments_on
from edge.spool.recovery import recover
from edge.spool.register import SpoolRegister
from edge.spool.segments import SIZE, SPARES
from edge.spool.states import UNSENT, Event, after
from edge.spool.status import SpoolStatus
from edge.spool.traffic import Traffic
from edge.spool.view import StudyFacts, StudyView
from gateway import durable
from gateway.clock import Clock, rfc3339
from gateway.envelope.inner import InstanceFacts, Notice
from gateway.envelope.layout import Draft
from gateway.envelope.seal import KemPublic
from gateway.envelope.taken import Taken
from gateway.errors import Broken
from gateway.log import logger
from gateway.model import ParcelId, Priority, Sha256, SiteId

KEEP_PURGED = timedelta(days=30)
PIECE = 1 << 20
log = logger("edge.spool")


class Spool:
    """The spool of one edge. Made by `open`; every method may be called from any thread.

    Attributes:
        received: rings when something is there to sign, or the line is ready for more.
        sealed: rings when something is there to send.
        view: studies in memory, for the console.
        traffic: whether so much comes in now that the rest should stand back.
        merger: makes one parcel of several.
        confirmed: what the hub has signed for.
        intake: takes instances in while they come.
        register: takes note of what has come.
        site: our own.
        recipients: gives the hub's current keys.
        provision: what the next burst needs at once.
        tip: the newest signed header.
        inspector: looks at every instance up to 64 MiB after it is durable and before it is coded.
        custodian: hears what storage commitment is given by.
    """

    def __init__(
        self,
        files: SpoolFiles,
        journal: Journal,
        tip: ChainTip,
        *,
        merged: Mapping[ParcelId, tuple[ParcelId, ...]] | None = None,
        site: SiteId,
        recipients: Callable[[], Sequence[KemPublic]],
        reserve: int,
        clock: Clock,
        keep_confirmed: float = 0.0,
        taken: Taken = Taken.BLAKE3,
    ) -> None:
        self.received, self.sealed = Bell(), Bell()
        self.site, self.recipients = site, recipients
        keys = KeysAhead(recipients)
        self.view, self.traffic = StudyView(), Traffic()
        self.tip = tip
        self.inspector: Inspects | None = None
        self.custodian: Custodian = Nobody()
        self.files = files
        self._journal = journal
        self._budget, self._clock = Budget(reserve), clock
        self._lock = threading.Lock()
        self.confirmed = Confirmed(
            files,
            journal,
            self.view,
            lambda parcel, event, words: self._change(parcel, event, reason=words),
            lambda: self.tip.sequence,
            keep_confirmed,
            reserve,
            clock,
        )
        self.merger = Merger(
            files, journal, self.view, site, recipients, merged or {}, lambda: self.custodian
        )
        self.register = SpoolRegister(
            files,
            journal,
            self.view,
            self.merger.keep,
            self.received,
            self.confirmed.make_room,
            lambda: self._budget,
            self.traffic,
            lambda: self.inspector,
            lambda: self.custodian,
        )
        self.intake = Intake(files, self.register, site, keys, clock, taken)
        self.provision = Provision(keys, files.segments, self.traffic, self._beyond)

    @classmethod
    def open(
        cls,
        data: Path,
        *,
        site: SiteId,
        recipients: Callable[[], Sequence[KemPublic]],
        reserve: int,
        clock: Clock,
        keep_confirmed: float = 0.0,
        taken: Taken = Taken.BLAKE3,
        ahead: int = SPARES * SIZE,
    ) -> Self:
        """Open the spool below `data`, recovering from whatever happened before.

        Args:
            data: the edge's data folder.
            site: our own, sealed into every parcel.
            recipients: the hub's current keys; asked for every parcel.
            reserve: bytes of the disk that are not for images.
            clock: the time.
            keep_confirmed: seconds that bodies stay which the hub has signed for.
            taken: which digest of a dataset is taken while it comes.
            ahead: bytes of the disk that are written before images come.

        Raises:
            Broken: the index is of another version.
        """
        files = SpoolFiles(data, segments_on(data, ahead))
        durable.make_folder(files.spool)
        journal = Journal(files.index)
        found = recover(files, journal)
        spool = cls(
            files,
            journal,
            found.tip,
            merged=found.merged,
            site=site,
            recipients=recipients,
            reserve=reserve,
            clock=clock,
            keep_confirmed=keep_confirmed,
            taken=taken,
        )
        spool.confirmed.begin()
        old = journal.purged_before(rfc3339(clock.now() - KEEP_PURGED), -1)
        journal.forget(parcel for parcel in old if not files.head(parcel).exists())
        log.info("spool open", sequence=found.tip.sequence, swept=found.swept, rebuilt=found.rebuilt)
        return spool

    def close(self) -> None:
        """Close the index. Nothing need be saved: the files are the truth."""
        self._journal.close()
        self.files.segments.close()

    # -- in: called by association threads ---------------------------------------------------------

    def receive(
        self,
        facts: InstanceFacts,
        data: bytes | bytearray | memoryview,
        *,
        priority: Priority = Priority.ROUTINE,
        remarks: Mapping[str, str] | None = None,
        study: StudyFacts | None = None,
        visit: str = "",
    ) -> SpoolItem:
        """Seal one instance to the hub and make it durable. Blocks until it is.

        Args:
            facts: its UIDs, transfer syntax, time and sender.
            data: the dataset bytes, exactly as they came.
            priority: how soon it must travel.
            remarks: for the hub, beside the instance: ``flaw`` (why it could not be read whole),
                ``charset`` (what the sender usually means where nothing is declared).
            study: for the console; kept in memory alone.
            visit: whatever it came in.

        Raises:
            StorageFull: the disk is below its reserve, or full.
            ResourceError: the disk fails.
        """
        self.check_room(len(data))
        view, one = memoryview(data), self.intake.begin()
        try:
            for at in range(0, len(view), PIECE):
                one.write(view[at : at + PIECE])
            item = one.keep(facts, priority=priority, remarks=remarks or {}, study=study, visit=visit)
        except BaseException:
            one.abandon()
            raise
        one.tell()
        return item

    def notify(self, notice: Notice, *, priority: Priority = Priority.ROUTINE) -> SpoolItem:
        """Tell the hub something, behind what was received before with the same priority.

        Raises:
            StorageFull: as `receive`.
        """
        return self.intake.notify(notice, priority=priority)

    def check_room(self, incoming: int) -> None:
        """Raises StorageFull if `incoming` bytes may not be taken now."""
        self.register.check_room(incoming)

    # -- signing: called by edge/pack alone ---------------------------------------------------------

    async def next_to_pack(self) -> SpoolItem:
        """The unsigned item that goes first; waits for one."""
        while True:
            heard = self.received.rings
            found = await asyncio.to_thread(self._journal.to_pack, 1)
            if found:
                return found[0]
            await self.received.wait(heard)

    def to_pack(self, limit: int) -> list[SpoolItem]:
        """Unsigned items: the most urgent first, then in the order they came. Blocks."""
        return self._journal.to_pack(limit)

    def ahead(self, priority: Priority) -> int:
        """Signed items at least so urgent that are still to be sent. Blocks."""
        return self._journal.ahead(priority)

    def unsent(self) -> int:
        """Sealed bytes of signed items that are not at the hub yet. Blocks."""
        return self._journal.unsent()

    def unsigned(self) -> int:
        """Sealed bytes of unsigned items. Blocks."""
        return self._journal.unsigned()

    def draft(self, parcel: ParcelId) -> Draft:
        """What is to be signed. Raises Malformed if the file is damaged."""
        return self.files.draft(parcel)

    def signed(self, parcel: ParcelId, sequence: int, digest: Sha256, statement: bytes) -> SpoolItem:
        """Keep a signed header: durable before the next may follow it. Blocks.

        Raises:
            Broken: it does not follow the newest one.
            StorageFull: the disk is full.
        """
        if sequence != self.tip.sequence + 1:
            raise Broken(f"header {sequence} cannot follow header {self.tip.sequence}")
        self.files.settle(parcel)
        durable.create(self.files.head(parcel), statement)
        self.tip = ChainTip(sequence, digest)
        item = self._change(parcel, Event.SIGN, sequence=sequence, digest=digest)
        self.merger.signed(parcel)
        self.sealed.ring()
        return item

    # -- out: called by edge/uplink ---------------------------------------------------------------

    async def waiting(self, limit: int = 1000) -> list[SpoolItem]:
        """Signed and without receipt: by priority, then by sequence. Ring: `sealed`."""
        return await asyncio.to_thread(self._journal.in_states, UNSENT, limit)

    async def item(self, parcel: ParcelId) -> SpoolItem | None:
        """One item, if it is known."""
        return await asyncio.to_thread(self._journal.get, parcel)

    def header(self, parcel: ParcelId) -> bytes:
        """The signed header, as it was made. Raises FileNotFoundError if there is none."""
        return self.files.head(parcel).read_bytes()

    def body(self, parcel: ParcelId) -> BodyFile:
        """The sealed body, without its trailer: ``read(offset, n)``; close it after use.

        Raises:
            FileNotFoundError: it has been purged.
            Malformed: the file is damaged.
        """
        size, file = self.files.draft(parcel).sealed_size, self.files.opened(parcel)
        file.size = size
        return file

    async def mark(
        self, parcel: ParcelId, event: Event, *, reason: str = "", next_try: str | None = None
    ) -> SpoolItem:
        """Note what happened: START, INTERRUPT, ARRIVE, HOLD. For a receipt there is `confirm`.

        Args:
            parcel: which one.
            event: what happened.
            reason: why it waits or is held, in plain words.
            next_try: RFC 3339, when it is tried again.

        Raises:
            Broken: that cannot happen to it now.
        """
        if event in (Event.SIGN, Event.CONFIRM, Event.PURGE, Event.LOSE, Event.GIVE_UP):
            raise Broken(f"{event.value} has its own method")
        if event is Event.HOLD:
            return await asyncio.to_thread(self._hold, parcel, reason)
        return await asyncio.to_thread(self._change, parcel, event, reason=reason, next_try=next_try)

    async def confirm(self, parcel: ParcelId, receipt: bytes) -> SpoolItem:
        """Keep the hub's receipt durably; then the body may go. The caller has verified it.

        Returns:
            The item: PURGED, or CONFIRMED while its body is kept.
        """
        item = await asyncio.to_thread(self.confirmed.confirm, parcel, receipt)
        self.custodian.receipt(receipt)
        return item

    async def lost(self, parcel: ParcelId) -> SpoolItem | None:
        """The hub no longer knows what it had signed for: send it again. None: it is no longer here."""
        item = await asyncio.to_thread(self.confirmed.lost, parcel)
        if item is not None:
            self.custodian.lost(await asyncio.to_thread(self.files.lost(parcel).read_bytes))
            self.sealed.ring()
        return item

    async def give_up(self, parcel: ParcelId, words: str) -> SpoolItem:
        """A person says that a held item need not arrive: `words` say who, and why. Its body stays here."""
        return await asyncio.to_thread(self._give_up, parcel, words)

    async def release(self, parcel: ParcelId) -> SpoolItem:
        """A person says: try a held item again."""
        return await asyncio.to_thread(self._release, parcel)

    async def status(self, link: LinkState | None = None) -> SpoolStatus:
        """What is here, and why it waits."""
        return await asyncio.to_thread(self._status, link)

    def _hold(self, parcel: ParcelId, reason: str) -> SpoolItem:
        durable.replace(self.files.held(parcel), reason.encode())
        log.warning("held", parcel=parcel, reason=reason)
        return self._change(parcel, Event.HOLD, reason=reason)

    def _give_up(self, parcel: ParcelId, words: str) -> SpoolItem:
        durable.replace(self.files.held(parcel), words.encode())
        log.warning("given up", parcel=parcel, words=words)
        return self._change(parcel, Event.GIVE_UP, reason=words)

    def _release(self, parcel: ParcelId) -> SpoolItem:
        event = Event.RELEASE if self.files.head(parcel).exists() else Event.REOPEN
        durable.remove(self.files.held(parcel))
        item = self._change(parcel, event)
        (self.sealed if event is Event.RELEASE else self.received).ring()
        return item

    def _change(
        self,
        parcel: ParcelId,
        event: Event,
        *,
        reason: str = "",
        next_try: str | None = None,
        sequence: int | None = None,
        digest: Sha256 | None = None,
    ) -> SpoolItem:
        with self._lock:
            item = self._journal.get(parcel)
            if item is None:
                raise Broken(f"parcel {parcel} is not in the spool")
            changed = replace(
                item,
                state=after(item.state, event),
                reason=reason,
                next_try=next_try,
                sequence=item.sequence if sequence is None else sequence,
                digest=item.digest if digest is None else digest,
            )
            self._journal.put(changed)
        if event in (Event.ARRIVE, Event.CONFIRM, Event.HOLD):
            self.received.ring()  # the line is ready for more
        return changed

    def _beyond(self) -> int:
        return durable.free_bytes(self.files.spool) - self._budget.reserve

    def _status(self, link: LinkState | None) -> SpoolStatus:
        free = durable.free_bytes(self.files.spool)
        ahead = self.provision.ready, self.provision.wanted
        return census(self._journal, self.view, self._budget, free, ahead, self._clock.now(), link)

"""The way into the spool: sealed while it comes, durable before anyone is told.

An item is sealed piece by piece as its bytes arrive, with nothing but a chunk of them in clear in
memory. Up to `segments.LARGEST` it is held sealed and written as one record of a segment; what is
larger goes on into a ``.tge`` file of its own. Pixels are not coded here: the modality waits, and the
packer, which does not, seals everything anew.
"""

from __future__ import annotations

import mmap
import os
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from types import MappingProxyType
from typing import IO

from edge.spool.ahead import KeysAhead
from edge.spool.aligned import Buffers
from edge.spool.bell import Bell
from edge.spool.budget import Budget
from edge.spool.custodian import Custodian
from edge.spool.files import UNNAMED, SpoolFiles
from edge.spool.item import SpoolItem
from edge.spool.journal import Journal
from edge.spool.kept import Kept, instance_number
from edge.spool.looking import Inspects, plain
from edge.spool.note import note_of
from edge.spool.record import Record
from edge.spool.segments import LARGEST
from edge.spool.states import State
from edge.spool.traffic import Traffic
from edge.spool.view import StudyFacts, StudyView
from gateway import durable
from gateway.clock import Clock, rfc3339
from gateway.envelope.inner import InstanceFacts, Notice
from gateway.envelope.layout import TAG_SIZE
from gateway.envelope.seal import BodySealer, InstanceWriter, chunk_digest
from gateway.envelope.trailer import trailer
from gateway.errors import ResourceError
from gateway.model import ParcelId, Priority, Sha256, SiteId

CHUNK = 256 << 10
"""Plain bytes of a chunk of what is received: small, so that sealing keeps up with the wire."""

_STORED = CHUNK + TAG_SIZE

HEAD = 64 << 10
"""First bytes of a dataset kept in clear in memory while it comes: most headers lie in them."""

CHECK_EVERY = 16 << 20
"""Bytes of a large instance after which the disk is looked at again."""

LOOK_SECONDS, AMPLE = 0.1, 1 << 30
"""While so much more than the reserve is free, the disk is looked at no more often before an instance."""

PLAIN = Buffers(least=CHUNK, keep=8 << 20)
"""For a chunk in clear each."""

_NOTHING: Mapping[str, str] = MappingProxyType({})


class _Given(Exception):  # no error: an item is given up, so its file must not appear
    pass


@dataclass(slots=True)
class _Looked:
    """When the disk was looked at, and what was free."""

    at: float = -LOOK_SECONDS
    free: int = 0


@dataclass(frozen=True, slots=True)
class Intake:
    """Takes items in. Every method may be called from any thread.

    Args:
        files: the spool's.
        journal: the index.
        view: what the technician's page shows.
        keep: remembers how to open an item again, in memory.
        received: rung when something is there to sign.
        site: our own, sealed into every parcel.
        keys: of parcels to come, for the hub's current keys.
        make_room: lets go of what is kept though it is confirmed, if the disk needs it.
        budget: how much may be taken.
        traffic: hears of everything that comes.
        inspector: is offered each instance once it is durable, if there is one.
        custodian: who hears of each instance once it is durable, if anyone does.
        clock: the time.
    """

    files: SpoolFiles
    journal: Journal
    view: StudyView
    keep: Callable[[ParcelId, Kept], object]
    received: Bell
    site: SiteId
    keys: KeysAhead
    make_room: Callable[[int], object]
    budget: Callable[[], Budget]
    traffic: Traffic
    inspector: Callable[[], Inspects | None]
    custodian: Callable[[], Custodian | None]
    clock: Clock
    _looked: _Looked = field(default_factory=_Looked)

    def begin(self) -> Receiving:
        """Ready for one instance."""
        return Receiving(self)

    def check_room(self, incoming: int) -> None:
        """Raises StorageFull if `incoming` bytes may not be taken now."""
        self.make_room(incoming)
        self._looked.free, self._looked.at = durable.free_bytes(self.files.spool), time.monotonic()
        self.budget().check(self._looked.free, incoming)

    def check_lately(self) -> None:
        """As `check_room` for nothing yet; not looked at again where that was just done and much was free."""
        looked = self._looked
        if time.monotonic() - looked.at > LOOK_SECONDS or looked.free < self.budget().reserve + AMPLE:
            self.check_room(0)

    def notify(self, notice: Notice, *, priority: Priority) -> SpoolItem:
        """Take in a notice. Raises as `Receiving.keep`."""
        self.check_room(4096)
        one = self.begin()
        one.sealer.notice(notice)
        return one.end(priority=priority, modality="", instances=0)


class Receiving:
    """One item on its way in. To be ended by `keep` or `abandon`.

    Attributes:
        parcel: its identifier.
        length: plain bytes so far.
    """

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        keys = intake.keys.take()
        self.parcel = keys.parcel_id
        self._plain: mmap.mmap | None = PLAIN.take(CHUNK)
        self.sealer = BodySealer(
            self._take,
            keys.recipients,
            self.parcel,
            site=intake.site,
            chunk_size=CHUNK,
            digest=self._named,
            keys=keys,
            room=self._room,
            plain=memoryview(self._plain),
        )
        self._writer: InstanceWriter | None = None
        self._head = bytearray()
        self._record = Record()
        self._checked = 0
        self._buffer = memoryview(b"")  # of a file
        self._file: IO[bytes] | None = None
        self._digests: list[Sha256] = []
        self._open: ExitStack | None = None

    @property
    def length(self) -> int:
        """Plain bytes of the instance so far."""
        return 0 if self._writer is None else self._writer.length

    @property
    def head(self) -> bytearray:
        """The first bytes of the dataset, up to `HEAD`: not to be changed."""
        return self._head

    @property
    def digest(self) -> Sha256:
        """SHA-256 of the plain bytes so far."""
        return self._instance().digest

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Take the next bytes of the dataset; they are not needed any more when this returns.

        Raises:
            StorageFull: the disk has fallen below its reserve, or is full. Then `abandon`.
            ResourceError: the disk fails.
        """
        if self._plain is None:
            raise ValueError("it has been ended")
        writer = self._writer or self._instance()
        if len(self._head) < HEAD:
            self._head += data[: HEAD - len(self._head)]
        try:
            writer.write(data)
        except OSError as error:
            raise ResourceError(f"the disk does not keep what is received: {error}") from error
        if self._file is not None and writer.length - self._checked > CHECK_EVERY:
            self._intake.traffic.note(writer.length - self._checked, 0)
            self._checked = writer.length
            self._intake.check_room(CHECK_EVERY)

    def read(self, offset: int, n: int) -> bytes:
        """Up to `n` of the dataset's bytes from `offset`; fewer only at its end so far."""
        if offset + n <= len(self._head) or self.length == len(self._head):
            return bytes(self._head[offset : offset + n])
        found = bytearray()
        while len(found) < n and (
            more := self.sealer.opened(offset + len(found), n - len(found), self._sealed)
        ):
            found += more
        return bytes(found)

    def keep(
        self,
        facts: InstanceFacts,
        *,
        priority: Priority,
        remarks: Mapping[str, str] = _NOTHING,
        study: StudyFacts | None = None,
    ) -> SpoolItem:
        """Make it durable. Blocks until it is.

        Raises:
            StorageFull: no room; nothing is kept.
            ResourceError: the disk fails; nothing is kept.
        """
        digest = self._instance().finish(facts, remarks).sha256
        modality = study.modality[:16] if study else ""
        alone = not facts.study_uid or "flaw" in remarks  # odd ones put no others at risk
        kept = Kept(
            self.sealer.key,
            "" if alone else facts.study_uid,
            facts.series_uid,
            instance_number(study.instance_number) if study else None,
        )
        item = self.end(priority=priority, modality=modality, instances=1, kept=kept)
        if (custodian := self._intake.custodian()) is not None:
            custodian.came(facts.sop_class_uid, facts.sop_instance_uid, digest)
        if study is not None:
            self._intake.view.received(item.parcel_id, study, priority, item.received_at, item.sealed_size)
        if (inspector := self._intake.inspector()) is not None:
            read = partial(plain, self._intake.files, self.parcel, kept)
            inspector.offer(self.parcel, read, facts.transfer_syntax_uid, facts.study_uid)
        return item

    def abandon(self) -> None:
        """Give it up; nothing of it stays. Safe to call after `keep` has raised."""
        self._release()
        self._head.clear()
        if self._open is not None:
            with suppress(_Given):
                self._open.__exit__(_Given, _Given(), None)

    def end(
        self, *, priority: Priority, modality: str, instances: int, kept: Kept | None = None
    ) -> SpoolItem:
        """Finish the body and make it durable; as `keep`."""
        intake = self._intake
        try:
            draft = self.sealer.finish()
            item = SpoolItem(
                parcel_id=self.parcel,
                state=State.RECEIVED,
                sealed_size=draft.sealed_size,
                chunk_count=len(draft.chunks),
                instances=instances,
                priority=priority,
                modality=modality,
                received_at=rfc3339(intake.clock.now()),
            )
            if self._file is None:
                end = trailer(draft)
                self._record.room(len(end))[:] = end
                intake.files.segments.add(self.parcel, note_of(item), self._record)
            elif self._open is not None:
                self._file.write(trailer(replace(draft, chunks=tuple(self._digests))))
                self._open.close()
        except OSError as error:
            raise ResourceError(f"the disk does not keep what is received: {error}") from error
        finally:
            self._release()
        if kept is not None:
            intake.keep(self.parcel, kept)
        intake.journal.put_soon(item)
        intake.traffic.note(self.length - self._checked)
        intake.received.ring()
        return item

    def _release(self) -> None:
        """What is of no more use goes to the next; once, or two would write into the same memory."""
        plain, self._plain = self._plain, None
        if plain is not None:
            PLAIN.give(plain)
        self._record.close()

    def _instance(self) -> InstanceWriter:
        if self._writer is None:
            self._writer = self.sealer.begin("raw")
        return self._writer

    def _room(self, size: int) -> memoryview:
        """Where the next chunk is sealed: in its place in the record, or in a file's one buffer."""
        if self._file is None:
            return self._record.room(size)
        return self._buffer[:size]

    def _take(self, sealed: memoryview) -> None:
        if self._file is not None:
            self._file.write(sealed)
        elif self._record.length > LARGEST:
            self._spill()

    def _named(self, sealed: bytes | bytearray | memoryview) -> Sha256:
        if self._file is None:
            return UNNAMED
        self._digests.append(chunk_digest(sealed))
        return self._digests[-1]

    def _spill(self) -> None:
        """It is large: go on in a file of its own, which appears when it is whole."""
        length = self._record.length
        self._intake.check_room(length)
        target = self._intake.files.body(self.parcel)
        self._open = ExitStack()
        file = self._open.enter_context(durable.writing(target))
        for at in range(0, length, _STORED):
            piece = self._record.part(at, _STORED)
            self._digests.append(chunk_digest(piece))
            file.write(piece)
        self._record.close()
        self._buffer = memoryview(bytearray(_STORED))
        self._file = file

    def _sealed(self, index: int) -> bytes | memoryview:
        if self._file is None:
            return self._record.part(index * _STORED, _STORED)
        self._file.flush()
        return os.pread(self._file.fileno(), _STORED, index * _STORED)

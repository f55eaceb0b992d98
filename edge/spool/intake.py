"""The way into the spool: sealed while it comes, durable before anyone is told.

An item is sealed piece by piece as its bytes arrive, with nothing but a chunk of them in clear in
memory. Up to `segment.LARGEST` it is held sealed and written as one record of a segment; what is
larger goes on into a ``.tge`` file of its own. Pixels are not coded here: the modality waits, and the
packer, which does not, seals everything anew.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import IO, Protocol

from edge.spool.ahead import KeysAhead
from edge.spool.aligned import Buffers
from edge.spool.arrival import Arrival, Arrived
from edge.spool.files import UNNAMED
from edge.spool.item import SpoolItem
from edge.spool.kept import Kept, instance_number
from edge.spool.note import note_of
from edge.spool.record import Record
from edge.spool.segment import LARGEST
from edge.spool.states import State
from edge.spool.view import StudyFacts
from gateway import durable
from gateway.clock import Clock, rfc3339
from gateway.envelope.inner import InstanceFacts, Notice
from gateway.envelope.layout import TAG_SIZE
from gateway.envelope.seal import BodySealer, InstanceWriter, chunk_digest
from gateway.envelope.taken import Taken
from gateway.envelope.trailer import trailer
from gateway.errors import ResourceError
from gateway.model import ParcelId, Priority, Sha256, SiteId

CHUNK = 256 << 10
"""Plain bytes of a chunk of what is received: small, so that sealing keeps up with the wire."""

_STORED = CHUNK + TAG_SIZE

HEAD = 64 << 10
"""First bytes of a dataset kept in clear in memory while it comes: most headers lie in them."""

READY = 4
"""Keys made beforehand however much comes."""

CHECK_EVERY = 16 << 20
"""Bytes of a large instance after which the disk is looked at again."""

HEADS = Buffers(least=HEAD, keep=4 << 20)
"""For the head of one each."""

_NOTHING: Mapping[str, str] = MappingProxyType({})


class _Given(Exception):  # no error: an item is given up, so its file must not appear
    pass


class Register(Protocol):
    """Takes note of what is durable: the spool's own, or in an acceptor process one that tells that.

    May be called from any thread.
    """

    def check_room(self, incoming: int, received: int = 0) -> object:
        """Raises StorageFull if `incoming` bytes may not be taken now; `received` have come since."""

    def check_lately(self) -> object:
        """As `check_room` for nothing yet; not looked at again where that was just done and much was free."""

    def note(self, arrival: Arrival) -> object:
        """An item is durable. When this returns, its note outlives this process."""


class Keeps(Protocol):
    """Where items are made durable."""

    def expect(self) -> object:
        """Something is about to come. Raises GatewayError."""

    def add(self, parcel: ParcelId, note: bytes, record: Record) -> object:
        """Keep one record. Durable when this returns. Raises ResourceError."""

    def body(self, parcel: ParcelId) -> Path:
        """The file of its own of a large one."""


@dataclass(frozen=True, slots=True)
class Intake:
    """Takes items in. Every method may be called from any thread.

    Args:
        keeps: where they are made durable.
        register: hears of everything that is.
        site: our own, sealed into every parcel.
        keys: of parcels to come, for the hub's current keys.
        clock: the time.
        taken: which digest of a dataset is taken while it comes.
    """

    keeps: Keeps
    register: Register
    site: SiteId
    keys: KeysAhead
    clock: Clock
    taken: Taken = Taken.BLAKE3

    def begin(self) -> Receiving:
        """Ready for one instance."""
        return Receiving(self)

    def ready(self) -> None:
        """Between two instances: have ready what the next ones need at once."""
        self.keys.fill(READY)

    def notify(self, notice: Notice, *, priority: Priority) -> SpoolItem:
        """Take in a notice. Raises as `Receiving.keep`."""
        self.register.check_room(4096)
        one = self.begin()
        one.sealer.notice(notice)
        item = one.end(priority=priority)
        one.tell()
        return item


class Receiving:
    """One item on its way in. To be ended by `keep`, and after that `tell`, or by `abandon`.

    Attributes:
        parcel: its identifier.
        length: plain bytes so far.
    """

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        keys = intake.keys.take()
        self.parcel = keys.parcel_id
        self._kept: mmap.mmap | None = HEADS.take(HEAD)
        self.sealer = BodySealer(
            self._take,
            keys.recipients,
            self.parcel,
            site=intake.site,
            chunk_size=CHUNK,
            digest=self._named,
            keys=keys,
            room=self._room,
        )
        self._writer: InstanceWriter | None = None
        self._head, self._headed = memoryview(self._kept), 0
        self._places: list[memoryview] = []
        self._record = Record()
        self._checked = 0
        self._buffer = memoryview(b"")  # of a file
        self._file: IO[bytes] | None = None
        self._digests: list[Sha256] = []
        self._open: ExitStack | None = None
        self._arrival: Callable[[], Arrival] | None = None

    @property
    def length(self) -> int:
        """Plain bytes of the instance so far."""
        return 0 if self._writer is None else self._writer.length

    @property
    def head(self) -> memoryview:
        """The first bytes of the dataset, up to `HEAD`: not to be changed, and gone once it is ended."""
        return self._head[: self._headed]

    @property
    def digest(self) -> str:
        """Of the plain bytes so far, in hexadecimal."""
        return self._instance().digest

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Take the next bytes of the dataset; they are not needed any more when this returns.

        Raises:
            StorageFull: the disk has fallen below its reserve, or is full. Then `abandon`.
            ResourceError: the disk fails.
        """
        writer = self._instance()
        self._behead(data)
        try:
            writer.write(data)
        except OSError as error:
            raise _failed(error) from error
        self._look(writer)

    def places(self, size: int) -> list[memoryview]:
        """Where the next `size` bytes, or the first of them, may be put, in this order; then `came`.

        Raises as `write`.
        """
        try:
            self._places = self._instance().places(size)
        except OSError as error:
            raise _failed(error) from error
        return self._places

    def came(self, count: int) -> None:
        """So many bytes have been put in what `places` gave last. Raises as `write`."""
        writer = self._instance()
        self._behead(self._places[0][:count])
        try:
            writer.came(count)
        except OSError as error:
            raise _failed(error) from error
        self._look(writer)

    def read(self, offset: int, n: int) -> bytes:
        """Up to `n` of the dataset's bytes from `offset`; fewer only at its end so far."""
        if offset + n <= self._headed or self.length == self._headed:
            return bytes(self.head[offset : offset + n])
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
        visit: str = "",
    ) -> SpoolItem:
        """Make it durable. Blocks until it is; then `tell`, and whoever sent it may be answered.

        Args:
            facts: its UIDs, transfer syntax, time and sender.
            priority: how soon it must travel.
            remarks: for the hub, beside the instance.
            study: for the page; kept in memory alone.
            visit: the association, or whatever it came in.

        Raises:
            StorageFull: no room; nothing is kept.
            ResourceError: the disk fails; nothing is kept.
        """
        digest = self._instance().finish(facts, remarks).digest
        about = partial(self._arrived, facts, digest, study, visit, remarks.get("flaw", ""))
        return self.end(priority=priority, study=study, about=about)

    def tell(self) -> None:
        """Have the register take note of what is kept; once. Nothing is lost if this is never reached.

        What has a record is then found by reading its segment. A file of its own would not be found before
        the next start: so it is told of by `keep`.
        """
        arrival, self._arrival = self._arrival, None
        if arrival is not None:
            self._intake.register.note(arrival())

    def abandon(self) -> None:
        """Give it up; nothing of it stays. Safe to call after `keep` has raised."""
        self._release()
        if self._open is not None:
            with suppress(_Given):
                self._open.__exit__(_Given, _Given(), None)

    def end(
        self,
        *,
        priority: Priority,
        study: StudyFacts | None = None,
        about: Callable[[], Arrived] | None = None,
    ) -> SpoolItem:
        """Finish the body and make it durable; as `keep`. Without `about` it is a notice."""
        intake = self._intake
        try:
            draft = self.sealer.finish()
            item = SpoolItem(
                parcel_id=self.parcel,
                state=State.RECEIVED,
                sealed_size=draft.sealed_size,
                chunk_count=len(draft.chunks),
                instances=0 if about is None else 1,
                priority=priority,
                modality=study.modality[:16] if study else "",
                received_at=rfc3339(intake.clock.now()),
            )
            if self._file is None:
                self._record.add(trailer(draft))
                intake.keeps.add(self.parcel, note_of(item), self._record)
            elif self._open is not None:
                self._file.write(trailer(replace(draft, chunks=tuple(self._digests))))
                self._open.close()
        except OSError as error:
            raise _failed(error) from error
        finally:
            self._release()
        plain = self.length - self._checked
        self._arrival = lambda: Arrival(item, plain, None if about is None else about())
        if self._file is not None:
            self.tell()
        return item

    def _arrived(
        self, facts: InstanceFacts, digest: str, study: StudyFacts | None, visit: str, flaw: str
    ) -> Arrived:
        alone = not facts.study_uid or flaw  # odd ones put no others at risk
        kept = Kept(
            self.sealer.key,
            "" if alone else facts.study_uid,
            facts.series_uid,
            instance_number(study.instance_number) if study else None,
        )
        return Arrived(
            kept,
            study,
            facts.sop_class_uid,
            facts.sop_instance_uid,
            facts.study_uid,
            facts.transfer_syntax_uid,
            digest,
            facts.calling_ae,
            visit,
            self.length,
            flaw,
        )

    def _behead(self, data: bytes | bytearray | memoryview) -> None:
        """Keep what of this belongs to the head: where it lies it is in clear until its chunk is full."""
        if (had := self._headed) < HEAD:
            self._headed = min(HEAD, had + len(data))
            self._head[had : self._headed] = data[: self._headed - had]

    def _look(self, writer: InstanceWriter) -> None:
        """At the disk again, if it is large."""
        if self._file is not None and writer.length - self._checked > CHECK_EVERY:
            received, self._checked = writer.length - self._checked, writer.length
            self._intake.register.check_room(CHECK_EVERY, received)

    def _release(self) -> None:
        """What is of no more use goes to the next; once, or two would write into the same memory."""
        kept, self._kept, self._headed = self._kept, None, 0
        if kept is not None:
            HEADS.give(kept)
        self._record.close()

    def _instance(self) -> InstanceWriter:
        if self._kept is None:
            raise ValueError("it has been ended")
        if self._writer is None:
            self._writer = self.sealer.begin("raw", taken=self._intake.taken)
        return self._writer

    def _room(self, size: int) -> memoryview:
        """Where the next chunk is sealed: in its place in the record, or in a file's one buffer."""
        if self._file is not None:
            return self._buffer
        room = self._record.room(size)
        return room if self._record.length + size <= LARGEST else room[:size]  # the next one's is elsewhere

    def _take(self, sealed: memoryview) -> None:
        if self._file is not None:
            self._file.write(sealed)
            return
        self._record.grew(len(sealed))
        if self._record.length > LARGEST:
            self._spill()

    def _named(self, sealed: bytes | bytearray | memoryview) -> Sha256:
        if self._file is None:
            return UNNAMED
        self._digests.append(chunk_digest(sealed))
        return self._digests[-1]

    def _spill(self) -> None:
        """It is large: go on in a file of its own, which appears when it is whole."""
        length = self._record.length
        self._intake.register.check_room(length)
        target = self._intake.keeps.body(self.parcel)
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


def _failed(error: OSError) -> ResourceError:
    return ResourceError(f"the disk does not keep what is received: {error}")

"""One parcel under way: its machine, its signed header, and how its bytes are read."""

from __future__ import annotations

import asyncio
import hashlib
import sys
from dataclasses import dataclass, field
from typing import Protocol, Self

from edge.spool.item import SpoolItem
from edge.spool.spool import Spool
from gateway.envelope.layout import Header
from gateway.envelope.seal import header_digest
from gateway.envelope.signature import Statement
from gateway.errors import Malformed, Unverified
from gateway.model import ParcelId, Priority, Sha256
from gateway.wire.messages import Chunk
from gateway.wire.sender import Sender, State


class Body(Protocol):
    """Positioned reads of sealed bytes."""

    def read(self, offset: int, n: int) -> bytes: ...


@dataclass(slots=True)
class Parcel:
    """What the uplink knows of one item.

    Attributes:
        item: as the spool has it.
        signed: its signed header, as it goes on the line.
        header: the same, read.
        digest: of the signed header; the receipt must name it.
        sender: its machine.
        lock: what happens to a parcel happens in order.
        not_before: monotonic seconds; it is left alone until then.
        pauses: how many pauses there were in a row.
        started: whether the spool knows that it is being sent.
        turn: its place among those of its priority (`edge.uplink.turns`).
    """

    item: SpoolItem
    signed: bytes
    header: Header
    digest: Sha256
    sender: Sender
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    not_before: float = 0.0
    pauses: int = 0
    started: bool = False
    turn: float = 0.0

    @classmethod
    def load(cls, spool: Spool, item: SpoolItem, state: State) -> Self:
        """Read an item's header. Blocks.

        Raises:
            Malformed: the header is not what it should be.
            OSError: it cannot be read.
        """
        signed = spool.header(item.parcel_id)
        header = Header.from_bytes(Statement.from_bytes(signed).payload)
        if header.parcel_id != item.parcel_id:
            raise Malformed("the header is of another parcel than its file's name says")
        sender = Sender(item.parcel_id, len(header.chunks), state=state)
        return cls(item, signed, header, header_digest(signed), sender)

    @property
    def id(self) -> ParcelId:
        """Its identifier."""
        return self.item.parcel_id

    @property
    def priority(self) -> Priority:
        """How soon it must travel."""
        return self.header.priority

    @property
    def rank(self) -> tuple[int, bool, float, int]:
        """What goes first: the more urgent, what reading can begin with, whose turn it is, the earlier."""
        return int(self.header.priority), not self.item.lead, self.turn, self.header.sequence

    @property
    def goes_first(self) -> tuple[int, int]:
        """Which frame waits for which: what reading can begin with goes one by one, then all else at once."""
        return int(self.header.priority), self.header.sequence if self.item.lead else sys.maxsize

    @property
    def flown(self) -> int:
        """Sealed bytes put on the line so far, about; 0 once the hub has all, or while nobody knows."""
        if self.sender.state not in (State.ANNOUNCED, State.SENDING):
            return 0
        return self.header.sealed_size - self.ahead

    @property
    def ahead(self) -> int:
        """Sealed bytes that are still to be put on the line, about."""
        return self.header.sealed_size * self.sender.unsent // len(self.header.chunks)

    def chunk(self, spool: Spool, index: int) -> Chunk:
        """Read one chunk and compare it with the signed header. Blocks.

        Raises:
            Unverified: our disk no longer holds what was signed.
            Malformed: the file is damaged.
            OSError: it cannot be read.
        """
        offset, length = self.header.chunk_span(index)
        with spool.body(self.id) as body:
            data = body.read(offset, length)
        digest = hashlib.sha256(data).hexdigest()
        if digest != self.header.chunks[index]:
            raise Unverified(f"chunk {index} on this disk does not match the signed header")
        return Chunk(self.id, index, Sha256(digest), data)

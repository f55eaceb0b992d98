"""The hub's half: what it writes down of one parcel, and what it answers.

Pure: `Receiver.handle` takes one event and returns actions; the driver (`hub/intake`) does them in
order. Nothing is said that is not durable: `Keep` and `Durable` stand between hearing and answering.

States:
    ABSENT      nothing is known of it here
    RECEIVING   its header is kept; some chunks are missing
    WHOLE       every chunk is durable; it is being opened, compared and stored
    DONE        stored for good; the receipt is kept and answers every question
    REFUSED     put aside with a reason; the edge is told so whenever it asks
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from gateway.errors import Broken
from gateway.model import ParcelId, Sha256
from gateway.wire.chunks import ChunkSet
from gateway.wire.messages import MAX_RANGES, Code, Have, Receipt, Refused, Unknown, shorten


class State(Enum):
    """Where a parcel stands, seen from the hub. The module's docstring has a sentence for each."""

    ABSENT = "absent"
    RECEIVING = "receiving"
    WHOLE = "whole"
    DONE = "done"
    REFUSED = "refused"


class Event(Enum):
    """What can happen to a parcel, as the table sees it."""

    ANNOUNCED = "announced"
    COMPLETED = "completed"  # the last missing chunk became durable
    LOST = "lost"  # a chunk that was durable can no longer be read
    STORED = "stored"  # every instance is in the archive and the receipt is signed
    FAILED = "failed"  # it does not hold what its header promised


_ABSENT, _RECEIVING, _WHOLE, _DONE, _REFUSED = State
TRANSITIONS: Mapping[State, Mapping[Event, State | None]] = {
    # None: it changes nothing; no entry: it cannot happen (a fault of this program)
    State.ABSENT: {Event.ANNOUNCED: _RECEIVING},
    State.RECEIVING: {
        Event.ANNOUNCED: None,
        Event.COMPLETED: _WHOLE,
        Event.LOST: None,
        Event.FAILED: _REFUSED,
    },
    State.WHOLE: {
        Event.ANNOUNCED: None,
        Event.LOST: _RECEIVING,
        Event.STORED: _DONE,
        Event.FAILED: _REFUSED,
    },
    State.DONE: {Event.ANNOUNCED: None, Event.STORED: None},
    State.REFUSED: {Event.ANNOUNCED: None, Event.FAILED: None, Event.STORED: _DONE},
}


@dataclass(frozen=True, slots=True)
class Facts:
    """What a verified header says that the line needs."""

    parcel: ParcelId
    header_digest: Sha256
    chunks: tuple[Sha256, ...]
    chunk_size: int
    sealed_size: int

    def place(self, index: int) -> tuple[int, int]:
        """Offset and length of a chunk within the sealed bytes."""
        offset = index * self.chunk_size
        return offset, min(self.chunk_size, self.sealed_size - offset)


@dataclass(frozen=True, slots=True)
class Announced:
    """A header came, was opened and verified."""

    facts: Facts


@dataclass(frozen=True, slots=True)
class ChunkCame:
    """A chunk came: the digest the edge gave, the digest of the bytes as they are here, and their number."""

    index: int
    claimed: Sha256
    actual: Sha256
    size: int


@dataclass(frozen=True, slots=True)
class Durable:
    """These chunks have survived an fsync, and so has the bitmap that says so."""

    indexes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Unwritten:
    """Writing these chunks failed; they are still missing."""

    indexes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Lost:
    """These chunks were durable and cannot be read back as they were."""

    indexes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Asked:
    """The edge asks how far we are."""


@dataclass(frozen=True, slots=True)
class Stored:
    """The parcel is stored for good."""

    receipt: bytes


@dataclass(frozen=True, slots=True)
class Failed:
    """The parcel was put aside."""

    code: Code
    words: str


@dataclass(frozen=True, slots=True)
class Keep:
    """Make the header durable and prepare the room for the chunks, before anything is answered."""

    facts: Facts


@dataclass(frozen=True, slots=True)
class Write:
    """Write this chunk at its place; `Durable` follows once it is synced."""

    index: int


@dataclass(frozen=True, slots=True)
class Open:
    """Every chunk is durable: record that, then open, verify and store the parcel."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Say this to whoever caused the event (and, for the end of a parcel, to all who wait for it)."""

    message: Have | Receipt | Refused | Unknown


Input: TypeAlias = Announced | ChunkCame | Durable | Unwritten | Lost | Asked | Stored | Failed
Action: TypeAlias = Keep | Write | Open | Answer


class Receiver:
    """One parcel on its way in."""

    def __init__(self, parcel: ParcelId) -> None:
        """A parcel of which nothing is known."""
        self.parcel = parcel
        self.state = State.ABSENT
        self.facts: Facts | None = None
        self.have: ChunkSet | None = None
        self._writing: set[int] = set()
        self._receipt: bytes | None = None
        self._refusal: Refused | None = None

    @classmethod
    def restored(
        cls,
        facts: Facts,
        have: ChunkSet,
        *,
        whole: bool = False,
        receipt: bytes | None = None,
        refusal: tuple[Code, str] | None = None,
    ) -> Receiver:
        """A parcel as it was recorded before a restart."""
        self = cls(facts.parcel)
        self.facts, self.have, self.state = facts, have, State.WHOLE if whole else State.RECEIVING
        if receipt is not None:
            self.state, self._receipt = State.DONE, receipt
        elif refusal is not None:
            self.state = State.REFUSED
            self._refusal = Refused(facts.parcel, refusal[0], shorten(refusal[1]))
        return self

    def handle(self, event: Input) -> tuple[Action, ...]:
        """One event in, the actions it causes out, to be done in order."""
        match event:
            case Announced(facts):
                return self._announced(facts)
            case ChunkCame():
                return self._chunk(event)
            case Durable(indexes):
                return self._durable(indexes)
            case Unwritten(indexes):
                self._writing.difference_update(indexes)
                return ()
            case Lost(indexes):
                return self._lost(indexes)
            case Asked():
                return (self._status(),)
            case Stored(receipt):
                return self._stored(receipt)
            case Failed(code, words):
                return self._failed(code, words)

    def _step(self, event: Event) -> bool:
        """Follow the table. Returns whether the state changed."""
        row = TRANSITIONS[self.state]
        if event not in row:
            raise Broken(f"parcel {self.parcel}: {event.value} in state {self.state.value}")
        following = row[event]
        if following is None:
            return False
        self.state = following
        return True

    def _status(self) -> Answer:
        if self._receipt is not None:
            return Answer(Receipt(self.parcel, self._receipt))
        if self._refusal is not None:
            return Answer(self._refusal)
        if self.facts is None or self.have is None:
            return Answer(Unknown(self.parcel))
        return Answer(Have(self.parcel, self.have.size, self.have.missing(MAX_RANGES)))

    def _refuse(self, code: Code, words: str) -> tuple[Action, ...]:
        return (Answer(Refused(self.parcel, code, words)),)

    def _announced(self, facts: Facts) -> tuple[Action, ...]:
        if self.facts is not None and self.facts.header_digest != facts.header_digest:
            return self._refuse(Code.CONFLICT, "another header is kept under this parcel identifier")
        if not self._step(Event.ANNOUNCED):
            return (self._status(),)
        self.facts, self.have = facts, ChunkSet(len(facts.chunks))
        return Keep(facts), self._status()

    def _chunk(self, came: ChunkCame) -> tuple[Action, ...]:
        if self.facts is None or self.have is None:
            return (Answer(Unknown(self.parcel)),)
        if came.actual != came.claimed:
            words = f"chunk {came.index} was damaged on the way"
            return (*self._refuse(Code.DAMAGED, words), self._status())
        if came.index >= self.have.size:
            return self._refuse(Code.CONFLICT, f"chunk {came.index} of a parcel of {self.have.size} chunks")
        if came.claimed != self.facts.chunks[came.index] or came.size != self.facts.place(came.index)[1]:
            return self._refuse(Code.CONFLICT, f"chunk {came.index} is not the one the header names")
        if self.state is not State.RECEIVING:
            return (self._status(),)
        if came.index in self.have or came.index in self._writing:
            return ()
        self._writing.add(came.index)
        return (Write(came.index),)

    def _durable(self, indexes: tuple[int, ...]) -> tuple[Action, ...]:
        if self.have is None:
            raise Broken(f"parcel {self.parcel}: chunks of a parcel that was never announced")
        self._writing.difference_update(indexes)
        self.have.update(indexes)
        if self.state is State.RECEIVING and self.have.complete:
            self._step(Event.COMPLETED)
            return Open(), self._status()
        return (self._status(),)

    def _lost(self, indexes: tuple[int, ...]) -> tuple[Action, ...]:
        self._step(Event.LOST)
        if self.have is not None:
            for index in indexes:
                self.have.discard(index)
        return (self._status(),)

    def _stored(self, receipt: bytes) -> tuple[Action, ...]:
        if self._step(Event.STORED):
            self._receipt, self._refusal = receipt, None
        return (self._status(),)

    def _failed(self, code: Code, words: str) -> tuple[Action, ...]:
        if self._step(Event.FAILED):
            self._refusal = Refused(self.parcel, code, shorten(words))
        return (self._status(),)

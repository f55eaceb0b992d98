"""The edge's half: what one parcel still needs until the hub's receipt for it is verified.

Pure: `Sender.handle` takes one event and returns actions; the driver (`edge/uplink`) does them.
A parcel may travel in several exchanges at once: a chunk handed to one is not handed to another
until that one has ended. Whatever happens, the way back is the same: ask the hub what it has.

States:
    FRESH      the hub has nothing of it, as far as known: announce and send at once
    ANNOUNCED  announced in one exchange, no answer yet: only that exchange may carry chunks
    SENDING    the hub knows the parcel, and which chunks are missing is known
    DOUBTFUL   an exchange broke: what the hub has must be asked
    WHOLE      the hub has every chunk; its receipt is awaited
    DONE       the receipt was verified
    HELD       refused in a way that cannot heal, or rotten on our disk: a person must look
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from gateway.errors import Malformed
from gateway.model import ParcelId
from gateway.wire.chunks import ChunkSet
from gateway.wire.messages import Code, Have, Later, Receipt, Refused, Unknown, heals


class State(Enum):
    """Where a parcel stands, seen from the edge. The module's docstring has a sentence for each."""

    FRESH = "fresh"
    ANNOUNCED = "announced"
    SENDING = "sending"
    DOUBTFUL = "doubtful"
    WHOLE = "whole"
    DONE = "done"
    HELD = "held"


class Event(Enum):
    """What can happen to a parcel, as the table sees it."""

    ANNOUNCE = "announce"  # its header was put on the line
    HAVE_SOME = "have-some"
    HAVE_ALL = "have-all"
    UNKNOWN = "unknown"
    LATER = "later"  # a pause was asked for, or a refusal that heals
    REFUSED = "refused"  # for good
    GENUINE = "genuine"  # the receipt was verified
    FORGED = "forged"  # a receipt came that does not verify
    CUT = "cut"  # an exchange that carried it broke
    ROTTEN = "rotten"  # the bytes on our disk do not match the signed header
    RELEASED = "released"  # a person says: try again


_F, _A, _S, _D, _W, _X, _H = State
_STAY: Mapping[Event, State | None] = dict.fromkeys(Event)


def _row(**changes: State) -> Mapping[Event, State | None]:
    return {**_STAY, **{Event[name]: state for name, state in changes.items()}}


_ANSWERED = {
    "HAVE_SOME": _S,
    "HAVE_ALL": _W,
    "UNKNOWN": _F,
    "REFUSED": _H,
    "GENUINE": _X,
    "FORGED": _D,
    "ROTTEN": _H,
}
TRANSITIONS: Mapping[State, Mapping[Event, State | None]] = {
    # None: the event is of no concern in that state
    State.FRESH: _row(**_ANSWERED, ANNOUNCE=_A),
    State.ANNOUNCED: _row(**_ANSWERED, CUT=_D, LATER=_D),
    State.SENDING: _row(**_ANSWERED, CUT=_D, LATER=_D),
    State.DOUBTFUL: _row(**_ANSWERED, ANNOUNCE=_A),
    State.WHOLE: _row(**_ANSWERED),
    State.DONE: _row(),
    State.HELD: _row(GENUINE=_X, RELEASED=_D),
}


@dataclass(frozen=True, slots=True)
class Take:
    """The driver has room for up to `limit` chunks in `exchange`."""

    exchange: int
    limit: int


@dataclass(frozen=True, slots=True)
class Hedge:
    """`exchange` is idle, and what others carry is overdue: up to `limit` of those chunks may go again."""

    exchange: int
    limit: int


@dataclass(frozen=True, slots=True)
class Heard:
    """The hub said this, in `exchange`."""

    exchange: int
    message: Receipt | Have | Unknown | Refused | Later


@dataclass(frozen=True, slots=True)
class Judged:
    """The driver has checked a receipt: genuine, or not, and why."""

    genuine: bool
    words: str = ""


@dataclass(frozen=True, slots=True)
class Ended:
    """An exchange is over. `clean`: the hub said DONE, so all it had to say was heard."""

    exchange: int
    clean: bool


@dataclass(frozen=True, slots=True)
class Rotten:
    """A chunk read from our disk does not match the signed header."""

    words: str


@dataclass(frozen=True, slots=True)
class Released:
    """A person has looked at a held parcel and says: try again."""


@dataclass(frozen=True, slots=True)
class SendHeader:
    """Put ANNOUNCE on the line of this exchange."""


@dataclass(frozen=True, slots=True)
class SendChunk:
    """Put this chunk on the line of this exchange."""

    index: int


@dataclass(frozen=True, slots=True)
class SendAsk:
    """Put ASK on the line of this exchange."""


@dataclass(frozen=True, slots=True)
class Judge:
    """Check this receipt and come back with `Judged`."""

    receipt: bytes


@dataclass(frozen=True, slots=True)
class Arrived:
    """The hub has every chunk."""


@dataclass(frozen=True, slots=True)
class Confirm:
    """Keep this receipt durably; then the bytes may go."""

    receipt: bytes


@dataclass(frozen=True, slots=True)
class Hold:
    """Mark the parcel as needing a person, with the reason."""

    words: str


@dataclass(frozen=True, slots=True)
class Pause:
    """Leave the parcel alone: `seconds` as the hub asked, or (None) as the driver's backoff says."""

    seconds: int | None
    words: str


Input: TypeAlias = Take | Hedge | Heard | Judged | Ended | Rotten | Released
Action: TypeAlias = SendHeader | SendChunk | SendAsk | Judge | Arrived | Confirm | Hold | Pause


class Sender:
    """One parcel on its way to the hub."""

    def __init__(self, parcel: ParcelId, chunks: int, *, state: State = State.FRESH) -> None:
        """A parcel to send.

        Args:
            parcel: its identifier.
            chunks: how many chunks it has.
            state: FRESH for one never sent; DOUBTFUL after a restart of the edge.
        """
        self.parcel = parcel
        self.state = state
        self.have = ChunkSet(chunks)
        self._carried: dict[int, set[int]] = {}  # exchange → chunks it carries
        self._concerned: set[int] = set()  # exchanges that named this parcel
        self._announcer: int | None = None
        self._receipt: bytes | None = None

    def handle(self, event: Input) -> tuple[Action, ...]:
        """One event in, the actions it causes out, to be done in order."""
        match event:
            case Take(exchange, limit):
                return self._take(exchange, limit)
            case Hedge(exchange, limit):
                return self._hedge(exchange, limit)
            case Heard(_, message):
                return self._hear(message)
            case Judged(genuine, words):
                return self._judged(genuine, words)
            case Ended(exchange, clean):
                return self._ended(exchange, clean)
            case Rotten(words):
                return self._step(Event.ROTTEN, Hold(words))
            case Released():
                return self._step(Event.RELEASED)

    @property
    def unsent(self) -> int:
        """How many chunks could be handed out now."""
        if self.state not in (State.FRESH, State.ANNOUNCED, State.SENDING):
            return 0
        return self.have.size - len(self.have) - len(self._in_flight())

    def _step(self, event: Event, *actions: Action) -> tuple[Action, ...]:
        """Follow the table; an event that does not concern the state has no actions either."""
        following = TRANSITIONS[self.state][event]
        if following is None:
            return ()
        self.state = following
        return actions

    def _in_flight(self) -> set[int]:
        return {index for indexes in self._carried.values() for index in indexes}

    def _take(self, exchange: int, limit: int) -> tuple[Action, ...]:
        if self.state in (State.DOUBTFUL, State.WHOLE):
            self._concerned.add(exchange)
            return (SendAsk(),)
        head: tuple[Action, ...] = ()
        if self.state is State.FRESH:
            self.have = ChunkSet(self.have.size)
            self._announcer = exchange
            head = self._step(Event.ANNOUNCE, SendHeader())
        elif self.state is State.ANNOUNCED and exchange != self._announcer:
            return ()  # on another connection a chunk could overtake the header
        elif self.state in (State.DONE, State.HELD):
            return ()
        busy = self._in_flight()
        wanted: list[int] = []
        for first, count in self.have.missing():
            if len(wanted) >= limit:
                break
            wanted += [index for index in range(first, first + count) if index not in busy]
        chosen = wanted[:limit]
        self._carried.setdefault(exchange, set()).update(chosen)
        self._concerned.add(exchange)
        return (*head, *(SendChunk(index) for index in chosen))

    @property
    def carrying(self) -> frozenset[int]:
        """Exchanges that carry chunks the hub has not said it has."""
        return frozenset(exchange for exchange, indexes in self._carried.items() if indexes)

    def _hedge(self, exchange: int, limit: int) -> tuple[Action, ...]:
        if self.state not in (State.ANNOUNCED, State.SENDING):
            return ()
        chosen = sorted(self._in_flight() - self._carried.get(exchange, set()))[:limit]
        if not chosen:
            return ()
        again = self.state is State.ANNOUNCED and exchange != self._announcer
        self._carried.setdefault(exchange, set()).update(chosen)
        self._concerned.add(exchange)
        return (*((SendHeader(),) if again else ()), *(SendChunk(index) for index in chosen))

    def _hear(self, message: Receipt | Have | Unknown | Refused | Later) -> tuple[Action, ...]:
        match message:
            case Receipt(_, receipt):
                if self.state is State.DONE:
                    return ()
                self._receipt = receipt
                return (Judge(receipt),)
            case Have(_, chunks, missing):
                return self._heard_have(chunks, message) if missing else self._heard_all(chunks)
            case Unknown():
                self._forget()
                return self._step(Event.UNKNOWN)
            case Later(_, seconds, words):
                self._step(Event.LATER)
                return () if self.state in (State.DONE, State.HELD) else (Pause(seconds, words),)
            case Refused(_, code, words):
                return self._heard_refusal(code, words)

    def _heard_have(self, chunks: int, message: Have) -> tuple[Action, ...]:
        if chunks != self.have.size:
            return self._step(Event.REFUSED, Hold(f"the hub counts {chunks} chunks, not {self.have.size}"))
        self.have = ChunkSet.without(chunks, message.missing)
        for carried in self._carried.values():
            carried.difference_update([index for index in carried if index in self.have])
        return self._step(Event.HAVE_SOME)

    def _heard_all(self, chunks: int) -> tuple[Action, ...]:
        if chunks != self.have.size:
            return self._step(Event.REFUSED, Hold(f"the hub counts {chunks} chunks, not {self.have.size}"))
        self.have = ChunkSet.full(chunks)
        self._carried.clear()
        return self._step(Event.HAVE_ALL, Arrived())

    def _heard_refusal(self, code: int, words: str) -> tuple[Action, ...]:
        if not heals(code):
            return self._step(Event.REFUSED, Hold(f"refused by the hub ({_name(code)}): {words}"))
        if code == Code.DAMAGED:
            return ()  # HAVE, which follows, lists that chunk as missing
        self._step(Event.LATER)
        return () if self.state in (State.DONE, State.HELD) else (Pause(None, words),)

    def _judged(self, genuine: bool, words: str) -> tuple[Action, ...]:
        if self._receipt is None:
            raise Malformed("a judgement without a receipt")
        if genuine:
            return self._step(Event.GENUINE, Confirm(self._receipt))
        return self._step(Event.FORGED, Pause(None, f"the hub's receipt does not verify: {words}"))

    def _ended(self, exchange: int, clean: bool) -> tuple[Action, ...]:
        self._carried.pop(exchange, None)
        concerned = exchange in self._concerned
        self._concerned.discard(exchange)
        if self._announcer == exchange:
            self._announcer = None
            if self.state is State.ANNOUNCED:  # not a word was heard of it
                return self._step(Event.CUT)
        return self._step(Event.CUT) if concerned and not clean else ()

    def _forget(self) -> None:
        if self.state not in (State.DONE, State.HELD):
            self.have = ChunkSet(self.have.size)
            self._carried.clear()


def _name(code: int) -> str:
    return Code(code).name if code in Code.__members__.values() else str(code)

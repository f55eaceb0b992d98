"""What an acceptor process asks of the edge's: the spool's register, and the policy."""

from __future__ import annotations

import itertools
import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from edge.ingest.acceptor.leases import Leases
from edge.ingest.acceptor.line import Line, Message, packed, raised, unpacked
from edge.ingest.admission import Admitted
from edge.ingest.dimse import Command
from edge.ingest.policy import Accepted, Ending, Peer
from edge.spool.arrival import Arrival
from edge.spool.room import Looked
from gateway.envelope.kem import KemPublic
from gateway.errors import Unavailable
from gateway.model import Priority

RING = b"?"


@dataclass(slots=True)
class Question:
    """One that was asked.

    Args:
        wanted: called when somebody begins to wait for the answer.
    """

    wanted: Callable[[], object]
    _there: threading.Event = field(default_factory=threading.Event)
    _value: Any = None
    _fault: list[str] | None = None

    def answered(self, value: Any, fault: list[str] | None) -> None:
        """The answer has come."""
        self._value, self._fault = value, fault
        self._there.set()

    @property
    def there(self) -> bool:
        """Whether it has been answered."""
        return self._there.is_set()

    def wait(self) -> Any:
        """The answer. Raises GatewayError: whatever the other process raised."""
        if not self.there:
            self.wanted()
        self._there.wait()
        if self._fault is not None:
            raise raised(self._fault)
        return self._value


class Questions:
    """Asks over a line. Thread-safe.

    Args:
        line: to the edge's process.
        door: that process' other socket, by which it is told that somebody waits.
    """

    def __init__(self, line: Line, door: socket.socket) -> None:
        self._line, self._door = line, door
        self._numbers = itertools.count()
        self._open: dict[int, Question] = {}

    def ask(self, kind: str, *words: Any) -> Question:
        """Ask, and go on."""
        question, number = Question(self._ring), next(self._numbers)
        self._open[number] = question
        try:
            self._line.send(kind, number, *words)
        except OSError as error:
            raise Unavailable("the edge's process is gone") from error
        return question

    def tell(self, kind: str, *words: Any) -> None:
        """Tell, and go on. Raises OSError."""
        self._line.send(kind, *words)

    def _ring(self) -> None:
        """Somebody waits: what the edge's process rests for has an end."""
        with suppress(OSError):  # it is full of rings, or that process is gone, which the line tells
            self._door.send(RING, socket.MSG_DONTWAIT)

    def answered(self, message: Message) -> None:
        """An answer has come: number, value, fault."""
        number, value, fault = message
        self._open.pop(number).answered(value, fault)


class Recipients:
    """The hub's keys, as the edge's process told them last."""

    def __init__(self, keys: list[list[str]]) -> None:
        self.now: Sequence[KemPublic] = ()
        self.told(keys)

    def told(self, keys: list[list[str]]) -> None:
        """They are these from now on."""
        self.now = tuple(KemPublic(kid, suite, bytes.fromhex(public)) for kid, suite, public in keys)


def recipient_words(keys: Sequence[KemPublic]) -> list[list[str]]:
    """For a message."""
    return [[key.kid, key.suite, key.public.hex()] for key in keys]


class RemoteRegister:
    """The spool's register, in another process.

    Args:
        questions: to it.
        leases: where what is told of lies.
        recipients: are told anew with each look at the disk.
    """

    def __init__(self, questions: Questions, leases: Leases, recipients: Recipients) -> None:
        self._questions, self._leases, self._recipients = questions, leases, recipients
        self._looked = Looked()
        self._lock = threading.Lock()
        self._asked: Question | None = None

    def check_room(self, incoming: int, received: int = 0) -> None:
        """As `intake.Register`."""
        self._heard(self._questions.ask("room", incoming, received))

    def check_lately(self) -> None:
        """As `intake.Register`. Asked again before it must be known, so that nobody waits for it."""
        if self._looked.soon:
            return
        with self._lock:
            asked = self._asked = self._asked or self._questions.ask("room", 0, 0)
            if self._looked.lately and not asked.there:
                return
            self._asked = None
        self._heard(asked)

    def _heard(self, asked: Question) -> None:
        ample, keys = asked.wait()
        if keys is not None:
            self._recipients.told(keys)
        self._looked.now(ample=ample)

    def note(self, arrival: Arrival) -> None:
        """As `intake.Register`: it lies in the socket when this returns."""
        parcel = arrival.item.parcel_id
        try:
            self._questions.tell("arrived", arrival.to_list(), self._leases.place(parcel))
        except OSError as error:
            raise Unavailable("the edge's process is gone") from error
        self._leases.told(parcel)


class RemotePolicy:
    """The policy, in another process. Its answers are believed.

    Args:
        questions: to it.
    """

    def __init__(self, questions: Questions) -> None:
        self._questions = questions
        self.numbers: dict[Peer, int] = {}

    def decide(self, peer: Peer, asked: bytes) -> Accepted | bytes:
        """As `Policy`."""
        found = self._questions.ask("associate", self.numbers[peer], packed(asked)).wait()
        return unpacked(found) if isinstance(found, str) else accepted(found)

    def request(self, peer: Peer, context: int, command: Command, dataset: bytes) -> bytes:
        """As `Policy`."""
        words = (self.numbers[peer], context, packed(command.data), packed(dataset))
        return unpacked(self._questions.ask("request", *words).wait())

    def replied(self, peer: Peer, context: int, command: Command) -> None:
        """As `Policy`."""
        self._questions.tell("replied", self.numbers[peer], context, packed(command.data))

    def left(self, peer: Peer) -> None:
        """As `Policy`."""
        self._questions.tell("left", self.numbers[peer])

    def ended(self, ending: Ending) -> None:
        """As `Policy`."""
        self._questions.tell("ended", ending.body, int(ending.priority))


def accepted_words(found: Accepted) -> list[Any]:
    """For a message."""
    sender = found.sender
    return [
        [sender.ae_title, int(sender.priority), sender.charset, dict(sender.remarks)],
        found.called,
        packed(found.reply),
        [[context, *syntaxes] for context, syntaxes in found.contexts.items()],
        found.peer_limit,
        sorted(found.services),
    ]


def accepted(words: list[Any]) -> Accepted:
    """As `accepted_words` gave it."""
    (ae_title, priority, charset, remarks), called, reply, contexts, limit, services = words
    return Accepted(
        Admitted(ae_title, Priority(priority), charset, remarks),
        called,
        unpacked(reply),
        {context: (abstract, syntax) for context, abstract, syntax in contexts},
        limit,
        frozenset(services),
    )

"""What the edge's process does for one acceptor: answers what it asks, and notes what it tells."""

from __future__ import annotations

import math
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from edge.ingest.acceptor.line import Line, Message, fault, packed, unpacked
from edge.ingest.acceptor.remote import accepted_words, recipient_words
from edge.ingest.dimse import Command
from edge.ingest.policy import Ending, Policy
from edge.spool.arrival import Arrival
from edge.spool.note import item_of
from edge.spool.segment import Segment
from edge.spool.spool import Spool
from gateway import durable
from gateway.envelope.kem import KemPublic
from gateway.errors import GatewayError
from gateway.log import logger
from gateway.model import ParcelId, Priority

HOLD_SECONDS, HOLD_MOST = 0.5, 1024
"""While images keep coming, what is told of them is taken together after so long, or when it is so many:
index, page and packer then take little from a burst. The first is not held, nor anything that is STAT."""
QUIET_SECONDS = 0.05
"""When nothing has been told for so long, what is held is taken, and the next one at once."""
HELD = frozenset({"arrived", "ended"})

STALE_SECONDS = 600.0
"""A half-written file that nobody has written to for so long is the remains of a process that died."""

log = logger("edge.ingest")


@dataclass(frozen=True, slots=True, eq=False)
class RemotePeer:
    """A connection that an acceptor serves."""

    line: Line
    number: int
    address: str
    gone: Callable[[], object]

    def say(self, pdus: bytes) -> None:
        """As `Peer`."""
        self.line.send("say", self.number, packed(pdus))


class House:
    """Of one acceptor, for the thread that reads its line.

    Args:
        line: to it.
        spool: into which it writes.
        policy: for its associations.
        slow: runs what may take its time.
        settle_all: has everything taken that any acceptor has told.
        timer: monotonic seconds.

    Attributes:
        peers: its connections by number.
    """

    def __init__(
        self,
        line: Line,
        spool: Spool,
        policy: Policy,
        slow: Executor,
        settle_all: Callable[[], object],
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self._line, self._spool, self._policy, self._slow, self._timer = line, spool, policy, slow, timer
        self._settle_all = settle_all
        self._settling = threading.Lock()
        self._held: deque[Message] = deque()  # filled by one thread while any may empty it
        self._until = -math.inf  # then it is taken
        self._leases: dict[str, Segment] = {}
        self._told: Sequence[KemPublic] = ()
        self.peers: dict[int, RemotePeer] = {}
        self._answers: dict[str, Callable[..., Any]] = {
            "associate": self._associate,
            "room": self._room,
            "lease": self._lease,
            "request": self._request,
        }
        self._notes: dict[str, Callable[..., None]] = {
            "replied": self._replied,
            "left": self._left,
            "gone": self._gone,
            "done": self._done,
            "alive": lambda: None,  # that it was heard is all
        }

    def take(self, messages: list[Message]) -> None:
        """All of these, in their order; but what else is said need not wait for what is held."""
        urgent = False
        for message in messages:
            kind, *words = message
            if kind in HELD:
                urgent |= self._hold(message)
            elif kind in self._answers:
                number, *asked = words
                self._answer(number, kind, asked)
            else:
                self._notes[kind](*words)
        now = self._timer()
        if self._held and (urgent or now >= self._until or len(self._held) >= HOLD_MOST):
            self.settle()
            self._until = now + HOLD_SECONDS

    def wait(self) -> None:
        """Before the next is received: nothing is held longer because nothing comes."""
        if self._held and not self._line.comes(QUIET_SECONDS):
            self.settle()
            self._until = -math.inf

    def settle(self) -> None:
        """Take what is held. From any thread; when it returns, everything told before has been taken."""
        with self._settling:
            held = [self._held.popleft() for _ in range(len(self._held))]
            arrived = [words for kind, *words in held if kind == "arrived"]
            if arrived:
                self._arrived(arrived)
            for kind, *words in held:  # a notice follows what it is about
                if kind == "ended":
                    self._ended(*words)

    def bury(self) -> None:
        """It is dead, and has been heard to the end."""
        for number in list(self.peers):
            self._left(number)
            self._gone(number)
        self.settle()
        found = 0
        for name in list(self._leases):
            records = self._spool.files.segments.reclaim(self._leases.pop(name))
            self._spool.register.note_all([Arrival(item_of(one.parcel, one.note), 0) for one in records])
            found += len(records)
        swept = _sweep(self._spool)
        if found or swept:
            log.warning("left by an acceptor", kept=found, swept=swept)

    def setup(self) -> list[list[str]]:
        """The hub's keys, for its start."""
        self._told = self._spool.recipients()
        return recipient_words(self._told)

    def _hold(self, message: Message) -> bool:
        """Until it is settled. Returns whether it should not wait for others."""
        self._held.append(message)
        if message[0] == "ended":
            return Priority(message[2]) is Priority.STAT
        arrival = message[1]
        self._spool.traffic.note(Arrival.plain_of(arrival))
        return Arrival.priority_of(arrival) is Priority.STAT

    def _answer(self, number: int, kind: str, asked: list[Any]) -> None:
        if kind in ("associate", "request"):
            self._slow.submit(self._answered, number, kind, asked).add_done_callback(_report)
        else:
            self._answered(number, kind, asked)

    def _answered(self, number: int, kind: str, asked: list[Any]) -> None:
        value: Any = None
        words: list[str] | None = ["ResourceError", "it failed in the edge's process"]
        try:
            value, words = self._answers[kind](*asked), None
        except GatewayError as error:
            words = fault(error)
        finally:  # whoever waits must hear, whatever happened
            with suppress(OSError):  # it is gone, and what else it said is still to be read
                self._line.send("answer", number, value, words)

    def _arrived(self, told: list[list[Any]]) -> None:
        arrivals = []
        records: dict[str, list[tuple[ParcelId, int, int]]] = defaultdict(list)
        for words, place in told:
            arrival = Arrival.from_list(words)
            if place is not None:
                name, at, length = place
                records[name].append((arrival.item.parcel_id, at, length))
            arrivals.append(arrival)
        for name, found in records.items():
            self._spool.files.segments.adopt(self._leases[name], found)
        self._spool.register.note_all(arrivals)

    def _room(self, incoming: int, received: int) -> list[Any]:
        ample = self._spool.register.check_room(incoming, received)
        keys = self._spool.recipients()
        news = keys != self._told
        self._told = keys
        return [ample, recipient_words(keys) if news else None]

    def _lease(self) -> list[str]:
        segment = self._spool.files.segments.lease()
        self._leases[segment.path.name] = segment
        return [segment.path.name, segment.life.hex()]

    def _associate(self, number: int, asked: str) -> str | list[Any]:
        found = self._policy.decide(self.peers[number], unpacked(asked))
        return packed(found) if isinstance(found, bytes) else accepted_words(found)

    def _request(self, number: int, context: int, command: str, dataset: str) -> str:
        self._settle_all()  # it may be about what has just come
        read = Command.read(unpacked(command))
        return packed(self._policy.request(self.peers[number], context, read, unpacked(dataset)))

    def _replied(self, number: int, context: int, command: str) -> None:
        self._policy.replied(self.peers[number], context, Command.read(unpacked(command)))

    def _left(self, number: int) -> None:
        self._policy.left(self.peers[number])

    def _ended(self, body: dict[str, Any], priority: int) -> None:
        self._policy.ended(Ending(body, Priority(priority)))

    def _gone(self, number: int) -> None:
        self.peers.pop(number).gone()

    def _done(self, name: str, failed: bool) -> None:
        self.settle()
        self._spool.files.segments.give_back(self._leases.pop(name), failed=failed)


def _report(done: Future[None]) -> None:
    error = done.exception()
    if error is not None:
        log.error("a request failed", exc_info=error)


def _sweep(spool: Spool) -> int:
    """Remove half-written files that nobody writes to any more."""
    old = time.time() - STALE_SECONDS
    swept = 0
    for path in spool.files.spool.glob(f"{durable.TEMPORARY_PREFIX}*"):
        try:
            if path.stat().st_mtime < old:
                path.unlink()
                swept += 1
        except FileNotFoundError:
            continue  # whole now, and named
    return swept

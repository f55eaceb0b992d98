"""Sender × receiver over a line that cuts, delays, doubles, reorders, swaps, drops and flips bits.

Whatever it does, and whenever either end dies: every parcel is stored exactly once, no parcel is
held for a person, and once the line is fair again every sender ends with a verified receipt.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gateway.errors import Malformed
from gateway.model import ParcelId, Sha256
from gateway.wire import receiver, sender
from gateway.wire.chunks import ChunkSet
from gateway.wire.frames import Decoder, encode
from gateway.wire.messages import Announce, Ask, Chunk, Message

CHUNK = 8
flips = st.one_of(  # mostly nowhere; else anywhere, or in a chunk's data
    st.none(), st.none(), st.none(), st.none(), st.integers(0, 200), st.integers(-CHUNK, -1)
)


def sha(data: bytes) -> Sha256:
    return Sha256(hashlib.sha256(data).hexdigest())


@dataclass
class Parcel:
    body: bytes
    facts: receiver.Facts

    @classmethod
    def make(cls, number: int, size: int) -> Parcel:
        body = bytes((number * 31 + n) % 256 for n in range(size))
        chunks = tuple(sha(body[at : at + CHUNK]) for at in range(0, size, CHUNK))
        parcel = ParcelId(f"{number + 1:032x}")
        return cls(body, receiver.Facts(parcel, sha(b"header%d" % number), chunks, CHUNK, size))


class Hub:
    """A driver in memory. What survives a crash is in `disk`, `map`, `kept` and `archive`."""

    def __init__(self, parcels: dict[ParcelId, Parcel]) -> None:
        self.parcels = parcels
        self.kept: set[ParcelId] = set()
        self.disk: dict[tuple[ParcelId, int], bytes] = {}
        self.archive: dict[ParcelId, list[bytes]] = {}
        self.crash()

    def crash(self) -> None:
        self.live: dict[ParcelId, receiver.Receiver] = {}
        self.unsynced: dict[tuple[ParcelId, int], bytes] = {}

    def forget(self, parcel: ParcelId) -> None:
        """Restored from a backup older than the parcel."""
        self.crash()
        self.kept.discard(parcel)
        self.archive.pop(parcel, None)
        self.disk = {key: data for key, data in self.disk.items() if key[0] != parcel}

    def find(self, parcel: ParcelId) -> receiver.Receiver:
        if parcel not in self.live:
            self.live[parcel] = self.restore(parcel)
        return self.live[parcel]

    def restore(self, parcel: ParcelId) -> receiver.Receiver:
        if parcel not in self.kept:
            return receiver.Receiver(parcel)
        facts = self.parcels[parcel].facts
        have = ChunkSet(len(facts.chunks))
        have.update(index for owner, index in self.disk if owner == parcel)
        receipt = b"receipt" if parcel in self.archive else None
        return receiver.Receiver.restored(facts, have, whole=have.complete, receipt=receipt)

    def hear(self, message: Message) -> list[Message]:
        match message:
            case Announce(parcel):
                return self.act(parcel, receiver.Announced(self.parcels[parcel].facts), b"")
            case Chunk(parcel, index, digest, data):
                return self.act(parcel, receiver.ChunkCame(index, digest, sha(data), len(data)), data)
            case Ask(parcel):
                return self.act(parcel, receiver.Asked(), b"")
        raise AssertionError(message)

    def act(self, parcel: ParcelId, event: receiver.Input, data: bytes) -> list[Message]:
        answers: list[Message] = []
        for action in self.find(parcel).handle(event):
            match action:
                case receiver.Keep():
                    self.kept.add(parcel)
                case receiver.Write(index):
                    self.unsynced[parcel, index] = data
                case receiver.Answer(said):
                    answers.append(said)
        return answers

    def sync(self) -> list[Message]:
        answers: list[Message] = []
        for (parcel, index), data in list(self.unsynced.items()):
            self.disk[parcel, index] = data
            answers += self.act(parcel, receiver.Durable((index,)), b"")
        self.unsynced.clear()
        return answers

    def convey(self) -> list[Message]:
        answers: list[Message] = []
        for parcel in self.kept:
            if self.find(parcel).state is receiver.State.WHOLE:
                count = len(self.parcels[parcel].facts.chunks)
                body = b"".join(self.disk[parcel, index] for index in range(count))
                self.archive.setdefault(parcel, []).append(body)
                answers += self.act(parcel, receiver.Stored(b"receipt"), b"")
        return answers


@dataclass
class Exchange:
    number: int
    requests: list[bytes] = field(default_factory=list)
    answers: list[bytes] = field(default_factory=list)


class Line(RuleBasedStateMachine):
    @initialize(sizes=st.lists(st.integers(1, 60), min_size=1, max_size=4))
    def begin(self, sizes: list[int]) -> None:
        made = [Parcel.make(number, size) for number, size in enumerate(sizes)]
        self.parcels = {parcel.facts.parcel: parcel for parcel in made}
        self.hub = Hub(self.parcels)
        self.receipts: set[ParcelId] = set()
        self.senders = {p: sender.Sender(p, len(it.facts.chunks)) for p, it in self.parcels.items()}
        self.open: dict[int, Exchange] = {}
        self.count = 0

    # the edge
    def edge(self, parcel: ParcelId, event: sender.Input, line: Exchange | None = None) -> None:
        for action in self.senders[parcel].handle(event):
            match action:
                case sender.SendHeader():
                    line.requests.append(encode(Announce(parcel, b"header")))
                case sender.SendChunk(index):
                    data = self.parcels[parcel].body[index * CHUNK : (index + 1) * CHUNK]
                    line.requests.append(encode(Chunk(parcel, index, sha(data), data)))
                case sender.SendAsk():
                    line.requests.append(encode(Ask(parcel)))
                case sender.Judge(receipt):
                    self.edge(parcel, sender.Judged(receipt == b"receipt"))
                case sender.Confirm():
                    assert parcel in self.hub.archive
                    self.receipts.add(parcel)
                case sender.Hold(words):
                    raise AssertionError(words)

    @rule(limit=st.integers(0, 5), data=st.data())
    def take(self, limit: int, data: st.DataObject) -> None:
        chosen = data.draw(st.sampled_from(sorted([*self.open, self.count + 1])))
        self.count = max(self.count, chosen)
        line = self.open.setdefault(chosen, Exchange(chosen))
        for parcel in data.draw(st.permutations(sorted(self.senders))):
            self.edge(parcel, sender.Take(chosen, limit), line)

    @precondition(lambda self: self.open)
    @rule(limit=st.integers(1, 5), data=st.data())
    def hedge(self, limit: int, data: st.DataObject) -> None:
        """What is out on other exchanges goes again on this one."""
        line = self.open[data.draw(st.sampled_from(sorted(self.open)))]
        for parcel in data.draw(st.permutations(sorted(self.senders))):
            self.edge(parcel, sender.Hedge(line.number, limit), line)

    @precondition(lambda self: len(self.open) > 1)
    @rule(data=st.data())
    def swapped(self, data: st.DataObject) -> None:
        """What was said on one exchange is delivered on another."""
        one, other = data.draw(st.permutations(sorted(self.open)))[:2]
        way = data.draw(st.sampled_from(("requests", "answers")))
        here, there = getattr(self.open[one], way), getattr(self.open[other], way)
        if here:
            there.append(here.pop(data.draw(st.integers(0, len(here) - 1))))

    @precondition(lambda self: any(line.requests or line.answers for line in self.open.values()))
    @rule(data=st.data())
    def dropped(self, data: st.DataObject) -> None:
        """A frame is lost on the way, and with it the exchange, as on a broken connection."""
        line = data.draw(st.sampled_from([one for one in self.open.values() if one.requests or one.answers]))
        frames = line.requests or line.answers
        frames.pop(data.draw(st.integers(0, len(frames) - 1)))
        self.end(line, clean=False)

    def edge_dies(self) -> None:
        self.open.clear()
        self.senders = {
            p: sender.Sender(p, len(it.facts.chunks), state=sender.State.DOUBTFUL)
            for p, it in self.parcels.items()
            if p not in self.receipts
        }

    # the line
    def end(self, line: Exchange, *, clean: bool) -> None:
        self.open.pop(line.number, None)
        for parcel in self.senders:
            self.edge(parcel, sender.Ended(line.number, clean))

    def carry(self, line: Exchange, frames: list[bytes], position: int, flip: int | None) -> Message | None:
        """Take one frame off the line, perhaps damaged; a damaged frame breaks the exchange."""
        frame = bytearray(frames.pop(position))
        if flip is not None:
            frame[flip if flip < 0 else flip % len(frame)] ^= 1 << flip % 8
        decoder = Decoder()
        decoder.feed(bytes(frame))
        try:
            message = decoder.next()
            decoder.finish()
        except Malformed:
            self.end(line, clean=False)
            return None
        return message

    @precondition(lambda self: any(line.requests for line in self.open.values()))
    @rule(data=st.data())
    def requests_arrive_in_order(self, data: st.DataObject) -> None:
        line = data.draw(st.sampled_from([line for line in self.open.values() if line.requests]))
        for _ in range(data.draw(st.integers(1, len(line.requests)))):
            line.answers += map(encode, self.hub.hear(self.carry(line, line.requests, 0, None)))

    @precondition(lambda self: any(line.requests for line in self.open.values()))
    @rule(data=st.data(), keep=st.booleans(), flip=flips)
    def request_arrives(self, data: st.DataObject, keep: bool, flip: int | None) -> None:
        line = data.draw(st.sampled_from([line for line in self.open.values() if line.requests]))
        position = data.draw(st.integers(0, len(line.requests) - 1))
        copy = line.requests[position]
        message = self.carry(line, line.requests, position, flip)
        if keep:
            line.requests.append(copy)  # doubled
        if message is not None:
            line.answers += map(encode, self.hub.hear(message))

    @precondition(lambda self: any(line.answers for line in self.open.values()))
    @rule(data=st.data(), keep=st.booleans(), flip=flips)
    def answer_arrives(self, data: st.DataObject, keep: bool, flip: int | None) -> None:
        line = data.draw(st.sampled_from([line for line in self.open.values() if line.answers]))
        position = data.draw(st.integers(0, len(line.answers) - 1))
        copy = line.answers[position]
        message = self.carry(line, line.answers, position, flip)
        if keep:
            line.answers.append(copy)
        if message is not None and message.parcel in self.senders:
            self.edge(message.parcel, sender.Heard(line.number, message), line)

    @rule(data=st.data())
    def misfortune(self, data: st.DataObject) -> None:
        parcel = data.draw(st.sampled_from(sorted(self.parcels)))
        match data.draw(st.integers(0, 5)):
            case 0:
                self.edge_dies()
            case 1:
                self.hub_dies()
            case 2:
                self.hub_is_restored_from_an_old_backup(parcel)
            case 3 if self.open:
                self.end(data.draw(st.sampled_from(list(self.open.values()))), clean=False)

    # the hub
    def spread(self, answers: list[Message]) -> None:
        for line in self.open.values():
            line.answers += map(encode, answers)

    @rule()
    def hub_syncs(self) -> None:
        self.spread(self.hub.sync())

    @rule()
    def hub_conveys(self) -> None:
        self.spread(self.hub.convey())

    def hub_dies(self) -> None:
        self.hub.crash()
        for line in list(self.open.values()):
            self.end(line, clean=False)

    def hub_is_restored_from_an_old_backup(self, parcel: ParcelId) -> None:
        if parcel not in self.receipts:  # the edge still holds the bytes
            self.hub.forget(parcel)
            for line in list(self.open.values()):
                self.end(line, clean=False)

    @invariant()
    def stored_at_most_once_and_exactly(self) -> None:
        for parcel, bodies in getattr(self, "hub", Hub({})).archive.items():
            assert bodies == [self.parcels[parcel].body]

    def teardown(self) -> None:
        """The line is fair from now on: it must come to an end, soon."""
        for line in list(getattr(self, "open", {}).values()):
            self.end(line, clean=False)
        for number in range(self.count + 1, self.count + 12) if hasattr(self, "count") else ():
            line = Exchange(number)
            for parcel in self.senders:
                self.edge(parcel, sender.Take(number, 3), line)
            answers: list[Message] = []
            for frame in line.requests:
                decoder = Decoder()
                decoder.feed(frame)
                answers += self.hub.hear(decoder.next())
            answers += self.hub.sync() + self.hub.convey()
            for message in answers:
                if message.parcel in self.senders:
                    self.edge(message.parcel, sender.Heard(number, message), line)
            self.end(line, clean=True)
        for parcel, one in getattr(self, "senders", {}).items():
            assert one.state is sender.State.DONE, (parcel, one.state)
            assert self.hub.archive[parcel] == [self.parcels[parcel].body]


TestLine = Line.TestCase
TestLine.settings = settings(
    max_examples=200,
    stateful_step_count=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)

"""From opened items into the body of a new parcel, and back again to compare."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path

from edge.spool.coding import IN_MEMORY, Coding, Line, Task
from edge.spool.custodian import Named
from edge.spool.files import BodyFile, SpoolFiles
from edge.spool.item import SpoolItem
from edge.spool.opening import own_body
from gateway.codec import SharedStream
from gateway.codec.way import RAW
from gateway.envelope.inner import InstanceEntry, InstanceFacts
from gateway.envelope.own import OwnBody
from gateway.envelope.seal import BodySealer
from gateway.envelope.trailer import read_trailer
from gateway.errors import DataError, Unverified


@dataclass(frozen=True, slots=True)
class Original:
    """One received item, opened with the key that is still in memory."""

    item: SpoolItem
    own: OwnBody
    body: BodyFile

    @classmethod
    @contextmanager
    def open(cls, files: SpoolFiles, item: SpoolItem, key: bytes) -> Iterator[Original]:
        """Open it. Raises DataError if it is damaged, OSError if it cannot be read."""
        with files.opened(item.parcel_id) as body:
            yield cls(item, own_body(body, item.parcel_id, key), body)

    def data(self, entry: InstanceEntry) -> bytes:
        """A small instance as it came: every chunk is proven by its tag, the whole when it is coded."""
        if entry.codec == RAW.codec:
            return b"".join(map(bytes, self.own.coded(entry, self.body.read)))
        pieces: list[bytes] = []
        self.own.extract(entry, self.body.read, pieces.append)
        return b"".join(pieces)

    def task(self, entry: InstanceEntry, coding: Coding, line: Line) -> Task | None:
        """How to code an instance; None if it is large and coded already: it is taken as it is."""
        if entry.length <= IN_MEMORY:
            return coding.prepare(entry, self.data(entry), line)
        read = self.own.reader(entry, self.body.read)
        return coding.prepare(entry, read, line) if read is not None else None


@dataclass(frozen=True, slots=True)
class Expected:
    """One instance as it must be found in the new body.

    Attributes:
        entry: its entry.
        coded: SHA-256 of its coded bytes, if these were proven in memory.
        task: how it was coded, if it was not: then it is decoded from the disk.
    """

    entry: InstanceEntry
    coded: bytes | None = None
    task: Task | None = None


@dataclass(frozen=True, slots=True)
class Written:
    """What went into the new body.

    Attributes:
        expected: every instance, in order.
        shared: what the shared stream must hold.
        ways: how many went by which way.
        named: those whose SHA-256 was taken here.
    """

    expected: tuple[Expected, ...]
    shared: SharedStream
    ways: Mapping[str, int]
    named: tuple[Named, ...]

    @property
    def length(self) -> int:
        """Bytes of all instances as they came."""
        return sum(one.entry.length for one in self.expected)


def write(originals: Sequence[Original], sealer: BodySealer, coding: Coding, line: Line) -> Written:
    """Code all instances into `sealer`. Blocks.

    Raises:
        DataError: an original is not as it was sealed.
        OSError, StorageFull: files cannot be read or written.
    """
    tasks = [
        (original, entry, original.task(entry, coding, line))
        for original in originals
        for entry in original.own.manifest.instances
    ]
    shared, ways = SharedStream(), Counter[str]()
    small = [task for _, _, task in tasks if task is not None and task.data is not None]
    coded = iter(list(coding.code(small, shared)))
    if len(shared):
        sealer.share(shared, line.rate)
    expected: list[Expected] = []
    named: list[Named] = []
    for original, entry, task in tasks:
        if task is None:
            kept = sealer.copy(entry, original.own.coded(entry, original.body.read))
            expected.append(Expected(kept))
            ways[entry.codec] += 1
        elif task.data is not None:
            one = next(coded)
            digest = hashlib.sha256(b"".join(one.content)).digest()
            expected.append(Expected(sealer.copy(one.entry, one.content), digest))
            ways[one.way.name] += 1
        else:
            expected.append(Expected(_stream(original, entry, task, sealer, coding), task=task))
            ways[task.way.name] += 1
        if not entry.sha256:
            named.append(Named(entry.sop_instance_uid, entry.digest, expected[-1].entry.sha256))
    return Written(tuple(expected), shared, ways, tuple(named))


def _stream(
    original: Original, entry: InstanceEntry, task: Task, sealer: BodySealer, coding: Coding
) -> InstanceEntry:
    """A large instance, piece by piece."""
    facts = InstanceFacts(**{one.name: getattr(entry, one.name) for one in fields(InstanceFacts)})
    writer = sealer.begin(task.way, task.plan, coding.means)
    original.own.extract(entry, original.body.read, writer.write)
    return writer.finish(facts, {word: str(value) for word, value in entry.parameters.items()})


def compare(body: Path, key: bytes, written: Written, coding: Coding) -> None:
    """Read a new body back from the disk: what was proven in memory by its digest, all else by decoding it.

    Raises:
        Unverified: it does not hold exactly what was to be in it.
        Malformed: it cannot be read.
    """
    with BodyFile(body) as file:
        own = OwnBody(read_trailer(file.read, file.size), key)
        same = own.manifest.instances == tuple(one.entry for one in written.expected)
        if not same or own.shared(file.read) != written.shared.read(0, len(written.shared)):
            raise Unverified("the new parcel does not hold what was to be in it")
        for one in written.expected:
            if one.coded is None:
                _decode(own, one, file, coding)
                continue
            digest = hashlib.sha256()
            for piece in own.coded(one.entry, file.read):
                digest.update(piece)
            if digest.digest() != one.coded:
                raise Unverified("the new parcel does not hold what its originals hold")


def _decode(own: OwnBody, one: Expected, file: BodyFile, coding: Coding) -> None:
    """Exactly as the hub will."""
    try:
        own.extract(one.entry, file.read, len)
    except DataError as error:
        if one.task is not None:
            coding.failed(one.task, str(error))
        raise

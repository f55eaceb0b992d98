"""Codes what a parcel is to hold, by the way that ends soonest, and proves it before anything is dropped.

A small instance is coded in memory and decoded again exactly as the hub will do it; only if the SHA-256 of
the original comes out is the coding used, else the next simpler way. Where BLAKE3 was taken while it came,
its bytes are compared with that, and the SHA-256 is taken here. A large one passes through piece by
piece; `refill` reads it back from the disk. Nothing of it is sent before, since the signed header names the
digest of every chunk: so it is weighed as one piece, and goes as it is where the line would be done earlier.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import ParamSpec, TypeVar

from edge.spool.demand import ASSUMED
from gateway.codec import Means, Plan, SharedStream, Way, coder, decoder, plan
from gateway.codec.choose import Choice
from gateway.codec.chooser import Chooser
from gateway.codec.plan import STRIP
from gateway.codec.way import RAW, SEGMENTS, WAYS, ZSTD
from gateway.dicom.transfer import Read
from gateway.envelope.inner import InstanceEntry
from gateway.envelope.taken import Taken
from gateway.errors import DataError, Unverified
from gateway.log import logger
from gateway.model import Sha256

IN_MEMORY = 8 << 20
"""Bytes up to which an instance is held as a whole."""
SHARED_MOST = 1 << 20
"""Bytes up to which an instance without pixels lies in the shared stream as a whole."""
NICE = 5
"""Steps by which coding stands back behind receiving and sending (Linux: of each thread)."""
HANDLING, EACH = 1 / 200e6, 0.7e-3
"""Seconds a byte, and an instance, cost besides coding: opened, hashed, sealed, read back, hashed again."""
ALIKE, UNALIKE = 32, 0.25
"""So many instances in a row that look alike are coded alike, unless their sizes differ by this part."""
SHARE = 0.5
"""Of the idle cores that is planned with: sending, receiving and looking take from them when they go on."""
GOT_SECONDS = 10.0
"""How long it counts how many cores coding really got."""
PAYS, PAYS_LEAST = 0.97, 4096
"""A single item is sealed anew only if so little of it is left, and so many bytes are saved."""

P = ParamSpec("P")
R = TypeVar("R")
log = logger("edge.spool")


@dataclass(frozen=True, slots=True)
class Line:
    """What coding is weighed against.

    Attributes:
        rate: bytes a second the line carries; 0: not known yet.
        cores: idle cores.
        waiting: bytes that wait behind what is coded now.
        busy: seconds for which the line has other things to carry.
    """

    rate: float = 0.0
    cores: float = 1.0
    waiting: int = 0
    busy: float = 0.0


@dataclass(frozen=True, slots=True)
class Task:
    """One instance and how it is to be coded. `data` is None for a large one."""

    entry: InstanceEntry
    plan: Plan
    way: Way
    ratio: float
    data: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Coded:
    """One instance as it goes into the parcel."""

    entry: InstanceEntry
    content: tuple[bytes, ...] = field(repr=False)
    way: Way


@dataclass(slots=True)
class _Alike:
    """How instances of one kind are coded just now."""

    line: Line
    plan: Plan
    length: int
    choice: Choice
    left: int = ALIKE

    def serves(self, line: Line, found: Plan, length: int) -> bool:
        """Whether this one need not be weighed by itself."""
        same = (line, found.form, bool(found.fragments)) == (
            self.line,
            self.plan.form,
            bool(self.plan.fragments),
        )
        self.left -= 1
        return same and self.left > 0 and abs(length - self.length) <= UNALIKE * self.length


class Coding:
    """Chooses, codes and learns. Small instances have a pool of their own: they wait for no large one.

    Attributes:
        chooser: its figures are for the status page.
    """

    def __init__(self, chooser: Chooser | None = None, workers: int | None = None) -> None:
        self.chooser = chooser or Chooser()
        self.workers = workers or os.cpu_count() or 1
        self._small, self._large = _Pool(self.workers), _Pool(self.workers)
        self._lock = threading.Lock()
        self._failed: set[tuple[str, str]] = set()
        self._alike: dict[str, _Alike] = {}
        self._got: tuple[float, float] = (float("inf"), 0.0)  # cores, and until when that counts

    @property
    def cores(self) -> float:
        """Cores that coding really got the last time it had work for all of them; infinite if long ago.

        What the kernel calls idle may be taken by others as soon as a parcel is there: by sending it, above
        all. And threads of Python wait for each other.
        """
        cores, until = self._got
        return cores if time.monotonic() < until else float("inf")

    @property
    def spent(self) -> float:
        """Seconds of the CPU used for coding so far."""
        return self._small.spent + self._large.spent

    def pays(self, task: Task) -> bool:
        """Whether a single instance is worth sealing anew."""
        left = task.entry.length / task.ratio
        return task.way != RAW and left < task.entry.length * PAYS and task.entry.length - left >= PAYS_LEAST

    @property
    def means(self) -> Means:
        """For a large instance: its segments are coded at the same time, and compared afterwards."""
        return Means(check=False, pool=self._large, window=self.workers + 1)

    def prepare(self, entry: InstanceEntry, data: bytes | Read, line: Line) -> Task:
        """Look at an instance's pixels and choose a way.

        Args:
            entry: as it was received.
            data: its bytes, or (a large one) how to read them.
            line: what to weigh against.
        """
        read = data if callable(data) else _reader(data)
        found = plan(read, entry.transfer_syntax_uid)
        # in the pool: where nothing is known yet, trying takes a tenth of a second of a processor
        choice = self._small.submit(self._choice, read, found, entry.length, line).result()
        way = choice.way
        if way.codec == "zstd" and found.form is None and entry.length <= SHARED_MOST:
            way = SEGMENTS
        return Task(entry, found, way, choice.best.ratio, None if callable(data) else data)

    def code(self, tasks: Sequence[Task], shared: SharedStream) -> Iterable[Coded]:
        """Code small instances, several at a time; they come in order, each proven."""
        began, spent = time.monotonic(), self.spent
        yield from self._small.map(lambda task: self._code(task, shared), tasks)
        now = time.monotonic()
        if len(tasks) >= 2 * self.workers and now > began:
            self._got = (self.spent - spent) / (now - began), now + GOT_SECONDS

    def failed(self, task: Task, why: str) -> None:
        """A codec did not bring these bytes back: it is not taken for this kind of image any more."""
        log.warning("coding not used", way=task.way.name, kind=task.plan.kind, reason=why)
        with self._lock:
            self._failed.add((task.plan.kind, task.way.codec))
            self._alike.pop(task.plan.kind, None)

    def _choice(self, read: Read, found: Plan, length: int, line: Line) -> Choice:
        alike = self._alike.get(found.kind)
        if alike is not None and alike.serves(line, found, length):
            return alike.choice
        choice = self.chooser.choose(
            read,
            length,
            found,
            link=line.rate or ASSUMED,
            cores=min(line.cores * SHARE, self.cores),
            waiting=line.waiting,
            busy=line.busy,
            handling=HANDLING + EACH / max(length, 1),
            piece=max(length, STRIP),
            without=[way for way in WAYS if (found.kind, way.codec) in self._failed],
        )
        self._alike.pop(found.kind, None)
        if choice.way != RAW:  # where nothing shrinks, the next may all the same
            self._alike[found.kind] = _Alike(line, found, length, choice)
        return choice

    def _code(self, came: Task, shared: SharedStream) -> Coded:
        task = _named(came)
        assert task.data is not None  # noqa: S101  # only small ones come here
        began = time.thread_time()
        for way in dict.fromkeys((task.way, ZSTD)) if task.way != RAW else ():
            content = _proven(task, way, shared)
            if content is None:
                _check(came)
                self.failed(replace(task, way=way), "other bytes came back")
                continue
            size = sum(map(len, content))
            if way == task.way and way != SEGMENTS:
                seconds = time.thread_time() - began
                self.chooser.ended(task.plan, way, plain=len(task.data), coded=size, seconds=seconds)
            if size < len(task.data):
                return Coded(placed(task.entry, way, size), content, way)
            break
        else:
            _check(came)
        return Coded(placed(task.entry, RAW, len(task.data)), (task.data,), RAW)


class _Pool(ThreadPoolExecutor):
    """Threads that stand back behind others, and count the seconds of the CPU they take."""

    def __init__(self, workers: int) -> None:
        super().__init__(workers, "coding", initializer=_stand_back)
        self.spent = 0.0
        self._lock = threading.Lock()

    def submit(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """As any executor's."""
        return super().submit(self._timed, partial(fn, *args, **kwargs))

    def _timed(self, work: Callable[[], R]) -> R:
        began = time.thread_time()
        try:
            return work()
        finally:
            with self._lock:
                self.spent += time.thread_time() - began


def _named(task: Task) -> Task:
    """With the SHA-256 of the instance alone, as it travels when it is sealed anew. Raises Unverified."""
    assert task.data is not None  # noqa: S101  # only small ones come here
    entry, data = task.entry, task.data
    if entry.sha256:
        return replace(task, entry=replace(entry, blake3=""))
    if Taken.BLAKE3.of(data) != entry.blake3:
        raise Unverified("an instance's bytes do not match the BLAKE3 taken when it was received")
    return replace(task, entry=replace(entry, sha256=Sha256(Taken.SHA256.of(data)), blake3=""))


def placed(entry: InstanceEntry, way: Way, size: int) -> InstanceEntry:
    """The entry of an instance that is coded anew; its place is found in sealing."""
    return replace(entry, codec=way.codec, coded_length=size)


def _stand_back() -> None:
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)


def _reader(data: bytes) -> Read:
    return lambda offset, n: data[offset : offset + n]


def _check(task: Task) -> None:
    """Raises Unverified if what was read is not what came; `_named` has compared it already with a BLAKE3."""
    assert task.data is not None  # noqa: S101  # as above
    if task.entry.sha256 and Taken.SHA256.of(task.data) != task.entry.sha256:
        raise Unverified("an instance's bytes do not match the SHA-256 taken when it was received")


def _proven(task: Task, way: Way, shared: SharedStream) -> tuple[bytes, ...] | None:
    """The coded bytes; None if they do not decode to the instance whose SHA-256 was taken when it came."""
    assert task.data is not None  # noqa: S101  # as above
    content: list[bytes] = []
    writer = coder(
        way, lambda piece: content.append(bytes(piece)), task.plan, Means(check=False, shared=shared)
    )
    writer.write(task.data)
    parameters = writer.finish()
    digest = hashlib.sha256()
    back = decoder(way.codec, digest.update, task.entry.length, parameters, shared.read)
    try:
        for piece in content:
            back.write(piece)
        back.finish()
    except DataError:
        return None
    return tuple(content) if digest.hexdigest() == task.entry.sha256 else None

"""A watched folder: what has been written there whole goes into the spool. Polls, so network shares do.

A file is whole when neither its size nor its time has changed for a while; names that programs give
to what they are still writing are left alone. Kept files go to ``done/`` (or stay, and are
remembered by a digest of name, size and time); others to ``refused/`` with the reason beside them
in ``NAME.why``. Nothing is ever overwritten or deleted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path

from edge.acquire.files import like_dicom, read_whole, take_file, walk
from edge.acquire.visit import MEDIA_DIRECTORY, Source, Taken, Visit
from edge.config import After, Folder
from edge.spool.spool import Spool
from edge.verdict import Status
from gateway import durable
from gateway.clock import Clock
from gateway.errors import Malformed
from gateway.log import logger

DONE, REFUSED, WHY = "done", "refused", ".why"
UNFINISHED = (".tmp", ".temp", ".part", ".partial", ".filepart", ".crdownload", ".swp", ".lock")
log = logger("edge.acquire")

Mark = tuple[int, int]  # size, time of change in nanoseconds


def watches_of(folders: Sequence[Folder], spool: Spool, clock: Clock, data: Path) -> dict[str, Watch]:
    """A watch for each configured folder, by its place in the configuration."""
    memory = data / "acquire"
    return {str(number): Watch(spool, clock, one, memory) for number, one in enumerate(folders, 1)}


class Watch:
    """Looks into one folder for ever.

    Args:
        spool: where instances are kept.
        clock: the time.
        config: which folder, and how.
        memory: folder of our own for what was left in its place.
    """

    def __init__(self, spool: Spool, clock: Clock, config: Folder, memory: Path) -> None:
        self._spool, self._clock, self._config = spool, clock, config
        self._seen: dict[Path, tuple[Mark, float]] = {}
        self._ledger = _Ledger(memory / f"{sha256(str(config.path).encode()).hexdigest()[:16]}.left")
        self.fault = ""

    async def run(self) -> None:
        """A service: ends only by cancellation."""
        while True:
            await asyncio.to_thread(self.sweep)
            await asyncio.sleep(self._config.poll)

    def sweep(self) -> int:
        """Take every file that is whole now. Returns how many were kept. Blocks."""
        visit = None
        kept = 0
        try:
            for file, mark in self._whole():
                visit = visit or self._visit()
                kept += self._take(visit, file, mark)
            self._told("")
        except OSError as error:  # the share is away; it may come back
            self._told(str(error))
        except Malformed as error:
            self._told(f"{self._config.path}: {error}")
        finally:
            if visit is not None:
                visit.close()
        return kept

    def _told(self, fault: str) -> None:
        if fault and fault != self.fault:
            log.warning("a watched folder cannot be read", name=self._config.name, reason=fault)
        self.fault = fault

    def _visit(self) -> Visit:
        source = Source(self._config.name, "folder", self._config.priority, self._config.remarks)
        return Visit(self._spool, self._clock, source)

    def _whole(self) -> Iterator[tuple[Path, Mark]]:
        self._config.path.stat()  # raises if it is not there: `walk` would find nothing
        before, self._seen = self._seen, {}
        now = self._clock.monotonic()
        for file in walk(self._config.path, frozenset((DONE, REFUSED))):
            if file.name.startswith((".", "~")) or file.suffix.lower() in UNFINISHED:
                continue
            mark = _mark(file)
            if mark is None or self._ledger.knows(file, mark):
                continue
            old, since = before.get(file, (None, now))
            since = since if old == mark else now
            self._seen[file] = (mark, since)
            if now - since >= self._config.stable:
                yield file, mark

    def _take(self, visit: Visit, file: Path, mark: Mark) -> bool:
        try:
            data = read_whole(file)
        except OSError as error:
            log.warning("a file cannot be read", name=self._config.name, reason=error.strerror)
            return False
        except Malformed as error:
            self._refuse(file, mark, str(error))
            return False
        if _mark(file) != mark:
            return False  # it grew while it was read
        if not like_dicom(data[:132]):
            self._refuse(file, mark, "this is no DICOM; pictures and PDF are imported on the edge's page")
            return False
        taken = take_file(visit, data)
        if taken.status in (Status.OUT_OF_RESOURCES, Status.UNABLE):
            return False  # tried again at the next look
        if taken.kept or _is_directory(taken):
            self._put_away(file, mark, DONE)
        else:
            self._refuse(file, mark, taken.words)
        return taken.kept

    def _refuse(self, file: Path, mark: Mark, words: str) -> None:
        log.warning("refused", name=self._config.name, reason=words)
        target = self._put_away(file, mark, REFUSED)
        if target is not None:
            target.with_name(target.name + WHY).write_text(words + "\n")

    def _put_away(self, file: Path, mark: Mark, where: str) -> Path | None:
        """Move a file to one of our folders; where that cannot be, or is not wanted, remember it."""
        self._seen.pop(file, None)
        if self._config.after is After.MOVE:
            try:
                return _moved(file, self._config.path / where / file.relative_to(self._config.path))
            except OSError as error:
                log.warning("a file cannot be moved", name=self._config.name, reason=error.strerror)
        self._ledger.add(file, mark)
        return None


def _moved(file: Path, target: Path) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    free, number = target, 1
    while free.exists() or free.with_name(free.name + WHY).exists():
        number += 1
        free = target.with_name(f"{target.stem}~{number}{target.suffix}")
    file.rename(free)  # not by a link: FAT and many shares have none; nobody else writes here
    return free


def _mark(file: Path) -> Mark | None:
    try:
        facts = file.lstat()
    except OSError:
        return None
    return facts.st_size, facts.st_mtime_ns


def _is_directory(taken: Taken) -> bool:
    return taken.sop_class_uid == MEDIA_DIRECTORY


class _Ledger:
    """Files that stay where they are and have been taken: one digest a line; names may name patients."""

    def __init__(self, file: Path) -> None:
        self._file = file
        durable.make_folder(file.parent)
        self._known = set(file.read_text().split()) if file.exists() else set()

    def knows(self, file: Path, mark: Mark) -> bool:
        return bool(self._known) and _digest(file, mark) in self._known

    def add(self, file: Path, mark: Mark) -> None:
        digest = _digest(file, mark)
        self._known.add(digest)
        with self._file.open("a") as opened:  # a line lost to a power cut costs one harmless repetition
            opened.write(digest + "\n")


def _digest(file: Path, mark: Mark) -> str:
    return sha256(f"{file}\0{mark[0]}\0{mark[1]}".encode("utf-8", "surrogateescape")).hexdigest()[:32]

"""Runs imports one after another, for the page and for ``telerad edge import``; remembers how they went."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from edge.acquire.files import like_dicom, take_file
from edge.acquire.form import checked
from edge.acquire.made import Maker
from edge.acquire.medium import DIRECTORY, note, take_all
from edge.acquire.visit import Source, Visit
from edge.config import Acquire
from edge.importing import Form, FormFault, Job, Upload
from edge.spool.spool import Spool
from gateway import durable
from gateway.clock import Clock, rfc3339
from gateway.errors import GatewayError, Malformed, Refused
from gateway.log import logger

ASKED = Path("acquire") / "asked"
"""Below the data folder: ``<ident>.ask`` from the command, ``<ident>.told`` back to it."""

KEPT_JOBS = 20
LOOK_SECONDS = 1.0
TELL_SECONDS = 0.5
NO_FORM = "no DICOM: fill in patient and order"
log = logger("edge.acquire")

Changed = Callable[[], object]
Progress = Callable[[int, int], object]
Work = Callable[[Job, Visit, Changed], None]


class ImportDesk:
    """Takes and runs imports (`edge.importing.Importer`).

    Args:
        spool: where instances are kept.
        clock: the time.
        config: what may be read, and how much.
        data: the edge's data folder.
    """

    def __init__(self, spool: Spool, clock: Clock, config: Acquire, data: Path) -> None:
        self._spool, self._clock, self._config = spool, clock, config
        self._asked = data / ASKED
        durable.make_folder(self._asked)
        self._jobs: deque[Job] = deque(maxlen=KEPT_JOBS)
        self._waiting: deque[tuple[Job, Source, Work]] = deque()

    @property
    def upload_limit(self) -> int:
        """Bytes of one upload."""
        return self._config.upload

    def jobs(self) -> Sequence[Job]:
        """What runs or ran, the newest first."""
        return tuple(reversed(self._jobs))

    def media(self) -> Sequence[Path]:
        """Mounted discs and sticks below the configured places, and folders there with a DICOMDIR."""
        found: dict[Path, None] = {}
        for root in self._config.media:
            for folder in _folders(root):
                for one in (folder, *_folders(folder)):
                    if one.is_mount() or (one / DIRECTORY).is_file():
                        found[one] = None
        return tuple(found)

    def start_folder(self, folder: Path) -> Job:
        """Import what is below `folder`, which must be one of `media`.

        Raises:
            Refused: it is not.
        """
        if folder not in self.media():
            raise Refused("that disc is not there (any more)")
        return self.start_anywhere(folder)

    def start_upload(self, files: Sequence[Upload], form: Form | None) -> Job:
        """Import uploaded files. Raises FormFault for a bad form or no files."""
        if not files:
            raise FormFault("no file was chosen", "fault_files")
        maker = None if form is None else Maker(checked(form), self._clock.now().astimezone())

        def work(job: Job, visit: Visit, changed: Changed) -> None:
            _take_uploads(files, maker, job, visit)

        return self._start(f"{len(files)}", Source("UPLOAD", "upload"), work)

    async def run(self) -> None:
        """Run what was asked for. A service: ends only by cancellation."""
        while True:
            self._hear()
            if self._waiting:
                await asyncio.to_thread(self._next)
            else:
                await asyncio.sleep(LOOK_SECONDS)

    def run_waiting(self, progress: Progress) -> None:
        """Run what waits now, here, telling `progress` how far it is. Blocks."""
        while self._waiting:
            self._next(progress)

    def start_anywhere(self, folder: Path, ident: str = "") -> Job:
        """Import what is below any folder: for the command line, whose user may read it anyway."""

        def work(job: Job, visit: Visit, changed: Changed) -> None:
            take_all(folder, visit, job, changed)

        return self._start(str(folder), Source("MEDIUM", "medium"), work, ident)

    def _start(self, place: str, source: Source, work: Work, ident: str = "") -> Job:
        job = Job(ident or secrets.token_hex(8), place, rfc3339(self._clock.now()))
        self._jobs.append(job)
        self._waiting.append((job, source, work))
        return job

    def _next(self, progress: Progress = lambda _done, _total: None) -> None:
        job, source, work = self._waiting.popleft()
        visit, ended = Visit(self._spool, self._clock, source), "aborted"
        teller = _Teller(self._asked / f"{job.ident}.told", job, progress)
        try:
            work(job, visit, teller.tell)
            ended = "released"
        except (OSError, GatewayError) as error:
            job.fault = str(error)
            log.warning("an import ended early", association=visit.ident, reason=type(error).__name__)
        finally:
            visit.close(ended)
        job.ended_at = rfc3339(self._clock.now())
        teller.tell(at_once=True)
        log.info(
            "import ended", association=visit.ident, kept=job.kept, refused=job.refused, skipped=job.skipped
        )

    def _hear(self) -> None:
        """What ``telerad edge import`` asked a running edge for."""
        for file in sorted(self._asked.glob("*.ask")):
            folder = Path(json.loads(file.read_bytes())["folder"])
            job = self.start_anywhere(folder, file.stem)
            durable.replace(self._asked / f"{file.stem}.told", json.dumps(as_json(job)).encode())
            durable.remove(file)


class _Teller:
    """Tells the command how far an import is, if a command asked for it."""

    def __init__(self, file: Path, job: Job, progress: Progress) -> None:
        self._file, self._job, self._progress, self._last = file, job, progress, 0.0

    def tell(self, *, at_once: bool = False) -> None:
        now = time.monotonic()
        if not at_once and now - self._last < TELL_SECONDS:
            return
        self._last = now
        self._progress(self._job.done, self._job.total)
        if self._file.exists():
            durable.replace(self._file, json.dumps(as_json(self._job)).encode())


def as_json(job: Job) -> dict[str, Any]:
    """A job as JSON-ready data."""
    return asdict(job) | {"studies": sorted(job.studies)}


def _folders(root: Path) -> list[Path]:
    try:
        with os.scandir(root) as entries:
            return sorted(Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False))
    except OSError:
        return []


def _take_uploads(files: Sequence[Upload], maker: Maker | None, job: Job, visit: Visit) -> None:
    job.total = len(files)
    for file in files:
        if like_dicom(file.data[:132]):
            note(job, file.name, take_file(visit, file.data))
        elif maker is None:
            job.problem(f"{file.name}: {NO_FORM}")
        else:
            try:
                for made in maker.make(file.data):
                    note(job, file.name, visit.take(made.data, made.transfer_syntax_uid, origin=made.origin))
            except Malformed as error:
                job.problem(f"{file.name}: {error}")
        job.done += 1

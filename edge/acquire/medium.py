"""A disc or stick (PS3.10, PS3.12): what its DICOMDIR lists, or every DICOM file there is.

Nothing on it is changed. The DICOMDIR is not trusted: a Referenced File ID (0004,1500) is looked up
component by component among the names that are really in each folder, so that none can lead out of
it (as in CVE-2026-32711), and no symbolic link is followed.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from edge.acquire.files import FILE_LIMIT, like_dicom, read_whole, take_file, walk
from edge.acquire.visit import Taken, Visit
from edge.importing import Job
from edge.verdict import Status
from gateway.dicom.header import read_header
from gateway.dicom.part10 import split
from gateway.errors import Malformed, StorageFull

DIRECTORY = "DICOMDIR"
DIRECTORY_LIMIT = 256 << 20
COMPONENTS = 8
"""A file ID has at most so many (PS3.10 §8.2)."""


@dataclass(slots=True)
class Contents:
    """What a medium holds.

    Attributes:
        files: DICOM files in order.
        skipped: how many others were seen.
        listed: whether the DICOMDIR was followed; otherwise everything was searched.
        missing: file IDs that are listed and not there.
    """

    files: list[Path]
    skipped: int = 0
    listed: bool = False
    missing: list[str] = field(default_factory=list)


def contents(root: Path) -> Contents:
    """Find what is to be read below `root`.

    A DICOMDIR that lists files that are not there, or that cannot be read, is not the whole truth:
    then everything is searched.

    Raises:
        OSError: `root` cannot be read.
        Malformed: there are too many files.
    """
    directory = _entry(root, DIRECTORY)
    missing: list[str] = []
    if directory is not None:
        found, missing = _listed(root, directory)
        if found and not missing:
            return Contents(found, listed=True)
    files, skipped = [], 0
    for file in walk(root):
        if file != directory and _is_dicom(file):
            files.append(file)
        else:
            skipped += file != directory
    return Contents(files, skipped, listed=False, missing=missing)


def take_all(root: Path, visit: Visit, job: Job, changed: Callable[[], object] = lambda: None) -> None:
    """Take everything on a medium, noting in `job` how far it is.

    Args:
        root: the folder or mount point.
        visit: what takes it.
        job: counts and problems; file names there are those of the medium.
        changed: called after each file.

    Raises:
        OSError: `root` cannot be read.
        Malformed: there are too many files.
        StorageFull: the disk is full; what was taken before is kept.
    """
    found = contents(root)
    job.total, job.skipped = len(found.files), found.skipped
    for name in found.missing:
        job.problem(f"{name}: listed in the DICOMDIR and not there")
    changed()
    for file in found.files:
        name = str(file.relative_to(root))
        try:
            taken = take_file(visit, read_whole(file))
        except (OSError, Malformed) as error:  # a scratch costs one file, not the disc
            job.problem(f"{name}: {error}")
        else:
            note(job, name, taken)
        job.done += 1
        changed()


def note(job: Job, name: str, taken: Taken) -> None:
    """Count one instance. Raises StorageFull if it could not be kept for lack of room."""
    if taken.status is Status.OUT_OF_RESOURCES:
        raise StorageFull(taken.words)
    if taken.kept:
        job.kept += 1
        job.studies.add(taken.study_uid)
    if taken.words:
        job.problem(f"{name}: {taken.words}{' (kept)' if taken.kept else ''}", kept=taken.kept)


def _listed(root: Path, directory: Path) -> tuple[list[Path], list[str]]:
    file = split(read_whole(directory, DIRECTORY_LIMIT))
    header = read_header(file.dataset, file.transfer_syntax_uid)
    files: dict[Path, None] = {}
    missing: list[str] = []
    for record in header.dataset.get("DirectoryRecordSequence") or ():
        told = record.get("ReferencedFileID")
        if not told:
            continue
        parts = [told] if isinstance(told, str) else [str(part) for part in told]
        found = _resolve(root, parts)
        if found is None:
            missing.append("/".join(parts)[:100])
        else:
            files[found] = None
    return list(files), missing


def _resolve(root: Path, parts: list[str]) -> Path | None:
    here = root
    for number, part in enumerate(parts[: COMPONENTS + 1]):
        if number == COMPONENTS:
            return None
        found = _entry(here, part, folder_wanted=number < len(parts) - 1)
        if found is None:
            return None
        here = found
    return here


def _entry(folder: Path, wanted: str, *, folder_wanted: bool = False) -> Path | None:
    """The entry of that name, as ISO 9660 may show it: in lower case, or with a version."""
    name = wanted.strip(" \0").upper()
    if not name or name in (".", ".."):
        return None
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                shown = entry.name.upper().partition(";")[0].rstrip(".")
                kind = entry.is_dir if folder_wanted else entry.is_file
                if shown == name and kind(follow_symlinks=False):
                    return Path(entry.path)
    except NotADirectoryError:
        return None
    return None


def _is_dicom(file: Path) -> bool:
    if file.stat().st_size > FILE_LIMIT:
        return True  # told as a problem when it is read
    with file.open("rb") as opened:
        return like_dicom(opened.read(132))

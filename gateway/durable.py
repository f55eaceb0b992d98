"""The only file writer: what it returns from is on the disk and survives a power cut.

Order for a new file (POSIX): write a temporary file in the same folder, fsync it, rename it into
place, fsync the folder. A reader sees the whole file or none. Nothing is ever overwritten by
`create`; only `replace` may, and only as one atomic step.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from errno import EDQUOT, ENOSPC
from pathlib import Path
from typing import IO

from gateway.errors import StorageFull

TEMPORARY_PREFIX = ".tmp-"
"""Files so named are leftovers of a crash; `sweep` removes them at start."""


def sync_folder(folder: Path) -> None:
    """Make renames and removals inside `folder` durable."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def make_folder(folder: Path, mode: int = 0o700) -> None:
    """Create `folder` and missing parents, durably, readable by the owner alone unless `mode` says more."""
    if folder.is_dir():
        return
    make_folder(folder.parent, mode)
    with suppress(FileExistsError):
        folder.mkdir(mode=mode)
        sync_folder(folder.parent)


@contextmanager
def writing(target: Path, *, mode: int = 0o600, replace: bool = False) -> Iterator[IO[bytes]]:
    """Open a new file that appears at `target`, whole and durable, when the block ends well.

    Args:
        target: the final name; its folder must exist.
        mode: permission bits, set at creation.
        replace: whether an existing `target` may be replaced, atomically.

    Yields:
        An open binary file, whose handle may be read. If the block raises, nothing appears at `target`.

    Raises:
        FileExistsError: `target` is there already and `replace` is false.
        StorageFull: the disk or quota is full.
    """
    temporary = target.parent / f"{TEMPORARY_PREFIX}{secrets.token_hex(8)}"
    try:
        handle = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if replace:
            temporary.rename(target)
        else:
            os.link(temporary, target)  # fails if target exists; rename would overwrite silently
            temporary.unlink()
        sync_folder(target.parent)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        if error.errno in (ENOSPC, EDQUOT):
            raise StorageFull(f"no room to write {target.parent}") from error
        raise
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@contextmanager
def telling_full(folder: Path) -> Iterator[None]:
    """Turn the system's word for a full disk or quota, whatever is done in the block, into StorageFull."""
    try:
        yield
    except OSError as error:
        if error.errno in (ENOSPC, EDQUOT):
            raise StorageFull(f"no room to write {folder}") from error
        raise


@contextmanager
def naming(folder: Path) -> Iterator[None]:
    """Let an error of the disk say where: of what is done with an open file (write, fsync) it does not."""
    try:
        yield
    except (OSError, StorageFull) as error:
        caused = error if isinstance(error, OSError) else error.__cause__
        if isinstance(caused, OSError) and caused.errno is not None and caused.filename is None:
            caused.filename = str(folder)
        raise


def create(target: Path, data: bytes, *, mode: int = 0o600) -> None:
    """Write `data` to a new file, durably. Raises FileExistsError if it exists, StorageFull if no room."""
    with writing(target, mode=mode) as file:
        file.write(data)


def replace(target: Path, data: bytes, *, mode: int = 0o600) -> None:
    """Write `data` to `target` in one atomic, durable step, replacing what was there."""
    with writing(target, mode=mode, replace=True) as file:
        file.write(data)


def move(source: Path, target: Path) -> None:
    """Give a file that is already durable a new name, durably. Raises FileExistsError, never overwrites."""
    os.link(source, target)
    source.unlink()
    sync_folder(target.parent)
    if source.parent != target.parent:
        sync_folder(source.parent)


def remove(target: Path) -> None:
    """Remove a file durably; no error if it is not there."""
    target.unlink(missing_ok=True)
    sync_folder(target.parent)


def sweep(folder: Path) -> int:
    """Remove what a crash left half-written in `folder` (not below). Returns how many files."""
    leftovers = list(folder.glob(f"{TEMPORARY_PREFIX}*"))
    for leftover in leftovers:
        leftover.unlink(missing_ok=True)
    return len(leftovers)


def volume_bytes(folder: Path) -> int:
    """Size of the file system of `folder`."""
    return shutil.disk_usage(folder).total


def free_bytes(folder: Path) -> int:
    """Bytes that may still be written to the file system of `folder`."""
    return shutil.disk_usage(folder).free

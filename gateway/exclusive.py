"""One process a data folder: two on one folder would undo each other's work."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gateway import durable
from gateway.errors import UsageError


@contextmanager
def folder_held(data: Path) -> Iterator[None]:
    """Hold `data` (made if missing) for this process while the block runs; the kernel frees it if we die.

    Raises:
        UsageError: another process holds it.
    """
    durable.make_folder(data)
    handle = os.open(data / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _lock(handle, data)
        yield
    finally:
        os.close(handle)


def _lock(handle: int, data: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise UsageError(f"another process uses {data} already") from None

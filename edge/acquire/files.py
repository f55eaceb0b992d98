"""Files of others: read whole, never followed out of their place, never changed."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from edge.acquire.visit import Taken, Visit
from gateway.dicom.part10 import MAGIC, PREAMBLE, Part10, split
from gateway.errors import Malformed
from gateway.log import logger

log = logger("edge.acquire")

FILE_LIMIT = 4_000_000_000
"""Bytes of one file; it is held in memory until it is sealed."""

MAX_DEPTH, MAX_FILES = 32, 500_000


def read_whole(file: Path, limit: int = FILE_LIMIT) -> bytes:
    """The bytes of a regular file; a symbolic link is not followed and its time of access not set.

    Raises:
        OSError: it cannot be read.
        Malformed: it is no regular file, or too large.
    """
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    try:
        handle = os.open(file, flags | os.O_NOATIME)
    except PermissionError:
        handle = os.open(file, flags)  # only a file's owner may leave its time of access
    with os.fdopen(handle, "rb") as opened:
        facts = os.fstat(handle)
        if not stat.S_ISREG(facts.st_mode):
            raise Malformed("no regular file")
        if facts.st_size > limit:
            raise Malformed(f"larger than {limit} bytes")
        return opened.read(limit + 1)


def walk(root: Path, skip: frozenset[str] = frozenset()) -> Iterator[Path]:
    """Every regular file below `root`, sorted, no symbolic link followed.

    Args:
        root: a folder.
        skip: names of folders directly below `root` that are left out.

    Raises:
        Malformed: more than `MAX_FILES`.
    """
    count = 0
    for folder, folders, names in os.walk(root, followlinks=False):
        here = Path(folder)
        depth = len(here.relative_to(root).parts)
        folders[:] = sorted(folders) if depth < MAX_DEPTH else []
        if depth == 0:
            folders[:] = [name for name in folders if name not in skip]
        for name in sorted(names):
            with suppress(OSError):  # it went away
                if stat.S_ISREG(os.lstat(here / name).st_mode):
                    count += 1
                    if count > MAX_FILES:
                        raise Malformed(f"more than {MAX_FILES} files")
                    yield here / name


def like_dicom(head: bytes) -> bool:
    """Whether a file that begins so may be DICOM: a Part 10 file, or a bare dataset.

    Args:
        head: its first 132 bytes.
    """
    if head[PREAMBLE : PREAMBLE + 4] == MAGIC or head[:4] == MAGIC:
        return True
    return head[:2] in (b"\x08\x00", b"\x02\x00", b"\x00\x08") and len(head) > 12


def take_file(visit: Visit, data: bytes) -> Taken:
    """Keep one file: its dataset, byte for byte, without the file header."""
    file = split(data)
    told = (file.sop_class_uid, file.sop_instance_uid)
    return visit.take(file.dataset, file.transfer_syntax_uid, told, opening=opening_of(file))


def opening_of(file: Part10) -> bytes:
    """Its preamble, which travels as a remark: a file served later never begins with it (CVE-2019-11687)."""
    if file.preamble:
        log.warning("a suspicious preamble", instance=file.sop_instance_uid, why=file.preamble)
    return file.opening

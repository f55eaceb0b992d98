"""The folder on a carried disk: what a file that it cannot hold leaves there."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from gateway.disk import EdgeFolder
from gateway.errors import UsageError

MOST = 1 << 20


def test_a_file_too_large_for_the_disk_takes_no_room_from_the_next(tmp_path: Path) -> None:
    """As on FAT, with its 4 GB: EFBIG."""
    folder = EdgeFolder.of(tmp_path, "H001", "1")
    folder.prepare()
    target = folder.folder / "parcels" / "large.body"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (MOST, before[1]))
    try:
        with pytest.raises(UsageError, match="is it FAT"):
            folder.write(target, [b"x" * MOST, b"x"])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list(target.parent.iterdir())

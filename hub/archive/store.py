"""Blobs: dataset bytes as the modality sent them, each file named by its SHA-256.

Layout below the folder: ``ab/cd/<sha256>`` for what is kept and ``incoming/`` on the same file
system for what is being extracted. A blob is written once, never replaced and never removed, so
finding one costs the same with a thousand and with a hundred million.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import IO

from gateway import durable
from gateway.errors import Broken
from gateway.model import Sha256, sha256_hex

MODE = 0o600


class BlobStore:
    """Content-addressed files in one folder.

    Args:
        folder: created, with its ``incoming`` folder, if it is not there.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.incoming = folder / "incoming"
        durable.make_folder(self.incoming)

    def incoming_path(self) -> Path:
        """A fresh name on the store's own file system, to extract a dataset into and make durable."""
        return self.incoming / secrets.token_hex(16)

    def sweep(self) -> int:
        """Remove what a crash left in ``incoming``; call before anything is extracted. Returns how many."""
        leftovers = [path for path in self.incoming.iterdir() if path.is_file()]
        for path in leftovers:
            path.unlink()
        return len(leftovers)

    def path(self, sha256: str) -> Path:
        """Where the blob of this digest lies, or will."""
        digest = sha256_hex(sha256)
        return self.folder / digest[:2] / digest[2:4] / digest

    def has(self, sha256: str) -> bool:
        """Whether the blob is here."""
        return self.path(sha256).is_file()

    def put(self, source: Path, sha256: str, size: int) -> bool:
        """Keep one durable file of ``incoming``; see `put_all`. Returns whether it was new."""
        return self.put_all([(source, Sha256(sha256), size)])[0]

    def put_all(self, files: Iterable[tuple[Path, str, int]]) -> list[bool]:
        """Give files of ``incoming`` that are already durable their final names, durably.

        Safe to repeat after a crash: a file that has been moved already counts as a copy.

        Args:
            files: path, verified SHA-256 and size in bytes of each.

        Returns:
            For each, whether its content was new here.

        Raises:
            Broken: a file is missing or has another size than its digest was made of.
        """
        touched: set[Path] = set()
        new = [self._place(source, sha256, size, touched) for source, sha256, size in files]
        for folder in sorted(touched):
            durable.sync_folder(folder)
        return new

    def open(self, sha256: str) -> IO[bytes]:
        """Open a blob for reading. Raises FileNotFoundError."""
        return self.path(sha256).open("rb")

    def read(self, sha256: str, offset: int, size: int) -> bytes:
        """Up to `size` bytes of a blob from `offset`. Raises FileNotFoundError."""
        handle = os.open(self.path(sha256), os.O_RDONLY | os.O_CLOEXEC)
        try:
            return read_at(handle, offset, size)
        finally:
            os.close(handle)

    def _place(self, source: Path, sha256: str, size: int, touched: set[Path]) -> bool:
        target = self.path(sha256)
        for folder in (target.parent.parent, target.parent):
            if not folder.is_dir():
                with suppress(FileExistsError):
                    folder.mkdir(mode=0o700)
                touched.add(folder.parent)
        if source.exists():
            _check_size(source, size)
        elif not target.exists():
            raise Broken(f"neither {source} nor blob {sha256} is there")
        try:
            os.link(source, target)  # fails if it exists; a rename would replace it silently
        except (FileExistsError, FileNotFoundError):
            _check_size(target, size)
            touched.add(target.parent)  # a repeat after a crash: the first time may not have got this far
            source.unlink(missing_ok=True)
            return False
        source.unlink()
        touched.update((target.parent, self.incoming))
        return True


def read_at(handle: int, offset: int, size: int) -> bytes:
    """Read `size` bytes of an open file from `offset`, fewer only at its end."""
    parts: list[bytes] = []
    while size > 0:
        part = os.pread(handle, size, offset)
        if not part:
            break
        parts.append(part)
        offset += len(part)
        size -= len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _check_size(path: Path, size: int) -> None:
    found = path.stat().st_size
    if found != size:
        raise Broken(f"{path} has {found} bytes, not the {size} its digest was made of")

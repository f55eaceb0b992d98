"""Which bodies were removed here since the hub was last told: a line each, the digest of the signed header.

Written before the body goes. A line may be told twice (the hub notes it once); one that a power cut
takes before it reached the disk is never told.
"""

from __future__ import annotations

import threading
from pathlib import Path

from gateway import durable
from gateway.model import Sha256

NAME = "purged.lines"


class PurgedLines:
    """Thread-safe.

    Args:
        folder: where the file lies.
    """

    def __init__(self, folder: Path) -> None:
        self._file = folder / NAME
        self._lock = threading.Lock()

    def add(self, digest: Sha256) -> None:
        """Note one."""
        with self._lock, self._file.open("a") as file:
            file.write(f"{digest}\n")

    def first(self, limit: int) -> list[str]:
        """The oldest, at most `limit`; a line that was cut short is left out."""
        with self._lock:
            return [line for line in self._lines() if len(line) == 64][:limit]

    def forget(self, told: list[str]) -> None:
        """These were told."""
        with self._lock:
            left = [line for line in self._lines() if line not in set(told)]
            durable.replace(self._file, "".join(f"{line}\n" for line in left).encode())

    def _lines(self) -> list[str]:
        return self._file.read_text("ascii", "replace").split() if self._file.exists() else []

"""Skip a step whose inputs are the same as last time and whose outputs still stand."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path


def digest_of(root: Path, inputs: Iterable[Path], facts: str = "") -> str:
    """Hash the names and bytes of files and folders, in a fixed order, with any further facts."""
    total = hashlib.sha256(facts.encode())
    for path in sorted(_files(inputs)):
        total.update(path.relative_to(root).as_posix().encode() + b"\0")
        total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def is_fresh(stamp: Path, digest: str, outputs: Iterable[Path]) -> bool:
    """Tell whether the last build had these inputs and left these outputs."""
    return stamp.is_file() and stamp.read_text() == digest and all(path.exists() for path in outputs)


def press(stamp: Path, digest: str) -> None:
    """Remember that the outputs now belong to these inputs."""
    stamp.parent.mkdir(parents=True, exist_ok=True)
    stamp.write_text(digest)


def _files(inputs: Iterable[Path]) -> Iterable[Path]:
    for path in inputs:
        if path.is_dir():
            yield from (
                file for file in path.rglob("*") if file.is_file() and "__pycache__" not in file.parts
            )
        else:
            yield path

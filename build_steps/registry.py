"""Fetch one pinned package from the npm registry this machine uses, and check its digest."""

from __future__ import annotations

import base64
import hashlib
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from build_steps.faults import BuildFault
from build_steps.node import Node


@dataclass(frozen=True, slots=True)
class Package:
    """An npm package at one version."""

    name: str
    version: str
    sha512: str  # base64, as npm's `dist.integrity` writes it after "sha512-"
    licence: str


def fetch(node: Node, package: Package, into: Path) -> Path:
    """Download a package's archive into a folder, return its path.

    Raises:
        BuildFault: npm cannot fetch it, or the bytes are not the pinned ones.
    """
    into.mkdir(parents=True, exist_ok=True)
    spec = f"{package.name}@{package.version}"
    name = node.npm("pack", spec, "--pack-destination", str(into), folder=into).strip().splitlines()[-1]
    archive = into / Path(name).name
    check_integrity(archive, package)
    return archive


def check_integrity(archive: Path, package: Package) -> None:
    """Compare an archive's SHA-512 with the pinned one.

    Raises:
        BuildFault: they differ.
    """
    with archive.open("rb") as file:
        digest = hashlib.file_digest(file, "sha512").digest()
    found = base64.b64encode(digest).decode()
    if found != package.sha512:
        raise BuildFault(
            f"{package.name}@{package.version} has SHA-512 {found}, pinned is {package.sha512}: not used"
        )


def extract(archive: Path, into: Path, place: Callable[[str], str | None]) -> int:
    """Extract the wanted files of an npm archive.

    Args:
        archive: a `.tgz` made by `npm pack`.
        into: the folder that receives them.
        place: given a path inside the package, the path below `into`, or None to leave it out.

    Returns:
        How many files were written.

    Raises:
        BuildFault: a file would land outside the folder.
    """
    count = 0
    with tarfile.open(archive, "r:gz") as tar:
        for member in tar:
            target = place(member.name.partition("/")[2]) if member.isfile() else None
            if target is None:
                continue
            path = into / target
            if not path.resolve().is_relative_to(into.resolve()):
                raise BuildFault(f"{archive.name} holds a file that leaves its folder: {member.name}")
            source = tar.extractfile(member)
            if source is None:
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(source.read())
            count += 1
    return count

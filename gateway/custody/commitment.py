"""Digests by which a leaf of the custody log is bound to a study, its images, a person. Pure. EVIDENCE.md."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable


def study_digest(salt: str, site: str, study_uid: str) -> str:
    """SHA-256 (hex) of salt, site and Study Instance UID, each followed by a newline."""
    return hashlib.sha256(f"{salt}\n{site}\n{study_uid}\n".encode()).hexdigest()


def images_digest(sha256: Iterable[str]) -> str:
    """SHA-256 (hex) of the images' SHA-256 in hex, sorted, each once, each followed by a newline."""
    return hashlib.sha256("".join(f"{one}\n" for one in sorted(set(sha256))).encode()).hexdigest()


def person_digest(salt: str, kind: str, name: str) -> str:
    """SHA-256 (hex) of salt, kind (such as ``user``) and login, each followed by a newline."""
    return hashlib.sha256(f"{salt}\n{kind}\n{name}\n".encode("utf-8", "surrogatepass")).hexdigest()

"""Parcels of which the edge took BLAKE3 alone, right and wrong."""

from __future__ import annotations

from typing import Any

from blake3 import blake3

from gateway.errors import Malformed, Unverified
from tests.doubles.forger import DATA, Forger, Forgery, digest, entry_for

TAKEN = blake3(DATA).hexdigest()


def blake3_parcels(forger: Forger) -> dict[str, Forgery]:
    """By the name of the attack; those that say nothing are good."""
    entry = entry_for(DATA, DATA, "raw").fields()
    bare = {key: value for key, value in entry.items() if key != "sha256"}

    def claim(says: str, version: int = 3, error: Any = Malformed, **digests: str) -> Forgery:
        return forger.manifest(says, error, version=version, instances=[bare | digests])

    return {
        "good-blake3": claim("", 3, None, blake3=TAKEN),
        "good-both-digests": claim("", 3, None, blake3=TAKEN, sha256=digest(DATA)),
        "blake3-of-other-bytes": claim("do not match the BLAKE3", 3, Unverified, blake3="0" * 64),
        "sha256-beside-it-of-other-bytes": claim(
            "do not match the SHA-256", 3, Unverified, blake3=TAKEN, sha256="0" * 64
        ),
        "blake3-in-capitals": claim("not a BLAKE3 digest", blake3=TAKEN.upper()),
        "blake3-cut-short": claim("not a BLAKE3 digest", blake3=TAKEN[:32]),
        "blake3-version-1": claim("version is not", 1, blake3=TAKEN),
        "blake3-version-2": claim("version is not", 2, blake3=TAKEN),
        "version-3-without": claim("version is not", 3, sha256=digest(DATA)),
        "no-digest": claim("names no digest", 1),
        "another-digest": claim("'sha512'", 3, sha512="0" * 128),
    }

"""The few words both ends share: priority, site, identifiers.

Pure: no I/O, no clock, no randomness.
"""

from __future__ import annotations

import re
from enum import IntEnum
from typing import NewType

from gateway.errors import Malformed

Uid = NewType("Uid", str)
"""A DICOM UID, PS3.5 §9: at most 64 characters of digits and dots, no leading zero in a component."""

SiteId = NewType("SiteId", str)
"""A hospital, as its certificate names it: 1 to 32 of ``A-Z a-z 0-9 _ -``."""

ParcelId = NewType("ParcelId", str)
"""A parcel: 32 lower-case hexadecimal digits (a random UUID without dashes)."""

Sha256 = NewType("Sha256", str)
"""A SHA-256 digest as 64 lower-case hexadecimal digits."""

_UID = re.compile(r"(?:0|[1-9][0-9]*)(?:\.(?:0|[1-9][0-9]*))+")
_SITE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}")
_PARCEL = re.compile(r"[0-9a-f]{32}")
_DIGEST = re.compile(r"[0-9a-f]{64}")


class Priority(IntEnum):
    """How soon a study must travel and be read; the smaller goes first."""

    STAT = 0
    URGENT = 1
    ROUTINE = 2
    PRIOR = 3

    @classmethod
    def parse(cls, text: str) -> Priority:
        """Read ``stat``, ``urgent``, ``routine`` or ``prior``, in any case.

        Raises:
            Malformed: it is none of these.
        """
        try:
            return cls[text.strip().upper()]
        except KeyError:
            raise Malformed(f"priority {text!r} is not one of stat, urgent, routine, prior") from None

    @property
    def word(self) -> str:
        """The lower-case word, as in rules, JSON and the portal."""
        return self.name.lower()


def uid(text: str) -> Uid:
    """Check a DICOM UID (PS3.5 §9.1).

    Raises:
        Malformed: longer than 64 characters or not dotted numbers.
    """
    if len(text) > 64 or not _UID.fullmatch(text):
        raise Malformed(f"not a DICOM UID: {text[:80]!r}")
    return Uid(text)


def site_id(text: str) -> SiteId:
    """Check a site identifier. Raises Malformed if it is not one."""
    if not _SITE.fullmatch(text):
        raise Malformed(f"not a site identifier (A-Z a-z 0-9 _ -, at most 32): {text[:80]!r}")
    return SiteId(text)


def parcel_id(text: str) -> ParcelId:
    """Check a parcel identifier. Raises Malformed if it is not one."""
    if not _PARCEL.fullmatch(text):
        raise Malformed(f"not a parcel identifier (32 hexadecimal digits): {text[:80]!r}")
    return ParcelId(text)


def blake3_hex(text: str) -> str:
    """Check a hexadecimal BLAKE3 digest of 32 bytes. Raises Malformed if it is not one."""
    if not _DIGEST.fullmatch(text):
        raise Malformed(f"not a BLAKE3 digest (64 hexadecimal digits): {text[:80]!r}")
    return text


def sha256_hex(text: str) -> Sha256:
    """Check a hexadecimal SHA-256 digest. Raises Malformed if it is not one."""
    if not _DIGEST.fullmatch(text):
        raise Malformed(f"not a SHA-256 digest (64 hexadecimal digits): {text[:80]!r}")
    return Sha256(text)

"""The shape of a TGE1 parcel: what its header says, and the arithmetic of its chunks. Pure. See FORMAT.md."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gateway import canonical
from gateway.envelope.inner import InnerManifest, InstanceEntry, InstanceFacts, Notice
from gateway.envelope.record import Record, base64_text
from gateway.errors import Malformed
from gateway.model import ParcelId, Priority, Sha256, SiteId, parcel_id, sha256_hex, site_id

__all__ = ["Draft", "Header", "InnerManifest", "InstanceEntry", "InstanceFacts", "KeyWrap", "Notice"]

VERSION = 1
HEADER_KIND = "tge1-header"
RECEIPT_KIND = "tge1-receipt"

SALT_SIZE = 24
COMMITMENT_SIZE = 32
TAG_SIZE = 16
"""AES-GCM's tag: every sealed chunk is this much longer than the plain one (NIST SP 800-38D)."""

CHUNK_SIZE = 1 << 20
CHUNK_SIZE_MIN, CHUNK_SIZE_MAX = 1 << 10, 8 << 20
CHUNK_LIMIT = 1 << 16
"""Chunks of one parcel: 64 GiB at 1 MiB."""

WRAP_LIMIT = 8
SEALED_MANIFEST_LIMIT = 4 << 20
HEADER_LIMIT = 12 << 20

FIRST_SEQUENCE = 1
NO_PREVIOUS = Sha256("0" * 64)
"""The previous digest of an edge's first header."""

_WRAP_KEYS = frozenset({"kid", "kem", "wrapped"})
_DRAFT_KEYS = frozenset(
    {
        "version",
        "suite",
        "parcel_id",
        "wraps",
        "salt",
        "commitment",
        "chunk_size",
        "plain_size",
        "chunks",
        "sealed_size",
        "sealed_manifest",
        "manifest_sha256",
    }
)
_HEADER_KEYS = _DRAFT_KEYS | {"site", "sequence", "previous", "priority", "created_at"}


@dataclass(frozen=True, slots=True)
class KeyWrap:
    """The parcel's key, sealed for one recipient.

    Attributes:
        kid: which of the recipient's keys opens it.
        kem: how, such as ``HPKE-P256-HKDF256-A256GCM``.
        wrapped: HPKE's encapsulated key and ciphertext (RFC 9180 §6.1).
    """

    kid: str
    kem: str
    wrapped: bytes

    @classmethod
    def read(cls, value: Any) -> KeyWrap:
        """From JSON. Raises Malformed."""
        record = Record(value, "a key wrap", _WRAP_KEYS)
        return cls(record.text("kid", 64), record.text("kem", 64), record.binary("wrapped", 4096))


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """All of a header that is known when the body is complete. Holds no UID and no name.

    Attributes:
        suite: the name of all algorithms together.
        salt: of the key schedule.
        commitment: to the key; compared before anything is decrypted.
        chunk_size: plain bytes of every chunk but the last.
        plain_size: bytes of the whole plain payload.
        chunks: SHA-256 of every sealed chunk.
        sealed_size: bytes of all sealed chunks together.
        sealed_manifest: the inner manifest, encrypted.
        manifest_sha256: of the inner manifest in clear.
    """

    suite: str
    parcel_id: ParcelId
    wraps: tuple[KeyWrap, ...]
    salt: bytes
    commitment: bytes
    chunk_size: int
    plain_size: int
    chunks: tuple[Sha256, ...]
    sealed_size: int
    sealed_manifest: bytes
    manifest_sha256: Sha256

    version: int = VERSION

    def __post_init__(self) -> None:
        if len(self.chunks) != chunk_count(self.plain_size, self.chunk_size):
            raise Malformed(f"{self.plain_size} bytes do not make {len(self.chunks)} chunks")
        if self.sealed_size != self.plain_size + TAG_SIZE * len(self.chunks):
            raise Malformed("the sealed size does not fit the plain size")

    def chunk_span(self, index: int) -> tuple[int, int]:
        """Offset and length of sealed chunk `index` in the body. Raises Malformed if there is none."""
        if not 0 <= index < len(self.chunks):
            raise Malformed(f"there is no chunk {index} of {len(self.chunks)}")
        offset = index * (self.chunk_size + TAG_SIZE)
        return offset, min(self.chunk_size + TAG_SIZE, self.sealed_size - offset)

    def fields(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "version": self.version,
            "suite": self.suite,
            "parcel_id": self.parcel_id,
            "wraps": [
                {"kid": wrap.kid, "kem": wrap.kem, "wrapped": base64_text(wrap.wrapped)}
                for wrap in self.wraps
            ],
            "salt": base64_text(self.salt),
            "commitment": base64_text(self.commitment),
            "chunk_size": self.chunk_size,
            "plain_size": self.plain_size,
            "chunks": list(self.chunks),
            "sealed_size": self.sealed_size,
            "sealed_manifest": base64_text(self.sealed_manifest),
            "manifest_sha256": self.manifest_sha256,
        }

    def to_bytes(self) -> bytes:
        """Canonical JSON."""
        return canonical.dump_own(self.fields())

    @classmethod
    def from_bytes(cls, data: bytes) -> Draft:
        """Read canonical JSON. Raises Malformed."""
        record = Record.parse(data, "the draft header", _DRAFT_KEYS, limit=HEADER_LIMIT)
        return Draft(**_draft_fields(record))


@dataclass(frozen=True, slots=True, kw_only=True)
class Header(Draft):
    """What an edge signs for every parcel.

    Attributes:
        site: the hospital; must be the one of the signing certificate.
        sequence: 1 for an edge's first parcel, then without gap.
        previous: digest of the edge's previous signed header; zeros for the first.
        priority: how soon it must travel.
        created_at: when the header was signed, RFC 3339 in UTC.
    """

    site: SiteId
    sequence: int
    previous: Sha256
    priority: Priority
    created_at: str

    def __post_init__(self) -> None:
        Draft.__post_init__(self)
        if (self.sequence == FIRST_SEQUENCE) != (self.previous == NO_PREVIOUS):
            raise Malformed("only the first header of an edge has no previous one")

    def fields(self) -> dict[str, Any]:
        """As JSON values."""
        return Draft.fields(self) | {
            "site": self.site,
            "sequence": self.sequence,
            "previous": self.previous,
            "priority": self.priority.word,
            "created_at": self.created_at,
        }

    @classmethod
    def from_bytes(cls, data: bytes) -> Header:
        """Read canonical JSON. Raises Malformed."""
        record = Record.parse(data, "the header", _HEADER_KEYS, limit=HEADER_LIMIT)
        return cls(
            **_draft_fields(record),
            site=record.checked("site", site_id),
            sequence=record.integer("sequence", FIRST_SEQUENCE),
            previous=record.checked("previous", sha256_hex),
            priority=record.checked("priority", _priority),
            created_at=record.moment("created_at"),
        )


def chunk_count(plain_size: int, chunk_size: int) -> int:
    """How many chunks a payload makes; an empty one makes one empty chunk, so that even that is sealed."""
    return max(1, -(-plain_size // chunk_size))


def _draft_fields(record: Record) -> Mapping[str, Any]:
    record.integer("version", VERSION, VERSION)
    chunks = record.items("chunks", 1, CHUNK_LIMIT)
    if not all(isinstance(item, str) for item in chunks):
        raise Malformed("a chunk digest is not text")
    wraps = tuple(map(KeyWrap.read, record.items("wraps", 1, WRAP_LIMIT)))
    if len({wrap.kid for wrap in wraps}) != len(wraps):
        raise Malformed("two key wraps name the same key")
    chunk_size = record.integer("chunk_size", CHUNK_SIZE_MIN, CHUNK_SIZE_MAX)
    return {
        "suite": record.text("suite", 32),
        "parcel_id": record.checked("parcel_id", parcel_id),
        "wraps": wraps,
        "salt": record.binary("salt", SALT_SIZE, exact=True),
        "commitment": record.binary("commitment", COMMITMENT_SIZE, exact=True),
        "chunk_size": chunk_size,
        "plain_size": record.integer("plain_size", 0, chunk_size * CHUNK_LIMIT),
        "chunks": tuple(map(sha256_hex, chunks)),
        "sealed_size": record.integer("sealed_size", TAG_SIZE),
        "sealed_manifest": record.binary("sealed_manifest", SEALED_MANIFEST_LIMIT),
        "manifest_sha256": record.checked("manifest_sha256", sha256_hex),
    }


def _priority(text: str) -> Priority:
    priority = Priority.parse(text)
    if priority.word != text:
        raise Malformed(f"priority {text!r} is not written in its one form, {priority.word!r}")
    return priority

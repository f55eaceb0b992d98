"""What hub and edge say to one another about a report on its way back: manifest, package, acknowledgement.

A **package** is ``TDP1``, the length of the signed manifest (32 bits, big-endian), the manifest, and
the files one after another in the manifest's order; all of it after ``TDP1`` compressed with zstd,
which costs nothing for the second copy of the PDF inside the DICOM envelope. An
**acknowledgement** is a statement of the edge's device key. Both statements are DSSE
(`gateway.envelope.signature`) over canonical JSON. Pure.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import zstandard

from gateway import canonical
from gateway.envelope.record import Record
from gateway.errors import Malformed
from gateway.model import Sha256, SiteId, sha256_hex, site_id

MANIFEST_KIND = "delivery-manifest"
ACKNOWLEDGEMENT_KIND = "delivery-acknowledgement"
MAGIC = b"TDP1"
MEDIA_TYPE = "application/vnd.telerad.delivery"

PDF, STRUCTURED, ENVELOPED = "report.pdf", "report.sr", "report.pdf.dcm"
"""The files of a package; the two DICOM objects are dataset bytes without a file header."""

MAX_FILE = 64 << 20
MAX_PACKAGE = 160 << 20
"""Bytes of a package when unpacked."""
MAX_WINDOW = 8 << 20
MAX_OUTCOMES = 64
MAX_DETAIL = 500

_MANIFEST_KEYS = frozenset(
    {"delivery_id", "report_id", "version", "site", "study_uid", "canonical_sha256", "queued_at", "files"}
)
_FILE_KEYS = frozenset({"name", "sha256", "length", "sop_class_uid", "sop_instance_uid"})
_ACKNOWLEDGEMENT_KEYS = frozenset(
    {"delivery_id", "report_id", "manifest_sha256", "site", "revision", "state", "reason", "outcomes", "at"}
)
_OUTCOME_KEYS = frozenset({"destination", "kind", "outcome", "detail", "at"})


@dataclass(frozen=True, slots=True)
class File:
    """One file of a package; the UIDs are empty for the PDF."""

    name: str
    sha256: Sha256
    length: int
    sop_class_uid: str = ""
    sop_instance_uid: str = ""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What the hub hands over."""

    delivery_id: str
    report_id: str
    version: int
    site: SiteId
    study_uid: str
    canonical_sha256: Sha256
    queued_at: str
    files: tuple[File, ...]

    def to_bytes(self) -> bytes:
        """Canonical JSON."""
        return canonical.dump(
            {name: getattr(self, name) for name in _MANIFEST_KEYS - {"files"}}
            | {"files": [{key: getattr(file, key) for key in _FILE_KEYS} for file in self.files]}
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> Manifest:
        """Read it. Raises Malformed."""
        record = Record.parse(data, "the delivery manifest", _MANIFEST_KEYS, limit=64 << 10)
        files = tuple(_file(item) for item in record.items("files", 3, 3))
        if tuple(file.name for file in files) != (PDF, STRUCTURED, ENVELOPED):
            raise Malformed("the delivery manifest names other files than a report has")
        return cls(
            delivery_id=record.checked("delivery_id", opaque_id),
            report_id=record.checked("report_id", opaque_id),
            version=record.integer("version", 1),
            site=record.checked("site", site_id),
            study_uid=record.text("study_uid", 64),
            canonical_sha256=record.checked("canonical_sha256", sha256_hex),
            queued_at=record.moment("queued_at"),
            files=files,
        )


@dataclass(frozen=True, slots=True)
class Outcome:
    """How far one destination is: ``delivered``, ``refused`` (in its own words) or ``waiting``."""

    destination: str
    kind: str
    outcome: str
    detail: str
    at: str


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """What the edge says of a delivery, after each change.

    Attributes:
        revision: grows by one with each; the hub keeps the newest.
        state: ``verified``, ``delivered`` (some), ``acknowledged`` (all), ``refused``.
        reason: why it is refused, else empty.
    """

    delivery_id: str
    report_id: str
    manifest_sha256: Sha256
    site: SiteId
    revision: int
    state: str
    reason: str
    outcomes: tuple[Outcome, ...]
    at: str

    def to_bytes(self) -> bytes:
        """Canonical JSON."""
        outcomes = [{key: getattr(one, key) for key in _OUTCOME_KEYS} for one in self.outcomes]
        return canonical.dump(
            {name: getattr(self, name) for name in _ACKNOWLEDGEMENT_KEYS - {"outcomes"}}
            | {"outcomes": outcomes}
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> Acknowledgement:
        """Read it. Raises Malformed."""
        record = Record.parse(data, "the acknowledgement", _ACKNOWLEDGEMENT_KEYS, limit=256 << 10)
        outcomes = tuple(_outcome(item) for item in record.items("outcomes", 0, MAX_OUTCOMES))
        if len({one.destination for one in outcomes}) != len(outcomes):
            raise Malformed("the acknowledgement names a destination twice")
        state = record.text("state", 32)
        if state not in ("verified", "delivered", "acknowledged", "refused"):
            raise Malformed(f"the acknowledgement: unknown state {state!r}")
        return cls(
            delivery_id=record.checked("delivery_id", opaque_id),
            report_id=record.checked("report_id", opaque_id),
            manifest_sha256=record.checked("manifest_sha256", sha256_hex),
            site=record.checked("site", site_id),
            revision=record.integer("revision", 1),
            state=state,
            reason=record.text("reason", MAX_DETAIL),
            outcomes=outcomes,
            at=record.moment("at"),
        )


def pack(statement: bytes, files: Sequence[bytes]) -> bytes:
    """The package of a signed manifest and its files."""
    body = struct.pack(">I", len(statement)) + statement + b"".join(files)
    return MAGIC + zstandard.ZstdCompressor(level=6).compress(body)


def unpack(package: bytes) -> tuple[bytes, bytes]:
    """The signed manifest, not yet verified, and the bytes of all files.

    Raises:
        Malformed: not a package, or it unpacks to more than `MAX_PACKAGE`.
    """
    if not package.startswith(MAGIC):
        raise Malformed("not a delivery package")
    reader = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW)
    try:
        with reader.stream_reader(package[len(MAGIC) :]) as stream:
            body = stream.read(MAX_PACKAGE + 1)  # never more, whatever the frame claims
    except zstandard.ZstdError as error:
        raise Malformed(f"the delivery package cannot be unpacked: {error}") from error
    if len(body) > MAX_PACKAGE:
        raise Malformed(f"the delivery package unpacks to more than {MAX_PACKAGE} bytes")
    if len(body) < 4:
        raise Malformed("the delivery package is cut short")
    (length,) = struct.unpack_from(">I", body)
    if length > len(body) - 4:
        raise Malformed("the delivery package is cut short")
    return body[4 : 4 + length], body[4 + length :]


def split(manifest: Manifest, body: bytes) -> Mapping[str, bytes]:
    """The files by name, each of the stated length and digest.

    Raises:
        Malformed: a file is cut short, has another digest, or more follows.
    """
    files, at = {}, 0
    for file in manifest.files:
        data = body[at : at + file.length]
        at += file.length
        if len(data) != file.length or hashlib.sha256(data).hexdigest() != file.sha256:
            raise Malformed(f"{file.name} of the delivery is not what its manifest states")
        files[file.name] = data
    if at != len(body):
        raise Malformed("the delivery package holds more than its manifest names")
    return files


def opaque_id(text: str) -> str:
    """Check an identifier of delivery or report: 32 hexadecimal digits. Raises Malformed."""
    if len(text) != 32 or set(text) - set("0123456789abcdef"):
        raise Malformed(f"not an identifier (32 hexadecimal digits): {text[:80]!r}")
    return text


def _file(value: Any) -> File:
    record = Record(value, "a file of the delivery", _FILE_KEYS)
    return File(
        name=record.text("name", 64),
        sha256=record.checked("sha256", sha256_hex),
        length=record.integer("length", 0, MAX_FILE),
        sop_class_uid=record.text("sop_class_uid", 64),
        sop_instance_uid=record.text("sop_instance_uid", 64),
    )


def _outcome(value: Any) -> Outcome:
    record = Record(value, "an outcome", _OUTCOME_KEYS)
    outcome = record.text("outcome", 32)
    if outcome not in ("delivered", "refused", "waiting"):
        raise Malformed(f"an outcome: unknown word {outcome!r}")
    return Outcome(
        destination=record.text("destination", 64),
        kind=record.text("kind", 32),
        outcome=outcome,
        detail=record.text("detail", MAX_DETAIL),
        at=record.moment("at"),
    )

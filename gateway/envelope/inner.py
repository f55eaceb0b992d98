"""What only the hub may read: which instances a parcel holds, where they lie, and what the edge adds.

Pure. UIDs are kept as the modality wrote them, even when they break PS3.5 §9: an odd UID is no
reason to lose an image.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from gateway import canonical
from gateway.codec.shared import LIMIT as SHARED_LIMIT
from gateway.envelope.record import Record
from gateway.envelope.taken import Taken
from gateway.errors import Malformed, Unverified
from gateway.model import Sha256, SiteId, blake3_hex, sha256_hex, site_id

MANIFEST_LIMIT = 32 << 20
"""Bytes of an inner manifest, plain."""

INSTANCE_LIMIT = 50_000
NOTICE_LIMIT = 1_000

_ENTRY_KEYS = frozenset(
    {
        "sop_class_uid",
        "sop_instance_uid",
        "study_uid",
        "series_uid",
        "transfer_syntax_uid",
        "length",
        "codec",
        "offset",
        "coded_length",
        "received_at",
        "calling_ae",
        "parameters",
    }
)
_DIGEST_KEYS = frozenset(one.value for one in Taken)
_NOTICE_KEYS = frozenset({"kind", "body"})
_MANIFEST_KEYS = frozenset({"version", "site", "blind", "instances", "notices"})
_SHARED_KEYS = frozenset({"length", "coded_length"})
PLAIN_VERSION, SHARED_VERSION, BLAKE3_VERSION = 1, 2, 3
"""Of a manifest without and with a shared stream; and with or without it, where a BLAKE3 is named."""
UNTAKEN = Sha256("")
"""Instead of a SHA-256 that nobody has taken yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceFacts:
    """What the edge knows of an instance besides its bytes.

    Attributes:
        received_at: when the last byte came, RFC 3339 in UTC.
        calling_ae: the AE title that sent it, or another word for the way it came.
    """

    sop_class_uid: str
    sop_instance_uid: str
    study_uid: str
    series_uid: str
    transfer_syntax_uid: str
    received_at: str
    calling_ae: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceEntry(InstanceFacts):
    """One instance and its place in the parcel.

    Attributes:
        sha256: of the original dataset bytes; `UNTAKEN`, if only BLAKE3 was taken while they came.
        blake3: of the same, in hexadecimal; empty if it was not taken. One of the two is there.
        length: of the original dataset bytes.
        codec: how they were coded.
        offset: where the coded bytes begin in the parcel's plain payload.
        coded_length: how many coded bytes there are.
        parameters: what the codec's decoder must know.
    """

    sha256: Sha256 = UNTAKEN
    blake3: str = ""
    length: int
    codec: str
    offset: int
    coded_length: int
    parameters: Mapping[str, int | str]

    def __post_init__(self) -> None:
        if not (self.sha256 or self.blake3):
            raise Malformed("an instance entry names no digest")

    @property
    def digest(self) -> str:
        """That which was taken first, in hexadecimal."""
        return self.blake3 or self.sha256

    @classmethod
    def read(cls, value: Any) -> InstanceEntry:
        """From JSON. Raises Malformed."""
        record = Record(value, "an instance entry", _ENTRY_KEYS, _DIGEST_KEYS)
        parameters = record.mapping("parameters")
        if not all(isinstance(item, (int, str)) for item in parameters.values()):
            raise Malformed("an instance entry: a codec parameter is neither integer nor text")
        return cls(
            sop_class_uid=record.text("sop_class_uid"),
            sop_instance_uid=record.text("sop_instance_uid"),
            study_uid=record.text("study_uid"),
            series_uid=record.text("series_uid"),
            transfer_syntax_uid=record.text("transfer_syntax_uid"),
            received_at=record.moment("received_at"),
            calling_ae=record.text("calling_ae"),
            sha256=record.checked("sha256", sha256_hex) if record.has("sha256") else UNTAKEN,
            blake3=record.checked("blake3", blake3_hex) if record.has("blake3") else "",
            length=record.integer("length", 0),
            codec=record.text("codec", 32),
            offset=record.integer("offset", 0),
            coded_length=record.integer("coded_length", 0),
            parameters=parameters,
        )

    def fields(self) -> dict[str, Any]:
        """For JSON."""
        digests = {key: value for key in _DIGEST_KEYS if (value := getattr(self, key))}
        return {key: getattr(self, key) for key in _ENTRY_KEYS} | digests


@dataclass(frozen=True, slots=True)
class Notice:
    """Something the edge tells the hub along with instances, such as the end of an association.

    Attributes:
        kind: one of the words both ends know, such as ``association-closed``.
        body: any JSON without floats.
    """

    kind: str
    body: Mapping[str, Any]

    @classmethod
    def read(cls, value: Any) -> Notice:
        """From JSON. Raises Malformed."""
        record = Record(value, "a notice", _NOTICE_KEYS)
        return cls(record.text("kind", 64), record.mapping("body"))


@dataclass(frozen=True, slots=True)
class Shared:
    """The shared stream (`gateway.codec.shared`), with which the payload begins.

    Attributes:
        length: bytes, plain.
        coded_length: bytes in the payload.
    """

    length: int
    coded_length: int

    @classmethod
    def read(cls, value: Any) -> Shared:
        """From JSON. Raises Malformed."""
        record = Record(value, "the shared stream", _SHARED_KEYS)
        return cls(record.integer("length", 1, SHARED_LIMIT), record.integer("coded_length", 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class InnerManifest:
    """All that is sealed beside the payload.

    Attributes:
        instances: in the order of their places, which do not overlap.
        notices: what else the edge tells.
        site: whose parcel it is. The header's site must be the same, or a stolen parcel could be
            signed and sent by another site's edge.
        blind: 32 random hexadecimal digits, so that the digest of the manifest, which stands in the header
            in clear, cannot confirm a guess of its content.
        shared: the shared stream, if there is one.
    """

    instances: tuple[InstanceEntry, ...]
    notices: tuple[Notice, ...] = ()
    site: SiteId
    blind: str = ""
    shared: Shared | None = None

    def __post_init__(self) -> None:
        end = self.shared.coded_length if self.shared else 0
        for entry in self.instances:
            if entry.offset < end:
                raise Malformed("instances of one parcel overlap or are out of order")
            end = entry.offset + entry.coded_length

    @property
    def payload_end(self) -> int:
        """How many bytes of plain payload the entries need at least."""
        if self.instances:
            return self.instances[-1].offset + self.instances[-1].coded_length
        return self.shared.coded_length if self.shared else 0

    @property
    def length(self) -> int:
        """Bytes of all original instances together; what extracting all of them will write."""
        return sum(entry.length for entry in self.instances)

    def named(self, digests: Sequence[Sha256]) -> InnerManifest:
        """With the SHA-256 of every instance, as someone who has read their bytes says.

        Args:
            digests: in the order of `instances`.

        Raises:
            Unverified: there are more or fewer, or one is not that which stands here already.
        """
        if len(digests) != len(self.instances) or any(
            entry.sha256 not in (UNTAKEN, digest)
            for entry, digest in zip(self.instances, digests, strict=True)
        ):
            raise Unverified("these are not the digests of the instances of this parcel")
        pairs = zip(self.instances, digests, strict=True)
        return replace(self, instances=tuple(replace(entry, sha256=digest) for entry, digest in pairs))

    def to_bytes(self) -> bytes:
        """Canonical JSON."""
        fields: dict[str, Any] = {
            "version": _version(self.instances, shared=self.shared is not None),
            "site": self.site,
            "blind": self.blind,
            "instances": [entry.fields() for entry in self.instances],
            "notices": [{"kind": notice.kind, "body": notice.body} for notice in self.notices],
        }
        if self.shared is not None:
            fields["shared"] = asdict(self.shared)
        return canonical.dump(fields) if self.notices else canonical.dump_own(fields)

    @classmethod
    def from_bytes(cls, data: bytes) -> InnerManifest:
        """Read canonical JSON. Raises Malformed."""
        if len(data) > MANIFEST_LIMIT:
            raise Malformed(f"the inner manifest is longer than {MANIFEST_LIMIT} bytes")
        value = canonical.load(data)
        with_shared = isinstance(value, dict) and "shared" in value
        record = Record(value, "the inner manifest", _MANIFEST_KEYS | ({"shared"} if with_shared else set()))
        instances = tuple(map(InstanceEntry.read, record.items("instances", 0, INSTANCE_LIMIT)))
        version = _version(instances, shared=with_shared)
        record.integer("version", version, version)
        return cls(
            instances=instances,
            notices=tuple(map(Notice.read, record.items("notices", 0, NOTICE_LIMIT))),
            site=record.checked("site", site_id),
            blind=record.text("blind", 64),
            shared=Shared.read(record.mapping("shared")) if with_shared else None,
        )


def _version(instances: Sequence[InstanceEntry], *, shared: bool) -> int:
    if any(entry.blake3 for entry in instances):
        return BLAKE3_VERSION
    return SHARED_VERSION if shared else PLAIN_VERSION

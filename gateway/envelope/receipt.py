"""The hub's signed word that it holds a parcel's instances and can give each back, byte for byte.

Only a verified receipt lets an edge remove what it keeps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gateway import canonical
from gateway.envelope.inner import INSTANCE_LIMIT, InnerManifest
from gateway.envelope.layout import FIRST_SEQUENCE, HEADER_LIMIT, RECEIPT_KIND
from gateway.envelope.record import Record
from gateway.envelope.signature import sign, verify
from gateway.errors import Unverified
from gateway.model import ParcelId, Sha256, SiteId, blake3_hex, parcel_id, sha256_hex, site_id
from gateway.trust import Identity, Purpose, Signer, Trust

_KEYS = frozenset({"version", "parcel_id", "header_digest", "site", "sequence", "instances", "received_at"})
_INSTANCE_KEYS = frozenset({"sha256", "length"})
PLAIN_VERSION, BLAKE3_VERSION = 1, 2
"""Of a receipt, and of one for a parcel whose manifest names a BLAKE3."""


@dataclass(frozen=True, slots=True)
class ReceivedInstance:
    """One instance the hub can give back: digest and length of its original dataset bytes.

    `blake3` is there if the manifest named it: whoever sealed the parcel may know no other digest.
    """

    sha256: Sha256
    length: int
    blake3: str = ""

    @classmethod
    def read(cls, value: Any) -> ReceivedInstance:
        """From JSON. Raises Malformed."""
        record = Record(value, "an instance of the receipt", _INSTANCE_KEYS, {"blake3"})
        return cls(
            record.checked("sha256", sha256_hex),
            record.integer("length", 0),
            record.checked("blake3", blake3_hex) if record.has("blake3") else "",
        )

    def fields(self) -> dict[str, Any]:
        """For JSON."""
        return {"sha256": self.sha256, "length": self.length} | (
            {"blake3": self.blake3} if self.blake3 else {}
        )


def received(manifest: InnerManifest) -> tuple[ReceivedInstance, ...]:
    """What a receipt says of the instances of a manifest that names the SHA-256 of each."""
    return tuple(ReceivedInstance(one.sha256, one.length, one.blake3) for one in manifest.instances)


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What the hub signs.

    Attributes:
        parcel_id: which parcel.
        header_digest: of its signed header (`seal.header_digest`); binds everything the edge signed.
        site: of the header.
        sequence: of the header.
        instances: every instance of the parcel, in the manifest's order.
        received_at: when all of them were durable at the hub, RFC 3339 in UTC.
    """

    parcel_id: ParcelId
    header_digest: Sha256
    site: SiteId
    sequence: int
    instances: tuple[ReceivedInstance, ...]
    received_at: str

    def to_bytes(self) -> bytes:
        """Canonical JSON."""
        return canonical.dump(
            {
                "version": _version(self.instances),
                "parcel_id": self.parcel_id,
                "header_digest": self.header_digest,
                "site": self.site,
                "sequence": self.sequence,
                "instances": [one.fields() for one in self.instances],
                "received_at": self.received_at,
            }
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> Receipt:
        """Read canonical JSON. Raises Malformed."""
        record = Record.parse(data, "the receipt", _KEYS, limit=HEADER_LIMIT)
        instances = tuple(map(ReceivedInstance.read, record.items("instances", 0, INSTANCE_LIMIT)))
        version = _version(instances)
        record.integer("version", version, version)
        return cls(
            parcel_id=record.checked("parcel_id", parcel_id),
            header_digest=record.checked("header_digest", sha256_hex),
            site=record.checked("site", site_id),
            sequence=record.integer("sequence", FIRST_SEQUENCE),
            instances=instances,
            received_at=record.moment("received_at"),
        )

    def check(
        self,
        *,
        parcel_id: ParcelId,
        header_digest: Sha256,
        site: SiteId,
        sequence: int,
        instances: Sequence[ReceivedInstance] | None = None,
    ) -> None:
        """That this receipt is for exactly the parcel that was sent.

        Args:
            parcel_id: of the parcel sent.
            header_digest: of the header sent.
            site: our own.
            sequence: of the header sent.
            instances: what was in it, if still known (an edge cannot open its own parcels).

        Raises:
            Unverified: it is for something else.
        """
        for what, ours, theirs in (
            ("parcel", parcel_id, self.parcel_id),
            ("header", header_digest, self.header_digest),
            ("site", site, self.site),
            ("sequence number", sequence, self.sequence),
        ):
            if ours != theirs:
                raise Unverified(f"the receipt is for another {what}: {theirs!r}, not {ours!r}")
        if instances is not None and tuple(instances) != self.instances:
            raise Unverified("the receipt does not list exactly the instances that were sent")


def _version(instances: Sequence[ReceivedInstance]) -> int:
    return BLAKE3_VERSION if any(one.blake3 for one in instances) else PLAIN_VERSION


@dataclass(frozen=True, slots=True)
class OpenedReceipt:
    """A receipt that holds, and the hub that signed it."""

    receipt: Receipt
    identity: Identity


def sign_receipt(receipt: Receipt, signer: Signer) -> bytes:
    """The signed statement, by a key whose certificate is for `Purpose.HUB`."""
    return sign(RECEIPT_KIND, receipt.to_bytes(), signer)


def open_receipt(signed: bytes, trust: Trust, at: datetime) -> OpenedReceipt:
    """Verify a signed receipt. It still has to be compared with what was sent: `Receipt.check`.

    Raises:
        Malformed: it cannot be read.
        Unverified: the chain or signature does not hold.
    """
    payload, identity = verify(signed, RECEIPT_KIND, trust, Purpose.HUB, at)
    return OpenedReceipt(Receipt.from_bytes(payload), identity)

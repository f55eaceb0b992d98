"""Sealed parcels made in memory."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.clock import rfc3339
from gateway.envelope.kem import KemKeys
from gateway.envelope.layout import HEADER_KIND, NO_PREVIOUS, Draft, Header, InstanceFacts
from gateway.envelope.seal import BodySealer, complete
from gateway.envelope.signature import sign
from gateway.envelope.taken import Taken
from gateway.model import ParcelId, Priority, SiteId
from tests.doubles.signers import NOW

PARCEL = ParcelId("0123456789abcdef0123456789abcdef")
SITE = SiteId("H001")


def facts(number: int = 1) -> InstanceFacts:
    """Made-up but well-formed facts."""
    return InstanceFacts(
        sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
        sop_instance_uid=f"2.25.1.{number}",
        study_uid="2.25.1000",
        series_uid="2.25.1001",
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        received_at=rfc3339(NOW),
        calling_ae="CT1",
    )


@dataclass
class Parcel:
    """A sealed body with its draft."""

    draft: Draft
    body: bytes

    def read(self, offset: int, count: int) -> bytes:
        return self.body[offset : offset + count]

    def header(self, site=SITE, sequence=1, previous=NO_PREVIOUS, priority=Priority.ROUTINE) -> Header:
        return complete(
            self.draft,
            site=site,
            sequence=sequence,
            previous=previous,
            priority=priority,
            created_at=rfc3339(NOW),
        )

    def signed(self, signer, **options) -> bytes:
        return sign(HEADER_KIND, self.header(**options).to_bytes(), signer)


def seal(
    keys: KemKeys,
    instances,
    *,
    codec="zstd",
    chunk_size=1024,
    notices=(),
    parcel_id=PARCEL,
    site=SITE,
    plan=None,
    first=1,
    taken=Taken.SHA256,
    **options,
) -> Parcel:
    """Seal `instances`, each a byte string or a list of pieces; `first` is the number of the first."""
    body: list[bytes] = []
    sealer = BodySealer(body.append, keys.publics(), parcel_id, site=site, chunk_size=chunk_size, **options)
    for number, data in enumerate(instances, first):
        writer = sealer.begin(codec, plan, taken=taken)
        for piece in [data] if isinstance(data, bytes) else data:
            writer.write(piece)
        writer.finish(facts(number))
    for notice in notices:
        sealer.notice(notice)
    draft = sealer.finish()
    return Parcel(draft, b"".join(body))

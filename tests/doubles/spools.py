"""A spool on a temporary folder, with an authority, a hub's key and everything to open what it holds."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from edge.pack import Packer
from edge.spool.spool import Spool
from edge.spool.view import StudyFacts
from gateway.clock import rfc3339
from gateway.envelope.inner import InnerManifest, InstanceFacts
from gateway.envelope.kem import KemKeys
from gateway.envelope.receipt import Receipt, received, sign_receipt
from gateway.envelope.unseal import BodyOpener, OpenedHeader, open_header
from gateway.model import ParcelId, SiteId
from gateway.trust import Trust
from tests.doubles.clock import SetClock
from tests.doubles.signers import MemoryAuthority

SITE = SiteId("H001")


@dataclass
class SpoolWorld:
    """One edge's spool and the hub's side of it."""

    data: Path
    reserve: int = 0
    clock: SetClock = field(default_factory=SetClock)
    keys: KemKeys = field(default_factory=lambda: KemKeys.generate("hub-1"))
    authority: MemoryAuthority = field(default_factory=MemoryAuthority)
    receipts: dict[ParcelId, bytes] = field(default_factory=dict)  # what a test keeps of the hub's

    def __post_init__(self) -> None:
        self.device = self.authority.device("H001", "1")
        self.trust = Trust([self.authority.root])
        self.open()

    def open(self) -> Spool:
        """Open it (again), as after a restart."""
        self.spool = Spool.open(
            self.data, site=SITE, recipients=self.keys.publics, reserve=self.reserve, clock=self.clock
        )
        self.packer = Packer(self.spool, SITE, lambda: self.device, self.clock)
        return self.spool

    def facts(self, number: int = 1, syntax: str = "1.2.840.10008.1.2.1") -> InstanceFacts:
        return InstanceFacts(
            sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
            sop_instance_uid=f"2.25.777.{number}",
            study_uid="2.25.888",
            series_uid="2.25.888.1",
            transfer_syntax_uid=syntax,
            received_at=rfc3339(self.clock.now()),
            calling_ae="CT1",
        )

    def study(self) -> StudyFacts:
        return StudyFacts("2.25.888", "Sample^Patient", "PID-4711", "ACC-0815", "HEAD", "CT")

    def receive(
        self,
        data: bytes = b"dataset" * 100,
        number: int = 1,
        syntax: str = "1.2.840.10008.1.2.1",
        modality: str = "CT",
        **options,
    ):
        study = replace(self.study(), modality=modality, instance_number=str(number))
        options.setdefault("study", study)
        return self.spool.receive(self.facts(number, syntax), data, **options)

    def opened(self, parcel: ParcelId) -> OpenedHeader:
        return open_header(self.spool.header(parcel), self.trust, self.clock.now())

    def content(self, parcel: ParcelId) -> tuple[InnerManifest, list[bytes]]:
        """What the hub would get out of a signed parcel."""
        opener = BodyOpener(self.opened(parcel).header, self.keys)
        datasets, digests = [], []
        with self.spool.body(parcel) as body:
            for entry in opener.manifest.instances:
                pieces: list[bytes] = []
                digests.append(opener.extract(entry, body.read, pieces.append).sha256)
                datasets.append(b"".join(pieces))
        return opener.manifest.named(digests), datasets

    def receipt(self, parcel: ParcelId) -> bytes:
        """What the hub would sign for a parcel."""
        opened = self.opened(parcel)
        manifest, _ = self.content(parcel)
        receipt = Receipt(
            parcel_id=parcel,
            header_digest=opened.digest,
            site=opened.header.site,
            sequence=opened.header.sequence,
            instances=received(manifest),
            received_at=rfc3339(self.clock.now()),
        )
        return sign_receipt(receipt, self.authority.hub())

    def damage(self, parcel: ParcelId, at: int, data: bytes = b"rot") -> None:
        """Overwrite bytes of an unsigned item where it lies; from the end if `at` is negative."""
        place = self.spool.files.segments.place(parcel)
        assert place is not None
        with place.path.open("r+b") as file:
            file.seek(place.offset + (at if at >= 0 else place.length + at))
            file.write(data)

    def everything_on_disk(self) -> bytes:
        """Every byte and file name below the data folder."""
        files = [file for file in self.data.rglob("*") if file.is_file()]
        return b"".join(str(file).encode() + file.read_bytes() for file in files)

"""Generated instances, and an archive in a temporary folder to put them into."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import (
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.clock import rfc3339
from gateway.database import Database, open_database, sqlite_url
from gateway.envelope.layout import InstanceEntry
from gateway.model import Priority, Sha256
from hub import tables
from hub.archive.archive import Archive, Incoming
from hub.archive.store import BlobStore

START = datetime(2026, 11, 22, 12, tzinfo=UTC)


@dataclass
class SteppedClock:
    """A clock that stands until it is moved."""

    at: datetime = START
    back: timedelta = timedelta()

    def now(self) -> datetime:
        return self.at - self.back

    def monotonic(self) -> float:
        return (self.at - START).total_seconds()

    def move(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)

    def put_back(self, seconds: float) -> None:
        """The wall clock alone: monotonic time does not jump."""
        self.back += timedelta(seconds=seconds)


@dataclass
class CustodyList:
    """A custody log that only remembers."""

    events: list[tuple[str, str, str, Mapping[str, Any]]] = field(default_factory=list)

    async def append(
        self,
        connection: AsyncConnection,
        event: str,
        *,
        site: str = "",
        subject: str = "",
        detail: Mapping[str, Any] | None = None,
    ) -> None:
        assert connection.in_transaction()
        self.events.append((event, site, subject, detail or {}))


def encode(dataset: Dataset, syntax: str = ExplicitVRLittleEndian) -> bytes:
    """Dataset bytes without file header."""
    import zlib

    buffer = DicomBytesIO()
    buffer.is_implicit_VR = syntax == ImplicitVRLittleEndian
    buffer.is_little_endian = syntax != ExplicitVRBigEndian
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        write_dataset(buffer, dataset)
    data = buffer.getvalue()
    if syntax == DeflatedExplicitVRLittleEndian:
        deflate = zlib.compressobj(wbits=-15)
        data = deflate.compress(data) + deflate.flush()
        data += b"\0" * (len(data) % 2)
    return data


def ct(
    number: int = 1, study: str = "1.2.3", series: str = "1.2.3.1", *, size: int = 16, **changes: Any
) -> Dataset:
    """One CT slice with a gradient that depends on its number."""
    image = Dataset()
    image.SOPClassUID = CTImageStorage
    image.SOPInstanceUID = f"{series}.{number}"
    image.StudyInstanceUID, image.SeriesInstanceUID = study, series
    image.StudyDate, image.StudyTime, image.Modality = "20261101", "081500", "CT"
    image.PatientName, image.PatientID, image.PatientSex = "Test^Anna", "P1", "F"
    image.PatientBirthDate, image.AccessionNumber, image.StudyID = "19700102", "A1", "S1"
    image.StudyDescription, image.SeriesDescription = "Head", "Axial"
    image.ReferringPhysicianName, image.BodyPartExamined = "Doc^Tor", "HEAD"
    image.SeriesNumber, image.InstanceNumber = 2, number
    image.ImagePositionPatient = [0, 0, number]
    image.Rows = image.Columns = size
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, 12, 11, 0
    pixels = (np.arange(size * size, dtype="<u2") + number * 7) % 4096
    image.PixelData = pixels.astype("<u2").tobytes()
    image["PixelData"].VR = "OW"
    for keyword, value in changes.items():
        setattr(image, keyword, value)
    return image


def entry(
    data: bytes, dataset: Dataset | None = None, syntax: str = ExplicitVRLittleEndian, **changes: Any
) -> InstanceEntry:
    """The entry an edge would have made of dataset bytes."""

    def text(keyword: str) -> str:
        return str(dataset.get(keyword, "")) if dataset is not None else ""

    fields: dict[str, Any] = {
        "sop_class_uid": text("SOPClassUID"),
        "sop_instance_uid": text("SOPInstanceUID"),
        "study_uid": text("StudyInstanceUID"),
        "series_uid": text("SeriesInstanceUID"),
        "transfer_syntax_uid": str(syntax),
        "sha256": Sha256(hashlib.sha256(data).hexdigest()),
        "length": len(data),
        "codec": "raw",
        "offset": 0,
        "coded_length": len(data),
        "received_at": rfc3339(START),
        "calling_ae": "MODALITY",
        "parameters": {},
    }
    return InstanceEntry(**(fields | changes))


@dataclass
class Hub:
    """An archive with its parts at hand."""

    archive: Archive
    database: Database
    store: BlobStore
    custody: CustodyList
    clock: SteppedClock

    def incoming(self, data: bytes, made: InstanceEntry, site: str = "H001", **changes: Any) -> Incoming:
        """Bytes in the incoming folder, as intake leaves them."""
        blob = self.store.incoming_path()
        blob.write_bytes(data)
        fields: dict[str, Any] = {"parcel_id": "0" * 32, "priority": Priority.ROUTINE}
        return Incoming(site=site, entry=made, blob=blob, **(fields | changes))

    def instance(
        self, dataset: Dataset, syntax: str = ExplicitVRLittleEndian, site: str = "H001", **changes: Any
    ) -> Incoming:
        """A dataset on its way in."""
        data = encode(dataset, syntax)
        return self.incoming(data, entry(data, dataset, syntax), site, **changes)


async def open_hub(folder: Path) -> Hub:
    """An empty archive below `folder`."""
    database = await open_database(sqlite_url(folder / "hub.db"), tables.metadata, version=tables.VERSION)
    store, custody, clock = BlobStore(folder / "blobs"), CustodyList(), SteppedClock()
    return Hub(Archive(database, store, custody, clock), database, store, custody, clock)


def part10(header: bytes, data: bytes) -> BytesIO:
    """A DICOM file in memory."""
    return BytesIO(header + data)

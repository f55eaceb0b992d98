"""Small datasets made here, in any plain transfer syntax."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.sequence import Sequence

from gateway.dicom import transfer


def sample(
    pixels: bytes = b"\1\2" * 512,
    *,
    instance: str = "1.2.3.4",
    name: str = "Sample^王",
    study: str = "1.2.3",
) -> Dataset:
    """A small CT image with a sequence and a Chinese name."""
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    dataset.SOPInstanceUID = instance
    dataset.Modality = "CT"
    dataset.PatientName = name
    dataset.PatientID = "SAMPLE-77"
    dataset.StudyInstanceUID = study
    dataset.SeriesInstanceUID = f"{study}.1"
    item = Dataset()
    item.CodeValue = "7"
    dataset.ProcedureCodeSequence = Sequence([item])
    dataset.Rows = 32
    dataset.Columns = 16
    dataset.BitsAllocated = 16
    dataset.PixelRepresentation = 1
    dataset.SmallestImagePixelValue = -3
    dataset["SmallestImagePixelValue"].VR = "SS"
    dataset.PixelData = pixels
    dataset["PixelData"].VR = "OW"
    return dataset


def encode(dataset: Dataset, syntax: str = transfer.EXPLICIT_LITTLE) -> bytes:
    """The dataset bytes in a transfer syntax."""
    kind = transfer.encoding(syntax)
    buffer = DicomBytesIO()
    buffer.is_implicit_VR, buffer.is_little_endian = kind.implicit, kind.little
    write_dataset(buffer, dataset)
    data: bytes = buffer.getvalue()
    if kind.deflated:
        deflater = zlib.compressobj(wbits=-15)
        data = deflater.compress(data) + deflater.flush()
    return data


def shared_data() -> Path | None:
    """The folder of real files, if it lies beside the checkout."""
    here = os.environ.get("TELERAD_SHARED_DATA")
    beside = [Path(here)] if here else [parent / "shared/data" for parent in Path(__file__).parents[2:5]]
    return next((folder for folder in beside if folder.is_dir()), None)


def shared_files() -> Iterator[Path]:
    """Every DICOM file in it, sorted."""
    folder = shared_data()
    if folder is not None:
        yield from sorted(
            file for file in folder.rglob("*") if file.is_file() and file.suffix not in (".csv", ".md")
        )

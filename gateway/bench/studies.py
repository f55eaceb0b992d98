"""What is sent: made studies whose noise compresses as a scanner's does, or a folder of the user's."""

from __future__ import annotations

import shutil
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

import numpy as np
from pydicom import dcmread, dcmwrite
from pydicom.dataset import Dataset
from pydicom.uid import (
    ExplicitVRLittleEndian,
    MRImageStorage,
    MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
)

from gateway.demo import modality, phantom
from gateway.errors import UsageError

DISTINCT = 48
"""Slices computed; beyond them they come again, shifted and with noise of their own."""
MR_SIDES = (128, 160, 192, 256)
"""Rows and columns of small MR images: 32 to 131 KB."""
PORTION = 8 << 20


@dataclass(frozen=True, slots=True)
class Study:
    """Files to send.

    Attributes:
        folder: that holds them, below it nothing else.
        uid: Study Instance UID of the first.
        count: of instances.
        size: of all datasets in bytes: what C-STORE carries.
    """

    folder: Path
    uid: str
    count: int
    size: int

    @property
    def files(self) -> list[Path]:
        """In the order they are sent."""
        return sorted(path for path in self.folder.rglob("*") if path.is_file())


def of_folder(folder: Path) -> Study:
    """What lies in a folder.

    Raises:
        UsageError: no Part 10 file is in it.
    """
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    samples, _ = modality.read_samples(files)
    if not samples:
        raise UsageError(f"{folder}: no DICOM Part 10 files")
    return Study(folder, samples[0].study_uid, len(samples), sum(sample.size for sample in samples))


def copied(source: Path, folder: Path, run: str) -> Study:
    """A folder of the user's under new UIDs, so that no receiver has seen it before."""
    samples, _ = modality.read_samples(sorted(path for path in source.rglob("*") if path.is_file()))
    if not samples:
        raise UsageError(f"{source}: no DICOM Part 10 files")
    for number, sample in enumerate(samples):
        dataset = dcmread(sample.path)
        _rename(dataset, run, number)
        _write(folder, number, dataset)
    return of_folder(folder)


def _rename(dataset: Dataset, run: str, number: int) -> None:
    study, series = str(dataset.get("StudyInstanceUID", "")), str(dataset.get("SeriesInstanceUID", ""))
    dataset.StudyInstanceUID = phantom.derived_uid(run, study)
    dataset.SeriesInstanceUID = phantom.derived_uid(run, series)
    dataset.SOPInstanceUID = phantom.derived_uid(run, number)
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID


def ct(folder: Path, count: int, run: str, *, parts: int = 1) -> Study:
    """CT instances of 512×512×16 bit in explicit VR little endian, spread over `parts` subfolders."""
    started = datetime.now(UTC)
    computed = list(islice(phantom.head_ct(started=started, run=run), min(count, DISTINCT)))
    random = np.random.default_rng(count)
    for number in range(count):
        dataset = computed[number % len(computed)]
        if number >= len(computed):
            _vary(dataset, random)
        _number(dataset, run, number, "one")
        _write(folder / f"{number * parts // count}", number, dataset)
    return of_folder(folder)


def _vary(dataset: Dataset, random: np.random.Generator) -> None:
    plane = np.frombuffer(dataset.PixelData, "<u2").reshape(dataset.Rows, dataset.Columns)
    dataset.PixelData = np.roll(
        plane, (int(random.integers(512)), int(random.integers(512))), (0, 1)
    ).tobytes()


def noise(folder: Path, count: int, run: str) -> Study:
    """CT instances that no codec can make smaller: what fills a line for a known time."""
    random = np.random.default_rng(count)
    dataset = next(phantom.head_ct(started=datetime.now(UTC), run=run))
    dataset.BitsStored, dataset.HighBit = 16, 15
    for number in range(count):
        dataset.PixelData = random.bytes(len(dataset.PixelData))
        _number(dataset, run, number, "one")
        _write(folder, number, dataset)
    return of_folder(folder)


def mr(folder: Path, count: int, run: str) -> Study:
    """Small MR instances of 32 to 131 KB in four series, with Rician noise."""
    random = np.random.default_rng(count)
    planes = list(islice(phantom.volume(), 40, 56))
    for number, dataset in enumerate(islice(_mr_headers(run), count)):
        side = MR_SIDES[number * len(MR_SIDES) // count]
        rows = np.linspace(0, phantom.SIZE - 1, side).astype(int)
        plane = np.clip(planes[number % len(planes)][np.ix_(rows, rows)] + 1000, 0, 1400) * 0.6
        real, imaginary = random.normal(0, 9, (2, side, side))
        dataset.PixelData = np.hypot(plane + real, imaginary).astype("<u2").tobytes()
        dataset.Rows = dataset.Columns = side
        _number(dataset, run, number, side)
        _write(folder, number, dataset)
    return of_folder(folder)


def _mr_headers(run: str) -> Iterator[Dataset]:
    dataset = next(phantom.head_ct(started=datetime.now(UTC), run=run))
    for word in ("KVP", "ExposureTime", "XRayTubeCurrent", "ConvolutionKernel", "RescaleIntercept"):
        delattr(dataset, word)
    for word in ("RescaleSlope", "RescaleType", "WindowCenterWidthExplanation"):
        delattr(dataset, word)
    dataset.SOPClassUID, dataset.Modality = MRImageStorage, "MR"
    dataset.StudyDescription, dataset.SeriesDescription = "MR head", "EPI"
    dataset.ScanningSequence, dataset.SequenceVariant, dataset.ScanOptions = "EP", "SK", ""
    dataset.RepetitionTime, dataset.EchoTime, dataset.MRAcquisitionType = "2000", "30", "2D"
    while True:
        yield dataset


def big(folder: Path, size: int, run: str) -> Study:
    """One multi-frame instance of about `size` bytes, written without holding it in memory."""
    plane = next(phantom.head_ct(started=datetime.now(UTC), run=run))
    frames = max(1, size // len(plane.PixelData))
    pixels = np.frombuffer(plane.PixelData, "<u2").reshape(plane.Rows, plane.Columns)
    dataset = plane
    del dataset.PixelData
    dataset.SOPClassUID = MultiFrameGrayscaleWordSecondaryCaptureImageStorage
    dataset.NumberOfFrames = str(frames)
    _number(dataset, run, 0, "one")
    file = _write(folder, 0, dataset)
    length = frames * pixels.nbytes
    with file.open("ab") as out:
        out.write(struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OW", 0, length))  # PS3.5 §7.1.2
        for frame in range(frames):
            out.write(np.roll(pixels, frame * 7).tobytes())
    return Study(folder, str(dataset.StudyInstanceUID), 1, file.stat().st_size)


def _number(dataset: Dataset, run: str, number: int, series: object) -> None:
    dataset.StudyInstanceUID = phantom.derived_uid(run, "study")
    dataset.SeriesInstanceUID = phantom.derived_uid(run, "series", series)
    dataset.SOPInstanceUID = phantom.derived_uid(run, "instance", number)
    dataset.InstanceNumber = number + 1


def _write(folder: Path, number: int, dataset: Dataset) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{number:06d}.dcm"
    if hasattr(dataset, "file_meta"):
        dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        dataset.file_meta.TransferSyntaxUID = dataset.file_meta.get(
            "TransferSyntaxUID", ExplicitVRLittleEndian
        )
    dcmwrite(file, dataset, enforce_file_format=True)
    return file


def remove(study: Study) -> None:
    """Remove a made study."""
    shutil.rmtree(study.folder, ignore_errors=True)


def spread(source: Path, folder: Path, parts: int) -> Study:
    """The files of a user's folder in `parts` subfolders, as links: nothing is copied."""
    files = sorted(path for path in source.rglob("*") if path.is_file())
    samples, _ = modality.read_samples(files)
    for number, sample in enumerate(samples):
        place = folder / f"{number * parts // len(samples)}"
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{number:06d}.dcm").symlink_to(sample.path.absolute())
    return of_folder(folder)

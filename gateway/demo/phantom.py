"""A CT head that belongs to nobody: a volume computed from ellipsoids, as one DICOM series.

Good enough to look at in axial, coronal and sagittal planes and in a bone rendering: scalp, skull
with diploë, cerebral cortex and white matter, ventricles, falx, eyes, airways and jaw, and a finding
for the reader (an acute haemorrhage in the left basal ganglia). Pure but for the random numbers, which
come from a seed, so that one seed always gives the same bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

Plane = NDArray[np.float32]

SIZE = 512
SLICES = 96
PIXEL_MM = 0.46
SLICE_MM = 2.0
UID_ROOT = "2.25"
"""UIDs derived from a hash, PS3.5 §B.2."""


@dataclass(frozen=True, slots=True)
class Blob:
    """An ellipsoid of even density. Millimetres from the centre: x to the left, y to the back, z up."""

    hu: float
    centre: tuple[float, float, float]
    radius: tuple[float, float, float]
    turn: float = 0.0  # degrees about z


_INSIDE = (  # painted in order over the brain
    Blob(26, (21, -4, 16), (26, 46, 24)),  # white matter, left
    Blob(26, (-21, -4, 16), (26, 46, 24)),
    Blob(36, (16, -6, 6), (7, 13, 9), 20),  # basal ganglia
    Blob(36, (-16, -6, 6), (7, 13, 9), -20),
    Blob(37, (8, 12, 6), (6, 10, 8)),  # thalami
    Blob(37, (-8, 12, 6), (6, 10, 8)),
    Blob(6, (9, -16, 18), (4.5, 20, 10), 14),  # lateral ventricles
    Blob(6, (-9, -16, 18), (4.5, 20, 10), -14),
    Blob(6, (17, 24, 13), (4, 15, 8), -22),
    Blob(6, (-17, 24, 13), (4, 15, 8), 22),
    Blob(6, (0, 6, 4), (1.6, 11, 8)),  # third ventricle
    Blob(7, (0, 36, -22), (6, 5, 8)),  # fourth ventricle
    Blob(34, (0, 40, -26), (42, 24, 17)),  # cerebellum
    Blob(7, (0, 33, -24), (5, 4, 7)),
    Blob(33, (0, 18, -28), (12, 12, 24)),  # brain stem
    Blob(140, (0, 23, 8), (2.2, 2.6, 2.2)),  # pineal calcification
    Blob(120, (14, 30, 14), (3, 4, 3)),  # choroid plexus calcification
    Blob(66, (23, -3, 8), (11, 17, 12), 12),  # the finding: acute haemorrhage, left
    Blob(72, (25, 0, 10), (6, 9, 7), 12),
)
_OUTSIDE = (  # painted last, below and in front
    Blob(-990, (0, -58, -44), (13, 26, 24)),  # nasal cavity
    Blob(35, (0, -60, -44), (1.2, 24, 22)),  # septum
    Blob(-985, (27, -52, -52), (14, 16, 15)),  # maxillary sinuses
    Blob(-985, (-27, -52, -52), (14, 16, 15)),
    Blob(-985, (0, -76, 4), (15, 5, 9)),  # frontal sinus
    Blob(-980, (0, -22, -56), (10, 9, 30)),  # pharynx
    Blob(12, (32, -68, -18), (12.5, 12.5, 12)),  # eyes
    Blob(12, (-32, -68, -18), (12.5, 12.5, 12)),
    Blob(95, (32, -78, -18), (5, 2.2, 5)),  # lenses
    Blob(95, (-32, -78, -18), (5, 2.2, 5)),
)


def volume(seed: int = 7) -> Iterator[Plane]:
    """The slices from the feet upwards, `SLICES` planes of `SIZE` × `SIZE` Hounsfield units."""
    random = np.random.default_rng(seed)
    axis = ((np.arange(SIZE) - (SIZE - 1) / 2) * PIXEL_MM).astype(np.float32)
    x, y = np.meshgrid(axis, axis)
    angle = np.arctan2(y, x)
    texture = _smooth(random.standard_normal((SIZE, SIZE)).astype(np.float32), 9.0)
    noise = 3.2 * _smooth(random.standard_normal((SIZE, SIZE)).astype(np.float32), 0.9)  # a soft kernel's
    for index in range(SLICES):
        z = (index - SLICES * 0.56) * SLICE_MM
        shift = tuple(int(pixels) for pixels in random.integers(0, SIZE, 2))
        yield _slice(x, y, z, angle, texture) + np.roll(noise, shift, (0, 1))


def _slice(x: Plane, y: Plane, z: float, angle: Plane, texture: Plane) -> Plane:
    image = np.full_like(x, -1000.0)
    folds = _folds(x, y, z, angle)
    _paint(image, _head(x, y, z, 0.0), 42.0)  # skin
    _paint(image, _head(x, y, z, 2.0), -85.0)  # fat
    _paint(image, _face(x, y, z), 48.0)  # muscle
    inner = _skull(x, y, z, 13.0, angle)
    _paint(image, _skull(x, y, z, 6.5, angle), 1350.0)
    _paint(image, _skull(x, y, z, 8.3, angle), 620.0 + 160.0 * texture)  # diploë
    _paint(image, _skull(x, y, z, 11.2, angle), 1250.0)
    _paint(image, inner, 9.0)  # cerebrospinal fluid
    _paint(image, np.minimum(inner, _skull(x, y, z, 15.0, angle) + folds), 38.0 + 1.5 * texture)  # cortex
    white = np.minimum(_skull(x, y, z, 20.5, angle) + 1.5 * folds, np.abs(x) - 2.5)
    _paint(image, white, 27.0 + 1.2 * texture)
    if z > -12:
        _paint(image, np.minimum(inner, 0.9 - np.abs(x)), 58.0)  # falx
    for blob in _INSIDE:
        _paint_blob(image, x, y, z, blob, within=inner)
    _bones(image, x, y, z)
    for blob in _OUTSIDE:
        _paint_blob(image, x, y, z, blob)
    _paint(image, _headrest(x, y), 60.0)
    return image


def _head(x: Plane, y: Plane, z: float, depth: float) -> Plane:
    """Signed distance, in mm and positive inside, to the surface `depth` mm under the skin."""
    upper = _distance(x, y + 0.0, max(z, -20.0) - 0.0, (78 - depth, 98 - depth, 88 - depth))
    if z > -20:
        return upper
    lower = _distance(x, y + 14 - (z + 20) * 0.15, (z + 20) * 0.45, (66 - depth, 84 - depth, 62 - depth))
    nose = _ellipsoid(x, y, z, Blob(0, (0, -84, -42), (15 - depth, 27 - depth, 24)))
    return np.maximum(np.maximum(np.minimum(upper, lower + 6), lower), nose)


def _skull(x: Plane, y: Plane, z: float, depth: float, angle: Plane) -> Plane:
    """Signed distance to the surface `depth` mm under the skin of the skull cap, which ends below."""
    wobble = 1.2 * np.cos(3 * angle) + 0.8 * np.cos(7 * angle + z / 30)
    cap = _distance(x, y, z, (78 - depth, 98 - depth, 88 - depth)) + wobble
    floor = np.float32(z + 44 - depth * 0.6) + np.clip(-(y + 20) * 0.28, -14, 16)
    return np.asarray(np.minimum(cap, floor + np.where(y > 0, 6.0, -12.0)), dtype=np.float32)


def _face(x: Plane, y: Plane, z: float) -> Plane:
    if z > -18:
        return np.full_like(x, -50.0)
    return _head(x, y, z, 9.0)


def _bones(image: Plane, x: Plane, y: Plane, z: float) -> None:
    """Facial bones, jaw, teeth and the first vertebrae, below the skull cap."""
    for side in (1.0, -1.0):
        if abs(z + 18) < 18:
            orbit = _ellipsoid(x, y, z, Blob(0, (32 * side, -62, -18), (18, 19, 17)))
            _paint(image, np.minimum(np.minimum(orbit, 2.2 - orbit), -y - 48), 850.0)
        for blob in (
            Blob(-70, (32 * side, -60, -18), (15, 16, 14)),  # fat of the orbit
            Blob(900, (52 * side, -46, -34), (7, 20, 6), 24 * side),  # cheekbone
            Blob(1100, (40 * side, 14, -38), (24, 9, 9), 32 * side),  # petrous bone
            Blob(-500, (52 * side, 22, -44), (8, 10, 11)),  # mastoid cells
            Blob(950, (48 * side, -22, -66), (4.5, 15, 34)),  # ramus of the jaw
        ):
            _paint_blob(image, x, y, z, blob)
    if z < -62:
        arch = np.hypot(x, (y + 36) * 0.95) - 44
        _paint(image, np.minimum(5.0 - np.abs(arch), -y - 30), 1000.0)
    if -84 < z < -62:
        teeth = 4.0 - np.abs(np.hypot(x, (y + 40) * 0.9) - 40)
        gaps = np.cos(np.arctan2(y + 40, x) * 22)
        _paint(image, np.minimum(np.minimum(teeth, -y - 44), gaps * 3 + 1.6), 1900.0)
    if z < -52:
        _paint_blob(image, x, y, z, Blob(800, (0, 26, -78), (26, 22, 26)))  # first vertebra
        _paint_blob(image, x, y, z, Blob(8, (0, 30, -78), (12, 10, 60)))  # its canal
        _paint_blob(image, x, y, z, Blob(32, (0, 30, -78), (7, 6, 60)))  # cord


def _headrest(x: Plane, y: Plane) -> Plane:
    arc = 2.0 - np.abs(np.hypot(x, y + 4) - 112) - np.where(y > 40, 0.0, 100.0)
    return np.asarray(arc, dtype=np.float32)


def _folds(x: Plane, y: Plane, z: float, angle: Plane) -> Plane:
    """Gyri and sulci: waves along the cortex that reach a few millimetres deep."""
    waves = (
        np.sin(19 * angle + z / 5.0) + np.sin(31 * angle - z / 3.5 + 2.0) + np.sin(x / 5.1) * np.cos(y / 6.3)
    )
    near_cortex = np.clip(np.hypot(x, y) / 30 - 0.6, 0.0, 1.0)
    return np.asarray((1.5 * waves - 1.6) * near_cortex, dtype=np.float32)


def _ellipsoid(x: Plane, y: Plane, z: float, blob: Blob) -> Plane:
    """Signed distance to an ellipsoid, in mm, positive inside (near enough close to the surface)."""
    cos, sin = np.cos(np.radians(blob.turn)), np.sin(np.radians(blob.turn))
    dx, dy, dz = x - blob.centre[0], y - blob.centre[1], z - blob.centre[2]
    return _distance(cos * dx + sin * dy, cos * dy - sin * dx, dz, blob.radius)


def _distance(x: Plane, y: Plane, z: float, radius: tuple[float, float, float]) -> Plane:
    norm = np.sqrt((x / radius[0]) ** 2 + (y / radius[1]) ** 2 + (z / radius[2]) ** 2)
    return np.asarray((1.0 - norm) * min(radius), dtype=np.float32)


def _paint(image: Plane, inside: Plane, hu: float | Plane) -> None:
    """Lay a density where `inside` is positive, with an edge half a pixel soft (partial volume)."""
    cover = np.clip(inside / PIXEL_MM + 0.5, 0.0, 1.0)
    image += cover * (hu - image)


def _paint_blob(image: Plane, x: Plane, y: Plane, z: float, blob: Blob, within: Plane | None = None) -> None:
    """Paint an ellipsoid, looking only at the window it can reach."""
    if abs(z - blob.centre[2]) > blob.radius[2] + 1:
        return
    reach = max(blob.radius[:2]) + 2
    edges = [
        (SIZE - 1) / 2 + (centre + side * reach) / PIXEL_MM for centre in blob.centre[:2] for side in (-1, 1)
    ]
    left, right, top, bottom = (int(np.clip(edge, 0, SIZE)) for edge in edges)
    window = (slice(top, bottom), slice(left, right))
    inside = _ellipsoid(x[window], y[window], z, blob)
    _paint(image[window], inside if within is None else np.minimum(within[window], inside), blob.hu)


def _smooth(plane: Plane, pixels: float) -> Plane:
    """A Gaussian blur by Fourier transform, scaled back to unit deviation."""
    frequency = np.fft.fftfreq(SIZE).astype(np.float32)
    along = np.exp(-2 * (np.pi * pixels * frequency) ** 2)
    blurred = np.fft.ifft2(np.fft.fft2(plane) * np.outer(along, along)).real
    return np.asarray(blurred / blurred.std(), dtype=np.float32)


def derived_uid(*words: object) -> str:
    """A UID under 2.25 (PS3.5 §B.2) from a hash of `words`, the same for the same words."""
    number = int.from_bytes(hashlib.sha256("|".join(map(str, words)).encode()).digest()[:16], "big")
    return f"{UID_ROOT}.{number}"


def head_ct(
    *, started: datetime, run: str, patient_id: str = "PHANTOM-1", seed: int = 7
) -> Iterator[Dataset]:
    """The phantom as CT Image Storage instances (PS3.3 §A.3), feet first in number.

    Args:
        started: when the made-up scan began.
        run: makes the UIDs of one run differ from those of another.
        patient_id: of the made-up patient.
        seed: of the noise.
    """
    study, series = derived_uid(run, "study"), derived_uid(run, "series")
    frame = derived_uid(run, "frame")
    for index, plane in enumerate(volume(seed)):
        dataset = _attributes(started, patient_id)
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study, series
        dataset.FrameOfReferenceUID = frame
        dataset.SOPInstanceUID = derived_uid(run, "instance", index)
        dataset.InstanceNumber = index + 1
        corner = -(SIZE - 1) / 2 * PIXEL_MM
        dataset.ImagePositionPatient = [round(corner, 3), round(corner, 3), round(index * SLICE_MM, 3)]
        dataset.SliceLocation = round(index * SLICE_MM, 3)
        stored = np.clip(np.rint(plane + 1024.0), 0, 4095).astype("<u2")
        dataset.PixelData = stored.tobytes()
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        yield dataset


def _attributes(started: datetime, patient_id: str) -> Dataset:
    day, time = started.strftime("%Y%m%d"), started.strftime("%H%M%S")
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.SOPClassUID = CTImageStorage
    dataset.StudyDate = dataset.SeriesDate = dataset.AcquisitionDate = dataset.ContentDate = day
    dataset.StudyTime = dataset.SeriesTime = dataset.AcquisitionTime = dataset.ContentTime = time
    dataset.AccessionNumber = f"A{day[2:]}{time}"
    dataset.Modality = "CT"
    dataset.Manufacturer = "Telerad phantom"
    dataset.InstitutionName = "Demonstration hospital"
    dataset.ReferringPhysicianName = "Referrer^Demo"
    dataset.StudyDescription = "CT head without contrast"
    dataset.SeriesDescription = "Head 2.0 mm soft tissue"
    dataset.ReasonForStudy = "Sudden right-sided weakness, headache. Haemorrhage?"
    dataset.PatientName = "Phantom^Head=幻影^头"
    dataset.PatientID = patient_id
    dataset.PatientBirthDate, dataset.PatientSex, dataset.PatientAge = "19580214", "O", "068Y"
    dataset.BodyPartExamined = "HEAD"
    dataset.KVP, dataset.ExposureTime, dataset.XRayTubeCurrent = "120", "1000", "250"
    dataset.ConvolutionKernel = "SOFT"
    dataset.PatientPosition = "HFS"
    dataset.StudyID, dataset.SeriesNumber, dataset.AcquisitionNumber = "1", "2", "1"
    dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    dataset.PositionReferenceIndicator = ""
    dataset.SliceThickness, dataset.SpacingBetweenSlices = str(SLICE_MM), str(SLICE_MM)
    dataset.PixelSpacing = [PIXEL_MM, PIXEL_MM]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows = dataset.Columns = SIZE
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 0
    dataset.WindowCenter, dataset.WindowWidth = ["40", "400"], ["80", "2000"]
    dataset.WindowCenterWidthExplanation = ["BRAIN", "BONE"]
    dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = "-1024", "1", "HU"
    return dataset

"""What is looked at of one instance: some header values and a statistic of one frame. Pure.

Of enhanced multi-frame objects, which keep most in functional groups, those shared by all frames are read
for how the images were taken (`GROUPS`), and all for where the frames lie (`planes`).
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field, replace
from struct import unpack_from
from typing import Any

from edge.quality.coded import CODECS, Coded, middle_frame
from edge.quality.pixels import Statistic, measure
from edge.quality.planes import PER_FRAME, SHARED, frames, numbers, stacks
from gateway.dicom import tags, text, transfer
from gateway.dicom.transfer import KEPT, Inflated
from gateway.dicom.walk import Element, Walk

_TABLE = """
ImageType 00080008 CS
SOPClassUID 00080016 UI
SOPInstanceUID 00080018 UI
StudyDate 00080020 DA
StudyTime 00080030 TM
ReferringPhysicianName 00080090 PN
Modality 00080060 CS
StudyDescription 00081030 LO
SeriesDescription 0008103E LO
PatientName 00100010 PN
PatientID 00100020 LO
PatientBirthDate 00100030 DA
PatientSex 00100040 CS
PatientAge 00101010 AS
BodyPartExamined 00180015 CS
ScanningSequence 00180020 CS
SequenceName 00180024 SH
SliceThickness 00180050 DS
KVP 00180060 DS
RepetitionTime 00180080 DS
EchoTime 00180081 DS
InversionTime 00180082 DS
EchoNumbers 00180086 IS
MagneticFieldStrength 00180087 DS
SpacingBetweenSlices 00180088 DS
EchoTrainLength 00180091 IS
ProtocolName 00181030 LO
TriggerTime 00181060 DS
ExposureTime 00181150 IS
XRayTubeCurrent 00181151 IS
Exposure 00181152 IS
ImageAndFluoroscopyAreaDoseProduct 0018115E DS
ImagerPixelSpacing 00181164 DS
ConvolutionKernel 00181210 SH
FlipAngle 00181314 DS
ExposureIndex 00181411 DS
TargetExposureIndex 00181412 DS
DeviationIndex 00181413 DS
NominalScannedPixelSpacing 00182010 DS
ViewPosition 00185101 CS
DiffusionBValue 00189087 FD
CTDIvol 00189345 FD
StudyInstanceUID 0020000D UI
SeriesInstanceUID 0020000E UI
StudyID 00200010 SH
SeriesNumber 00200011 IS
AcquisitionNumber 00200012 IS
InstanceNumber 00200013 IS
PatientOrientation 00200020 CS
ImagePositionPatient 00200032 DS
ImageOrientationPatient 00200037 DS
Laterality 00200060 CS
ImageLaterality 00200062 CS
TemporalPositionIdentifier 00200100 IS
SamplesPerPixel 00280002 US
PhotometricInterpretation 00280004 CS
NumberOfFrames 00280008 IS
Rows 00280010 US
Columns 00280011 US
PixelSpacing 00280030 DS
BitsAllocated 00280100 US
BitsStored 00280101 US
PixelRepresentation 00280103 US
BurnedInAnnotation 00280301 CS
OrganDose 00400316 DS
EntranceDoseInmGy 00408302 DS
"""
_ENHANCED = """
PulseSequenceName 00189005 SH SequenceName
EffectiveEchoTime 00189082 FD EchoTime
ExposureTimeInms 00189328 FD ExposureTime
XRayTubeCurrentInmA 00189330 FD XRayTubeCurrent
ExposureInmAs 00189332 FD Exposure
"""
"""What enhanced objects have, and the attribute of the others that says the same."""
_TABLE += "\n".join(row.rsplit(" ", 1)[0] for row in _ENHANCED.strip().splitlines())
_SAME = {old: new for new, *_, old in (row.split() for row in _ENHANCED.strip().splitlines())}

GROUPS = frozenset(
    (
        SHARED,  # Functional Groups Sequence, and in it:
        0x00189112,  # MR Timing and Related Parameters
        0x00189114,  # MR Echo
        0x00189314,  # CT Reconstruction
        0x00189321,  # CT Exposure
        0x00189325,  # CT X-Ray Details
        0x00289110,  # Pixel Measures
    )
)
"""Functional groups in which attributes of `ACQUISITION` may stand (PS3.3 C.7.6.16, C.8.13, C.8.15)."""
_KEYWORDS: dict[int, tuple[str, str]] = {
    int(tag, 16): (keyword, vr) for keyword, tag, vr in (row.split() for row in _TABLE.strip().splitlines())
}
_WANTED = frozenset((*_KEYWORDS, *GROUPS, PER_FRAME, tags.CHARACTER_SET))
_LONGEST = 256

ACQUISITION = (
    "ProtocolName",
    "KVP",
    "XRayTubeCurrent",
    "ExposureTime",
    "Exposure",
    "CTDIvol",
    "EntranceDoseInmGy",
    "OrganDose",
    "ImageAndFluoroscopyAreaDoseProduct",
    "ExposureIndex",
    "TargetExposureIndex",
    "DeviationIndex",
    "ConvolutionKernel",
    "SliceThickness",
    "SpacingBetweenSlices",
    "MagneticFieldStrength",
    "ScanningSequence",
    "SequenceName",
    "RepetitionTime",
    "EchoTime",
    "InversionTime",
    "FlipAngle",
    "EchoTrainLength",
    "DiffusionBValue",
)
"""How it was taken, in the order in which it is shown."""


STUDY = ("StudyDate", "StudyTime", "StudyID", "ReferringPhysicianName")
"""What is alike in all images of a study, for what is added to it here."""


@dataclass(frozen=True, slots=True)
class Patient:
    """Whose image it is; compared, and shown at this edge alone."""

    identifier: str
    name: str
    birth_date: str
    sex: str


@dataclass(frozen=True, slots=True)
class Glimpse:
    """One instance as the checks see it. Absent texts are empty, absent numbers None."""

    study_uid: str
    series_uid: str
    sop_instance_uid: str
    sop_class_uid: str
    modality: str
    patient: Patient
    study: tuple[str, ...] = ("",) * len(STUDY)  # of `STUDY`
    image_type: tuple[str, ...] = ()
    body_part: str = ""
    description: str = ""  # of study, series and protocol
    title: str = ""  # number and description of the series
    laterality: str = ""
    number: int | None = None  # instance number
    stack: tuple[Any, ...] = ()  # what tells images at one place apart: acquisition, echo, time, b-value
    position: tuple[float, ...] = ()
    orientation: tuple[float, ...] = ()
    spaced: bool | None = None  # whether the size of a pixel is known; None: its value makes no sense
    burned_in: str = ""
    frames: int = 1
    rows: int = 0
    columns: int = 0
    pixels: Statistic | None = None  # None: not measured
    stacks: tuple[tuple[float, ...], ...] = ()  # places of the frames of an enhanced image along their normal
    taken: dict[str, str] = field(default_factory=dict)  # of `ACQUISITION`

    @property
    def localizer(self) -> bool:
        """Whether it only shows where others were taken."""
        return "LOCALIZER" in self.image_type or "SCOUT" in self.image_type

    @property
    def original(self) -> bool:
        """Whether it was taken and not computed (PS3.3 C.7.6.1.1.2)."""
        return self.image_type[:2] in ((), ("ORIGINAL", "PRIMARY"))


def glimpse(data: bytes | bytearray | memoryview, transfer_syntax_uid: str) -> Glimpse:
    """Look at one dataset. Never raises for bad bytes: what cannot be read is absent.

    Args:
        data: the dataset bytes as they were received.
        transfer_syntax_uid: as negotiated.
    """
    return looked_at(data, transfer_syntax_uid)[0]


def looked_at(
    data: bytes | bytearray | memoryview, transfer_syntax_uid: str, *, cut: bool = False
) -> tuple[Glimpse, Coded | None]:
    """The same, and one frame that is still to be decoded and measured, if its pixels are compressed.

    Args:
        data: as `glimpse`.
        transfer_syntax_uid: as `glimpse`.
        cut: whether that frame is wanted.
    """
    view = memoryview(data)
    encoding = transfer.encoding(transfer_syntax_uid)

    def plain(offset: int, n: int) -> bytes:
        return bytes(view[offset : offset + n])

    read = Inflated(plain, kept=KEPT).read if encoding.deflated else plain
    walk = Walk(read, encoding, _WANTED)
    found: dict[str, Element] = {}
    shared: dict[str, Element] = {}
    charset: Element | None = None
    pixel: Element | None = None
    groups: dict[int, Element] = {}
    for element in walk.elements():
        if element.tag in tags.PIXELS:
            pixel = element
        elif element.tag == tags.CHARACTER_SET:
            charset = element
        elif element.tag in _KEYWORDS and element.value is not None:
            found[_KEYWORDS[element.tag][0]] = element
        elif element.tag in (SHARED, PER_FRAME):
            groups[element.tag] = element
    if SHARED in groups:
        _gather(groups[SHARED], shared)
    declared = text.terms(charset.value if charset else None)
    values = _Values(found, declared)
    pixels, coded = None, None
    if pixel is not None and pixel.tag == tags.PIXEL_DATA and not encoding.deflated:
        if pixel.length:
            pixels = _measured(values, view[pixel.offset : pixel.offset + pixel.length], little=walk.little)
        elif cut and transfer_syntax_uid in CODECS:
            coded = _cut(values, view, pixel.offset, CODECS[transfer_syntax_uid])
    lie = tuple(map(tuple, stacks(frames(groups.get(SHARED), groups.get(PER_FRAME)))))
    seen = replace(_described(values, _Values({**shared, **found}, declared), pixels), stacks=lie)
    return seen, coded


def _shape(values: _Values) -> dict[str, Any]:
    """What is said of a frame."""
    return {
        "rows": values.whole("Rows") or 0,
        "columns": values.whole("Columns") or 0,
        "samples": values.whole("SamplesPerPixel") or 1,
        "allocated": values.whole("BitsAllocated") or 0,
        "stored": values.whole("BitsStored") or 0,
        "signed": values.whole("PixelRepresentation") == 1,
    }


def _frames(values: _Values) -> int:
    return max(1, values.whole("NumberOfFrames") or 1)


def _measured(values: _Values, data: memoryview, *, little: bool) -> Statistic | None:
    return measure(data, frames=_frames(values), little=little, **_shape(values))


def _cut(values: _Values, data: memoryview, offset: int, codec: str) -> Coded | None:
    stream = middle_frame(data, offset, _frames(values))
    if stream is None:
        return None
    coded = Coded(codec, stream=stream, **_shape(values))
    return coded if coded.fits else None


def _gather(sequence: Element, into: dict[str, Element]) -> None:
    """What stands in the first items of functional groups, and of those within."""
    for element in (sequence.items or [[]])[0]:
        if element.tag in GROUPS:
            _gather(element, into)
        elif element.tag in _KEYWORDS and element.value is not None:
            into.setdefault(_KEYWORDS[element.tag][0], element)


def _described(values: _Values, taken: _Values, pixels: Statistic | None) -> Glimpse:
    texts = ("StudyDescription", "SeriesDescription", "ProtocolName")
    return Glimpse(
        study_uid=values.text("StudyInstanceUID"),
        series_uid=values.text("SeriesInstanceUID"),
        sop_instance_uid=values.text("SOPInstanceUID"),
        sop_class_uid=values.text("SOPClassUID"),
        modality=values.text("Modality"),
        patient=Patient(
            values.text("PatientID"),
            values.text("PatientName"),
            values.text("PatientBirthDate"),
            values.text("PatientSex"),
        ),
        study=tuple(values.text(name)[:64] for name in STUDY),
        image_type=tuple(
            sys.intern(part.strip()) for part in values.text("ImageType").upper().split("\\") if part
        ),
        body_part=values.text("BodyPartExamined").upper(),
        description=sys.intern(" ".join(filter(None, map(values.text, texts)))),
        title=sys.intern(
            " ".join(filter(None, (values.text("SeriesNumber"), values.text("SeriesDescription"))))
        ),
        laterality=(values.text("ImageLaterality") or values.text("Laterality")).upper(),
        number=values.whole("InstanceNumber"),
        stack=tuple(
            values.text(name)
            for name in (
                "AcquisitionNumber",
                "EchoNumbers",
                "EchoTime",
                "TemporalPositionIdentifier",
                "TriggerTime",
                "DiffusionBValue",
            )
        ),
        position=values.numbers("ImagePositionPatient", 3),
        orientation=values.numbers("ImageOrientationPatient", 6),
        spaced=_spaced(values),
        burned_in=values.text("BurnedInAnnotation").upper(),
        frames=max(1, values.whole("NumberOfFrames") or 1),
        rows=values.whole("Rows") or 0,
        columns=values.whole("Columns") or 0,
        pixels=pixels,
        taken={
            name: shown
            for name in ACQUISITION
            if (shown := (taken.text(name) or taken.text(_SAME.get(name, "")))[:64])
        },
    )


def _spaced(values: _Values) -> bool | None:
    present = False
    for name in ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing"):
        if values.text(name):
            found = values.numbers(name, 2)
            if not found or min(found) <= 0:
                return None
            present = True
    return present


class _Values:
    """Values of some elements, as text or numbers."""

    def __init__(self, found: dict[str, Element], declared: tuple[str, ...]) -> None:
        self._found, self._declared = found, declared

    def text(self, keyword: str) -> str:
        r"""One line, several values joined by ``\``; empty if absent."""
        element = self._found.get(keyword)
        if element is None or not element.value:
            return ""
        vr, value, order = _VR[keyword], element.value, "<" if element.little else ">"
        if vr == "US":
            return str(unpack_from(f"{order}H", value)[0]) if len(value) >= 2 else ""
        if vr == "FD":
            return f"{unpack_from(f'{order}d', value)[0]:g}" if len(value) >= 8 else ""
        if vr in ("LO", "SH", "PN"):
            return sys.intern(
                text.decode(value[:_LONGEST], self._declared, name=vr == "PN").text.strip(" \0")
            )
        return sys.intern(value[:_LONGEST].decode("latin_1").strip(" \0"))

    def whole(self, keyword: str) -> int | None:
        """A whole number; None if absent or none."""
        try:
            return int(float(self.text(keyword).split("\\")[0]))
        except (ValueError, OverflowError):
            return None

    def numbers(self, keyword: str, count: int) -> tuple[float, ...]:
        """Exactly so many finite numbers, or none at all."""
        return numbers(self.text(keyword), count)


_VR = dict(_KEYWORDS.values())

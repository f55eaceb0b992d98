"""The one table of what is indexed, routed on and shown: attribute, tag, level (PS3.6; PS3.4 C.6.2).

Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Level(Enum):
    """Where an attribute belongs in the patient, study, series, instance tree."""

    PATIENT = "patient"
    STUDY = "study"
    SERIES = "series"
    INSTANCE = "instance"


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute we look at: its PS3.6 keyword, tag, VR and level."""

    keyword: str
    tag: int
    vr: str
    level: Level


_ROWS = """
SOPClassUID 00080016 UI instance
SOPInstanceUID 00080018 UI instance
SpecificCharacterSet 00080005 CS instance
ImageType 00080008 CS instance
StudyDate 00080020 DA study
SeriesDate 00080021 DA series
StudyTime 00080030 TM study
SeriesTime 00080031 TM series
AccessionNumber 00080050 SH study
Modality 00080060 CS series
Manufacturer 00080070 LO series
InstitutionName 00080080 LO study
ReferringPhysicianName 00080090 PN study
StationName 00081010 SH series
StudyDescription 00081030 LO study
SeriesDescription 0008103E LO series
AdmittingDiagnosesDescription 00081080 LO study
PatientName 00100010 PN patient
PatientID 00100020 LO patient
IssuerOfPatientID 00100021 LO patient
PatientBirthDate 00100030 DA patient
PatientSex 00100040 CS patient
PatientAge 00101010 AS study
AdditionalPatientHistory 001021B0 LT study
BodyPartExamined 00180015 CS series
ProtocolName 00181030 LO series
StudyInstanceUID 0020000D UI study
SeriesInstanceUID 0020000E UI series
StudyID 00200010 SH study
SeriesNumber 00200011 IS series
InstanceNumber 00200013 IS instance
Laterality 00200060 CS series
ImagesInAcquisition 00201002 IS series
SamplesPerPixel 00280002 US instance
PhotometricInterpretation 00280004 CS instance
NumberOfFrames 00280008 IS instance
Rows 00280010 US instance
Columns 00280011 US instance
BitsAllocated 00280100 US instance
StudyPriorityID 0032000C CS study
ReasonForStudy 00321030 LO study
RequestedProcedureDescription 00321060 LO study
ReasonForTheRequestedProcedure 00401002 LO study
RequestedProcedurePriority 00401003 SH study
"""

TABLE: tuple[Attribute, ...] = tuple(
    Attribute(keyword, int(tag, 16), vr, Level(level))
    for keyword, tag, vr, level in (row.split() for row in _ROWS.strip().splitlines())
)
"""Every attribute we look at."""

BY_KEYWORD = {attribute.keyword: attribute for attribute in TABLE}
BY_TAG = {attribute.tag: attribute for attribute in TABLE}

FLOAT_PIXEL_DATA = 0x7FE00008
DOUBLE_FLOAT_PIXEL_DATA = 0x7FE00009
PIXEL_DATA = 0x7FE00010
PIXELS = frozenset((FLOAT_PIXEL_DATA, DOUBLE_FLOAT_PIXEL_DATA, PIXEL_DATA))
"""The elements whose values are the image itself (PS3.3 C.7.6.3, C.7.6.24, C.7.6.25)."""

CHARACTER_SET = 0x00080005
ITEM = 0xFFFEE000
ITEM_END = 0xFFFEE00D
SEQUENCE_END = 0xFFFEE0DD


def name(tag: int) -> str:
    """A tag as the standard prints it: ``(0010,0020)``."""
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"

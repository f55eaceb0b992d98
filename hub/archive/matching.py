r"""The attributes a search may name, and the five ways to match them (PS3.4 §C.2.2.2). Pure.

One table serves the question and the answer: DICOMweb reads keywords and tags from it, the search
its columns. Wildcards are ``*`` and ``?``; a list of UIDs is divided by backslash or comma.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from gateway.errors import Malformed


class Level(Enum):
    """What one row of the answer is."""

    STUDY = "study"
    SERIES = "series"
    INSTANCE = "instance"


class Kind(Enum):
    """How the values of an attribute are matched."""

    UID = "uid"
    TEXT = "text"  # wildcards
    NAME = "name"  # wildcards; case does not count
    CODE = "code"  # wildcards
    DATE = "date"  # ranges
    TIME = "time"  # ranges
    NUMBER = "number"
    WORDS = "words"  # one of a backslash-joined list


@dataclass(frozen=True, slots=True)
class Attribute:
    """A searchable attribute.

    Args:
        keyword: of PS3.6.
        tag: eight hexadecimal digits.
        vr: its value representation.
        level: the row it is a column of; patient attributes stand at the study.
        column: of that row's table.
        kind: how it is matched.
    """

    keyword: str
    tag: str
    vr: str
    level: Level
    column: str
    kind: Kind


_ROWS = """
StudyInstanceUID 0020000D UI study study_uid uid
StudyDate 00080020 DA study study_date date
StudyTime 00080030 TM study study_time time
AccessionNumber 00080050 SH study accession text
ModalitiesInStudy 00080061 CS study modalities words
ReferringPhysicianName 00080090 PN study referring text
StudyDescription 00081030 LO study description text
PatientName 00100010 PN study patient_name name
PatientID 00100020 LO study patient_id text
IssuerOfPatientID 00100021 LO study issuer text
PatientBirthDate 00100030 DA study patient_birth_date date
PatientSex 00100040 CS study patient_sex code
StudyID 00200010 SH study study_id text
NumberOfStudyRelatedSeries 00201206 IS study series_count number
NumberOfStudyRelatedInstances 00201208 IS study instance_count number
SeriesInstanceUID 0020000E UI series series_uid uid
Modality 00080060 CS series modality code
SeriesDate 00080021 DA series date date
SeriesTime 00080031 TM series time time
SeriesDescription 0008103E LO series description text
BodyPartExamined 00180015 CS series body_part code
SeriesNumber 00200011 IS series number number
Laterality 00200060 CS series laterality code
NumberOfSeriesRelatedInstances 00201209 IS series instance_count number
SOPClassUID 00080016 UI instance sop_class_uid uid
SOPInstanceUID 00080018 UI instance sop_instance_uid uid
InstanceNumber 00200013 IS instance number number
Rows 00280010 US instance rows number
Columns 00280011 US instance columns number
BitsAllocated 00280100 US instance bits_allocated number
NumberOfFrames 00280008 IS instance frames number
"""

TABLE: tuple[Attribute, ...] = tuple(
    Attribute(keyword, tag, vr, Level(level), column, Kind(kind))
    for keyword, tag, vr, level, column, kind in (row.split() for row in _ROWS.strip().splitlines())
)
"""Every attribute that can be searched by."""

BY_NAME: Mapping[str, Attribute] = {a.keyword: a for a in TABLE} | {a.tag: a for a in TABLE}
"""By keyword and by tag, as DICOMweb allows both."""


@dataclass(frozen=True, slots=True)
class Exact:
    """One of these values."""

    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Wildcard:
    """A pattern with ``*`` (any run of characters) and ``?`` (any one)."""

    pattern: str


@dataclass(frozen=True, slots=True)
class Between:
    """From `low` to `high`, both included; None: without end."""

    low: str | None
    high: str | None


Match = Exact | Wildcard | Between

LIMIT = 1000
"""Rows of one answer unless fewer are asked for; there is always a page after."""


@dataclass(frozen=True, slots=True)
class Search:
    """What is sought.

    Args:
        matches: attribute → match; all must hold.
        limit: rows at most.
        offset: rows to pass over.
    """

    matches: Mapping[Attribute, Match] = field(default_factory=dict)
    limit: int = LIMIT
    offset: int = 0


def match_of(attribute: Attribute, text: str) -> Match | None:
    """The match that a query's text means; None if it matches everything (PS3.4 §C.2.2.2.3).

    Raises:
        Malformed: the text cannot be a value of the attribute.
    """
    text = text.strip()
    if not text or not text.strip("*"):
        return None
    if attribute.kind is Kind.UID:
        return Exact(_uids(attribute, text))
    if attribute.kind in {Kind.DATE, Kind.TIME}:
        return _range(attribute, text)
    if attribute.kind is Kind.NUMBER:
        return Exact(tuple(str(_number(attribute, part)) for part in text.split("\\")))
    if attribute.kind is Kind.WORDS:
        return Exact(tuple(part.strip() for part in text.replace(",", "\\").split("\\") if part.strip()))
    if "*" in text or "?" in text:
        return Wildcard(text)
    return Exact((text,))


def like(pattern: str) -> str:
    r"""A wildcard pattern as SQL LIKE, with ``\`` to escape."""
    escaped = pattern.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return escaped.replace("*", "%").replace("?", "_")


def _uids(attribute: Attribute, text: str) -> tuple[str, ...]:
    parts = tuple(part.strip() for part in text.replace(",", "\\").split("\\") if part.strip())
    for part in parts:
        # no closer look: some modalities send UIDs that are none, and their images must be found too
        if len(part) > 64:
            raise Malformed(f"{attribute.keyword}: {part[:70]!r} is no UID")
    return parts


def _range(attribute: Attribute, text: str) -> Match:
    """``20260101-20261231``, open at either side, or one value (PS3.4 §C.2.2.2.5)."""
    low, dash, high = text.partition("-")
    low, high = _moment(attribute, low), _moment(attribute, high)
    if not dash:
        # a time without seconds means the whole minute
        return Exact((low,)) if attribute.kind is Kind.DATE else Between(low, _end_of(low))
    if not low and not high:
        raise Malformed(f"{attribute.keyword}: {text[:40]!r} is no range")
    return Between(low or None, (high if attribute.kind is Kind.DATE else _end_of(high)) if high else None)


def _moment(attribute: Attribute, text: str) -> str:
    text = text.strip().replace(":", "")
    if attribute.kind is Kind.DATE:
        text = text.replace(".", "")
        if text and (len(text) != 8 or not text.isdecimal()):
            raise Malformed(f"{attribute.keyword}: {text[:40]!r} is no date, write YYYYMMDD")
    elif text and not (text.replace(".", "", 1).isdecimal() and len(text) <= 13):
        raise Malformed(f"{attribute.keyword}: {text[:40]!r} is no time, write HHMMSS")
    return text


def _end_of(time: str) -> str:
    """The last moment that begins with `time`, as text that sorts after all of them."""
    return f"{time}~" if time else time


def _number(attribute: Attribute, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise Malformed(f"{attribute.keyword}: {text[:40]!r} is no whole number") from None

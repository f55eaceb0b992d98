"""Rows of the index as QIDO-RS answers in the DICOM JSON model (PS3.18 §10.6.3.3 and Annex F). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from hub.archive.jsonmodel import Json, person_name
from hub.archive.matching import TABLE, Attribute, Level

_PREFIX = {Level.STUDY: "", Level.SERIES: "series_", Level.INSTANCE: "instance_"}
_AROUND = {
    Level.STUDY: {Level.STUDY},
    Level.SERIES: {Level.STUDY, Level.SERIES},
    Level.INSTANCE: {Level.STUDY, Level.SERIES, Level.INSTANCE},
}

Row = Mapping[str, Any]


def answer(row: Row, level: Level, base: str) -> Json:
    """One result.

    Args:
        row: as `hub.archive.search` found it at `level`.
        level: what the row is.
        base: absolute address of the service, without ``/studies``.
    """
    json: Json = {
        "00080005": {"vr": "CS", "Value": ["ISO_IR 192"]},
        "00080056": {"vr": "CS", "Value": ["ONLINE"]},
        "00081190": {"vr": "UR", "Value": [address(row, level, base)]},
    }
    for attribute in TABLE:
        if attribute.level in _AROUND[level]:
            json[attribute.tag] = _element(attribute, row[_PREFIX[attribute.level] + attribute.column])
    if level is Level.STUDY:
        json["00080060"] = {"vr": "CS"} | json["00080061"]  # older clients ask for Modality here
    return dict(sorted(json.items()))


def address(row: Row, level: Level, base: str) -> str:
    """Where the object itself is (0008,1190)."""
    where = f"{base}/studies/{quote(row['study_uid'], safe='')}"
    if level is not Level.STUDY:
        where += f"/series/{quote(row['series_series_uid'], safe='')}"
    if level is Level.INSTANCE:
        where += f"/instances/{quote(row['instance_sop_instance_uid'], safe='')}"
    return where


def _element(attribute: Attribute, value: Any) -> dict[str, Any]:
    if value is None or value == "":  # zero is a value
        return {"vr": attribute.vr}
    if attribute.vr == "PN":
        return {"vr": "PN", "Value": [person_name(str(value))]}
    if isinstance(value, int):
        return {"vr": attribute.vr, "Value": [value]}
    return {"vr": attribute.vr, "Value": str(value).split("\\")}

"""The form a person fills in for files that are no DICOM, checked field by field. Pure."""

from __future__ import annotations

import re
from datetime import datetime

from edge.importing import Form
from gateway.errors import Malformed
from gateway.model import uid

_LENGTHS = {  # characters, PS3.5 Table 6.2-1
    "patient_name": 64,
    "patient_id": 64,
    "accession": 16,
    "description": 64,
    "modality": 16,
    "body_part": 16,
}
_CODE = re.compile(r"[A-Z0-9 _]*")


def checked(form: Form) -> Form:
    """The form as it will be written. Raises Malformed with what to write instead."""
    for field, length in _LENGTHS.items():
        value = getattr(form, field)
        if len(value) > length:
            raise Malformed(f"{field}: more than {length} characters")
        if "\\" in value or any(ord(letter) < 32 or ord(letter) == 127 for letter in value):
            raise Malformed(f"{field}: no backslash and no control characters")
    if not form.patient_name.strip() or not form.patient_id.strip():
        raise Malformed("patient_name and patient_id are needed")
    if form.patient_name.count("^") > 4 or form.patient_name.count("=") > 2:
        raise Malformed("patient_name: family^given")
    for field in ("modality", "body_part"):
        if not _CODE.fullmatch(getattr(form, field)):
            raise Malformed(f"{field}: capital letters, digits, space and _ only")
    if form.sex not in ("", "M", "F", "O"):
        raise Malformed("sex: M, F or O")
    if form.laterality not in ("", "L", "R", "B"):
        raise Malformed("laterality: L, R or B")
    if form.birth_date:
        try:
            datetime.strptime(form.birth_date, "%Y%m%d")  # noqa: DTZ007  # a date has no zone
        except ValueError:
            raise Malformed("birth_date: YYYYMMDD") from None
    if form.study_uid:
        uid(form.study_uid)
    return form

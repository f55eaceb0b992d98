"""The form a person fills in for files that are no DICOM, checked field by field. Pure."""

from __future__ import annotations

import re
from datetime import datetime

from edge.importing import Form, FormFault
from gateway.model import uid

_LENGTHS = {  # characters, PS3.5 Table 6.2-1
    "patient_name": 64,
    "patient_id": 64,
    "accession": 16,
    "description": 64,
    "modality": 16,
    "body_part": 16,
    "requested_procedure": 16,
    "scheduled_step": 16,
}
_CODE = re.compile(r"[A-Z0-9 _]*")


def checked(form: Form) -> Form:
    """The form as it will be written. Raises FormFault, or Malformed for the study's UID."""
    for field, length in _LENGTHS.items():
        value = getattr(form, field)
        if len(value) > length:
            raise FormFault(f"{field} is too long", "fault_length", field=field, length=length)
        if "\\" in value or any(ord(letter) < 32 or ord(letter) == 127 for letter in value):
            raise FormFault(f"{field} has a control character", "fault_letters", field=field)
    if not form.patient_name.strip() or not form.patient_id.strip():
        raise FormFault("patient_name and patient_id are needed", "fault_needed")
    if form.patient_name.count("^") > 4 or form.patient_name.count("=") > 2:
        raise FormFault("patient_name is none", "fault_value", field="patient_name")
    for field in ("modality", "body_part"):
        if not _CODE.fullmatch(getattr(form, field)):
            raise FormFault(f"{field} is no code string", "fault_value", field=field)
    if form.sex not in ("", "M", "F", "O"):
        raise FormFault("sex is none of M, F, O", "fault_value", field="sex")
    if form.laterality not in ("", "L", "R", "B"):
        raise FormFault("laterality is none of L, R, B", "fault_value", field="laterality")
    if form.birth_date:
        try:
            datetime.strptime(form.birth_date, "%Y%m%d")  # noqa: DTZ007  # a date has no zone
        except ValueError:
            raise FormFault("birth_date is no date", "fault_value", field="birth_date") from None
    if form.study_uid:
        uid(form.study_uid)
    return form

"""Events as comma-separated values that no spreadsheet takes for a formula. Pure.

A field that begins with one of ``= + - @``, a tab or a carriage return is preceded by an apostrophe,
and every field is quoted (RFC 4180), so a name such as ``=HYPERLINK(…)`` stays words.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

COLUMNS = (
    "at",
    "event",
    "dicom",
    "outcome",
    "person",
    "role",
    "address",
    "site",
    "study_uid",
    "patient_id",
    "detail",
)
FORMULA = ("=", "+", "-", "@", "\t", "\r")
BYTE_ORDER_MARK = "\ufeff"
"""So that a spreadsheet reads UTF-8."""


def head() -> str:
    """The first line, with the mark before it."""
    return BYTE_ORDER_MARK + line(dict(zip(COLUMNS, COLUMNS, strict=True)))


def line(event: Mapping[str, Any]) -> str:
    """One event, as `hub.audit.search` gives it."""
    return ",".join(_field(event[name]) for name in COLUMNS) + "\r\n"


def _field(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)
    if text.startswith(FORMULA) or text.lstrip().startswith(FORMULA):
        text = "'" + text
    return '"' + text.replace('"', '""') + '"'

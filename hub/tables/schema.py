"""The one `MetaData` every table of the hub belongs to, and the column kinds they use."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Column, MetaData, String, Text

VERSION = 2
"""Of all tables together; `gateway.database.open_database` refuses any other."""

metadata = MetaData()


def digest(name: str, **options: Any) -> Column[str]:
    """A SHA-256 as 64 hexadecimal digits."""
    return Column(name, String(64), **options)


def uid(name: str, **options: Any) -> Column[str]:
    """A DICOM UID."""
    return Column(name, String(64), **options)


def moment(name: str, **options: Any) -> Column[str]:
    """A time as `gateway.clock.rfc3339` writes it."""
    return Column(name, String(27), **options)


def word(name: str, **options: Any) -> Column[str]:
    """A state or kind: one of a short list of words kept by the state machine's own file."""
    return Column(name, String(32), **options)


def json_text(name: str, **options: Any) -> Column[str]:
    """A JSON document as text."""
    return Column(name, Text, **options)

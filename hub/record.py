"""What stations ask of the custody log (`hub/custody.py`) and of the audit trail (`hub/trail.py`)."""

from __future__ import annotations

import hashlib
import os
import pwd
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from sqlalchemy.ext.asyncio import AsyncConnection


class Record(Protocol):
    """An append-only log, written inside the caller's own transaction."""

    async def append(
        self,
        connection: AsyncConnection,
        event: str,
        *,
        site: str = "",
        subject: str = "",
        detail: Mapping[str, Any] = {},
    ) -> None:
        """Add one event. `subject` is a digest or an opaque identifier, never a name."""


def subject_of(kind: str, identifier: str | int) -> str:
    """The subject of an event about something whose identifier must not stand in the log."""
    return hashlib.sha256(f"{kind}:{identifier}".encode()).hexdigest()


def operator() -> str:
    """The subject of whoever runs this command, as the operating system knows him (not as `USER` says)."""
    number = os.getuid()
    try:
        name = pwd.getpwuid(number).pw_name
    except KeyError:
        name = str(number)
    return subject_of("os-user", name)


@dataclass(frozen=True, slots=True)
class Deed:
    """One thing somebody did, for the audit trail.

    Args:
        event: one of `hub/audit/events.py`.
        person: the login; empty: the hub itself.
        role: of that account.
        address: where the request came from.
        refused: it was tried, and not allowed or wrong.
        site: the hospital it is about, if one.
        study_uid: the study it is about, if one.
        patient_id: as the hospital numbers the patient.
        detail: more, JSON; never a report's text, a key or a secret.
    """

    event: str
    person: str = ""
    role: str = ""
    address: str = ""
    refused: bool = False
    site: str = ""
    study_uid: str = ""
    patient_id: str = ""
    detail: Mapping[str, Any] = field(default_factory=dict)


class Trail(Protocol):
    """The audit trail: append-only, inside the caller's own transaction or one of its own."""

    async def append(self, connection: AsyncConnection, deed: Deed) -> None:
        """Add one event."""

    async def note(self, deed: Deed) -> None:
        """Add one event; it is durable when this returns."""

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
        subject: str | Person = "",
        detail: Mapping[str, Any] = {},
    ) -> None:
        """Add one event. `subject` is a digest, an opaque identifier or a `Person`, never a name.

        Values of `detail` may be a `Person`, too.
        """


def subject_of(kind: str, identifier: str | int) -> str:
    """The subject of an event about a row: a number that says nothing without the database.

    People have salted ones: `Person`.
    """
    return hashlib.sha256(f"{kind}:{identifier}".encode()).hexdigest()


USER, OPERATOR = "user", "os-user"


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody, as a log is told of them; it enters a salted digest in their place (`hub/persons.py`).

    Args:
        kind: `USER`, an account of this hub; `OPERATOR`, a user of its operating system.
        name: the login.
    """

    kind: str
    name: str = field(repr=False)


def user(name: str) -> Person:
    """The account of this name."""
    return Person(USER, name)


def operator() -> Person:
    """Who runs this command, as the operating system knows him (not as the variable `USER` says)."""
    number = os.getuid()
    try:
        name = pwd.getpwuid(number).pw_name
    except KeyError:
        name = str(number)
    return Person(OPERATOR, name)


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

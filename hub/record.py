"""What stations ask of the custody log. `hub/custody.py` keeps it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
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

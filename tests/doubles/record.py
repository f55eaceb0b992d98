"""A custody log that remembers what it was told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from hub.record import Person, Record
from hub.standing import ENTERED


@dataclass
class MemoryRecord:
    events: list[tuple[str, str, str | Person, dict[str, Any]]] = field(default_factory=list)
    log: Record | None = None
    """The true one, where what is entered is read again."""

    async def append(
        self,
        connection: AsyncConnection,
        event: str,
        *,
        site: str = "",
        subject: str | Person = "",
        detail: Mapping[str, Any] = {},
    ) -> None:
        self.events.append((event, site, subject, dict(detail)))
        if self.log is not None:
            await self.log.append(connection, event, site=site, subject=subject, detail=detail)

    def names(self) -> list[str]:
        """Without what accounts stand for, which every change of one enters."""
        return [event for event, *_ in self.events if not event.startswith("standing-") and event != ENTERED]

"""A custody log that remembers what it was told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection


@dataclass
class MemoryRecord:
    events: list[tuple[str, str, str, dict[str, Any]]] = field(default_factory=list)

    async def append(
        self,
        connection: AsyncConnection,
        event: str,
        *,
        site: str = "",
        subject: str = "",
        detail: Mapping[str, Any] = {},
    ) -> None:
        self.events.append((event, site, subject, dict(detail)))

    def names(self) -> list[str]:
        return [event for event, *_ in self.events]

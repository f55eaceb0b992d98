"""What is begun in one request and ended in a later one: a challenge, a single sign-on. Each ends once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import delete, select

from gateway.clock import Clock, rfc3339
from gateway.database import Database
from hub.tables.account import flows

MOST = 10_000
"""Flows open at once; each page of the log-in may begin one, so the oldest make room."""


@dataclass(frozen=True, slots=True)
class Flow:
    """One that was begun and is in time."""

    user: str
    detail: Mapping[str, Any]


class Flows:
    """The table of flows."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock

    async def begin(
        self, kind: str, secret: str, *, life: float, user: str = "", detail: Mapping[str, Any] = {}
    ) -> None:
        """Remember that `kind` was begun with `secret`, for `life` seconds."""
        now = self._clock.now()
        row = {
            "secret_sha256": _digest(secret),
            "kind": kind,
            "user": user,
            "detail": json.dumps(dict(detail)),
            "expires_at": rfc3339(now + timedelta(seconds=life)),
        }
        kept = select(flows.c.secret_sha256).order_by(flows.c.expires_at.desc()).limit(MOST)
        async with self._database.writing() as connection:
            await connection.execute(delete(flows).where(flows.c.expires_at <= rfc3339(now)))
            await connection.execute(delete(flows).where(flows.c.secret_sha256.not_in(kept)))
            await connection.execute(flows.insert().values(row))

    async def take(self, kind: str, secret: str) -> Flow | None:
        """End it. None if it was never begun, has ended, or is too old."""
        mine = (flows.c.secret_sha256 == _digest(secret)) & (flows.c.kind == kind)
        async with self._database.writing() as connection:
            row = (await connection.execute(select(flows).where(mine))).mappings().first()
            await connection.execute(delete(flows).where(mine))
        if row is None or row["expires_at"] <= rfc3339(self._clock.now()):
            return None
        return Flow(row["user"], json.loads(row["detail"]))


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()

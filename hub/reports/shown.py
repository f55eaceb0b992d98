"""Signed versions and their deliveries as JSON for the portal."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import RowMapping, select
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.tables.report import deliveries, delivery_outcomes, reports


async def versions(connection: AsyncConnection, case: int) -> Sequence[RowMapping]:
    """Every signed version of a case, the first one first."""
    query = select(reports).where(reports.c.case == case).order_by(reports.c.version)
    return (await connection.execute(query)).mappings().all()


async def one(connection: AsyncConnection, report: str) -> RowMapping | None:
    """One signed version, or None."""
    query = select(reports).where(reports.c.id == report)
    return (await connection.execute(query)).mappings().first()


async def as_json(connection: AsyncConnection, row: RowMapping) -> dict[str, Any]:
    """A version with its delivery."""
    canonical = json.loads(row["canonical"])
    author = canonical["author"]
    return {
        "id": row["id"],
        "version": row["version"],
        "kind": row["kind"],
        "state": row["state"],
        "body": canonical["body"],
        "signed_by": {"name": author["name"], "display_name": author["display_name"]},
        "signed_at": row["signed_at"],
        "supersedes": row["supersedes"],
        "pdf": f"/api/reports/{row['id']}/pdf",
        "pdf_sha256": row["pdf_sha256"],
        "canonical_sha256": row["canonical_sha256"],
        "delivery": await _delivery(connection, row["id"]),
    }


async def _delivery(connection: AsyncConnection, report: str) -> dict[str, Any] | None:
    query = select(deliveries).where(deliveries.c.report == report)
    row = (await connection.execute(query)).mappings().first()
    if row is None:
        return None
    outcomes = (
        select(
            delivery_outcomes.c.destination,
            delivery_outcomes.c.kind,
            delivery_outcomes.c.outcome,
            delivery_outcomes.c.detail,
            delivery_outcomes.c.at,
        )
        .where(delivery_outcomes.c.delivery == row["id"])
        .order_by(delivery_outcomes.c.destination)
    )
    found = (await connection.execute(outcomes)).mappings().all()
    names = ("state", "queued_at", "fetched_at", "acknowledged_at", "reason")
    return {name: row[name] for name in names} | {"outcomes": [dict(outcome) for outcome in found]}

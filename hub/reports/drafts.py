"""Drafts: every save is a new revision and stays. Text typed once is never lost, whoever saves next."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from sqlalchemy import RowMapping, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.errors import Stale
from gateway.report.model import Body
from hub.tables.report import drafts


async def latest(connection: AsyncConnection, case: int) -> RowMapping | None:
    """The newest revision, or None."""
    query = select(drafts).where(drafts.c.case == case).order_by(drafts.c.revision.desc()).limit(1)
    return (await connection.execute(query)).mappings().first()


async def revision(connection: AsyncConnection, case: int, number: int) -> Body | None:
    """The text of one revision, or None."""
    query = select(drafts.c.body).where(drafts.c.case == case, drafts.c.revision == number)
    text = (await connection.execute(query)).scalar()
    return None if text is None else Body.from_input(json.loads(text))


async def save(
    connection: AsyncConnection, case: int, base: int, body: Body, author: str, now: str
) -> tuple[int, str]:
    """Add a revision after `base`, in the caller's transaction.

    Returns:
        The revision and its time. Saving the same text twice (an answer that was lost) adds nothing.

    Raises:
        Stale: somebody saved since `base`; ``current`` holds what.
    """
    row = await latest(connection, case)
    newest = row["revision"] if row else 0
    text = json.dumps(dataclasses.asdict(body), ensure_ascii=False)
    if row is not None and row["body"] == text and row["author"] == author and base in (newest, newest - 1):
        return newest, row["at"]
    if base != newest:
        raise Stale(f"the draft was changed meanwhile; revision {newest} is the newest", current=shown(row))
    await connection.execute(
        insert(drafts).values(case=case, revision=newest + 1, body=text, author=author, at=now)
    )
    return newest + 1, now


def shown(row: RowMapping | None) -> dict[str, Any]:
    """A revision as JSON for the portal."""
    if row is None:
        return {"revision": 0, "body": dataclasses.asdict(Body()), "author": None, "at": None}
    return {
        "revision": row["revision"],
        "body": json.loads(row["body"]),
        "author": row["author"],
        "at": row["at"],
    }

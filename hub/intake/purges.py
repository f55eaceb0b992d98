"""What an edge says it has removed, into the custody log: once for every parcel it had sent itself."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.envelope.inner import Notice
from hub.record import Record
from hub.tables.arrival import arrivals
from hub.tables.custody import custody

KIND = "purged"
EVENT = "edge-purged"
MOST = 1000


async def record(connection: AsyncConnection, log: Record, site: str, notices: Iterable[Notice]) -> None:
    """Add an event for every body that was removed. What names no parcel of the site is passed over.

    Args:
        connection: of a writing transaction.
        log: the custody log.
        site: whose notices they are.
        notices: of any kind.
    """
    for notice in notices:
        told = notice.body.get("headers") if notice.kind == KIND else None
        if not isinstance(told, list):
            continue
        for digest in [one for one in told[:MOST] if isinstance(one, str) and len(one) == 64]:
            known = select(arrivals.c.parcel_id).where(
                arrivals.c.header_digest == digest, arrivals.c.site == site
            )
            said = select(custody.c.position).where(custody.c.subject == digest, custody.c.event == EVENT)
            if (await connection.execute(known)).first() is None:
                continue
            if (await connection.execute(said)).first() is None:
                await log.append(connection, EVENT, site=site, subject=digest)

"""One-time tokens, by which an edge is let into the fleet for one site."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.clock import parse_rfc3339, rfc3339
from gateway.errors import NotAllowed, NotFound
from gateway.model import SiteId
from hub.tables.fleet import tokens

TOKEN_BYTES = 20
"""160 random bits, so 32 characters of base 32."""


@dataclass(frozen=True, slots=True)
class Grant:
    """What a token allows.

    Attributes:
        site: the site the edge will speak for.
        edge: its number there; None: the next free one.
        device: fingerprint of the certificate the token was already spent on, or None.
    """

    site: SiteId
    edge: str | None
    device: str | None


async def create(
    connection: AsyncConnection, site: SiteId, edge: str | None, now: datetime, life: timedelta, random: bytes
) -> str:
    """Add a token and return it; only its digest is kept.

    Args:
        connection: of a writing transaction.
        site: the site it is for.
        edge: the edge's number there, or None for the next free one.
        now: the time of day.
        life: how long it may be used.
        random: `TOKEN_BYTES` random bytes.
    """
    token = base64.b32encode(random).decode().lower()
    row = {
        "token_sha256": digest_of(token),
        "site": site,
        "edge": edge,
        "created_at": rfc3339(now),
        "expires_at": rfc3339(now + life),
    }
    await connection.execute(insert(tokens).values(row))
    return token


async def look(connection: AsyncConnection, token: str, now: datetime) -> Grant:
    """What a token allows, spent or not.

    Raises:
        NotAllowed: there is no such token, it was withdrawn, or its time is over.
    """
    found = await connection.execute(select(tokens).where(tokens.c.token_sha256 == digest_of(token)))
    row = found.mappings().first()
    if row is None:
        raise NotAllowed("this enrolment token is not known; was it typed whole?")
    if withdrawn(row):
        raise NotAllowed(f"this enrolment code was withdrawn on {row['used_at']}; ask for a new one")
    if parse_rfc3339(row["expires_at"]) < now:
        raise NotAllowed(
            f"this enrolment token expired on {row['expires_at']}; the hub's clock says {rfc3339(now)}"
        )
    return Grant(SiteId(row["site"]), row["edge"], row["device"])


async def spend(connection: AsyncConnection, token: str, device: str, now: datetime) -> None:
    """Mark a token used, for the certificate with the fingerprint `device`; once and for all."""
    await connection.execute(
        update(tokens)
        .where(tokens.c.token_sha256 == digest_of(token), tokens.c.used_at.is_(None))
        .values(used_at=rfc3339(now), device=device)
    )


async def withdraw(connection: AsyncConnection, digest: str, now: datetime) -> Grant:
    """Let a token that is not used yet be good for nothing from now on. Returns what it allowed.

    Raises:
        NotFound: there is none, or it is used or withdrawn already.
    """
    row = tokens.c
    mine = (row.token_sha256 == digest) & row.used_at.is_(None)
    found = (await connection.execute(select(row.site, row.edge).where(mine))).mappings().first()
    if found is None:
        raise NotFound("no such enrolment code waits: it was used or withdrawn meanwhile; look at the edges")
    await connection.execute(update(tokens).where(mine).values(used_at=rfc3339(now)))
    return Grant(SiteId(found["site"]), found["edge"], None)


def withdrawn(row: Mapping[Any, Any]) -> bool:
    """Whether a token was withdrawn: what is used up, and for no certificate. Pure."""
    return row["used_at"] is not None and row["device"] is None


async def unused(connection: AsyncConnection, now: str) -> list[dict[str, Any]]:
    """Those that could still be used at `now`, RFC 3339, the next to end first; JSON-ready.

    ``id`` is the token's digest, by which nobody can enrol.
    """
    good = tokens.c.used_at.is_(None) & (tokens.c.expires_at > now)
    names = ("site", "edge", "created_at", "expires_at")
    wanted = (tokens.c.token_sha256.label("id"), *(tokens.c[name] for name in names))
    query = select(*wanted).where(good).order_by(tokens.c.expires_at)
    return [dict(row) for row in (await connection.execute(query)).mappings()]


def digest_of(token: str) -> str:
    return hashlib.sha256(token.strip().lower().encode()).hexdigest()

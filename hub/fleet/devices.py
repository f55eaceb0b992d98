"""The table of device certificates: who is in the fleet, and who was put out of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy import func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.clock import rfc3339
from gateway.errors import NotAllowed
from gateway.trust import Identity, fingerprint
from hub.tables.fleet import devices, edge_status


@dataclass(frozen=True, slots=True)
class Revoked:
    """Certificates that were just put out."""

    fingerprints: tuple[str, ...]
    certificates: tuple[x509.Certificate, ...]


async def add(
    connection: AsyncConnection, site: str, edge: str, certificate: x509.Certificate, now: datetime
) -> None:
    """Let a certificate into the fleet."""
    row = {
        "fingerprint": fingerprint(certificate),
        "site": site,
        "edge": edge,
        "serial": f"{certificate.serial_number:x}",
        "certificate": certificate.public_bytes(Encoding.DER),
        "issued_at": rfc3339(now),
        "not_after": rfc3339(certificate.not_valid_after_utc),
        "revoked": False,
    }
    await connection.execute(insert(devices).values(row))


async def admit(connection: AsyncConnection, identity: Identity) -> None:
    """Check that a device may speak now.

    Raises:
        NotAllowed: its certificate is not in the fleet, or revoked; with the reason.
    """
    query = select(devices).where(devices.c.fingerprint == fingerprint(identity.certificate))
    row = (await connection.execute(query)).mappings().first()
    if row is None:
        raise NotAllowed(f"{identity.name} has a valid certificate, but this hub has no record of issuing it")
    if row["revoked"]:
        raise NotAllowed(revoked_words(row))


def revoked_words(row: Any) -> str:
    """Why a device row is out, in a sentence."""
    why = f" ({row['revoked_why']})" if row["revoked_why"] else ""
    return f"the certificate of {row['site']}/{row['edge']} was revoked on {row['revoked_at']}{why}"


async def by_fingerprint(connection: AsyncConnection, mark: str) -> Any:
    """The row of one certificate, or None."""
    found = await connection.execute(select(devices).where(devices.c.fingerprint == mark))
    return found.mappings().first()


async def next_edge(connection: AsyncConnection, site: str) -> str:
    """The first number no edge of `site` ever had; a number is not given out twice."""
    found = await connection.execute(select(devices.c.edge).where(devices.c.site == site))
    numbers = [int(edge) for (edge,) in found if edge.isdecimal()]
    return str(max(numbers, default=0) + 1)


async def revoke(
    connection: AsyncConnection, site: str, edge: str | None, now: datetime, why: str
) -> Revoked:
    """Put out every certificate of an edge, or of all edges of a site.

    Returns:
        Those that were in until now.
    """
    match = [devices.c.site == site, devices.c.revoked.is_(False)]
    if edge is not None:
        match.append(devices.c.edge == edge)
    rows = (await connection.execute(select(devices).where(*match))).mappings().all()
    values = {"revoked": True, "revoked_at": rfc3339(now), "revoked_why": why}
    await connection.execute(update(devices).where(*match).values(**values))
    return Revoked(
        tuple(row["fingerprint"] for row in rows),
        tuple(x509.load_der_x509_certificate(row["certificate"]) for row in rows),
    )


async def revoked_among(connection: AsyncConnection, marks: list[str]) -> set[str]:
    """Which of these fingerprints are revoked."""
    query = select(devices.c.fingerprint).where(devices.c.fingerprint.in_(marks), devices.c.revoked.is_(True))
    return {mark for (mark,) in await connection.execute(query)}


async def listed(connection: AsyncConnection) -> list[dict[str, Any]]:
    """Every edge with its latest certificate and its last word, by site and number; JSON-ready."""
    latest = (
        select(devices.c.site, devices.c.edge, func.max(devices.c.issued_at).label("issued_at"))
        .group_by(devices.c.site, devices.c.edge)
        .subquery()
    )
    same = (
        (devices.c.site == latest.c.site)
        & (devices.c.edge == latest.c.edge)
        & (devices.c.issued_at == latest.c.issued_at)
    )
    told = (edge_status.c.site == devices.c.site) & (edge_status.c.edge == devices.c.edge)
    query = (
        select(devices, edge_status.c.last_seen, edge_status.c.status, edge_status.c.roots)
        .join(latest, same)
        .outerjoin(edge_status, told)
        .order_by(devices.c.site, devices.c.edge)
    )
    wanted = ("site", "edge", "serial", "issued_at", "not_after", "revoked", "revoked_at", "revoked_why")
    rows = (await connection.execute(query)).mappings()
    return [{key: row[key] for key in (*wanted, "last_seen", "status", "roots")} for row in rows]


async def seen(
    connection: AsyncConnection, site: str, edge: str, now: datetime, status: str | None = None
) -> None:
    """Note that an edge was heard, and what it told if it told anything."""
    await _note(connection, site, edge, now, {} if status is None else {"status": status})


async def trusts(connection: AsyncConnection, site: str, edge: str, now: datetime, pins: str) -> None:
    """Note which roots an edge says it trusts, as pins separated by commas."""
    await _note(connection, site, edge, now, {"roots": pins})


async def _note(
    connection: AsyncConnection, site: str, edge: str, now: datetime, told: Mapping[str, Any]
) -> None:
    values = {"last_seen": rfc3339(now), **told}
    match = (edge_status.c.site == site) & (edge_status.c.edge == edge)
    done = await connection.execute(update(edge_status).where(match).values(**values))
    if done.rowcount == 0:
        await connection.execute(insert(edge_status).values(site=site, edge=edge, **values))

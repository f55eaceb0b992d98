"""``GET /whoami``: why does the line refuse me?

Under TLS 1.3 a client whose certificate is refused sees only a connection that closes. So it asks
here, on the web port, with the fingerprint of its certificate. A fingerprint is known to nobody but
the edge and the hub, and the answer tells nothing else about the fleet.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.clock import Clock, parse_rfc3339, rfc3339
from gateway.model import sha256_hex
from hub.fleet import devices

EARLY = timedelta(minutes=10)
"""Certificates are valid so long before they are issued."""


async def diagnose(connection: AsyncConnection, mark: str, clock: Clock) -> dict[str, Any]:
    """What this hub thinks of a certificate.

    Args:
        connection: of the database.
        mark: SHA-256 of the certificate as 64 hexadecimal digits.
        clock: the hub's.

    Returns:
        ``verdict``: ``good``, ``unknown``, ``revoked``, ``expired`` or ``early`` (by this hub's clock it was
        issued in the future); ``words``; ``now``.

    Raises:
        Malformed: `mark` is no digest.
    """
    now = clock.now()
    row = await devices.by_fingerprint(connection, sha256_hex(mark))
    if row is None:
        verdict = "unknown"
        words = "this hub never issued this certificate; enrol again with a new token"
    elif row["revoked"]:
        verdict, words = "revoked", devices.revoked_words(row)
    elif parse_rfc3339(row["not_after"]) < now:
        verdict = "expired"
        words = (
            f"the certificate expired on {row['not_after']}; the hub's clock says {rfc3339(now)};"
            " the edge asks by itself to come back; the administrator lets it (telerad hub edge list)"
        )
    elif parse_rfc3339(row["issued_at"]) > now + EARLY:
        verdict = "early"
        words = (
            f"the certificate was issued on {row['issued_at']}, and the hub's clock says {rfc3339(now)}:"
            " the hub's clock is or was wrong; tell the hub's administrator"
        )
    else:
        verdict, words = "good", "the certificate is in good standing"
    return {"verdict": verdict, "words": words, "now": rfc3339(now)}

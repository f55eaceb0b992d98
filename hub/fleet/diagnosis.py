"""``GET /whoami``: why does the line refuse me?

Under TLS 1.3 a client whose certificate is refused sees only a connection that closes. So it asks
here, on the web port, with the fingerprint of its certificate. A fingerprint is known to nobody but
the edge and the hub, and the answer tells nothing else about the fleet.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.clock import Clock, parse_rfc3339, rfc3339
from gateway.model import sha256_hex
from hub.fleet import devices


async def diagnose(connection: AsyncConnection, mark: str, clock: Clock) -> dict[str, Any]:
    """What this hub thinks of a certificate.

    Args:
        connection: of the database.
        mark: SHA-256 of the certificate as 64 hexadecimal digits.
        clock: the hub's.

    Returns:
        ``verdict``: ``good``, ``unknown``, ``revoked`` or ``expired``; ``words``; ``now``.

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
    else:
        verdict, words = "good", "the certificate is in good standing"
    return {"verdict": verdict, "words": words, "now": rfc3339(now)}

"""Edges whose certificate expired while they were cut off: back again, with an administrator's nod.

An edge in that state cannot use the line. It asks on the web port, with its old certificate, a request for
new keys and a proof by its old key. The request waits in the table ``edge_returns`` until somebody who can
tell the edge is where it should be approves it (``telerad hub edge approve``). The next time the edge asks
the same, it gets its certificate, and every other one of that edge is revoked. Two different requests for
one edge are shown as two: one of them holds a copied key.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from datetime import datetime
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sqlalchemy import func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from certs.authority import Authority, Issued
from gateway.certificate import read_pem
from gateway.clock import Clock, parse_rfc3339, rfc3339
from gateway.database import Database
from gateway.errors import NotAllowed, NotFound, Refused
from gateway.log import logger
from gateway.request import RETURN_LABEL, DeviceRequest
from gateway.trust import fingerprint
from hub.fleet import devices
from hub.fleet.enrolment import Enrolled
from hub.record import Person, Record
from hub.tables.fleet import devices as devices_table
from hub.tables.fleet import edge_returns

MAX_OPEN = 8
"""Requests of one certificate that wait at most: more are no honest edge's."""

log = logger("hub.fleet")


class Returns:
    """Takes such requests, and answers those that were approved.

    Args:
        database: holds them.
        authority: who issues.
        custody: hears of every step.
        clock: the hub's.
        second_keys: whether certificates name the edge's ML-DSA key, too.
    """

    def __init__(
        self, database: Database, authority: Authority, custody: Record, clock: Clock, *, second_keys: bool
    ) -> None:
        self._database, self._authority, self._custody = database, authority, custody
        self._clock, self._second_keys = clock, second_keys

    async def ask(self, certificate: str, csr: str, proof: str, old_proof: str) -> Enrolled | None:
        """One request.

        Args:
            certificate: the expired one, PEM.
            csr: for the new keys (`gateway.request`).
            proof: of the second new key.
            old_proof: base64; the old key's signature over `RETURN_LABEL` and the request.

        Returns:
            The new certificate; None while nobody has approved it.

        Raises:
            NotAllowed: the certificate is unknown, revoked or still good, or the request was turned down.
            Refused: a proof does not hold.
            Malformed: something cannot be read.
        """
        old, wanted, now = (
            read_pem(certificate.encode())[0],
            DeviceRequest.read(csr, proof),
            self._clock.now(),
        )
        der = wanted.csr.public_bytes(Encoding.DER)
        _check_proof(old, der, old_proof)
        async with self._database.writing() as connection:
            mark = request_mark(wanted.csr)
            row = await _find(connection, mark, fingerprint(old))
            if row is not None and row["device"]:
                return await self._again(connection, row["device"])
            device = await devices.by_fingerprint(connection, fingerprint(old))
            _check_device(device, now)
            if row is None:
                await self._enter(connection, device, mark, now)
                return None
            if row["decision"] == "refused":
                raise NotAllowed("the hub's administrator has turned this edge's return down")
            if row["decision"] != "approved":
                return None
            return await self._let_in(connection, row, wanted, now)

    async def _again(self, connection: AsyncConnection, mark: str) -> Enrolled:
        """The answer was lost on its way: the same keys, proven anew, get the same certificate."""
        kept = await devices.by_fingerprint(connection, mark)
        if kept["revoked"]:
            raise NotAllowed(devices.revoked_words(kept))
        issued = x509.load_der_x509_certificate(kept["certificate"])
        return Enrolled(kept["site"], kept["edge"], Issued(issued, self._authority.chain(issued)))

    async def _enter(self, connection: AsyncConnection, device: Any, mark: str, now: datetime) -> None:
        waiting = select(func.count()).where(
            edge_returns.c.fingerprint == device["fingerprint"], edge_returns.c.decision == "asked"
        )
        if ((await connection.execute(waiting)).scalar() or 0) >= MAX_OPEN:
            raise NotAllowed(
                "too many requests for this edge wait already; the administrator must look at them"
            )
        row = {key: device[key] for key in ("fingerprint", "site", "edge")}
        row |= {"request": mark, "asked_at": rfc3339(now), "decision": "asked"}
        await connection.execute(insert(edge_returns).values(row))
        detail = {"edge": device["edge"]}
        await self._custody.append(
            connection, "edge-return-asked", site=device["site"], subject=mark, detail=detail
        )
        log.warning(
            "an expired edge asks to come back", site=device["site"], edge=device["edge"], request=mark
        )

    async def _let_in(
        self, connection: AsyncConnection, row: Any, wanted: DeviceRequest, now: datetime
    ) -> Enrolled:
        site, edge = row["site"], row["edge"]
        second = wanted.second if self._second_keys else None
        issued = self._authority.issue_device(wanted.csr, site, edge, second_key=second)
        mark = fingerprint(issued.certificate)
        old = await devices.revoke(connection, site, edge, now, "replaced when the edge came back")
        await devices.add(connection, site, edge, issued.certificate, now)
        done = update(edge_returns).where(edge_returns.c.request == row["request"]).values(device=mark)
        await connection.execute(done)
        detail = {"edge": edge}
        await self._custody.append(connection, "edge-returned", site=site, subject=mark, detail=detail)
        for certificate in old.certificates:
            self._authority.revoke(certificate, "replaced when the edge came back")
        log.info("edge came back", site=site, edge=edge)
        return Enrolled(site, edge, issued)


def request_mark(csr: x509.CertificateSigningRequest) -> str:
    """What a request is called: SHA-256 of its key, since every signature over one request is another."""
    info = csr.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(info).hexdigest()


async def waiting(connection: AsyncConnection) -> list[dict[str, Any]]:
    """The requests that nobody has decided on, oldest first; JSON-ready."""
    query = select(edge_returns).where(edge_returns.c.decision == "asked").order_by(edge_returns.c.asked_at)
    wanted = ("site", "edge", "request", "fingerprint", "asked_at")
    return [{key: row[key] for key in wanted} for row in (await connection.execute(query)).mappings()]


async def pending(connection: AsyncConnection) -> list[dict[str, Any]]:
    """The requests of edges that are not back yet and not put out, with what was decided; JSON-ready."""
    same = devices_table.c.fingerprint == edge_returns.c.fingerprint
    query = (
        select(edge_returns)
        .join(devices_table, same)
        .where(devices_table.c.revoked.is_(False), edge_returns.c.device.is_(None))
        .order_by(edge_returns.c.asked_at)
    )
    wanted = ("site", "edge", "request", "fingerprint", "asked_at", "decision")
    return [{key: row[key] for key in wanted} for row in (await connection.execute(query)).mappings()]


async def decide(
    connection: AsyncConnection,
    custody: Record,
    row: tuple[str, str, str],
    now: datetime,
    *,
    approve: bool,
    by: Person,
) -> None:
    """Write an administrator's decision.

    Args:
        connection: of a writing transaction.
        custody: hears of it.
        row: site, edge and request.
        now: the time of day.
        approve: or turn down.
        by: whoever decides.

    Raises:
        NotFound: no such request waits.
    """
    site, edge, request = row
    decision = "approved" if approve else "refused"
    done = await connection.execute(
        update(edge_returns)
        .where(
            edge_returns.c.request == request,
            edge_returns.c.site == site,
            edge_returns.c.edge == edge,
            edge_returns.c.decision == "asked",
        )
        .values(decision=decision, decided_at=rfc3339(now))
    )
    if done.rowcount != 1:
        raise NotFound(f"no request {request[:16]}… of {site}/{edge} waits for a decision")
    detail = {"edge": edge, "by": by}
    await custody.append(connection, f"edge-return-{decision}", site=site, subject=request, detail=detail)


async def _find(connection: AsyncConnection, mark: str, old: str) -> Any:
    query = select(edge_returns).where(edge_returns.c.request == mark, edge_returns.c.fingerprint == old)
    return (await connection.execute(query)).mappings().first()


def _check_device(device: Any, now: datetime) -> None:
    if device is None:
        raise NotAllowed("this hub never issued this certificate; enrol with a new code")
    if device["revoked"]:
        raise NotAllowed(devices.revoked_words(device))
    if parse_rfc3339(device["not_after"]) >= now:
        raise NotAllowed(f"this certificate is good until {device['not_after']}; renew it over the line")


def _check_proof(old: x509.Certificate, der: bytes, old_proof: str) -> None:
    key = old.public_key()
    try:
        if not isinstance(key, ec.EllipticCurvePublicKey):
            raise Refused("the old certificate's key is of another kind")
        signature = base64.b64decode(old_proof[:256], validate=True)
        key.verify(signature, RETURN_LABEL + der, ec.ECDSA(hashes.SHA256()))
    except (binascii.Error, ValueError, InvalidSignature) as error:
        raise Refused("the request is not signed by the key of the expired certificate") from error

"""Giving out device certificates: the first one against a token, later ones against the one before.

The token is marked used in the same transaction that writes the certificate's row, so of two
requests that race for one token exactly one gets a certificate. If the answer to the winner is lost
on the way, the same request (same token, same key, proven again) gets the same certificate again.
"""

from __future__ import annotations

from dataclasses import dataclass

from cryptography import x509
from sqlalchemy.ext.asyncio import AsyncConnection

from certs.authority import Authority, Issued, Issuer
from gateway import certificate
from gateway.clock import Clock
from gateway.database import Database
from gateway.errors import Malformed, NotAllowed
from gateway.log import logger
from gateway.trust import Identity, fingerprint
from hub.fleet import devices, tokens
from hub.record import Record

MAX_REQUEST = 16 << 10
"""Characters of a PEM certificate request."""

log = logger("hub.fleet")


@dataclass(frozen=True, slots=True)
class Enrolled:
    """A device certificate and whom it speaks for."""

    site: str
    edge: str
    issued: Issued


class Enrolment:
    """Issues device certificates and keeps their table."""

    def __init__(self, database: Database, authority: Authority, custody: Record, clock: Clock) -> None:
        self._database = database
        self._authority = authority
        self._custody = custody
        self._clock = clock

    async def enrol(self, token: str, request: str) -> Enrolled:
        """Spend `token` on a certificate for the key of `request` (a PEM certificate request).

        An edge that held the same number at its site before is put out: there is one of each.

        Raises:
            NotAllowed: the token is unknown, used or expired.
            Refused: the request's key is not proven or of another kind.
            Malformed: the request cannot be read.
        """
        csr = read_request(request)
        now = self._clock.now()
        async with self._database.writing() as connection:
            grant = await tokens.look(connection, token, now)
            if grant.device is not None:
                return await self._again(connection, grant.device, csr)
            edge = grant.edge or await devices.next_edge(connection, grant.site)
            replaced = await devices.revoke(connection, grant.site, edge, now, "replaced by a new enrolment")
            enrolled = await self._issue(connection, grant.site, edge, csr, "edge-enrolled")
            mark = fingerprint(enrolled.issued.certificate)
            await tokens.spend(connection, token, mark, now)
        for old in replaced.certificates:
            self._authority.revoke(old, "replaced by a new enrolment")
        log.info("edge enrolled", site=grant.site, edge=edge, certificate=mark)
        return enrolled

    async def renew(self, identity: Identity, request: str) -> Enrolled:
        """A new certificate for a device that has proven its old one.

        The old one stays good until it expires: the answer may be lost on the way.

        Raises:
            Refused: the request's key is not proven, of another kind, or not new.
            Malformed: the request cannot be read.
        """
        csr = read_request(request)
        site, edge = identity.site, identity.edge
        if site is None or edge is None:
            raise NotAllowed("only an edge may renew here")
        if csr.public_key() == identity.certificate.public_key():
            raise NotAllowed("a renewed certificate must be for a new key")
        async with self._database.writing() as connection:
            enrolled = await self._issue(connection, site, edge, csr, "edge-renewed")
        log.info("edge renewed", site=site, edge=edge)
        return enrolled

    async def _issue(
        self,
        connection: AsyncConnection,
        site: str,
        edge: str,
        csr: x509.CertificateSigningRequest,
        event: str,
    ) -> Enrolled:
        issued = self._authority.issue_device(csr, site, edge)
        mark = fingerprint(issued.certificate)
        await devices.add(connection, site, edge, issued.certificate, self._clock.now())
        await self._custody.append(connection, event, site=site, subject=mark, detail={"edge": edge})
        return Enrolled(site, edge, issued)

    async def _again(
        self, connection: AsyncConnection, mark: str, csr: x509.CertificateSigningRequest
    ) -> Enrolled:
        row = await devices.by_fingerprint(connection, mark)
        issued = x509.load_der_x509_certificate(row["certificate"])
        if not csr.is_signature_valid or csr.public_key() != issued.public_key() or row["revoked"]:
            raise NotAllowed("this enrolment token has been used already; ask for a new one")
        chain = (issued, self._authority.certificate(Issuer.DEVICE))
        return Enrolled(row["site"], row["edge"], Issued(issued, chain))


def read_request(text: str) -> x509.CertificateSigningRequest:
    """A PEM certificate request (PKCS#10, RFC 2986). Raises Malformed."""
    if len(text) > MAX_REQUEST:
        raise Malformed(f"the certificate request is longer than {MAX_REQUEST} characters")
    return certificate.read_request(text.encode())

"""Giving out device certificates: the first one against a token, later ones against the one before.

The token is marked used in the same transaction that writes the certificate's row, so of two
requests that race for one token exactly one gets a certificate. If the answer to the winner is lost
on the way, the same request (same token, same key, proven again) gets the same certificate again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cryptography import x509
from sqlalchemy.ext.asyncio import AsyncConnection

from certs.authority import Authority, Issued
from gateway.clock import Clock
from gateway.database import Database
from gateway.errors import NotAllowed
from gateway.log import logger
from gateway.request import DeviceRequest
from gateway.trust import Identity, fingerprint
from hub.fleet import devices, tokens, turnstile
from hub.record import Record

log = logger("hub.fleet")


@dataclass(frozen=True, slots=True)
class Enrolled:
    """A device certificate and whom it speaks for."""

    site: str
    edge: str
    issued: Issued


class Enrolment:
    """Issues device certificates and keeps their table.

    Args:
        database: holds the table.
        authority: who issues.
        custody: hears of every certificate.
        clock: the hub's.
        second_keys: whether certificates name the edge's ML-DSA key, too.
    """

    def __init__(
        self,
        database: Database,
        authority: Authority,
        custody: Record,
        clock: Clock,
        *,
        second_keys: bool = False,
    ) -> None:
        self._database = database
        self._second_keys = second_keys
        self._authority = authority
        self._custody = custody
        self._clock = clock

    async def enrol(self, token: str, request: str, proof: str = "") -> Enrolled:
        """Spend `token` on a certificate for the key of `request` (`gateway.request`).

        An edge that held the same number at its site before is put out: there is one of each.

        Raises:
            NotAllowed: the token is unknown, used or expired.
            Refused: the request's key is not proven or of another kind.
            Malformed: the request cannot be read.
        """
        wanted = DeviceRequest.read(request, proof)
        now = self._clock.now()
        async with self._database.writing() as connection:
            grant = await tokens.look(connection, token, now)
            if grant.device is not None:
                return await self._again(connection, grant.device, wanted.csr)
            edge = grant.edge or await devices.next_edge(connection, grant.site)
            replaced = await devices.revoke(connection, grant.site, edge, now, "replaced by a new enrolment")
            by = {"token": tokens.digest_of(token)}
            enrolled = await self._issue(connection, grant.site, edge, wanted, "edge-enrolled", by)
            await turnstile.forget(connection, grant.site, edge)
            mark = fingerprint(enrolled.issued.certificate)
            await tokens.spend(connection, token, mark, now)
        for old in replaced.certificates:
            self._authority.revoke(old, "replaced by a new enrolment")
        log.info("edge enrolled", site=grant.site, edge=edge, certificate=mark)
        return enrolled

    async def renew(self, identity: Identity, request: str, proof: str = "") -> Enrolled:
        """A new certificate for a device that has proven its old one.

        The old one stays good until it expires: the answer may be lost on the way.

        Raises:
            Refused: the request's key is not proven, of another kind, or not new.
            Malformed: the request cannot be read.
        """
        wanted = DeviceRequest.read(request, proof)
        site, edge = identity.site, identity.edge
        if site is None or edge is None:
            raise NotAllowed("only an edge may renew here")
        if wanted.csr.public_key() == identity.certificate.public_key():
            raise NotAllowed("a renewed certificate must be for a new key")
        async with self._database.writing() as connection:
            enrolled = await self._issue(connection, site, edge, wanted, "edge-renewed")
        log.info("edge renewed", site=site, edge=edge)
        return enrolled

    async def _issue(
        self,
        connection: AsyncConnection,
        site: str,
        edge: str,
        wanted: DeviceRequest,
        event: str,
        by: Mapping[str, str] = {},
    ) -> Enrolled:
        second = wanted.second if self._second_keys else None
        issued = self._authority.issue_device(wanted.csr, site, edge, second_key=second)
        mark = fingerprint(issued.certificate)
        await devices.add(connection, site, edge, issued.certificate, self._clock.now())
        detail = {"edge": edge, **by}
        await self._custody.append(connection, event, site=site, subject=mark, detail=detail)
        return Enrolled(site, edge, issued)

    async def _again(
        self, connection: AsyncConnection, mark: str, csr: x509.CertificateSigningRequest
    ) -> Enrolled:
        row = await devices.by_fingerprint(connection, mark)
        issued = x509.load_der_x509_certificate(row["certificate"])
        if not csr.is_signature_valid or csr.public_key() != issued.public_key() or row["revoked"]:
            raise NotAllowed("this enrolment token has been used already; ask for a new one")
        return Enrolled(row["site"], row["edge"], Issued(issued, self._authority.chain(issued)))

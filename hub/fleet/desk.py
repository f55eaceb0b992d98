"""What an administrator does with the fleet: the one way, for the command line and for the portal.

Every act is in the custody log, with a digest of whoever did it, and in the audit trail, with the name and
the reason; both in the transaction in which it is done.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from certs.authority import Authority
from gateway.clock import Clock, rfc3339
from gateway.database import Database
from gateway.errors import UsageError
from gateway.invitation import Invitation
from gateway.model import SiteId, site_id
from gateway.trust import spki_pin
from hub.fleet import devices, returns, tokens
from hub.fleet.devices import Revoked
from hub.record import Deed, Person, Record, Trail

LONGEST_LIFE = timedelta(days=30)
"""Of an enrolment code."""

LONGEST_WHY = 500
_EDGE = re.compile(r"[1-9][0-9]{0,5}")


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts.

    Attributes:
        subject: for the custody log, which salts it.
        person: the login at the portal; empty: on the command line.
        role: of that account.
        address: where the request came from.
        known: more for the audit trail.
    """

    subject: Person
    person: str = ""
    role: str = ""
    address: str = ""
    known: Mapping[str, Any] = field(default_factory=dict)

    def deed(self, event: str, site: str, **detail: Any) -> Deed:
        """Something this one did."""
        detail |= self.known
        return Deed(event, person=self.person, role=self.role, address=self.address, site=site, detail=detail)


@dataclass(frozen=True, slots=True)
class Invited:
    """A code for one edge. It is shown once: the hub keeps only a digest of its token.

    Attributes:
        invitation: what the edge needs.
        site: the site it will speak for.
        edge: its number there; None: the next free one.
        expires_at: until when the code is good.
    """

    invitation: Invitation
    site: SiteId
    edge: str | None
    expires_at: datetime


class FleetDesk:
    """Makes codes, puts edges out, decides on those that ask to come back.

    Args:
        database: the hub's.
        authority: whose root edges are told to trust, and whose list names what is revoked.
        logs: the custody log and the audit trail, which hear of every act.
        clock: the time.
        url: the hub's web address, as edges reach it.
    """

    def __init__(
        self, database: Database, authority: Authority, logs: tuple[Record, Trail], clock: Clock, url: str
    ) -> None:
        self._database, self._authority, (self._custody, self._trail) = database, authority, logs
        self._clock, self._url = clock, url

    async def invite(self, site: str, edge: str | None, life: timedelta, *, by: Actor) -> Invited:
        """Make a code for one edge.

        Args:
            site: the site it will speak for.
            edge: its number there; whoever has it is replaced. None: the next free one.
            life: how long the code is good.
            by: whoever asks.

        Raises:
            Malformed: `site` is no site identifier.
            UsageError: the number or the life is none.
        """
        if not timedelta(0) < life <= LONGEST_LIFE:
            raise UsageError(
                f"a code is good for more than 0 and at most {LONGEST_LIFE // timedelta(hours=1)} hours"
            )
        if edge is not None and not _EDGE.fullmatch(edge):
            raise UsageError("an edge has a number from 1")
        place, now, random = site_id(site), self._clock.now(), secrets.token_bytes(tokens.TOKEN_BYTES)
        async with self._database.writing() as connection:
            token = await tokens.create(connection, place, edge, now, life, random)
            detail = {"edge": edge or "", "seconds": int(life.total_seconds())}
            await self._custody.append(
                connection,
                "token-created",
                site=place,
                subject=tokens.digest_of(token),
                detail=detail | {"by": by.subject},
            )
            await self._trail.append(connection, by.deed("token-created", place, **detail))
        invitation = Invitation(self._url, token, spki_pin(self._authority.root))
        return Invited(invitation, place, edge, now + life)

    async def withdraw(self, code: str, *, by: Actor) -> SiteId:
        """Let a code that is not used yet be good for nothing. Returns the site it was for.

        Args:
            code: its ``id`` as `codes` gives it.
            by: whoever asks.

        Raises:
            NotFound: it is used, withdrawn, or none.
        """
        async with self._database.writing() as connection:
            grant = await tokens.withdraw(connection, code, self._clock.now())
            detail = {"edge": grant.edge or "", "by": by.subject}
            await self._custody.append(
                connection, "token-withdrawn", site=grant.site, subject=code, detail=detail
            )
            told = by.deed("token-withdrawn", grant.site, edge=grant.edge or "")
            await self._trail.append(connection, told)
        return grant.site

    async def revoke(self, site: str, edge: str | None, why: str, *, by: Actor) -> Revoked:
        """Put an edge out, or all of a site (`edge` None), at once and for good.

        Returns:
            The certificates that were good until now; none if there was nothing to put out.
        """
        now, why = self._clock.now(), why.strip()[:LONGEST_WHY]
        async with self._database.writing() as connection:
            out = await devices.revoke(connection, site, edge, now, why)
            for mark in out.fingerprints:
                detail = {"by": by.subject}  # why is somebody's own words: they stand in no leaf
                await self._custody.append(connection, "edge-revoked", site=site, subject=mark, detail=detail)
                told = by.deed("edge-revoked", site, why=why, certificate=mark)
                await self._trail.append(connection, told)
        for certificate in out.certificates:
            self._authority.revoke(certificate, why)
        return out

    async def decide(self, site: str, edge: str, request: str, *, approve: bool, by: Actor) -> None:
        """Let an edge whose certificate has ended come back, or turn it down.

        Args:
            site: its site.
            edge: its number there.
            request: the whole digest of the request it is about.
            approve: or turn down.
            by: whoever decides.

        Raises:
            NotFound: no such request waits.
        """
        row, now = (site, edge, request), self._clock.now()
        event = "edge-return-approved" if approve else "edge-return-refused"
        async with self._database.writing() as connection:
            await returns.decide(connection, self._custody, row, now, approve=approve, by=by.subject)
            await self._trail.append(connection, by.deed(event, site, edge=edge))

    async def codes(self) -> list[dict[str, Any]]:
        """Codes that were made, not used yet and still good, the next to end first; JSON-ready."""
        async with self._database.reading() as connection:
            return await tokens.unused(connection, rfc3339(self._clock.now()))

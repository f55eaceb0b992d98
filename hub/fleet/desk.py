"""What an administrator does with the fleet: the one way, for the command line and for the portal.

Every act is in the custody log before its answer leaves, with the digest of whoever did it.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
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
from hub.record import Record

LONGEST_LIFE = timedelta(days=30)
"""Of an enrolment code."""

LONGEST_WHY = 500
_EDGE = re.compile(r"[1-9][0-9]{0,5}")


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
        custody: hears of every act.
        clock: the time.
        url: the hub's web address, as edges reach it.
    """

    def __init__(
        self, database: Database, authority: Authority, custody: Record, clock: Clock, url: str
    ) -> None:
        self._database, self._authority, self._custody = database, authority, custody
        self._clock, self._url = clock, url

    async def invite(self, site: str, edge: str | None, life: timedelta, *, by: str) -> Invited:
        """Make a code for one edge.

        Args:
            site: the site it will speak for.
            edge: its number there; whoever has it is replaced. None: the next free one.
            life: how long the code is good.
            by: the subject of whoever asks.

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
            detail = {"edge": edge or "", "seconds": int(life.total_seconds()), "by": by}
            await self._custody.append(
                connection, "token-created", site=place, subject=tokens.digest_of(token), detail=detail
            )
        invitation = Invitation(self._url, token, spki_pin(self._authority.root))
        return Invited(invitation, place, edge, now + life)

    async def revoke(self, site: str, edge: str | None, why: str, *, by: str) -> Revoked:
        """Put an edge out, or all of a site (`edge` None), at once and for good.

        Returns:
            The certificates that were good until now; none if there was nothing to put out.
        """
        now, why = self._clock.now(), why.strip()[:LONGEST_WHY]
        async with self._database.writing() as connection:
            out = await devices.revoke(connection, site, edge, now, why)
            for mark in out.fingerprints:
                detail = {"why": why, "by": by}
                await self._custody.append(connection, "edge-revoked", site=site, subject=mark, detail=detail)
        for certificate in out.certificates:
            self._authority.revoke(certificate, why)
        return out

    async def decide(self, site: str, edge: str, request: str, *, approve: bool, by: str) -> None:
        """Let an edge whose certificate has ended come back, or turn it down.

        Args:
            site: its site.
            edge: its number there.
            request: the whole digest of the request it is about.
            approve: or turn down.
            by: the subject of whoever decides.

        Raises:
            NotFound: no such request waits.
        """
        row = (site, edge, request)
        async with self._database.writing() as connection:
            await returns.decide(connection, self._custody, row, self._clock.now(), approve=approve, by=by)

    async def codes(self) -> list[dict[str, Any]]:
        """Codes that were made, not used yet and still good, the next to end first; JSON-ready."""
        async with self._database.reading() as connection:
            return await tokens.unused(connection, rfc3339(self._clock.now()))

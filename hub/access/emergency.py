"""Breaking the glass: a reader opens a study beyond their reach, says why, and is seen doing it.

The way in lasts for a limited time. Every one is in the custody log (without names), in the audit
trail, and on the list that leads and auditors look at. It opens nothing to a role without pixels.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import RowMapping, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.brake import Buckets, TooMany
from gateway.clock import Clock, rfc3339
from gateway.database import Database
from gateway.errors import NotAllowed, NotFound, Refused
from hub.access.roles import EMERGENCY
from hub.people import Account, Role
from hub.reach import reach_of
from hub.record import Deed, Record, Trail, subject_of, user
from hub.tables.account import break_glass, users
from hub.tables.case import cases
from hub.tables.study import patients, studies

SHORTEST_REASON = 10
LONGEST_REASON = 1_000
LONGEST_LIST = 500

TRIES = 10
"""Ways in asked for at once by one person, hit or miss; one more comes back every `TRY_SECONDS`."""

TRY_SECONDS = 60.0


class Emergency:
    """The table of ways in.

    Args:
        lasts: seconds until a way in closes by itself.
    """

    def __init__(
        self, database: Database, custody: Record, trail: Trail, clock: Clock, *, lasts: float = 4 * 3600.0
    ) -> None:
        self._database, self._custody, self._trail = database, custody, trail
        self._clock, self._lasts = clock, lasts
        self._tries = Buckets(rate=1.0 / TRY_SECONDS, burst=TRIES)

    async def open(
        self, account: Account, identifier: str, reason: str, *, address: str = ""
    ) -> dict[str, Any]:
        """Give `account` a way to one study.

        Args:
            account: a reader or lead.
            identifier: the whole accession number or Study Instance UID; nothing is searched.
            reason: in the reader's words.
            address: where the request came from.

        Returns:
            ``study_uid``, ``case`` (None if nobody is to read it) and ``until``.

        Raises:
            NotAllowed: this role may not.
            Refused: the reason says too little, or several studies have that number.
            NotFound: there is no such study.
            TooMany: this person has asked too often; ``retry_after`` in seconds.
        """
        if not EMERGENCY.allows(account.role):
            raise NotAllowed("only readers open studies in an emergency")
        said = reason.strip()
        if not SHORTEST_REASON <= len(said) <= LONGEST_REASON:
            raise Refused(f"say why, in {SHORTEST_REASON} to {LONGEST_REASON} characters")
        deed = {"person": account.name, "role": account.role, "address": address}
        try:
            self._brake(account.name)
            async with self._database.writing() as connection:
                row = await self._found(connection, identifier.strip())
                return await self._grant(connection, account, row, said, deed)
        except (Refused, TooMany) as error:
            detail = {"identifier": identifier[:64], "reason": said, "why": str(error)}
            await self._trail.note(Deed("break-glass", **deed, refused=True, detail=detail))
            raise

    async def all(self, viewer: Account) -> list[dict[str, Any]]:
        """Every way in to what `viewer` may see, newest first: of their groups for a lead, else all."""
        now = rfc3339(self._clock.now())
        query = (
            select(
                break_glass, studies.c.study_uid, studies.c.site, studies.c.accession, users.c.display_name
            )
            .add_columns(cases.c.id.label("case"))
            .join_from(break_glass, studies)
            .join(users, users.c.name == break_glass.c.user)
            .outerjoin(cases, cases.c.study == studies.c.id)
            .order_by(break_glass.c.id.desc())
            .limit(LONGEST_LIST)
        )
        async with self._database.reading() as connection:
            if viewer.role is Role.LEAD:
                query = query.where((await reach_of(connection, viewer, now)).clause())
            rows = (await connection.execute(query)).mappings().all()
        return [
            {
                "id": row["id"],
                "at": row["at"],
                "until": row["until"],
                "open": row["until"] > now,
                "user": {"name": row["user"], "display_name": row["display_name"]},
                "reason": row["reason"],
                "site": row["site"],
                "study_uid": row["study_uid"],
                "accession": row["accession"],
            }
            for row in rows
        ]

    def _brake(self, user: str) -> None:
        wait = self._tries.take(user, self._clock.monotonic())
        if wait > 0:
            raise TooMany("too many emergencies in a short time; wait before the next", retry_after=wait)

    async def _grant(
        self, connection: AsyncConnection, account: Account, row: RowMapping, reason: str, deed: Any
    ) -> dict[str, Any]:
        now = self._clock.now()
        until = rfc3339(now + timedelta(seconds=self._lasts))
        await connection.execute(
            break_glass.insert().values(
                user=account.name, study=row["id"], reason=reason, at=rfc3339(now), until=until
            )
        )
        await self._custody.append(
            connection,
            "break-glass",
            site=row["site"],
            subject=subject_of("study", row["id"]),
            detail={"by": user(account.name), "until": until},
        )
        of_study = {"site": row["site"], "study_uid": row["study_uid"], "patient_id": row["patient_id"]}
        detail = {"reason": reason, "until": until}
        await self._trail.append(connection, Deed("break-glass", **deed, **of_study, detail=detail))
        return {"study_uid": row["study_uid"], "case": row["case"], "until": until}

    async def _found(self, connection: AsyncConnection, identifier: str) -> RowMapping:
        if not identifier:
            raise NotFound("there is no such study")
        same = or_(studies.c.accession == identifier, studies.c.study_uid == identifier)
        query = (
            select(studies.c.id, studies.c.site, studies.c.study_uid, patients.c.patient_id)
            .add_columns(cases.c.id.label("case"))
            .join_from(studies, patients)
            .outerjoin(cases, cases.c.study == studies.c.id)
            .where(same)
            .limit(2)
        )
        rows = (await connection.execute(query)).mappings().all()
        if not rows:
            raise NotFound("there is no such study")
        if len(rows) > 1:
            raise Refused("more than one study has this number; give the Study Instance UID")
        return rows[0]

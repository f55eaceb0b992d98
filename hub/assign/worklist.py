"""The readers' side: which cases they see, and opening, releasing and returning one.

Every question and every change is limited to the viewer's reach (`hub/reach.py`); a case beyond it
is not found, whoever asks. A case is open under a lease of some minutes that every sign of life
renews. When it ends, anybody in reach may open the case and goes on with the same draft.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, RowMapping, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.clock import Clock, rfc3339
from gateway.database import Database
from gateway.errors import NotAllowed, NotFound, Refused
from gateway.message import LONGEST, Need, Purpose, clean
from hub import conversation
from hub.archive.settle import force
from hub.assign.journal import change, history, note
from hub.assign.shown import (
    QUERY_LIMIT,
    case_json,
    case_query,
    detail_json,
    extras_of,
    priors,
    series_list,
    told_json,
)
from hub.assign.states import CaseEvent, CaseState
from hub.people import Account, Role
from hub.reach import reach_of
from hub.record import Record
from hub.tables.account import users
from hub.tables.case import cases
from hub.tables.study import patients, studies

LEASE = timedelta(minutes=15)
LONGEST_LIST = 1_000
LONGEST_REASON = LONGEST

READING_ROLES = frozenset({Role.READER, Role.LEAD})
COMPLETING_ROLES = frozenset({Role.LEAD, Role.ADMIN})


class Worklist:
    """Cases, as somebody may see and take them."""

    def __init__(
        self, database: Database, custody: Record, clock: Clock, *, lease: timedelta = LEASE
    ) -> None:
        self._database, self._custody, self._clock, self._lease = database, custody, clock, lease

    async def cases(
        self,
        viewer: Account,
        *,
        state: str | None = None,
        mine: bool = False,
        search: str | None = None,
    ) -> list[dict[str, Any]]:
        """The viewer's list: open cases first, the most urgent at the top; then reported ones, newest first.

        Args:
            viewer: who asks.
            state: only cases in this state; ``open`` means all but reported ones.
            mine: only the viewer's own.
            search: words, each of which must occur in patient, accession, description or study UID.
        """
        query = case_query().order_by(*_ORDER).limit(LONGEST_LIST)
        if state == "open":
            query = query.where(cases.c.state != CaseState.REPORTED.value)
        elif state:
            query = query.where(cases.c.state == state)
        if mine:
            query = query.where(cases.c.assignee == viewer.name)
        for word in (search or "").split()[:8]:
            query = query.where(_occurs(word))
        async with self._database.reading() as connection:
            reach = await reach_of(connection, viewer, rfc3339(self._clock.now()))
            rows = (await connection.execute(query.where(reach.clause()))).mappings().all()
            extras = await extras_of(connection, rows, self._clock.now())
        return [case_json(row, extras) for row in rows]

    async def case(self, viewer: Account, case_id: int) -> dict[str, Any]:
        """One case in full. Raises NotFound if it is not in the viewer's reach."""
        async with self._database.reading() as connection:
            row = await self._shown(connection, viewer, case_id)
            return {
                **case_json(row, await extras_of(connection, [row], self._clock.now())),
                **detail_json(row),
                **await told_json(connection, row),
                "priors": await priors(connection, row["id"]),
                "series_list": await series_list(connection, row["id"]),
                "events": await history(connection, case_id),
                "reports": [],  # the desk's; the portal puts them in
            }

    async def within_reach(self, viewer: Account, case_ids: Collection[int]) -> frozenset[int]:
        """Those of `case_ids` that the viewer may see."""
        if not case_ids:
            return frozenset()
        async with self._database.reading() as connection:
            reach = await reach_of(connection, viewer, rfc3339(self._clock.now()))
            some = cases.c.id.in_(sorted(case_ids)[:QUERY_LIMIT])
            query = select(cases.c.id).join_from(cases, studies).where(some, reach.clause())
            return frozenset((await connection.execute(query)).scalars())

    async def open(self, viewer: Account, case_id: int) -> dict[str, Any]:
        """Open a case to read it, under a lease; it becomes the viewer's. A reported one is only shown.

        Who has reached it in an emergency alone has the lease and nothing more: it stays whose it was, and
        goes back when they release it or the lease ends.

        Raises:
            NotFound: not in reach.
            NotAllowed: the viewer is no reader.
            Refused: somebody else has it open; the message says who and until when.
        """
        self._check_reads(viewer)
        async with self._database.writing() as connection:
            row = await self._own_row(connection, viewer, case_id)
            if row["state"] != CaseState.REPORTED:
                await self._take(connection, viewer, row)
        return await self.case(viewer, case_id)

    async def renew(self, viewer: Account, case_id: int) -> None:
        """A sign of life of who has the case open: the lease begins anew. Otherwise nothing happens."""
        until = rfc3339(self._clock.now() + self._lease)
        mine = (cases.c.id == case_id) & (cases.c.lease_by == viewer.name)
        reading = cases.c.state == CaseState.READING.value
        async with self._database.writing() as connection:
            await connection.execute(update(cases).where(mine, reading).values(lease_until=until))

    async def release(self, viewer: Account, case_id: int) -> None:
        """Close a case without a report; it stays its reader's.

        Raises:
            NotFound: not in reach.
            Refused: the viewer does not have it open.
        """
        self._check_reads(viewer)
        async with self._database.writing() as connection:
            row = await self._own_row(connection, viewer, case_id)
            if row["state"] != CaseState.READING or row["lease_by"] != viewer.name:
                raise Refused("you do not have this case open")
            event = CaseEvent.RELEASE if row["assignee"] else CaseEvent.WITHDRAW  # nobody's: seeks a reader
            await self._change(connection, viewer, row, event, lease_by=None, lease_until=None)

    async def return_(
        self, viewer: Account, case_id: int, reason: str, *, need: Need = Need.OTHER, ident: str = ""
    ) -> None:
        """Say that a case cannot be read as it is, and what the hospital must do.

        Args:
            viewer: who says so.
            case_id: which case.
            reason: in words, for the hospital.
            need: what kind of thing is needed.
            ident: of the message, 32 hexadecimal digits; empty: a new one.

        Raises:
            NotFound: not in reach.
            Refused: no reason, too long a one, somebody else has it open, or it is reported already.
            Malformed: the reason has nothing but control characters.
        """
        self._check_reads(viewer)
        said = reason.strip()
        if not said or len(said) > LONGEST_REASON:
            raise Refused(f"say why, in 1 to {LONGEST_REASON} characters")
        said = clean(said)
        async with self._database.writing() as connection:
            row = await self._own_row(connection, viewer, case_id)
            await self._check_lease(connection, viewer, row)
            emergency = await self._emergency(connection, viewer, row)
            await self._change(
                connection,
                viewer,
                row,
                CaseEvent.RETURN,
                said,
                return_reason=said,
                assignee=row["assignee"] or (None if emergency else viewer.name),
                lease_by=None,
                lease_until=None,
            )
            now = rfc3339(self._clock.now())
            draft = conversation.Draft(
                site=row["site"],
                study_uid=row["study_uid"],
                message_id=ident or secrets.token_hex(16),
                sender=conversation.READER,
                purpose=Purpose.REQUEST,
                need=need.value,
                text=said,
                author=viewer.name,
                written_at=now,
            )
            await conversation.keep(connection, self._custody, draft, now)

    async def complete(self, viewer: Account, case_id: int, reason: str) -> None:
        """Take the study of a case as complete with what is here; whatever comes later reopens it.

        Raises:
            NotFound: not in reach.
            NotAllowed: the viewer may not.
            Refused: no reason, or it is complete already.
        """
        if viewer.role not in COMPLETING_ROLES:
            raise NotAllowed("only leads and administrators take a study as complete")
        said = reason.strip()
        if not said or len(said) > LONGEST_REASON:
            raise Refused(f"say why, in 1 to {LONGEST_REASON} characters")
        now = self._clock.now()
        async with self._database.writing() as connection:
            row = await self._own_row(connection, viewer, case_id)
            await force(connection, self._custody, row["study"], by=viewer.name, reason=said, now=now)
            by = viewer.name
            await note(connection, case_id, "forced", by=by, at=rfc3339(now), detail=said)

    async def reported(self, connection: AsyncConnection, case_id: int, by: str) -> None:
        """A report was signed; called inside the transaction that keeps it.

        Raises:
            NotFound: no such case.
            Refused: the case is in no state that can be reported.
        """
        row = (await connection.execute(_rows().where(cases.c.id == case_id))).mappings().first()
        if row is None:
            raise NotFound("there is no such case")
        now = rfc3339(self._clock.now())
        await conversation.close(connection, row["site"], row["study_uid"], now)
        await change(
            connection,
            self._custody,
            row,
            CaseEvent.SIGN,
            by=by,
            at=now,
            assignee=by,
            lease_by=None,
            lease_until=None,
            reported_at=row["reported_at"] or now,
        )

    async def _take(self, connection: AsyncConnection, viewer: Account, row: RowMapping) -> None:
        await self._check_lease(connection, viewer, row)
        now = self._clock.now()
        if row["lease_by"] == viewer.name and row["state"] == CaseState.READING:
            until = rfc3339(now + self._lease)
            await connection.execute(update(cases).where(cases.c.id == row["id"]).values(lease_until=until))
            return  # open already: a sign of life is no event
        values = {
            "opened_at": row["opened_at"] or rfc3339(now),
            "lease_by": viewer.name,
            "lease_until": rfc3339(now + self._lease),
        }
        if await self._emergency(connection, viewer, row):
            await self._change(connection, viewer, row, CaseEvent.OPEN, "opened in an emergency", **values)
            return
        before = row["assignee"]
        taken = f"taken over from {before}" if before not in (None, viewer.name) else ""
        at = row["assigned_at"] if before == viewer.name else rfc3339(now)
        values |= {"assignee": viewer.name, "assigned_at": at, "hold": None}
        await self._change(connection, viewer, row, CaseEvent.OPEN, taken, **values)
        if taken:
            await note(connection, row["id"], "takeover", by=viewer.name, at=rfc3339(now), detail=taken)

    async def _emergency(self, connection: AsyncConnection, viewer: Account, row: RowMapping) -> bool:
        """Whether the viewer reaches this case by breaking the glass alone."""
        reach = await reach_of(connection, viewer, rfc3339(self._clock.now()))
        query = select(cases.c.id).join_from(cases, studies).where(cases.c.id == row["id"])
        return (await connection.execute(query.where(reach.standing().clause()))).first() is None

    async def _change(
        self,
        connection: AsyncConnection,
        viewer: Account,
        row: RowMapping,
        event: CaseEvent,
        detail: str = "",
        **values: Any,
    ) -> None:
        now = rfc3339(self._clock.now())
        await change(connection, self._custody, row, event, by=viewer.name, at=now, detail=detail, **values)

    async def _check_lease(self, connection: AsyncConnection, viewer: Account, row: RowMapping) -> None:
        now = rfc3339(self._clock.now())
        if row["lease_by"] in (None, viewer.name) or row["lease_until"] <= now:
            return
        query = select(users.c.display_name).where(users.c.name == row["lease_by"])
        holder = (await connection.execute(query)).scalar()
        raise Refused(f"{holder or row['lease_by']} has this case open until {row['lease_until']}")

    async def _shown(self, connection: AsyncConnection, viewer: Account, case_id: int) -> RowMapping:
        reach = await reach_of(connection, viewer, rfc3339(self._clock.now()))
        query = case_query().where(cases.c.id == case_id, reach.clause())
        return _found((await connection.execute(query)).mappings().first())

    async def _own_row(self, connection: AsyncConnection, viewer: Account, case_id: int) -> RowMapping:
        reach = await reach_of(connection, viewer, rfc3339(self._clock.now()))
        query = _rows().where(cases.c.id == case_id, reach.clause())
        return _found((await connection.execute(query)).mappings().first())

    @staticmethod
    def _check_reads(viewer: Account) -> None:
        if viewer.role not in READING_ROLES:
            raise NotAllowed("only readers open cases")


_REPORTED = cases.c.state == CaseState.REPORTED.value
_ORDER = (
    _REPORTED,
    cases.c.reported_at.desc(),
    cases.c.priority,
    func.coalesce(cases.c.deadline, "9999"),
    cases.c.created_at,
    cases.c.id,
)


def _rows() -> Any:
    return select(cases, studies.c.site, studies.c.study_uid).join_from(cases, studies)


def _found(row: RowMapping | None) -> RowMapping:
    if row is None:
        raise NotFound("there is no such case")
    return row


def _occurs(word: str) -> ColumnElement[bool]:
    escaped = word.casefold().replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    pattern = f"%{escaped}%"
    plain = (patients.c.patient_id, studies.c.accession, studies.c.description, studies.c.study_uid)
    return or_(
        studies.c.patient_name_folded.like(pattern, escape="\\"),
        *(func.lower(column).like(pattern, escape="\\") for column in (*plain, studies.c.site)),
    )

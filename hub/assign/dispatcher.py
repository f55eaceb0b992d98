"""The loop that makes cases of studies and keeps every case moving.

A study has its case while it still arrives, so that reading can begin: at once if it is urgent, after
some seconds else. What is urgent is offered at once too; anything else when it is complete. The rules
are asked anew when it is, for they have then seen all of it.

Each step is one transaction that reads what it decides on, so several processes may run it. What
cannot be done now is tried again at the next turn, and the case says why it waits.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, RowMapping, Select, and_, exists, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.clock import Clock, parse_rfc3339, rfc3339
from gateway.database import Database
from gateway.log import logger
from gateway.model import Priority
from hub.assign import answered, changed
from hub.assign.journal import HUB, change, note, why_with
from hub.assign.policy import Candidate, Need, choose, obstacle
from hub.assign.roster import candidates
from hub.assign.states import SEEKING, WAITING, CaseEvent, CaseState
from hub.record import Record, subject_of
from hub.rows_cases import enter
from hub.rules.book import RuleBook
from hub.rules.evaluate import Decision
from hub.rules.study import facts_of
from hub.tables.account import users
from hub.tables.case import case_events, cases, reader_groups, reader_sites, readers
from hub.tables.study import instances, series, studies

POLL = 1.0
"""Seconds between two turns."""

BATCH = 200
"""Rows of one kind looked at in one turn; the rest has its turn a second later."""

COMPLETE, REOPENED = "complete", "reopened"
"""States of a study (hub/archive/states.py)."""

EARLY = timedelta(seconds=10)
"""A study that still arrives after this time has its case, however routine it is."""

ARRIVING = ""
"""`cases.settled_at` of a case whose study has not been complete yet."""

UNREAD = frozenset({CaseState.UNASSIGNED, CaseState.OFFERED, CaseState.REASSIGNED, CaseState.ESCALATED})
"""States in which nobody has begun, so that the rules may still decide otherwise."""

Step = Callable[[AsyncConnection, RowMapping], Awaitable[int]]

log = logger("hub.assign")


class Dispatcher:
    """Turns complete studies into cases and gives them to readers.

    Args:
        database: of the hub.
        rules: in force.
        custody: the log.
        clock: of the process.
    """

    def __init__(self, database: Database, rules: RuleBook, custody: Record, clock: Clock) -> None:
        self._database, self._rules, self._custody, self._clock = database, rules, custody, clock

    async def run(self) -> None:
        """Take turns until cancelled."""
        while True:
            await self.turn()
            await asyncio.sleep(POLL)

    async def turn(self) -> int:
        """Do all there is to do now. Returns how many cases were changed."""
        changed = 0
        for study in await self._without_case():
            changed += await self._create(study)
        for step, where in (
            (self._settle, _settled_first()),
            (self._note_reopened, _reopened()),
            (self._note_late, _settled_again()),
            (self._answered, answered.where()),
            (self._lapse, _lease_ended(self._now())),
            (self._withdraw, _reader_gone(self._today())),
            (self._escalate, _overdue(self._now())),
        ):
            for case in await self._cases(where):
                changed += await self._step(step, case, where)
        for case in await self._offerable():
            changed += await self._step(self._offer, case, _seeking())
        return changed

    async def _step(self, step: Step, case: int, where: ColumnElement[bool]) -> int:
        """One step of one case, if it still is what was looked for."""
        async with self._database.writing() as connection:
            row = (await connection.execute(_rows().where(cases.c.id == case, where))).mappings().first()
            return await step(connection, row) if row is not None else 0

    def _now(self) -> str:
        return rfc3339(self._clock.now())

    def _today(self) -> str:
        return self._clock.now().date().isoformat()

    async def _without_case(self) -> Sequence[int]:
        """Studies that are complete, and those that arrive and are urgent or have done so for a while."""
        has_case = exists(select(cases.c.id).where(cases.c.study == studies.c.id))
        since = rfc3339(self._clock.now() - EARLY)
        urgent = studies.c.priority <= int(Priority.URGENT)
        due = or_(studies.c.state == COMPLETE, studies.c.first_at <= since, urgent)
        query = select(studies.c.id).where(due, ~has_case)
        query = query.order_by(studies.c.priority, studies.c.first_at).limit(BATCH)
        async with self._database.reading() as connection:
            return (await connection.execute(query)).scalars().all()

    async def _cases(self, where: ColumnElement[bool]) -> Sequence[int]:
        query = select(cases.c.id).join_from(cases, studies).where(where)
        query = query.order_by(cases.c.priority, cases.c.created_at).limit(BATCH)
        async with self._database.reading() as connection:
            return (await connection.execute(query)).scalars().all()

    async def _offerable(self) -> list[int]:
        """Seeking cases that an offer would change now; looking costs no write, however many wait."""
        found: list[int] = []
        members: dict[tuple[str, str], list[Candidate]] = {}
        async with self._database.reading() as connection:
            query = _rows().where(_seeking()).order_by(cases.c.priority, cases.c.created_at)
            for row in (await connection.execute(query)).mappings().all():
                key = (row["group"], row["site"])
                if key not in members:
                    members[key] = await candidates(connection, *key)
                choice = choose(self._need(row), members[key])
                if choice.reader is not None or why_with(row["why"], waiting=choice.why) != row["why"]:
                    found.append(row["id"])
        return found[:BATCH]

    async def _create(self, study: int) -> int:
        async with self._database.writing() as connection:
            if (await connection.execute(select(cases.c.id).where(cases.c.study == study))).first():
                return 0  # another process was faster
            row = (await connection.execute(select(studies).where(studies.c.id == study))).mappings().one()
            decision = self._rules.evaluate(await facts_of(connection, study))
            case = await self._insert(connection, row, decision)
            early = "" if row["state"] == COMPLETE else "; the study is still arriving"
            detail = f"rule {decision.rule}, group {decision.group}{early}"
            await note(connection, case, "created", by=HUB, at=self._now(), detail=detail)
            await self._custody.append(
                connection,
                "case-created",
                site=row["site"],
                subject=subject_of("case", case),
                detail={"rule": decision.rule, "group": decision.group},
            )
            await enter(connection, self._custody, case)
        log.info("case created", study_uid=row["study_uid"], site=row["site"], rule=decision.rule)
        return 1

    async def _insert(self, connection: AsyncConnection, row: RowMapping, decision: Decision) -> int:
        completed = row["completed_at"] or ARRIVING
        count = await _from_edge(connection, row["id"])
        done = await connection.execute(
            insert(cases).values(
                study=row["id"],
                state=CaseState.UNASSIGNED.value,
                priority=int(decision.priority),
                group=decision.group,
                weight=decision.weight,
                rule=decision.rule,
                why=json.dumps(list(decision.why), ensure_ascii=False),
                prefer=json.dumps(list(decision.prefer)),
                hold=decision.hold,
                deadline=_deadline(completed, decision),
                created_at=self._now(),
                settled_at=completed,
                instances=count,
            )
        )
        (key,) = done.inserted_primary_key or (0,)
        await changed.remember(connection, int(key), row["id"])
        return int(key)

    async def _settle(self, connection: AsyncConnection, row: RowMapping) -> int:
        """The study is complete for the first time: ask the rules anew, and let the time run."""
        decision = self._rules.evaluate(await facts_of(connection, row["study"]))
        values: dict[str, object] = {
            "settled_at": row["completed_at"],
            "instances": await _from_edge(connection, row["study"]),
        }
        if row["state"] in UNREAD:
            values |= {
                "priority": int(decision.priority),
                "group": decision.group,
                "weight": decision.weight,
                "rule": decision.rule,
                "why": json.dumps(list(decision.why), ensure_ascii=False),
                "prefer": json.dumps(list(decision.prefer)),
                "hold": decision.hold,
            }
        if row["state"] != CaseState.REPORTED:
            values["deadline"] = _deadline(row["completed_at"], decision)
        await connection.execute(update(cases).where(cases.c.id == row["id"]).values(values))
        if values.get("group", row["group"]) != row["group"]:
            await enter(connection, self._custody, row["id"])
        await changed.remember(connection, row["id"], row["study"])
        said = f"rule {decision.rule}, group {decision.group}"
        await note(connection, row["id"], "complete", by=HUB, at=self._now(), detail=said)
        if await answered.by_images(connection, row):  # what was missing may have been on its way
            await self._resume(connection, row, said, {})
        return 1

    async def _resume(
        self, connection: AsyncConnection, row: RowMapping, said: str, values: dict[str, object]
    ) -> None:
        """Take up a returned case; who returned it is asked first."""
        prefer = list(dict.fromkeys([row["assignee"], *json.loads(row["prefer"])]))
        values |= {"prefer": json.dumps([one for one in prefer if one]), "assignee": None}
        at = self._now()
        await change(connection, self._custody, row, CaseEvent.RESUME, by=HUB, at=at, detail=said, **values)

    async def _note_reopened(self, connection: AsyncConnection, row: RowMapping) -> int:
        """More comes of a study that was complete: whoever reads it is told before it is complete again."""
        said = "more of this study is arriving"
        await note(connection, row["id"], "reopened", by=HUB, at=self._now(), detail=said)
        return 1

    async def _offer(self, connection: AsyncConnection, row: RowMapping) -> int:
        """Choose a reader; if there is none, say why it waits."""
        choice = choose(self._need(row), await candidates(connection, row["group"], row["site"]))
        mine = cases.c.id == row["id"]
        if choice.reader is None:
            why = why_with(row["why"], waiting=choice.why)
            if why != row["why"]:
                await connection.execute(update(cases).where(mine).values(why=why))
                return 1
            return 0
        now = self._now()
        await change(
            connection,
            self._custody,
            row,
            CaseEvent.OFFER,
            by=HUB,
            at=now,
            detail=choice.why[-1],
            assignee=choice.reader.name,
            assigned_at=now,
            why=why_with(row["why"], lasting=choice.why),
        )
        log.info("case offered", study_uid=row["study_uid"], site=row["site"], group=row["group"])
        return 1

    async def _withdraw(self, connection: AsyncConnection, row: RowMapping) -> int:
        """Take it from a reader who went away, whose licence ended or who left the group."""
        known = {one.name: one for one in await candidates(connection, row["group"], row["site"])}
        reader = known.get(row["assignee"])
        reason = "is not a reader of the group any more"
        if reader is not None:
            # what it weighs is in the load already
            found = obstacle(self._need(row, weight=0), reader)
            if found is None or found.startswith("at capacity"):
                return 0
            reason = found
        said = f"taken from {reader.display_name if reader else row['assignee']}: {reason}"
        await change(
            connection,
            self._custody,
            row,
            CaseEvent.WITHDRAW,
            by=HUB,
            at=self._now(),
            detail=said,
            assignee=None,
            why=why_with(row["why"], lasting=(said,)),
        )
        return 1

    async def _answered(self, connection: AsyncConnection, row: RowMapping) -> int:
        await answered.give_back(connection, self._custody, row, self._now())
        return 1

    async def _lapse(self, connection: AsyncConnection, row: RowMapping) -> int:
        said = f"nothing heard of {row['lease_by']} since the lease ended; the draft is kept"
        values = {"lease_by": None, "lease_until": None}
        event = CaseEvent.LAPSE if row["assignee"] else CaseEvent.WITHDRAW  # opened in an emergency: nobody's
        await change(connection, self._custody, row, event, by=HUB, at=self._now(), detail=said, **values)
        return 1

    async def _escalate(self, connection: AsyncConnection, row: RowMapping) -> int:
        said = f"the deadline {row['deadline']} has passed"
        why = why_with(row["why"], lasting=(said,)) if said not in json.loads(row["why"]) else row["why"]
        await change(
            connection, self._custody, row, CaseEvent.ESCALATE, by=HUB, at=self._now(), detail=said, why=why
        )
        log.warning("case past its deadline", study_uid=row["study_uid"], site=row["site"])
        return 1

    async def _note_late(self, connection: AsyncConnection, row: RowMapping) -> int:
        """The study was reopened and is complete again: tell it, and take up a returned case."""
        count = await _from_edge(connection, row["study"])
        added = count - row["instances"]
        which = await changed.compare(connection, row["id"], row["study"], self._now())
        reported = row["state"] == CaseState.REPORTED
        since = "the report" if reported else "the case was made"
        said = f"the study changed after {since}: {added:+d} instances{which}"
        values: dict[str, object] = {"settled_at": row["completed_at"], "instances": count}
        if reported:
            values["late"] = row["late"] + max(added, 0)
        values["why"] = why_with(row["why"], lasting=(said,))
        if await answered.by_images(connection, row):
            await self._resume(connection, row, said, values)
            return 1
        await connection.execute(update(cases).where(cases.c.id == row["id"]).values(values))
        await note(connection, row["id"], "late", by=HUB, at=self._now(), detail=said)
        return 1

    def _need(self, row: RowMapping, *, weight: int | None = None) -> Need:
        return Need(
            group=row["group"],
            site=row["site"],
            weight=row["weight"] if weight is None else weight,
            today=self._today(),
            prefer=json.loads(row["prefer"]),
        )


def _rows() -> Select[Any]:
    """Cases with what of their studies is needed here."""
    return select(cases, studies.c.site, studies.c.study_uid, studies.c.completed_at).join_from(
        cases, studies
    )


async def _from_edge(connection: AsyncConnection, study: int) -> int:
    """How many current instances of a study came from the hospital; reports made here do not count."""
    ours = (series.c.study == study) & (instances.c.origin == "edge") & instances.c.current
    query = select(func.count()).select_from(instances).join(series).where(ours)
    return int((await connection.execute(query)).scalar_one())


def _settled_again() -> ColumnElement[bool]:
    again = cases.c.settled_at != ARRIVING
    return (studies.c.state == COMPLETE) & (studies.c.completed_at != cases.c.settled_at) & again


def _settled_first() -> ColumnElement[bool]:
    return (studies.c.state == COMPLETE) & (cases.c.settled_at == ARRIVING)


def _reopened() -> ColumnElement[bool]:
    """Reopened, and not yet told since it was last complete."""
    told = (
        (case_events.c.case == cases.c.id)
        & (case_events.c.event == "reopened")
        & (case_events.c.at > cases.c.settled_at)
    )
    return (studies.c.state == REOPENED) & ~exists(select(case_events.c.id).where(told))


def _deadline(completed: str, decision: Decision) -> str | None:
    """Time runs from when the study is complete."""
    if completed == ARRIVING or decision.deadline is None:
        return None
    return rfc3339(parse_rfc3339(completed) + decision.deadline)


def _lease_ended(now: str) -> ColumnElement[bool]:
    return (cases.c.state == CaseState.READING.value) & (cases.c.lease_until <= now)


def _reader_gone(today: str) -> ColumnElement[bool]:
    """Given to somebody who is away, barred, out of the group, or without a licence on that day."""
    states = (CaseState.OFFERED, CaseState.ACCEPTED, CaseState.ESCALATED)
    mine, bound = readers.c.user == cases.c.assignee, reader_sites.c.user == cases.c.assignee
    member = (reader_groups.c.user == cases.c.assignee) & (reader_groups.c.group == cases.c.group)
    valid = reader_sites.c.licensed_until.is_(None) | (reader_sites.c.licensed_until >= today)
    here = bound & (reader_sites.c.site == studies.c.site) & valid
    gone = or_(
        ~exists(select(readers.c.user).where(mine, readers.c.available)),
        exists(select(users.c.name).where(users.c.name == cases.c.assignee, users.c.disabled)),
        ~exists(select(reader_groups.c.user).where(member)),
        and_(
            exists(select(reader_sites.c.user).where(bound)), ~exists(select(reader_sites.c.user).where(here))
        ),
    )
    return cases.c.state.in_([state.value for state in states]) & cases.c.assignee.is_not(None) & gone


def _overdue(now: str) -> ColumnElement[bool]:
    return cases.c.state.in_([state.value for state in WAITING]) & (cases.c.deadline <= now)


def _seeking() -> ColumnElement[bool]:
    """Without a reader, held by no rule, and complete unless it is urgent."""
    states = [state.value for state in SEEKING]
    ready = or_(cases.c.settled_at != ARRIVING, cases.c.priority <= int(Priority.URGENT))
    return cases.c.state.in_(states) & cases.c.assignee.is_(None) & cases.c.hold.is_(None) & ready

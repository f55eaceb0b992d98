"""The loop that writes down which studies are complete, and a person's own word for it."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any

from sqlalchemy import case, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.clock import Clock, parse_rfc3339, rfc3339
from gateway.database import Database
from gateway.errors import NotFound, Refused
from gateway.log import logger
from hub.archive import procedures
from hub.archive.commitment import committed
from hub.archive.judgement import Evidence, Patience, Tags, judge
from hub.archive.procedures import Procedures
from hub.archive.states import StudyEvent, StudyState, step
from hub.record import Record, operator, subject_of, user
from hub.tables.study import series, studies, study_notes
from hub.tables.told import series_promises

CONSOLE = "console"
"""Who works at the hub's own machine, in place of a user's name."""

POLL = 1.0
"""Seconds between two looks at the studies that are arriving."""

log = logger("hub.archive.settle")


class Settler:
    """Looks at arriving and reopened studies and writes down which are complete.

    Args:
        database: with the index.
        custody: is told of every completed study.
        clock: the hub's.
        patience: how long to wait.
    """

    def __init__(self, database: Database, custody: Record, clock: Clock, patience: Patience) -> None:
        self._database, self._custody, self._clock = database, custody, clock
        self._patience = patience
        self._later: dict[int, tuple[str, float]] = {}  # last arrivals that by our clock are still to come

    async def run(self) -> None:
        """Look, again and again, until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(POLL)

    async def look(self) -> int:
        """Judge every study that is not complete. Returns how many became so."""
        now = self._clock.now()
        settled = 0
        rows, steps = await self._open_studies()
        for row in rows:
            still = self._still(row["id"], row["last_at"], now)
            words = judge(_evidence(row, steps.get(row["id"], Procedures()), still), self._patience)
            if words is not None:
                settled += await self._settle(row, words, now)
        return settled

    def _still(self, study: int, last_at: str, now: datetime) -> float:
        """Seconds since the last arrival; since the first look, if the clock was put back meanwhile."""
        still = (now - parse_rfc3339(last_at)).total_seconds()
        if still >= 0:
            self._later.pop(study, None)
            return still
        moment, since = self._later.get(study, ("", 0.0))
        if moment != last_at:
            since = self._clock.monotonic()
            self._later[study] = (last_at, since)
        return self._clock.monotonic() - since

    async def _open_studies(self) -> tuple[list[dict[str, Any]], dict[int, Procedures]]:
        notes = study_notes.c
        told = (
            select(
                notes.site,
                notes.study_uid,
                func.sum(notes.instances).label("announced"),
                func.count().label("associations"),
                func.max(notes.instances).label("largest"),
            )
            .group_by(notes.site, notes.study_uid)
            .join(
                studies,
                (studies.c.site == notes.site)
                & (studies.c.study_uid == notes.study_uid)
                & (studies.c.state != StudyState.COMPLETE.value),
            )
            .subquery()
        )
        promised = _promised()
        query = (
            select(
                studies.c.id,
                studies.c.site,
                studies.c.study_uid,
                studies.c.state,
                studies.c.last_at,
                studies.c.instance_count,
                studies.c.received_count,
                studies.c.series_count,
                promised.c.promised,
                promised.c.fulfilled,
                told.c.announced,
                told.c.associations,
                told.c.largest,
            )
            .outerjoin(told, (told.c.site == studies.c.site) & (told.c.study_uid == studies.c.study_uid))
            .outerjoin(promised, promised.c.study == studies.c.id)
            .where(studies.c.state.in_([StudyState.ARRIVING.value, StudyState.REOPENED.value]))
        )
        async with self._database.reading() as connection:
            rows = [dict(row) for row in (await connection.execute(query)).mappings()]
            return rows, await procedures.of_studies(connection, (row["id"] for row in rows))

    async def _settle(self, row: dict[str, Any], words: str, now: datetime) -> int:
        """Write it down, unless something has come meanwhile. Returns 1 if written."""
        state = step(StudyState(row["state"]), StudyEvent.SETTLED)
        async with self._database.writing() as connection:
            written = await connection.execute(
                update(studies)
                .where(
                    studies.c.id == row["id"],
                    studies.c.state == row["state"],
                    studies.c.received_count == row["received_count"],
                )
                .values(state=state.value, completeness=words, completed_at=rfc3339(now))
            )
            if written.rowcount != 1:
                return 0
            await self._custody.append(
                connection,
                "study-complete",
                site=row["site"],
                subject=subject_of("study", row["id"]),
                detail={
                    "instances": row["instance_count"],
                    "evidence": words,
                    **await committed(connection, row["id"], row["site"], row["study_uid"]),
                },
            )
        log.info("study complete", site=row["site"], study_uid=row["study_uid"], evidence=words)
        return 1


async def force(
    connection: AsyncConnection, custody: Record, study: int, *, by: str, reason: str, now: datetime
) -> None:
    """A person takes a study as complete with what is here; whatever comes later reopens it.

    Args:
        connection: of a writing transaction.
        custody: is told of it, by whom and with how many instances.
        study: row of `studies`.
        by: the user, or `CONSOLE`.
        reason: in the person's words; kept with the study, not in the log.
        now: the time.

    Raises:
        NotFound: there is no such study.
        Refused: it is complete already.
    """
    query = select(studies).where(studies.c.id == study)
    row = (await connection.execute(query)).mappings().first()
    if row is None:
        raise NotFound("there is no such study")
    if row["state"] == StudyState.COMPLETE.value:
        raise Refused(f"this study is complete already: {row['completeness']}")
    state = step(StudyState(row["state"]), StudyEvent.FORCED)
    expected = row["expected_count"] or 0
    known = f" of {expected} known" if expected > row["instance_count"] else ""
    words = f"{row['instance_count']}{known} instances; taken as complete by {by}"
    await connection.execute(
        update(studies)
        .where(studies.c.id == study)
        .values(
            state=state.value,
            completeness=f"{words}: {reason}" if reason else words,
            completed_at=rfc3339(now),
        )
    )
    await custody.append(
        connection,
        "study-complete",
        site=row["site"],
        subject=subject_of("study", study),
        detail={
            "instances": row["instance_count"],
            "expected": expected,
            "evidence": "by hand",
            "by": operator() if by == CONSOLE else user(by),
            **await committed(connection, study, row["site"], row["study_uid"]),
        },
    )
    log.info("study taken as complete by hand", site=row["site"], study_uid=row["study_uid"])


def _promised() -> Any:
    """By study: how many series say how large they are, and how many of those are."""
    met = case((series.c.instance_count == series_promises.c.instances, 1), else_=0)
    return (
        select(series.c.study, func.count().label("promised"), func.sum(met).label("fulfilled"))
        .join_from(series_promises, series)
        .join(studies, (studies.c.id == series.c.study) & (studies.c.state != StudyState.COMPLETE.value))
        .group_by(series.c.study)
        .subquery()
    )


def _evidence(row: dict[str, Any], told: Procedures, still: float) -> Evidence:
    return Evidence(
        instances=row["instance_count"],
        received=row["received_count"],
        announced=row["announced"],
        associations=row["associations"] or 0,
        single=(row["largest"] or 0) <= 1,
        still=still,
        series=row["series_count"],
        procedures=told,
        tags=Tags(row["promised"] or 0, row["fulfilled"] or 0),
    )

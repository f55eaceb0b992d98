"""When is a study complete? A decision with its evidence in words, and the loop that writes it down.

Evidence, the best first: the edge told how many instances each association carried and every one of
them is here; more are here than all closed associations carried, so one is still open; nothing was
told, and it has been quiet. Time alone never closes a study of which instances are known to be on
their way, until they are long overdue; and every late instance reopens it.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select, update

from gateway.clock import Clock, parse_rfc3339, rfc3339
from gateway.database import Database
from gateway.log import logger
from hub.archive.states import StudyEvent, StudyState, step
from hub.record import Record, subject_of
from hub.tables.study import studies, study_notes

OVERDUE = 10
"""Instances that were announced are waited for this many times the quiet time."""

POLL = 1.0
"""Seconds between two looks at the studies that are arriving."""

log = logger("hub.archive.settle")


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of an arriving study.

    Args:
        instances: different ones that are here.
        received: arrivals, copies counted too, as the associations count them.
        announced: arrivals that closed associations carried; None: the edge told of none.
        associations: how many closed.
        single: whether no association carried more than one instance.
        still: seconds since the last arrival.
    """

    instances: int
    received: int
    announced: int | None
    associations: int
    single: bool
    still: float


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait, in seconds (`hub.config.Settle`)."""

    after_association: float = 3.0
    quiet: float = 120.0


def judge(evidence: Evidence, patience: Patience) -> str | None:
    """Why the study is complete, in words; None if it is not. Pure."""
    told = evidence.announced
    if told is None:
        if evidence.still < patience.quiet:
            return None
        return f"{evidence.instances} instances; nothing was announced, quiet for {patience.quiet:g} s"
    if evidence.received < told:
        if evidence.still < patience.quiet * OVERDUE:
            return None
        missing = told - evidence.received
        return (
            f"incomplete: {missing} of {told} announced instances have not come "
            f"within {patience.quiet * OVERDUE:g} s"
        )
    if evidence.received > told:  # an association that has not closed is sending
        if evidence.still < patience.quiet:
            return None
        return (
            f"{evidence.instances} instances; {told} were announced, more came, "
            f"quiet for {patience.quiet:g} s"
        )
    # Some modalities open an association for every image; the end of one says little then.
    wait = patience.quiet if evidence.single and evidence.associations > 1 else patience.after_association
    if evidence.still < wait:
        return None
    ended = "the association" if evidence.associations == 1 else f"{evidence.associations} associations"
    return f"{evidence.instances} instances; all {told} that {ended} carried are here"


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

    async def run(self) -> None:
        """Look, again and again, until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(POLL)

    async def look(self) -> int:
        """Judge every study that is not complete. Returns how many became so."""
        now = self._clock.now()
        settled = 0
        for row in await self._open_studies():
            words = judge(_evidence(row, now), self._patience)
            if words is not None:
                settled += await self._settle(row, words, now)
        return settled

    async def _open_studies(self) -> list[dict[str, Any]]:
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
        query = (
            select(
                studies.c.id,
                studies.c.site,
                studies.c.study_uid,
                studies.c.state,
                studies.c.last_at,
                studies.c.instance_count,
                studies.c.received_count,
                told.c.announced,
                told.c.associations,
                told.c.largest,
            )
            .outerjoin(told, (told.c.site == studies.c.site) & (told.c.study_uid == studies.c.study_uid))
            .where(studies.c.state.in_([StudyState.ARRIVING.value, StudyState.REOPENED.value]))
        )
        async with self._database.reading() as connection:
            return [dict(row) for row in (await connection.execute(query)).mappings()]

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
                detail={"instances": row["instance_count"], "evidence": words},
            )
        log.info("study complete", site=row["site"], study_uid=row["study_uid"], evidence=words)
        return 1


def _evidence(row: dict[str, Any], now: datetime) -> Evidence:
    return Evidence(
        instances=row["instance_count"],
        received=row["received_count"],
        announced=row["announced"],
        associations=row["associations"] or 0,
        single=(row["largest"] or 0) <= 1,
        still=(now - parse_rfc3339(row["last_at"])).total_seconds(),
    )

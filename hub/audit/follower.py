"""What no person's request told: studies that came, reports that went, edges, alarms.

These are in the custody log already. The follower reads it on from where it stopped and adds the
deeds to the trail, with the study they are about; its mark moves in the same transaction.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import RowMapping, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.database import Database
from hub.record import Deed, subject_of
from hub.tables.account import users
from hub.tables.audit import audit_events, audit_marks
from hub.tables.case import cases
from hub.tables.custody import custody
from hub.tables.report import reports
from hub.tables.study import patients, studies
from hub.trail import row_of

MARK = "followed"
BATCH = 500
LOOK_SECONDS = 3.0
NEWEST = 500
"""Studies of a site among which a completed one is looked for."""

FOLLOWED = {
    "study-complete": "study-received",
    "report-signed": "report-signed",
    "report-fetched": "report-delivered",
    "edge-enrolled": "edge-enrolled",
    "edge-renewed": "edge-renewed",
    "edge-return-asked": "edge-return-asked",
    "edge-returned": "edge-returned",
    "edge-used-twice": "edge-used-twice",
    "witness-alarm": "witness-alarm",
    "salt-erased": "salt-erased",
    "person-erased": "person-erased",
    "seals-begun": "seals-begun",
    "kem-rotated": "kem-rotated",
    "kem-changed": "kem-changed",
    "authority-changed": "authority-changed",
    "rules-loaded": "rules-loaded",
    "chain-gap": "chain-gap",
    "chain-fork": "chain-fork",
    "conflict": "conflict",
    "parcel-quarantined": "parcel-quarantined",
    "disk-quarantined": "disk-quarantined",
}
"""Custody events and the deeds they become; what a person did is told where it was done."""


class Follower:
    """Reads the custody log on. `run` is a service."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def run(self) -> None:
        """Follow for ever; ends only by cancellation."""
        while True:
            if not await self.turn():
                await asyncio.sleep(LOOK_SECONDS)

    async def turn(self) -> int:
        """Add what is new. Returns how many entries were read."""
        async with self._database.writing() as connection:
            query = select(audit_marks.c.position).where(audit_marks.c.name == MARK)
            mark = (await connection.execute(query)).scalar()
            later = custody.c.position > (-1 if mark is None else mark)
            found = select(custody).where(later).order_by(custody.c.position).limit(BATCH)
            rows = (await connection.execute(found)).mappings().all()
            for row in rows:
                if row["event"] in FOLLOWED:
                    deed = await _deed(connection, row)
                    await connection.execute(insert(audit_events).values(row_of(deed, row["at"])))
            if rows:
                await _advance(connection, mark, rows[-1]["position"])
            return len(rows)


async def _advance(connection: AsyncConnection, before: int | None, position: int) -> None:
    if before is None:
        await connection.execute(insert(audit_marks).values(name=MARK, position=position))
    else:
        mine = update(audit_marks).where(audit_marks.c.name == MARK)
        await connection.execute(mine.values(position=position))


async def _deed(connection: AsyncConnection, row: RowMapping) -> Deed:
    event = FOLLOWED[row["event"]]
    about: Mapping[str, Any] = {}
    if event == "study-received":
        about = await _study_of(connection, row["site"], row["subject"])
    elif event in ("report-signed", "report-delivered"):
        about = await _study_of_report(connection, row["subject"])
    if event == "report-signed":
        about = {**about, **await _signer_of(connection, row["subject"])}
    detail: Any = json.loads(row["leaf"]).get("detail", {})
    return Deed(event, site=row["site"], **about, detail={"custody": row["position"], **detail})


async def _study_of(connection: AsyncConnection, site: str, subject: str) -> Mapping[str, str]:
    query = (
        select(studies.c.id, studies.c.study_uid, patients.c.patient_id)
        .join_from(studies, patients)
        .where(studies.c.site == site)
        .order_by(studies.c.last_at.desc())
        .limit(NEWEST)
    )
    for row in await connection.execute(query):
        if subject_of("study", row.id) == subject:
            return {"study_uid": row.study_uid, "patient_id": row.patient_id}
    return {}


async def _study_of_report(connection: AsyncConnection, report: str) -> Mapping[str, str]:
    query = (
        select(studies.c.study_uid, patients.c.patient_id)
        .join_from(reports, cases, reports.c.case == cases.c.id)
        .join(studies, studies.c.id == cases.c.study)
        .join(patients, patients.c.id == studies.c.patient)
        .where(reports.c.id == report)
    )
    row = (await connection.execute(query)).first()
    return {"study_uid": row.study_uid, "patient_id": row.patient_id} if row else {}


async def _signer_of(connection: AsyncConnection, report: str) -> Mapping[str, str]:
    query = (
        select(users.c.name, users.c.role)
        .join_from(reports, users, reports.c.signed_by == users.c.name)
        .where(reports.c.id == report)
    )
    row = (await connection.execute(query)).first()
    return {"person": row.name, "role": row.role} if row else {}

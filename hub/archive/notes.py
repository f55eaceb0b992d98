"""What the edges tell in notices: how many instances of a study each association carried, and the rest.

A note may come before the study's first instance. Together the notes say how many arrivals to
expect, so that a reader sees "127 of 180" and a study is not called complete while a part of it
is still under way. Procedure steps (`procedures`) and warnings (`quality`) are kept by their own files.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import case, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway import canonical
from gateway.envelope.layout import Notice
from hub.archive import procedures, quality
from hub.archive.facts import made_uid
from hub.tables.study import studies, study_notes

ASSOCIATION_CLOSED = "association-closed"
"""The one kind of notice that counts instances."""


def counted(notice: Notice) -> Mapping[str, int]:
    """Instances by Study Instance UID, for a notice that counts them; empty for any other."""
    told = notice.body.get("studies")
    if notice.kind != ASSOCIATION_CLOSED or not isinstance(told, Mapping):
        return {}
    return {
        uid: count
        for uid, count in told.items()
        if isinstance(uid, str) and type(count) is int and count >= 0
    }


async def record(
    connection: AsyncConnection, notes: Sequence[tuple[str, Notice]], now: str
) -> set[tuple[str, str]]:
    """Keep every note that is not known yet.

    Args:
        connection: of a writing transaction.
        notes: site and notice.
        now: RFC 3339.

    Returns:
        Site and Study Instance UID of the studies they speak of.
    """
    spoken_of: set[tuple[str, str]] = set()
    for site, notice in notes:
        step = procedures.step_of(notice)
        if step is not None:
            await procedures.keep(connection, site, step, now)
        await quality.keep(connection, site, notice, now)
        for study_uid, count in counted(notice).items():
            association = _association(notice)
            spoken_of.add((site, study_uid))
            known = select(study_notes.c.id).where(
                study_notes.c.site == site,
                study_notes.c.association == association,
                study_notes.c.study_uid == study_uid,
            )
            if (await connection.execute(known)).first() is None:
                row = {
                    "site": site,
                    "study_uid": study_uid,
                    "association": association,
                    "instances": count,
                    "note": canonical.dump({"kind": notice.kind, "body": dict(notice.body)}).decode(),
                    "at": now,
                }
                await connection.execute(insert(study_notes).values(row))
    return spoken_of


async def expect(connection: AsyncConnection, touched: Iterable[tuple[str, str]]) -> None:
    """Set how many instances each study will have once all that was announced has come."""
    announced = (
        select(func.sum(study_notes.c.instances))
        .where(study_notes.c.site == studies.c.site, study_notes.c.study_uid == studies.c.study_uid)
        .scalar_subquery()
    )
    outstanding = announced - studies.c.received_count
    expected = case(
        (outstanding > 0, studies.c.instance_count + outstanding),
        (announced.is_not(None), studies.c.instance_count),
        else_=None,
    )
    for site, study_uid in touched:
        await connection.execute(
            update(studies)
            .where(studies.c.site == site, studies.c.study_uid == study_uid)
            .values(expected_count=expected)
        )


def _association(notice: Notice) -> str:
    """The association's own identifier, in the width of its column; any other name is hashed into it."""
    name = str(notice.body.get("association", ""))
    return name if 0 < len(name) <= 32 else made_uid("association", name)[-32:]

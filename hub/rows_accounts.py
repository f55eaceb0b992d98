"""Whether accounts, sessions and ways in through the glass are what the custody log says.

Cheap enough to be asked every minute: an administrator who was added, used and taken away again within a day
must not slip between two audits.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.clock import Clock, rfc3339
from gateway.custody.commitment import person_digest
from gateway.database import Database
from hub.custody import entry_of
from hub.record import USER, subject_of
from hub.seals import Seals
from hub.sessions_sealed import odd
from hub.standing import ENTERED, ERASED, faults, known_subjects
from hub.tables.account import break_glass
from hub.tables.custody import custody, person_salts


async def look(database: Database, seals: Seals, clock: Clock) -> list[str]:
    """What does not fit now, one line each."""
    async with database.reading() as connection:
        return [
            *await faults(connection),
            *await odd(connection, seals, clock.now()),
            *await _through_glass(connection, rfc3339(clock.now())),
        ]


async def gone(database: Database) -> list[str]:
    """Accounts the log knows and nobody finds any more; reads every entry of its kind."""
    async with database.reading() as connection:
        here = await known_subjects(connection)
        known: dict[str, int] = {}
        erased: set[str] = set()
        wanted = custody.c.event.in_((ENTERED, ERASED))
        query = select(custody.c.position, custody.c.event, custody.c.subject).where(wanted)
        for row in await connection.execute(query.order_by(custody.c.position)):
            if row.event == ENTERED:
                known[row.subject] = row.position
            else:
                erased.add(row.subject)
    return [
        f"account of entry {position}: its row is gone, or the salt that leads to it"
        for subject, position in known.items()
        if subject not in here | erased
    ]


async def _through_glass(connection: AsyncConnection, now: str) -> list[str]:
    """Ways in that are open now, and that the log did not hear of."""
    rows = (await connection.execute(select(break_glass).where(break_glass.c.until > now))).mappings().all()
    if not rows:
        return []
    salts: dict[str, str] = {
        row.name: row.salt
        for row in await connection.execute(select(person_salts).where(person_salts.c.kind == USER))
    }
    subjects = {subject_of("study", row["study"]) for row in rows}
    told: list[dict[str, Any]] = []
    query = select(custody.c.leaf).where(custody.c.subject.in_(subjects), custody.c.event == "break-glass")
    for (leaf,) in await connection.execute(query):
        entry = entry_of(leaf)
        told.append({"study": entry["subject"], **entry["detail"]})
    return [
        f"break_glass {row['id']}: {row['user']} was let into a study, and nobody asked for it"
        for row in rows
        if {
            "study": subject_of("study", row["study"]),
            "by": person_digest(salts.get(row["user"], ""), USER, row["user"]),
            "until": row["until"],
        }
        not in told
    ]

"""The salts by which people stand in the custody log, so that a leaf names nobody to who has not the salt.

They lie in a table beside the log (`person_salts`). Whoever is given one can tell that a leaf is about this
person; once it is erased, nobody can. Entries made before there were salts have plain SHA-256 subjects, and
stay as they are: nothing that verifies the log reads them.
"""

from __future__ import annotations

import secrets

from sqlalchemy import delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.custody.commitment import person_digest
from hub.record import Person
from hub.tables.custody import person_salts


async def subject_of_person(connection: AsyncConnection, who: Person) -> str:
    """The subject of somebody, in a `writing` transaction: the first time makes the salt."""
    return person_digest(await salted(connection, who.kind, who.name), who.kind, who.name)


async def salted(connection: AsyncConnection, kind: str, name: str) -> str:
    """The salt of somebody; made if there is none."""
    salt = await salt_of(connection, kind, name)
    if salt is None:
        salt = secrets.token_hex(16)
        await connection.execute(insert(person_salts).values(kind=kind, name=name, salt=salt))
    return salt


async def salt_of(connection: AsyncConnection, kind: str, name: str) -> str | None:
    """The salt of somebody; None if it was never made, or erased."""
    query = select(person_salts.c.salt).where(person_salts.c.kind == kind, person_salts.c.name == name)
    salt: str | None = (await connection.execute(query)).scalar()
    return salt


async def erase(connection: AsyncConnection, kind: str, name: str) -> str | None:
    """Erase the salt. Returns it, as the last who has it; None if there was none."""
    salt = await salt_of(connection, kind, name)
    mine = (person_salts.c.kind == kind) & (person_salts.c.name == name)
    await connection.execute(delete(person_salts).where(mine))
    return salt

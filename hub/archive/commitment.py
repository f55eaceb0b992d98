"""What a leaf of the custody log says of a study without naming it: a salted digest, and one of its images.

The salt lies in a table beside the log. Whoever is given it (in a file of evidence) can tell that the leaf
is about this study and these images; when it is erased, nobody can.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from typing import Any

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.custody.commitment import images_digest, study_digest
from hub.record import subject_of
from hub.tables.custody import subject_salts
from hub.tables.study import instances, series


async def committed(connection: AsyncConnection, study: int, site: str, study_uid: str) -> dict[str, Any]:
    """The part of a leaf's detail that binds it to a study and to what came for it over the line.

    Args:
        connection: in a writing transaction.
        study: its row.
        site: of the study.
        study_uid: its Study Instance UID.
    """
    digests = await connection.execute(
        select(instances.c.sha256)
        .join_from(instances, series)
        .where(series.c.study == study, instances.c.parcel_id != "")
    )
    salt = await salt_of(connection, subject_of("study", study)) or await _new(connection, study)
    found: Iterable[str] = digests.scalars()
    return {"study": study_digest(salt, site, study_uid), "images": images_digest(found)}


async def salt_of(connection: AsyncConnection, subject: str) -> str | None:
    """The salt of a subject; None if it was never made, or erased."""
    query = select(subject_salts.c.salt).where(subject_salts.c.subject == subject)
    salt: str | None = (await connection.execute(query)).scalar()
    return salt


async def _new(connection: AsyncConnection, study: int) -> str:
    salt = secrets.token_hex(16)
    await connection.execute(insert(subject_salts).values(subject=subject_of("study", study), salt=salt))
    return salt

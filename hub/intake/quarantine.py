"""Parcels that do not hold what was signed: kept aside, never deleted, a person is to look.

The sealed bytes and the signed header lie in one folder; the row in `quarantine` names them and says
why. The edge is told, and keeps its own copy.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway import durable
from gateway.model import ParcelId
from hub.tables.arrival import quarantine


class Quarantine:
    """The folder of what was put aside.

    Args:
        folder: on the same file system as the part files.
        data: the hub's data folder; rows name paths below it.
    """

    def __init__(self, folder: Path, data: Path) -> None:
        self.folder, self._data = folder, data
        durable.make_folder(folder)

    def keep(self, parcel: ParcelId, body: Path, header: bytes) -> Path:
        """Blocking: give the bytes a second, durable name here. Safe to repeat. Returns the path."""
        target = self.folder / f"{parcel}.tge"
        with suppress(FileExistsError):
            durable.create(self.folder / f"{parcel}.head", header)
        with suppress(FileExistsError):
            os.link(body, target)
        durable.sync_folder(self.folder)
        return target

    async def record(
        self, connection: AsyncConnection, parcel: ParcelId, site: str, path: Path, reason: str, at: str
    ) -> None:
        """Write the row, inside the caller's transaction; one row a parcel."""
        known = select(quarantine.c.id).where(quarantine.c.parcel_id == parcel)
        if (await connection.execute(known)).first() is not None:
            return
        place = str(path.relative_to(self._data))
        row = {"site": site, "parcel_id": parcel, "path": place, "reason": reason, "at": at}
        await connection.execute(insert(quarantine).values(row))

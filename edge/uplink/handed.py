"""Receipts that came on a disk, and a person's word: handed in through a folder.

``data/handed/<parcel_id>.receipt`` is written by ``telerad edge import-receipts`` and judged as if it had
come over the line; ``<parcel_id>.give-up``, with who and why, by ``telerad edge give-up``. What is taken
goes away; what does not hold stays as ``<parcel_id>.refused`` with the reason in ``<parcel_id>.why``; what
cannot be written down, as on a full disk, stays as it is and is tried again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path

from edge.spool.spool import Spool
from edge.spool.states import State
from edge.uplink.parcel import Parcel
from edge.uplink.receipts import check_receipt
from gateway import cpu, durable
from gateway.errors import Broken, DataError, ResourceError, Unverified
from gateway.log import logger
from gateway.model import ParcelId, parcel_id
from gateway.trust import Trust
from gateway.wire.sender import State as Sending

FOLDER = "handed"
LOOK_SECONDS = 1.0

Accept = Callable[[ParcelId, bytes], Awaitable[None]]
GiveUp = Callable[[ParcelId, str], Awaitable[None]]
log = logger("edge.uplink")


async def accept_receipt(spool: Spool, parcel: ParcelId, receipt: bytes, trust: Trust, now: datetime) -> None:
    """Judge a receipt for an item of the spool, and let the item go.

    Raises:
        DataError: it does not hold, or is for something that is not here.
        StorageFull: it cannot be kept yet.
        OSError: likewise.
    """
    item = await spool.item(parcel)
    if item is None:
        raise Unverified("the receipt is for a parcel that never was here")
    if item.state in (State.CONFIRMED, State.PURGED):
        return
    if item.sequence is None:
        raise Unverified("the receipt is for a parcel that has not left this edge")
    loaded = await cpu.run(Parcel.load, spool, item, Sending.DOUBTFUL)
    await cpu.run(check_receipt, receipt, loaded, trust, now)
    await spool.confirm(parcel, receipt)


class HandedIn:
    """Takes receipts from the folder.

    Args:
        data: the edge's data folder.
        accept: judges one and lets its parcel go; raises DataError, and ResourceError or OSError if not yet.
        give_up: a person gives up on a parcel; raises the same.
    """

    def __init__(self, data: Path, accept: Accept, give_up: GiveUp | None = None) -> None:
        self.folder = data / FOLDER
        self._accept, self._give_up = accept, give_up
        self._later: set[Path] = set()  # told of already
        durable.make_folder(self.folder)

    async def run(self) -> None:
        """Look for ever. A service: ends only by cancellation."""
        while True:
            await self.round()
            await asyncio.sleep(LOOK_SECONDS)

    async def round(self) -> int:
        """Take all that is there now. Returns how many were good."""
        good = 0
        for file in sorted(self.folder.glob("*.receipt")):
            good += await self._one(file)
        for file in sorted(self.folder.glob("*.give-up")) if self._give_up is not None else ():
            good += await self._one(file)
        return good

    async def _one(self, file: Path) -> bool:
        try:
            good = await self._judged(file)
        except (ResourceError, OSError) as error:  # nothing is lost: it is there for the next round
            if file not in self._later:
                log.warning("handed in, and cannot be kept yet", parcel=file.stem, why=str(error))
            self._later.add(file)
            return False
        self._later.discard(file)
        return good

    async def _judged(self, file: Path) -> bool:
        try:
            if file.suffix == ".receipt":
                await self._accept(parcel_id(file.stem), file.read_bytes())
            elif self._give_up is not None:
                await self._give_up(parcel_id(file.stem), file.read_text(errors="replace"))
        except (DataError, Broken) as error:
            log.warning("handed in, and not taken", parcel=file.stem, why=str(error))
            durable.replace(file.with_suffix(".why"), str(error).encode())
            file.replace(file.with_suffix(".refused"))
            return False
        durable.remove(file)
        return True

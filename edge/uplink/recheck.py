"""Makes sure that the hub still has what it has signed for: it may have been restored from a backup.

After every new connection, and now and then, the edge asks for what was confirmed since the last time,
and for the newest of what was vouched for then (the witness). A backup older than that time lacks the
witness; a younger one lacks only what is asked for anyway. As soon as one parcel turns out to be lost,
all that are kept are asked for again. PROTOCOL.md §5.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from edge.spool.spool import Spool
from edge.uplink.desk import Desk
from edge.uplink.exchange import Exchanges
from edge.uplink.flow import Flow
from edge.uplink.pacing import Gate
from gateway.clock import Clock
from gateway.model import ParcelId
from gateway.wire.frames import encode
from gateway.wire.messages import Ask, End

STATUS = "/v1/uplink/status"
LOOK_SECONDS = 60.0
EVERY_SECONDS = 600.0
"""So often even without a new connection."""
ASKED = 200
"""Parcels asked for in one exchange; every answer is a receipt."""


class Recheck:
    """Part of the uplink.

    Args:
        spool: keeps what is confirmed.
        exchanges: the way to the hub.
        desk: hears the answers; a parcel the hub does not know goes back to the spool's SEALED.
        gate: whether the line may be tried.
        flow: counts new connections.
        clock: this machine's.
    """

    def __init__(
        self, spool: Spool, exchanges: Exchanges, desk: Desk, gate: Gate, flow: Flow, clock: Clock
    ) -> None:
        self._spool, self._exchanges, self._gate = spool, exchanges, gate
        self._flow, self._clock = flow, clock
        self._vouched: dict[ParcelId, None] = {}
        self._connections, self._at = 0, clock.monotonic()
        desk.vouched = self._hear

    def _hear(self, parcel: ParcelId) -> None:
        self._vouched[parcel] = None

    async def run(self) -> None:
        """Look after it for ever."""
        while True:
            await asyncio.to_thread(self._spool.confirmed.let_go)
            now = self._clock.monotonic()
            new = self._flow.connections != self._connections
            if self._gate.online and (new or now - self._at >= EVERY_SECONDS):
                self._at, self._connections = now, self._flow.connections
                await self.check()
            await asyncio.sleep(LOOK_SECONDS)

    async def check(self) -> None:
        """Ask now."""
        kept = [item.parcel_id for item in await asyncio.to_thread(self._spool.confirmed.kept)]
        self._vouched = {parcel: None for parcel in kept if parcel in self._vouched}
        witnesses = [parcel for parcel in reversed(kept) if parcel in self._vouched][:1]
        wanted = witnesses + [parcel for parcel in kept if parcel not in self._vouched]
        while wanted and await self._ask(wanted[:ASKED]):
            left = {item.parcel_id for item in await asyncio.to_thread(self._spool.confirmed.kept)}
            if not left.issuperset(wanted[:ASKED]):  # one was lost: which others were?
                self._vouched.clear()
                wanted = [parcel for parcel in kept if parcel in left and parcel not in wanted[:ASKED]]
            else:
                wanted = wanted[ASKED:]

    async def _ask(self, parcels: list[ParcelId]) -> bool:
        number = self._exchanges.begin()
        data = b"".join(encode(Ask(parcel)) for parcel in parcels) + encode(End(0))
        return await self._exchanges.talk(number, STATUS, _once(data))


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data

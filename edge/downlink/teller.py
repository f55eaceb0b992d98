"""Tells the hub, signed by the device's key, how far each delivery is. Tries for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

from edge.downlink.inbox import Entry, Inbox
from edge.downlink.packages import Hub
from edge.downlink.states import State
from edge.identity import EdgeIdentity
from gateway.backoff import Backoff
from gateway.clock import Clock, rfc3339
from gateway.envelope.signature import sign
from gateway.errors import Refused, Unavailable
from gateway.log import logger
from gateway.model import Sha256
from gateway.report.delivery import ACKNOWLEDGEMENT_KIND, Acknowledgement, Outcome

NO_MANIFEST = Sha256("0" * 64)
"""Of a delivery whose package could not be read."""

log = logger("edge.downlink")


class Teller:
    """Sends the newest word of every delivery that the hub has not taken."""

    def __init__(
        self,
        hub: Hub,
        identity: EdgeIdentity,
        inbox: Inbox,
        backoff: Backoff,
        clock: Clock,
        chance: Callable[[], float],
    ) -> None:
        self._hub, self._identity, self._inbox = hub, identity, inbox
        self._backoff, self._clock, self._chance = backoff, clock, chance
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """A delivery has a new word."""
        self._wake.set()

    async def run(self) -> None:
        """A service: ends only by cancellation."""
        failures = 0
        while True:
            self._wake.clear()
            try:
                done = await self.tell()
            except Unavailable as error:
                log.info("acknowledgement waits", why=str(error))
                done = False
            if done:
                failures = 0
                await self._wake.wait()
            else:
                failures += 1
                await asyncio.sleep(self._backoff.delay(failures, self._chance()))

    async def tell(self) -> bool:
        """Send every word that is due. Returns whether the hub has taken all of them."""
        good = True
        for entry in self._inbox.open():
            if entry.revision > entry.told:
                good = await self._send(entry) and good
        return good

    async def _send(self, entry: Entry) -> bool:
        path = f"/v1/deliveries/{entry.delivery_id}/acknowledgement"
        payload = self._word(entry).to_bytes()
        statement = sign(ACKNOWLEDGEMENT_KIND, payload, self._identity.signer)
        try:
            await self._hub.read("POST", path, data=statement)
        except Refused as error:
            log.warning("the hub refuses an acknowledgement", why=str(error), delivery=entry.delivery_id)
            return False
        newest = self._inbox.get(entry.delivery_id)
        if newest is not None:
            self._inbox.put(replace(newest, told=max(newest.told, entry.revision)))
        return True

    def _word(self, entry: Entry) -> Acknowledgement:
        now = rfc3339(self._clock.now())
        return Acknowledgement(
            delivery_id=entry.delivery_id,
            report_id=entry.report_id,
            manifest_sha256=Sha256(entry.manifest_sha256 or NO_MANIFEST),
            site=self._identity.site,
            revision=entry.revision,
            state=entry.state.value if entry.state is not State.LISTED else State.VERIFIED.value,
            reason=entry.reason,
            outcomes=tuple(
                Outcome(name, one.kind, one.stage.value, one.detail, one.at or now)
                for name, one in sorted(entry.destinations.items())
            ),
            at=now,
        )

"""Keeping the device certificate alive: a new one, for a new key, half-way through the old one's life.

The moment is random between 50 and 66 % of the life, so that a fleet enrolled on one day does not
renew on one day. A failed renewal is tried again after hours, and told louder from 80 % on. The
hub's key set and roots are fetched on the same rounds. What has expired goes the way of `edge.comeback`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from random import random as chance

from cryptography import x509

from edge.comeback import ComeBack
from edge.hub_client import HubClient
from gateway.certificate import read_pem, spki_pin
from gateway.clock import Clock
from gateway.errors import GatewayError, Refused
from gateway.log import logger
from gateway.request import DeviceKeys

EARLIEST, LATEST = 0.50, 0.66
ALARM = 0.80
ROUND = 3600.0
"""Seconds between looks; also the pause after a failed renewal."""

WAITING = 60.0
"""Seconds between questions while the administrator has not let an expired edge back in."""

log = logger("edge.renewal")


class Renewal:
    """Renews the device certificate and the hub's key set."""

    def __init__(
        self,
        client: HubClient,
        clock: Clock,
        random: Callable[[], float] = chance,
        come_back: ComeBack | None = None,
    ) -> None:
        self._come_back = come_back
        self._client = client
        self._clock = clock
        self._random = random
        self._due = self._choose()

    @property
    def due(self) -> datetime:
        """When the certificate will be renewed."""
        return self._due

    async def run(self) -> None:
        """Look at start and then hourly. A service: ends only by cancellation."""
        while True:
            done = await self.round()
            expired = self._come_back is not None and self._come_back.needed
            await asyncio.sleep(WAITING if expired and not done else ROUND)

    async def round(self) -> bool:
        """One look. Returns whether everything that was due is done; failures are told, and tried again."""
        try:
            if self._come_back is not None and self._come_back.needed:
                if not await self._come_back.ask():
                    return False
                self._due = self._choose()
            await self.refresh_roots()
            await self.refresh_keys()
            if self._clock.now() >= self._due or self._client.identity.lacks_second_key:
                await self.renew()
        except GatewayError as error:
            used = life_used(self._client.identity.certificate, self._clock.now())
            tell = log.error if used >= ALARM else log.warning
            tell("renewal failed, will try again", why=str(error), life_used=round(used, 2))
            return False
        return True

    async def refresh_keys(self) -> None:
        """Fetch the hub's key set. Raises as `HubClient.request` and `EdgeIdentity.replace_keys`."""
        statement = await self._client.read("GET", "/v1/keys")
        if self._client.identity.replace_keys(statement, self._clock):
            log.info("new keys of the hub", kids=[key.kid for key in self._client.identity.recipients])

    async def refresh_roots(self) -> None:
        """Fetch the hub's bundle of roots, and say which we have. Raises as `refresh_keys`."""
        identity = self._client.identity
        for _ in range(2):  # the second time tells the hub that the new ones are here
            have = ",".join(sorted(spki_pin(root) for root in identity.roots))
            statement = await self._client.read("GET", "/v1/roots", params={"have": have})
            if not identity.replace_roots(statement, self._clock):
                return
            log.info("new roots to trust", pins=[spki_pin(root) for root in identity.roots])

    async def renew(self) -> None:
        """Get a certificate for a new key, now. Raises as `HubClient.request`, and Unverified."""
        keys = DeviceKeys.new()
        answer = await self._client.json("POST", "/v1/renew", json_body=keys.request())
        if not isinstance(answer, dict):
            raise Refused("the hub's answer to the renewal is no object")
        chain = read_pem(str(answer.get("chain", "")).encode(), "the hub's answer")
        self._client.identity.replace_device(keys, chain)
        self._due = self._choose()
        log.info("certificate renewed", until=str(chain[0].not_valid_after_utc))

    def _choose(self) -> datetime:
        start, life = _life(self._client.identity.certificate)
        return start + life * (EARLIEST + (LATEST - EARLIEST) * self._random())


def life_used(certificate: x509.Certificate, now: datetime) -> float:
    """How much of its life a certificate has behind it; above 1 it has expired."""
    start, life = _life(certificate)
    return (now - start) / life


def _life(certificate: x509.Certificate) -> tuple[datetime, timedelta]:
    start = certificate.not_valid_before_utc
    return start, certificate.not_valid_after_utc - start

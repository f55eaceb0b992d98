"""The way back of an edge whose certificate expired while it was cut off.

The line is closed to it, so it asks on the hub's web port for a certificate for new keys, and proves by the
old key who it was. The answer comes when the hub's administrator has approved it; until then it asks again,
with the same keys, which wait in ``identity/returning.key``: a crash or a lost answer changes nothing.
"""

from __future__ import annotations

from edge.enroll import ask_web, pending_keys
from edge.identity import EdgeIdentity
from edge.proxy import Proxy
from gateway import durable
from gateway.certificate import pem, read_pem
from gateway.clock import Clock
from gateway.log import logger
from gateway.request import return_proof

FILE = "returning.key"
log = logger("edge.comeback")


class ComeBack:
    """Asks the hub to take this edge back.

    Args:
        identity: gets the new certificate.
        clock: the edge's.
        proxy: to go through; None: straight to the hub.
    """

    def __init__(self, identity: EdgeIdentity, clock: Clock, proxy: Proxy | None = None) -> None:
        self._identity, self._clock, self._proxy = identity, clock, proxy
        self._told = False

    @property
    def needed(self) -> bool:
        """Whether the certificate has expired."""
        return self._clock.now() > self._identity.certificate.not_valid_after_utc

    async def ask(self) -> bool:
        """Ask once. Returns whether the new certificate is here.

        Raises:
            NotAllowed: the hub does not know this edge, revoked it, or turned it down.
            Unavailable: the hub cannot be reached.
            Unverified: what it answered does not hold.
        """
        identity, file = self._identity, self._identity.folder / FILE
        keys = pending_keys(file)
        body = keys.request()
        body["old_proof"] = return_proof(identity.signer, body["csr"])
        body["certificate"] = pem([identity.certificate]).decode()
        web, roots = identity.addresses.web, identity.roots
        answer = await ask_web(web, "POST", "/enroll/return", roots, body, self._proxy)
        if "chain" not in answer:
            tell = log.debug if self._told else log.warning
            tell("the certificate has expired; the hub's administrator is asked to let this edge back in")
            self._told = True
            return False
        chain = read_pem(str(answer["chain"]).encode(), "the hub's answer")
        identity.replace_device(keys, chain)
        durable.remove(file)
        log.info("this edge is back", until=str(chain[0].not_valid_after_utc))
        return True

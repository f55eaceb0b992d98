"""Decides for all associations of a listener, whichever process serves them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from edge.config import Ingest
from edge.ingest import services
from edge.ingest.acse import Agreed, agree
from edge.ingest.admission import Admitted, Doorkeeper, Rejection
from edge.ingest.associate import Asked
from edge.ingest.dimse import Command
from edge.ingest.pdu import reject
from edge.ingest.policy import Accepted, Ending, Peer
from edge.spool.spool import Spool
from gateway.envelope.inner import Notice
from gateway.errors import Malformed, ResourceError
from gateway.log import logger

PERMANENT, BY_USER = 1, 1
TRANSIENT, BY_PRESENTATION, LOCAL_LIMIT = 2, 3, 2
"""Results, sources and reasons of A-ASSOCIATE-RJ, PS3.8 Table 9-21."""

log = logger("edge.ingest")


@dataclass(slots=True)
class _Association:
    """One that has been let in."""

    sender: Admitted
    agreed: Agreed | None = None
    channels: dict[int, services.Channel] = field(default_factory=dict)


class Desk:
    """The policy of a listener. Thread-safe.

    Args:
        config: who may send, how many at once, what is taken.
        spool: takes the notices.
        closed: told the notice's body after an association that sent something has ended.
        offered: handlers of DIMSE-N requests by SOP class UID; called in the threads that ask.

    Raises:
        ConfigError: a sender cannot be read.
    """

    def __init__(
        self,
        config: Ingest,
        spool: Spool,
        closed: Callable[[dict[str, Any]], object],
        offered: Mapping[str, services.Handler],
    ) -> None:
        self._doorkeeper, self._spool, self._closed, self._offered = (
            Doorkeeper(config),
            spool,
            closed,
            offered,
        )
        self._most, self._deflated = config.max_associations, config.accept_deflated
        self._lock = threading.Lock()
        self._open: dict[Peer, _Association] = {}

    def decide(self, peer: Peer, asked: bytes) -> Accepted | bytes:
        """As `Policy`."""
        wanted = Asked.read(asked)
        words = {"calling_ae": wanted.calling, "called_ae": wanted.called, "address": peer.address}
        with self._lock:
            if len(self._open) >= self._most:
                log.warning("rejected", **words, reason="too many")
                return reject(TRANSIENT, BY_PRESENTATION, LOCAL_LIMIT)
            sender = self._doorkeeper.admit(wanted.calling, wanted.called, peer.address)
            if isinstance(sender, Rejection):
                log.warning("rejected", **words, reason=sender.name)
                return reject(PERMANENT, BY_USER, int(sender))
            one = self._open[peer] = _Association(sender)
        try:
            one.agreed = agree(wanted, frozenset(self._offered), deflated=self._deflated)
        except BaseException:
            self.left(peer)
            raise
        return Accepted(
            sender,
            wanted.called,
            one.agreed.reply,
            one.agreed.contexts,
            one.agreed.peer_limit,
            frozenset(self._offered),
        )

    def request(self, peer: Peer, context: int, command: Command, dataset: bytes) -> bytes:
        """As `Policy`."""
        with self._lock:
            one = self._open.get(peer)
        if one is None or one.agreed is None:
            raise Malformed("a request outside of an association")
        abstract, syntax = one.agreed.contexts[context]
        primitive, channel = services.read(command, context, dataset), self._channel(one, peer, context)
        request = services.Request(one.sender, peer.address, primitive, dataset, syntax, channel)
        answer = self._offered[abstract](request)
        return b"".join(services.encode(command, answer, context, one.agreed.peer_limit))

    def replied(self, peer: Peer, context: int, command: Command) -> None:
        """As `Policy`."""
        with self._lock:
            one = self._open.get(peer)
            channel = None if one is None else one.channels.get(context)
        if channel is not None:
            channel.answered(command)

    def left(self, peer: Peer) -> None:
        """As `Policy`."""
        with self._lock:
            one = self._open.pop(peer, None)
        for channel in one.channels.values() if one is not None else ():
            channel.close()

    def ended(self, ending: Ending) -> None:
        """As `Policy`."""
        try:
            self._spool.notify(Notice("association-closed", ending.body), priority=ending.priority)
        except ResourceError as error:  # the hub settles the study by quiet time instead
            log.warning("no notice", association=ending.body.get("association"), reason=str(error))
        self._closed(ending.body)

    def _channel(self, one: _Association, peer: Peer, context: int) -> services.Channel:
        """Our way back to the sender."""
        with self._lock:
            if context not in one.channels and one.agreed is not None:
                _, syntax = one.agreed.contexts[context]
                limit = one.agreed.peer_limit
                one.channels[context] = services.Channel(partial(_say, peer), context, syntax, limit)
            return one.channels[context]


def _say(peer: Peer, pdus: Iterable[bytes]) -> None:
    peer.say(b"".join(pdus))

"""What associations ask of whoever decides for all of them: who comes in, and what DIMSE-N is answered.

The one implementation is `desk`; an acceptor process asks it over a socket (`acceptor/remote`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

from edge.ingest.admission import Admitted
from edge.ingest.dimse import Command
from gateway.model import Priority


@dataclass(frozen=True, slots=True)
class Accepted:
    """An association that is accepted.

    Attributes:
        sender: who sends.
        called: the AE title it called.
        reply: the A-ASSOCIATE-AC.
        contexts: abstract and transfer syntax by presentation context ID.
        peer_limit: the sender's maximum length; 0: none.
        services: SOP classes of DIMSE-N services that are offered.
    """

    sender: Admitted
    called: str
    reply: bytes
    contexts: dict[int, tuple[str, str]]
    peer_limit: int
    services: frozenset[str] = field(default_factory=frozenset)


@dataclass(frozen=True, slots=True)
class Ending:
    """What an association did that carried instances.

    Attributes:
        body: of its notice to the hub.
        priority: of that notice: it goes after all that came.
    """

    body: dict[str, Any]
    priority: Priority


class Peer(Protocol):
    """One connection, as the policy sees it."""

    @property
    def address(self) -> str:
        """IP address of the sender."""

    def say(self, pdus: bytes) -> object:
        """Send PDUs, from any thread. Raises OSError."""


class Policy(Protocol):
    """Called from the associations' threads."""

    def decide(self, peer: Peer, asked: bytes) -> Accepted | bytes:
        """An A-ASSOCIATE-RQ: what is agreed, or the PDU that rejects it.

        Args:
            peer: who asks. Once accepted it has its place until `ended`.
            asked: what follows the PDU's head.

        Raises:
            Malformed: it cannot be read.
        """

    def request(self, peer: Peer, context: int, command: Command, dataset: bytes) -> bytes:
        """A DIMSE-N request: the PDUs of its response. Raises Malformed if it cannot be read."""

    def replied(self, peer: Peer, context: int, command: Command) -> object:
        """A response to a request of our own (N-EVENT-REPORT)."""

    def left(self, peer: Peer) -> object:
        """The association is over: its place is free."""

    def ended(self, ending: Ending) -> object:
        """One that carried instances is over, and they have been told of."""

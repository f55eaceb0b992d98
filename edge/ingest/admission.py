"""Who may send. Pure. How each instance is then judged is the same for every way in: `edge.verdict`."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum

from edge.config import Ingest, Sender
from edge.verdict import Status, Verdict, judge, status_of, urgency
from gateway.errors import ConfigError, Malformed
from gateway.model import Priority

__all__ = [
    "Admitted",
    "Doorkeeper",
    "Rejection",
    "Status",
    "Verdict",
    "judge",
    "status_of",
    "urgency",
]


class Rejection(IntEnum):
    """Diagnostic of A-ASSOCIATE-RJ by the service user, PS3.8 Table 9-21."""

    CALLING_AE_NOT_RECOGNIZED = 3
    CALLED_AE_NOT_RECOGNIZED = 7


@dataclass(frozen=True, slots=True)
class Admitted:
    """A sender that may send.

    Attributes:
        ae_title: as it called itself.
        priority: of what it sends, at least.
        charset: assumed where its datasets declare none.
        remarks: for the hub beside each instance (`edge.config.Sender.remarks`).
    """

    ae_title: str
    priority: Priority
    charset: str | None
    remarks: Mapping[str, str] = field(default_factory=dict, compare=False)


class Doorkeeper:
    """Decides by calling AE title, called AE title and address.

    Raises:
        ConfigError: a sender's address or priority cannot be read.
    """

    def __init__(self, config: Ingest) -> None:
        self._open, self._own = config.open, config.ae_title.strip()
        self._senders = [_Known(sender) for sender in config.senders]

    def admit(self, calling: str, called: str, address: str) -> Admitted | Rejection:
        """Admit or reject an association.

        Args:
            calling: AE title of the sender.
            called: AE title it wants to reach.
            address: its IP address.
        """
        calling = calling.strip()
        for known in self._senders:
            if known.sender.ae_title.strip() == calling and known.is_at(address):
                if called.strip() != self._own and not self._open:
                    return Rejection.CALLED_AE_NOT_RECOGNIZED
                return Admitted(calling, known.priority, known.sender.charset, known.sender.remarks)
        if self._open:
            return Admitted(calling, Priority.ROUTINE, None)
        if called.strip() != self._own:
            return Rejection.CALLED_AE_NOT_RECOGNIZED
        return Rejection.CALLING_AE_NOT_RECOGNIZED


class _Known:
    def __init__(self, sender: Sender) -> None:
        self.sender = sender
        key = f"ingest.senders ({sender.ae_title})"
        try:
            self.priority = Priority.parse(sender.priority)
            network = None if sender.address is None else ipaddress.ip_network(sender.address, strict=False)
        except (Malformed, ValueError) as error:
            raise ConfigError(str(error), key=key) from error
        self._network = network

    def is_at(self, address: str) -> bool:
        if self._network is None:
            return True
        try:
            found = ipaddress.ip_address(address)
        except ValueError:
            return False
        mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
        return (mapped or found) in self._network

"""Who may send, and how every outcome is answered. Pure.

Statuses of C-STORE, PS3.4 Table B.2-1:

=======  =========================================  ==================================================
status   meaning                                    when
=======  =========================================  ==================================================
0x0000   success                                    durable, and nothing is wrong with it but single values
0xB007   warning: data set does not match SOP       durable, flawed: cut off or damaged structure, or no
         class                                      Study or Series Instance UID; both SOP UIDs agree
0xA700   refused: out of resources                  the disk is below its reserve; nothing is kept
0xA900   error: data set does not match SOP class   class or instance UID of command and dataset differ;
                                                    nothing is kept, the sender still has it
0xC000   error: cannot understand                   no SOP Instance UID can be read; the bytes are kept
                                                    aside and reach the hub with their flaw
=======  =========================================  ==================================================
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from enum import IntEnum

from edge.config import Ingest, Sender
from gateway.errors import ConfigError, DataError, GatewayError, Malformed, StorageFull
from gateway.model import Priority


class Status(IntEnum):
    """What a C-STORE is answered with."""

    SUCCESS = 0x0000
    FLAWED = 0xB007
    OUT_OF_RESOURCES = 0xA700
    MISMATCH = 0xA900
    NOT_UNDERSTOOD = 0xC000
    UNABLE = 0xC001  # anything else went wrong here


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
    """

    ae_title: str
    priority: Priority
    charset: str | None


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
                return Admitted(calling, known.priority, known.sender.charset)
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


def status_of(error: GatewayError) -> Status:
    """How a C-STORE that failed with `error` is answered."""
    if isinstance(error, StorageFull):
        return Status.OUT_OF_RESOURCES
    return Status.NOT_UNDERSTOOD if isinstance(error, DataError) else Status.UNABLE


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of one dataset.

    Attributes:
        status: the answer, if it can be kept.
        keep: whether its bytes are kept.
        flaw: for the hub and the log; empty: none.
    """

    status: Status
    keep: bool
    flaw: str


def judge(command: tuple[str, str], dataset: tuple[str, str], study: str, series: str, flaw: str) -> Verdict:
    """Judge a dataset by its essential UIDs and by what the header reader says.

    Args:
        command: SOP class and instance UID of the C-STORE request.
        dataset: the same as the dataset says; empty where it cannot be read.
        study: Study Instance UID of the dataset, empty if there is none.
        series: likewise.
        flaw: of the header reader.
    """
    (told_class, told_instance), (own_class, own_instance) = command, dataset
    if not own_instance:
        return Verdict(Status.NOT_UNDERSTOOD, True, flaw or "no SOP Instance UID")
    if own_instance != told_instance or (own_class and own_class != told_class):
        return Verdict(Status.MISMATCH, False, "the dataset is of another SOP class or instance")
    missing = [
        name for name, value in (("SOP class", own_class), ("Study", study), ("Series", series)) if not value
    ]
    if missing:
        text = f"no {', '.join(missing)} UID"
        return Verdict(Status.FLAWED, True, f"{flaw}; {text}" if flaw else text)
    return Verdict(Status.FLAWED if flaw else Status.SUCCESS, True, flaw)


_URGENCY = {"STAT": Priority.STAT, "HIGH": Priority.URGENT}


def urgency(sender: Priority, requested: str) -> Priority:
    """The sooner of the sender's priority and the order's (0040,1003), PS3.3 C.4.11."""
    return min(sender, _URGENCY.get(requested.strip().upper(), sender))

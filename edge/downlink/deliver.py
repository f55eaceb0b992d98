"""What every kind of destination offers, and how the configured ones are made."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from edge.config import Destination, DestinationKind
from edge.downlink.deliver_dicom import DicomDelivery
from edge.downlink.deliver_folder import FolderDelivery
from edge.downlink.deliver_hl7 import Hl7Delivery
from edge.downlink.verify import Verified
from gateway.clock import Clock
from gateway.errors import UsageError

DEFAULT_FOLDER = "reports"
"""Within the data folder, if no folder is configured: there is always one."""


class Delivery(Protocol):
    """One destination.

    Delivering must be repeatable: after a crash the same report comes again, with the same names,
    UIDs and control id.
    """

    name: str
    kind: str

    async def deliver(self, verified: Verified) -> str:
        """Hand the report over. Returns what the receiver said.

        Raises:
            Unavailable: not there, or no clear answer; worth trying again soon.
            Refused: there, and does not want it; in its own words.
            StorageFull: no room.
        """


def deliveries_of(
    destinations: Sequence[Destination], data: Path, ae_title: str, clock: Clock
) -> tuple[Delivery, ...]:
    """The configured destinations, and the default folder if none of them is a folder.

    Raises:
        UsageError: two have the same name.
    """
    names = [destination.name for destination in destinations]
    if len(set(names)) != len(names):
        raise UsageError("two destinations have the same name")
    made = [_made(destination, ae_title, clock) for destination in destinations]
    if not any(destination.kind is DestinationKind.FOLDER for destination in destinations):
        name = "folder" if "folder" not in names else "default folder"
        made.insert(0, FolderDelivery(name, data / DEFAULT_FOLDER))
    return tuple(made)


def _made(destination: Destination, ae_title: str, clock: Clock) -> Delivery:
    name, host, port = destination.name, destination.host or "", destination.port or 0
    if destination.kind is DestinationKind.FOLDER:
        return FolderDelivery(name, destination.path or Path())
    if destination.kind is DestinationKind.DICOM:
        return DicomDelivery(name, host, port, destination.ae_title or "", ae_title, destination.tls)
    return Hl7Delivery(name, host, port, ae_title, clock)

"""What the archive is handed, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from gateway.envelope.layout import InstanceEntry
from gateway.model import Priority


@dataclass(frozen=True, slots=True)
class Incoming:
    """One verified instance on its way in.

    Args:
        site: the hospital, as the sender's certificate names it.
        entry: what the edge stated of it; its digest and length have been verified against `blob`.
        blob: the plain dataset bytes, durable, at a `BlobStore.incoming_path`.
        parcel_id: the parcel that brought it; empty for what the hub made itself.
        priority: of that parcel.
        origin: ``edge``, or ``hub`` for reports made here, which say nothing about the study's arrival.
    """

    site: str
    entry: InstanceEntry
    blob: Path
    parcel_id: str
    priority: Priority
    origin: str = "edge"


class Stored(Enum):
    """What became of an instance. In every case its bytes are in the store."""

    NEW = "new"
    """Its SOP Instance UID was not known."""

    SAME = "same"
    """The same bytes were here already."""

    CONFLICT = "conflict"
    """Other bytes came under this UID before; both are kept and the first stays current."""

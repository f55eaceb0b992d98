"""What a record says in clear beside its content: the row of the index, which is written later. Pure.

As the index itself it holds no UID and no name.
"""

from __future__ import annotations

from edge.spool.item import SpoolItem
from edge.spool.record import NOTE_LIMIT
from edge.spool.states import State
from gateway import canonical
from gateway.envelope.record import Record
from gateway.model import ParcelId, Priority

_KEYS = frozenset({"sealed_size", "chunk_count", "instances", "priority", "modality", "received_at"})


def note_of(item: SpoolItem) -> bytes:
    """Canonical JSON."""
    return canonical.dump_own(
        {
            "sealed_size": item.sealed_size,
            "chunk_count": item.chunk_count,
            "instances": item.instances,
            "priority": item.priority.word,
            "modality": item.modality,
            "received_at": item.received_at,
        }
    )


def item_of(parcel: ParcelId, note: bytes) -> SpoolItem:
    """The row of an item that has just been received. Raises Malformed."""
    record = Record.parse(note, "the note of a record", _KEYS, limit=NOTE_LIMIT)
    return SpoolItem(
        parcel_id=parcel,
        state=State.RECEIVED,
        sealed_size=record.integer("sealed_size", 0),
        chunk_count=record.integer("chunk_count", 0),
        instances=record.integer("instances", 0),
        priority=record.checked("priority", Priority.parse),
        modality=record.text("modality", 16),
        received_at=record.moment("received_at"),
    )

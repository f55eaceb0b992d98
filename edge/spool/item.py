"""What the spool knows of one item, without opening it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from edge.spool.states import State
from gateway.model import ParcelId, Priority, Sha256


@dataclass(frozen=True, slots=True, kw_only=True)
class SpoolItem:
    """One parcel in the spool. Holds no UID and no name.

    Attributes:
        sealed_size: bytes of the sealed body.
        chunk_count: sealed chunks of it.
        instances: how many; 0 for a notice.
        modality: as the instance says it, cut to 16 characters; empty if unknown.
        received_at: RFC 3339 in UTC.
        sequence: of the signed header; None before.
        digest: of the signed header; None before.
        lead: whether reading can begin with it: it travels before others of its priority.
        reason: why it waits or is held, in the words of whoever said so; empty if nothing was said.
        next_try: RFC 3339, when it will be tried again, if that is known.
    """

    parcel_id: ParcelId
    state: State
    sealed_size: int
    chunk_count: int
    instances: int
    priority: Priority
    modality: str
    received_at: str
    sequence: int | None = None
    digest: Sha256 | None = None
    lead: bool = False
    reason: str = ""
    next_try: str | None = None


@dataclass(frozen=True, slots=True)
class ChainTip:
    """The newest signed header: what the next one must follow. Sequence 0: none yet."""

    sequence: int
    digest: Sha256


@dataclass(frozen=True, slots=True)
class LinkState:
    """How the line to the hub is, as the uplink sees it.

    Attributes:
        online: whether the last try reached the hub.
        since: since when it is so.
        reason: what went wrong, in plain words; empty when online.
        next_try: when the next try is due; None when online or at once.
        rate: bytes per second that arrived of late.
        round_trip: seconds; None before the first answer.
        congestion: TCP's congestion control in force, such as ``bbr``; empty if it is not known.
        streams: connections that carry parcels now.
        stalled_since: since when nothing moves though the hub is there; None: all is well.
    """

    online: bool
    since: datetime
    reason: str = ""
    next_try: datetime | None = None
    rate: float = 0.0
    round_trip: float | None = None
    congestion: str = ""
    streams: int = 0
    stalled_since: datetime | None = None

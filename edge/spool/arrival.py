"""What whoever took an item in tells the spool of it, once it is durable. Pure.

In memory and between processes of one edge alone: the key is in it.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from operator import attrgetter
from sys import intern
from typing import Any, Self

from edge.spool.item import SpoolItem
from edge.spool.kept import Kept
from edge.spool.states import State
from edge.spool.view import StudyFacts
from gateway.model import ParcelId, Priority

_STUDY = attrgetter(*(field.name for field in fields(StudyFacts)))


@dataclass(frozen=True, slots=True)
class Arrived:
    """What an instance is.

    Attributes:
        kept: how to open it again.
        study: what the technician is shown; None: nothing.
        sop_class: its SOP Class UID.
        sop_instance: its SOP Instance UID.
        study_uid: of which study; empty if it does not say.
        syntax: its transfer syntax UID.
        digest: of the dataset, that which was taken while it came, in hexadecimal.
        sender: AE title or name of who sent it.
        visit: the association, or whatever it came in.
        length: bytes of the dataset.
        flaw: why it could not be read whole; empty: none.
    """

    kept: Kept
    study: StudyFacts | None
    sop_class: str
    sop_instance: str
    study_uid: str
    syntax: str
    digest: str
    sender: str
    visit: str
    length: int
    flaw: str


_OWN = attrgetter(*(field.name for field in fields(Arrived)[2:]))


@dataclass(frozen=True, slots=True)
class Arrival:
    """An item that is durable.

    Attributes:
        item: it.
        plain: bytes that came and were not told of before.
        instance: what it is; None of a notice.
    """

    item: SpoolItem
    plain: int
    instance: Arrived | None = None

    def to_list(self) -> list[Any]:
        """For JSON."""
        item, one = self.item, self.instance
        words = [
            item.parcel_id,
            item.sealed_size,
            item.chunk_count,
            item.instances,
            int(item.priority),
            item.modality,
            item.received_at,
            self.plain,
        ]
        if one is None:
            return words
        kept = one.kept
        study = None if one.study is None else _STUDY(one.study)
        return [*words, kept.key.hex(), kept.study, kept.series, kept.number, study, *_OWN(one)]

    @staticmethod
    def priority_of(words: list[Any]) -> Priority:
        """Of what `to_list` gave."""
        return Priority(words[4])

    @staticmethod
    def plain_of(words: list[Any]) -> int:
        """Likewise its plain bytes that were not told of before."""
        plain: int = words[7]
        return plain

    @classmethod
    def from_list(cls, words: list[Any]) -> Self:
        """As `to_list` gives it."""
        parcel, size, chunks, instances, priority, modality, received_at, plain, *rest = words
        item = SpoolItem(
            parcel_id=ParcelId(parcel),
            state=State.RECEIVED,
            sealed_size=size,
            chunk_count=chunks,
            instances=instances,
            priority=Priority(priority),
            modality=modality,
            received_at=received_at,
        )
        if not rest:
            return cls(item, plain)
        key, together, series, number, study, *own = rest
        # remembered for each instance: one string for all of a series
        kept = Kept(bytes.fromhex(key), intern(together), intern(series), number)
        shown = None if study is None else StudyFacts(*study)
        return cls(item, plain, Arrived(kept, shown, *own))

"""What the spool does with what has become durable, and whether there is room for more."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from edge.spool.arrival import Arrival, Arrived
from edge.spool.bell import Bell
from edge.spool.budget import Budget
from edge.spool.custodian import Custodian
from edge.spool.files import SpoolFiles
from edge.spool.item import SpoolItem
from edge.spool.journal import Journal
from edge.spool.kept import Kept
from edge.spool.looking import Inspects, plain
from edge.spool.room import AMPLE, Looked
from edge.spool.traffic import Traffic
from edge.spool.view import StudyView
from gateway import durable
from gateway.log import logger
from gateway.model import ParcelId

log = logger("edge.spool")


@dataclass(frozen=True, slots=True)
class SpoolRegister:
    """The spool's own.

    Args:
        files: the spool's.
        journal: the index.
        view: what the technician's page shows.
        keep: remembers how to open an item again, in memory.
        received: rung when something is there to sign.
        make_room: lets go of what is kept though it is confirmed, if the disk needs it.
        budget: how much may be taken.
        traffic: hears of everything that comes.
        inspector: is offered each instance once it is durable, if there is one.
        custodian: who hears of each instance once it is durable.
    """

    files: SpoolFiles
    journal: Journal
    view: StudyView
    keep: Callable[[ParcelId, Kept], object]
    received: Bell
    make_room: Callable[[int], object]
    budget: Callable[[], Budget]
    traffic: Traffic
    inspector: Callable[[], Inspects | None]
    custodian: Callable[[], Custodian]
    _looked: Looked = field(default_factory=Looked)

    def check_room(self, incoming: int, received: int = 0) -> bool:
        """Returns whether much is free beside that. Raises StorageFull."""
        if received:
            self.traffic.note(received, 0)
        self.make_room(incoming)
        budget, free = self.budget(), durable.free_bytes(self.files.spool)
        ample = free - incoming >= budget.reserve + AMPLE
        self._looked.now(ample=ample)
        budget.check(free, incoming)
        return ample

    def check_lately(self) -> None:
        """As `check_room` for nothing yet; not looked at again where that was just done and much was free."""
        if not self._looked.lately:
            self.check_room(0)

    def note(self, arrival: Arrival) -> None:
        """One item."""
        self.traffic.note(arrival.plain)
        self.note_all((arrival,))

    def note_all(self, arrivals: Sequence[Arrival]) -> None:
        """Several, in their order, that the traffic has been told of."""
        custodian, inspector = self.custodian(), self.inspector()
        instances = [(one.item, one.instance) for one in arrivals if one.instance is not None]
        for item, instance in instances:
            self._instance(item, instance, inspector)
        if instances:
            custodian.came([(one.sop_class, one.sop_instance, one.digest) for _, one in instances])
        self.journal.put_soon([one.item for one in arrivals])
        self.received.ring()
        for item, instance in instances:
            _log(item, instance)

    def _instance(self, item: SpoolItem, one: Arrived, inspector: Inspects | None) -> None:
        parcel = item.parcel_id
        self.keep(parcel, one.kept)
        if one.study is not None:
            self.view.received(parcel, one.study, item.priority, item.received_at, item.sealed_size)
        if inspector is not None:
            inspector.offer(parcel, partial(plain, self.files, parcel, one.kept), one.syntax, one.study_uid)


def _log(item: SpoolItem, one: Arrived) -> None:
    log.info(
        "received",
        association=one.visit,
        calling_ae=one.sender,
        instance=one.sop_instance,
        syntax=one.syntax,
        size=one.length,
        parcel=item.parcel_id,
        flaw=one.flaw,
    )

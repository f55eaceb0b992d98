"""What could be sent now, most urgent first, and what sleeps until when. Pure: time is handed in."""

from __future__ import annotations

import heapq
from collections.abc import Callable

from edge.uplink.parcel import Parcel
from edge.uplink.turns import Turns
from gateway.model import ParcelId, Priority
from gateway.wire.sender import State

Entry = tuple[tuple[int, bool, float, int], ParcelId]
Allowed = Callable[[Priority], bool]


def _all(_: Priority) -> bool:
    return True


class Board:
    """All parcels that the uplink knows."""

    def __init__(self) -> None:
        self.parcels: dict[ParcelId, Parcel] = {}
        self._ready: dict[Priority, list[Entry]] = {priority: [] for priority in Priority}
        self._turns = Turns()
        self._listed: set[ParcelId] = set()
        self._asleep: list[tuple[float, ParcelId]] = []

    def add(self, parcel: Parcel) -> None:
        """A new one."""
        self.parcels[parcel.id] = parcel
        flow = parcel.item.modality if parcel.item.instances else None
        parcel.turn = self._turns.give(parcel.priority, flow, parcel.header.sealed_size)
        self.offer(parcel)

    def drop(self, parcel: Parcel) -> None:
        """One that has come to its end."""
        self.parcels.pop(parcel.id, None)

    def offer(self, parcel: Parcel) -> None:
        """It may have something to send."""
        if parcel.id in self.parcels and parcel.id not in self._listed and parcel.sender.unsent:
            self._listed.add(parcel.id)
            heapq.heappush(self._ready[parcel.priority], (parcel.rank, parcel.id))

    def sleep(self, parcel: Parcel, until: float) -> None:
        """Leave it alone until then (monotonic seconds)."""
        parcel.not_before = until
        heapq.heappush(self._asleep, (until, parcel.id))

    def peek(self, now: float, allowed: Allowed = _all) -> Parcel | None:
        """The most urgent parcel with something to send of an allowed priority, left where it is."""
        self._wake(now)
        for priority in Priority:
            if self._ready[priority] and allowed(priority):
                found = self._first(priority, now)
                if found is not None:
                    return found
        return None

    def pop(self, parcel: Parcel) -> None:
        """Take away what `peek` gave: it goes on the line."""
        self._listed.discard(heapq.heappop(self._ready[parcel.priority])[1])
        self._turns.sent(parcel.priority, parcel.turn)

    def waiting(self) -> list[Priority]:
        """The priorities that may have something to send."""
        return [priority for priority in Priority if self._ready[priority]]

    def _first(self, priority: Priority, now: float) -> Parcel | None:
        ready = self._ready[priority]
        while ready:
            parcel = self.parcels.get(ready[0][1])
            if parcel is not None and parcel.sender.unsent and parcel.not_before <= now:
                return parcel
            self._listed.discard(heapq.heappop(ready)[1])
        return None

    def doubtful(self, now: float) -> list[Parcel]:
        """What must be asked for before anything is sent; most urgent first."""
        return self._in_state(now, State.DOUBTFUL)

    def whole(self, now: float) -> list[Parcel]:
        """What the hub has, and owes a receipt for."""
        return self._in_state(now, State.WHOLE)

    def next_wake(self) -> float | None:
        """When the next one wakes, monotonic seconds."""
        return self._asleep[0][0] if self._asleep else None

    def _in_state(self, now: float, state: State) -> list[Parcel]:
        found = [p for p in self.parcels.values() if p.sender.state is state and p.not_before <= now]
        return sorted(found, key=lambda parcel: parcel.rank)

    def _wake(self, now: float) -> None:
        while self._asleep and self._asleep[0][0] <= now:
            parcel = self.parcels.get(heapq.heappop(self._asleep)[1])
            if parcel is not None:
                self.offer(parcel)

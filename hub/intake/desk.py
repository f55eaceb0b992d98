"""Takes messages from the line in batches: judge, write down, make durable, and only then answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from gateway import cpu, durable
from gateway.clock import Clock
from gateway.errors import StorageFull
from gateway.log import logger
from gateway.model import ParcelId
from gateway.trust import Trust
from gateway.wire.messages import Announce, Ask, Chunk, Have, Later, Receipt, Refused, Unknown
from gateway.wire.receiver import Announced, Answer, Asked, ChunkCame, Durable, Input, Keep, State, Write
from hub.intake import states
from hub.intake.arrivals import Arrival, Arrivals
from hub.intake.faults import Faults
from hub.intake.journal import Announcement, Journal
from hub.intake.judge import Judge
from hub.intake.partials import Partials, Piece, Work

FULL_SECONDS = 30
"""How long an edge is asked to wait when the disk is full."""
FULL_WORDS = "the hub's disk is below its reserve"
FAILS_WORDS = "the hub's disk fails"

Request: TypeAlias = Announce | Chunk | Ask
Reply: TypeAlias = Have | Receipt | Refused | Unknown | Later
log = logger("hub.intake")


@dataclass(slots=True)
class _Batch:
    """What a batch has come to so far."""

    replies: list[Reply] = field(default_factory=list)
    new: dict[ParcelId, Announcement] = field(default_factory=dict)
    pieces: dict[ParcelId, list[Piece]] = field(default_factory=dict)


class Desk:
    """Where messages become durable.

    Args:
        arrivals: the parcels under way.
        journal: their rows.
        partials: their bytes.
        trust: the roots.
        clock: for the time of judging.
        faults: hears of a disk that fails.
        reserve: bytes of the disk that new parcels may not take.
        whole: called with each parcel that has become whole.
    """

    def __init__(
        self,
        arrivals: Arrivals,
        journal: Journal,
        partials: Partials,
        trust: Trust,
        clock: Clock,
        faults: Faults,
        *,
        reserve: int,
        whole: Callable[[ParcelId], None],
    ) -> None:
        self._arrivals, self._journal, self._partials = arrivals, journal, partials
        self._trust, self._clock, self._faults = trust, clock, faults
        self._reserve, self._whole = reserve, whole

    async def take(
        self, messages: Sequence[Request], site: str
    ) -> tuple[list[Reply], dict[ParcelId, Arrival]]:
        """Handle a batch of one edge.

        Args:
            messages: in the order they came.
            site: as the edge's certificate says.

        Returns:
            The answers, all of them true and durable; and the parcels they are about.
        """
        judge = Judge(self._trust, site, self._clock.now())
        judged = await cpu.run(lambda: [judge.judge(message) for message in messages])
        batch = _Batch()
        async with self._arrivals.holding(message.parcel for message in messages) as held:
            for message, found in zip(messages, judged, strict=True):
                self._one(batch, held[message.parcel], message, found, site)
            await self._commit(batch, held)
            own = {parcel: arrival for parcel, arrival in held.items() if arrival.site == site}
        return batch.replies, own

    def _one(
        self,
        batch: _Batch,
        arrival: Arrival,
        message: Request,
        found: Announcement | Refused | Later | ChunkCame | Asked,
        site: str,
    ) -> None:
        if isinstance(found, Refused):
            log.warning("parcel refused", parcel=message.parcel, site=site, code=found.code, why=found.words)
            batch.replies.append(found)
            return
        if isinstance(found, Later):
            log.warning("parcel put off", parcel=message.parcel, site=site, why=found.words)
            batch.replies.append(found)
            return
        if isinstance(found, Announcement):
            if arrival.receiver.state is State.ABSENT and not self._room(batch, found):
                batch.replies.append(Later(message.parcel, FULL_SECONDS, FULL_WORDS))
                return
            self._act(batch, arrival, Announced(found.facts), message, found)
        elif arrival.site not in (None, site):
            batch.replies.append(Unknown(message.parcel))  # of another site: nothing is said about it
        else:
            self._act(batch, arrival, found, message, None)

    def _act(
        self,
        batch: _Batch,
        arrival: Arrival,
        event: Input,
        message: Request,
        announcement: Announcement | None,
    ) -> None:
        for action in arrival.handle(event):
            match action:
                case Keep() if announcement is not None:
                    arrival.site, arrival.signed = announcement.header.site, announcement.signed
                    arrival.header = announcement.header
                    batch.new[message.parcel] = announcement
                case Write(index) if isinstance(message, Chunk):
                    batch.pieces.setdefault(message.parcel, []).append(Piece(index, message.data))
                case Answer(reply):
                    batch.replies.append(reply)

    def _room(self, batch: _Batch, announced: Announcement) -> bool:
        wanted = sum(one.header.sealed_size for one in batch.new.values()) + announced.header.sealed_size
        return durable.free_bytes(self._partials.folder) - wanted >= self._reserve

    async def _commit(self, batch: _Batch, held: dict[ParcelId, Arrival]) -> None:
        """Chunks first, then rows; then the machines hear of it, and answer."""
        touched = batch.new.keys() | batch.pieces.keys()
        if not touched:
            return
        works = {parcel: _work(held[parcel], batch.pieces.get(parcel, [])) for parcel in touched}
        whole = {parcel for parcel, work in works.items() if work.completes}
        try:
            await cpu.run(self._partials.keep, list(works.values()))
            await self._record(batch, whole)
        except (StorageFull, OSError) as error:
            log.warning("the disk takes no parcels", why=str(error), parcels=len(works))
            self._faults.note(touched, error)
            words = FULL_WORDS if isinstance(error, StorageFull) else FAILS_WORDS
            batch.replies[:] = [Later(parcel, FULL_SECONDS, words) for parcel in touched]
            for parcel in touched:
                self._arrivals.forget(parcel)
            return
        self._faults.over(touched)
        for parcel, pieces in batch.pieces.items():
            actions = held[parcel].handle(Durable(tuple(piece.index for piece in pieces)))
            batch.replies += [action.message for action in actions if isinstance(action, Answer)]
            if parcel in whole:
                self._whole(parcel)

    async def _record(self, batch: _Batch, whole: set[ParcelId]) -> None:
        await self._journal.record(
            [
                (one, states.State.WHOLE if parcel in whole else states.State.RECEIVING)
                for parcel, one in batch.new.items()
            ],
            [parcel for parcel in whole if parcel not in batch.new],
        )


def _work(arrival: Arrival, pieces: list[Piece]) -> Work:
    facts, have = arrival.receiver.facts, arrival.receiver.have
    assert facts is not None  # noqa: S101  # set when it was announced, and nothing is written before
    assert have is not None  # noqa: S101  # as above
    return Work(facts, have, tuple(pieces))

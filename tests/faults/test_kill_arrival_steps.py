"""The hub killed right before every durable step of an arrival, and right after every commit.

A step is a system call that changes files or a commit. After it nothing happens any more; then the hub
starts again, the edge asks, sends what is missing and sends what it had not heard of. Every transition of
`hub.intake.states` is died at, before its commit and after it: a new one needs a life here that has it.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from structlog.testing import capture_logs

from gateway.envelope.receipt import open_receipt
from gateway.model import ParcelId
from gateway.wire import messages as m
from gateway.wire.messages import Range
from hub.intake.states import TRANSITIONS, Event, State
from hub.tables.arrival import arrivals, header_chain, quarantine
from hub.tables.custody import custody
from hub.tables.study import instances
from tests.doubles.arrivals import Arrivals, Killer, Sealed, until_killed

STRIDE = int(os.environ.get("TELERAD_FAULT_STRIDE", "4"))
"""Which steps fail besides the commits; 1: every one. All of them are killed at in any case."""
BY_HAND = {(State.QUARANTINED, Event.RELEASED)}
"""A person's doing; no program takes it yet."""


@dataclass
class Heard:
    """What the edge was told before the hub died: promises."""

    chunks: dict[ParcelId, set[int]] = field(default_factory=dict)
    ends: dict[ParcelId, m.Receipt | m.Refused] = field(default_factory=dict)

    def hear(self, replies: Sequence[Any]) -> None:
        for reply in replies:
            match reply:
                case m.Have(parcel, count, missing):
                    gone = {index for one in missing for index in _indexes(one)}
                    self.chunks[parcel] = set(range(count)) - gone
                case m.Receipt(parcel) | m.Refused(parcel):
                    known = self.ends.setdefault(parcel, reply)
                    assert known == reply, "the same end for ever"


Life = Callable[[Arrivals, Sequence[Sealed], Heard], Awaitable[None]]


def _indexes(one: Range) -> range:
    return range(one.first, one.end)


async def _carried(world: Arrivals, parcels: Sequence[Sealed], heard: Heard) -> None:
    await world.carry()
    heard.hear([await world.ask(one.id) for one in parcels])


async def at_once(world: Arrivals, parcels: Sequence[Sealed], heard: Heard) -> None:
    """Announced and whole in one batch."""
    heard.hear(await world.take(*(message for one in parcels for message in one.all())))
    await _carried(world, parcels, heard)


async def in_pieces(world: Arrivals, parcels: Sequence[Sealed], heard: Heard) -> None:
    """Announced; some chunks; the rest."""
    for one in parcels:
        heard.hear(await world.take(one.announce()))
        count = len(one.header.chunks)
        heard.hear(await world.take(one.chunk(0), one.chunk(2)))
        heard.hear(await world.take(*(one.chunk(index) for index in range(count) if index not in (0, 2))))
    await _carried(world, parcels, heard)


async def damaged(world: Arrivals, parcels: Sequence[Sealed], heard: Heard) -> None:
    """The hub's disk spoils a chunk between whole and stored; it is asked for once more."""
    (one,) = parcels
    await world.take(*one.all())
    part = world.folder / "intake" / f"{one.id}.part"
    if not part.exists():
        return  # there was no room
    body = bytearray(part.read_bytes())
    body[one.header.chunk_span(1)[0]] ^= 1
    part.write_bytes(body)
    await world.carry()
    answer = await world.ask(one.id)
    if isinstance(answer, m.Unknown):
        return  # there was no room for its row
    assert answer == m.Have(one.id, len(one.header.chunks), (Range(1, 1),))
    heard.hear(await world.take(one.chunk(1)))
    await _carried(world, parcels, heard)


LIVES: dict[str, tuple[Life, Callable[[Arrivals], list[Sealed]]]] = {
    "at once": (at_once, lambda world: [world.sealed(n, [_data(n), _data(n + 10)]) for n in (1, 2)]),
    "in pieces": (in_pieces, lambda world: [world.sealed(1, [_data(1)])]),
    "known content": (at_once, lambda world: [world.sealed(n, [_data(1)], first=1) for n in (1, 2)]),
    "damaged here": (damaged, lambda world: [world.sealed(1, [_data(1)])]),
    "not what was signed": (at_once, lambda world: [world.lying(1)]),
}


def _data(number: int) -> bytes:
    return hashlib.shake_256(bytes([number])).digest(3000)


async def _resume(world: Arrivals, parcels: Sequence[Sealed], heard: Heard) -> None:
    """As an edge does that finds the hub again: ask, send what is missing, ask."""
    for one in parcels:
        answer = await world.ask(one.id)
        if one.id in heard.ends:
            assert answer == heard.ends[one.id], "an end that was told is told again, the same"
        match answer:
            case m.Unknown():
                assert not heard.chunks.get(one.id), "what was acknowledged is gone"
                await world.take(*one.all())
            case m.Have(_, _, missing):
                wanted = [index for gap in missing for index in _indexes(gap)]
                assert not heard.chunks.get(one.id, set()) & set(wanted), "what was acknowledged is gone"
                await world.take(one.announce(), *map(one.chunk, wanted))
    await world.carry()
    heard.hear([await world.ask(one.id) for one in parcels])


async def _check(world: Arrivals, parcels: Sequence[Sealed], heard: Heard, *, good: bool) -> None:
    ends = [heard.ends[one.id] for one in parcels]
    rows = {row["parcel_id"]: row["state"] for row in await world.rows(arrivals)}
    assert rows == {one.id: "indexed" if good else "quarantined" for one in parcels}
    told = [(row["event"], row["subject"]) for row in await world.rows(custody)]
    event = "parcel-stored" if good else "parcel-quarantined"
    assert sorted(subject for word, subject in told if word == event) == sorted(
        row["header_digest"] for row in await world.rows(arrivals)
    )
    assert len(await world.rows(header_chain)) == len(parcels)
    assert not list((world.folder / "archive/incoming").iterdir())
    kept = await world.rows(quarantine)
    held = {row["sha256"] for row in await world.rows(instances)}
    if not good:
        (row,) = kept
        assert (world.folder / row["path"]).read_bytes() == parcels[0].parcel.body
        assert (world.folder / row["path"]).with_suffix(".head").read_bytes() == parcels[0].signed
        assert isinstance(ends[0], m.Refused)
        assert not held
        return
    assert kept == []
    signed = {
        one.sha256
        for end in ends
        for one in open_receipt(end.receipt, world.authority.trust, world.clock.now()).receipt.instances
    }
    assert signed == held
    for digest in held:
        content = world.archive.store.read(digest, 0, 4000)
        assert hashlib.sha256(content).hexdigest() == digest


async def _die_and_live(folder: Path, name: str, killer: Killer) -> bool:
    """One life that ends at a step, and the next one. Returns whether it did not come to its own end."""
    life, made = LIVES[name]
    world, heard = Arrivals(folder), Heard()
    parcels = made(world)
    await world.open()
    killed = await until_killed(killer, lambda: life(world, parcels, heard))
    heard.hear([said for one in parcels if isinstance(said := world.said(one.id), m.Receipt | m.Refused)])
    await world.die()
    for _ in range(2):  # and once more, when all is done: it stays so
        await world.open()
        await world.recover()
        await _resume(world, parcels, heard)
        await _check(world, parcels, heard, good=name != "not what was signed")
        await world.die()
    assert not list((folder / "intake").iterdir())
    return killed


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """In memory where there is such a place: a process that is killed leaves the same, and fsync costs nothing."""
    memory = Path("/dev/shm")  # a folder of our own in it
    with capture_logs(), TemporaryDirectory(dir=memory if memory.is_dir() else tmp_path) as made:
        yield Path(made)


@pytest.mark.parametrize("name", LIVES)
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
async def test_each_step_fails_once(folder: Path, name: str, number: int, monkeypatch) -> None:
    """A full disk is waited for and nothing else is needed; a broken one may stop the hub, which starts again."""
    monkeypatch.setattr("hub.intake.conveyor.FULL_SECONDS", 0)
    dry = Killer(0)
    await _die_and_live(folder / "dry", name, dry)
    for at in sorted({*range(1, dry.seen + 1, STRIDE), *dry.commits}):
        killer = Killer(at, fails_with=number)
        stopped = await _die_and_live(folder / str(at), name, killer)
        assert not stopped or number == errno.EIO, f"a full disk at step {at} stopped the hub"


@pytest.mark.parametrize("name", LIVES)
async def test_killed_before_every_step_and_after_every_commit(folder: Path, name: str) -> None:
    dry = Killer(0)
    assert not await _die_and_live(folder / "dry", name, dry)
    assert dry.seen > 15
    assert len(dry.commits) >= 2
    for at in range(1, dry.seen + 1):
        for after in (False, True) if at in dry.commits else (False,):
            assert await _die_and_live(folder / f"{at}-{after}", name, Killer(at, after))


async def test_every_transition_is_in_one_of_these_lives(folder: Path) -> None:
    """And so is died at, before its commit and after it."""
    passed: set[tuple[State, Event]] = set()
    for name in LIVES:
        dry = Killer(0)
        await _die_and_live(folder / name, name, dry)
        passed |= dry.passed
    table = {(state, event) for state, events in TRANSITIONS.items() for event in events}
    assert passed == table - BY_HAND

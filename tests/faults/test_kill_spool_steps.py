"""The edge's spool killed right before and right after every durable step: the end is always the right one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge.spool.item import SpoolItem
from edge.spool.journal import Journal
from edge.spool.states import TABLE, UNSENT, Event, State
from gateway import durable
from gateway.model import ParcelId
from tests.doubles.spools import SpoolWorld

STEPS = (
    (durable, "create"),
    (durable, "replace"),
    (durable, "remove"),
    (Journal, "put_all"),
    (Path, "unlink"),
)
DATA = b"dataset" * 100


class Killed(BaseException):
    """kill -9: nothing after it is done."""


class Killer:
    """Kills at step `at`, before it or after it; counts the steps."""

    def __init__(self, patch: pytest.MonkeyPatch, at: int, *, after: bool) -> None:
        self.seen, self._at, self._after = 0, at, after
        for owner, name in STEPS:
            patch.setattr(owner, name, self._wrapped(getattr(owner, name)))

    def _wrapped(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def step(*args: Any, **options: Any) -> Any:
            self.seen += 1
            number = self.seen
            if number == self._at and not self._after:
                raise Killed
            result = real(*args, **options)
            if number == self._at and self._after:
                raise Killed
            return result

        return step


async def _life(world: SpoolWorld, item: SpoolItem | None) -> None:
    """One item from where it is to its end, as packer and uplink drive it."""
    if item is None:
        return
    parcel = item.parcel_id
    if item.state is State.RECEIVED:
        item = world.packer.seal(item)
    if item.state in UNSENT:
        await world.spool.mark(parcel, Event.START)
        await world.spool.mark(parcel, Event.INTERRUPT, reason="the line broke")
        await world.spool.mark(parcel, Event.HOLD, reason="a person must look")
        item = await world.spool.release(parcel)
    if item.state in UNSENT:
        await world.spool.mark(parcel, Event.START)
        await world.spool.mark(parcel, Event.ARRIVE)
        receipt = world.receipt(parcel)
        await world.spool.confirm(parcel, receipt)


def _only(world: SpoolWorld) -> SpoolItem | None:
    items = world.spool._journal.in_states(list(State), -1)
    assert len(items) <= 1
    return items[0] if items else None


def _steps(folder: Path) -> int:
    world = SpoolWorld(folder)
    with pytest.MonkeyPatch.context() as patch:
        killer = Killer(patch, 0, after=False)
        asyncio.run(_life(world, world.receive(DATA)))
    world.spool.close()
    return killer.seen


@pytest.mark.parametrize("after", [False, True])
def test_killed_at_every_step(tmp_path: Path, after: bool) -> None:
    count = _steps(tmp_path / "dry")
    assert count > 12
    ends = set()
    for at in range(1, count + 1):
        world = SpoolWorld(tmp_path / f"{after}{at}")
        answered: list[SpoolItem] = []

        def work(world: SpoolWorld = world, answered: list[SpoolItem] = answered) -> None:
            answered.append(world.receive(DATA))
            asyncio.run(_life(world, answered[0]))

        with pytest.MonkeyPatch.context() as patch:
            Killer(patch, at, after=after)
            with pytest.raises(Killed):
                work()
        world.spool.close()
        world.open()  # the edge starts again
        found = _only(world)
        if answered:
            assert found is not None, f"step {at}: what was answered is gone"
        ends.add(None if found is None else found.state)
        if found is not None and found.state is State.HELD:
            found = asyncio.run(world.spool.release(found.parcel_id))
        if found is not None and found.state is not State.PURGED:
            asyncio.run(_life(world, found))
        last = _only(world)
        assert last is None or last.state is State.PURGED, f"step {at}"
        assert not list(world.spool.files.spool.glob("*.tge")), f"step {at}"
        if answered:
            assert last is not None
            assert world.spool.files.receipt(last.parcel_id).exists()
        world.spool.close()
    assert {State.RECEIVED, State.SEALED, State.HELD, State.PURGED} <= ends


def test_killed_while_what_the_hub_lost_is_taken_back(tmp_path: Path) -> None:
    """LOSE has two durable steps; whatever comes between, the body goes again or stays confirmed."""
    for at in (1, 2, 3):
        for after in (False, True):
            world = SpoolWorld(tmp_path / f"{at}{after}")
            world.spool.confirmed._keep = 3600
            item = world.packer.seal(world.receive(DATA))
            asyncio.run(world.spool.confirm(item.parcel_id, world.receipt(item.parcel_id)))
            with pytest.MonkeyPatch.context() as patch:
                Killer(patch, at, after=after)
                with pytest.raises(Killed):
                    world.spool.confirmed.lost(item.parcel_id)
            assert world.spool.files.body(item.parcel_id).exists()
            world.spool.close()
            world.open()
            found = _only(world)
            assert found is not None
            if found.state is State.SEALED:
                asyncio.run(_life(world, found))
                found = _only(world)
            assert found is not None
            assert found.state is State.PURGED  # by the receipt it had, or by a new one
            world.spool.close()


def _way(state: State, event: Event) -> tuple[Event, ...]:
    """What must happen before, so that `event` finds an item in `state`."""
    unsigned = event is Event.REOPEN
    ways = {
        State.RECEIVED: (),
        State.SEALED: (Event.SIGN,),
        State.SENDING: (Event.SIGN, Event.START),
        State.ARRIVED: (Event.SIGN, Event.ARRIVE),
        State.CONFIRMED: (Event.SIGN, Event.CONFIRM),
        State.PURGED: (Event.SIGN, Event.CONFIRM, Event.PURGE),
        State.HELD: (Event.HOLD,) if unsigned else (Event.SIGN, Event.HOLD),
        State.GIVEN_UP: (Event.HOLD, Event.GIVE_UP) if unsigned else (Event.SIGN, Event.HOLD, Event.GIVE_UP),
    }
    return ways[state]


def _happen(world: SpoolWorld, parcel: ParcelId, event: Event) -> None:
    """One event, by the door it has."""
    spool = world.spool
    match event:
        case Event.SIGN:
            world.packer.seal(_sure(world))
        case Event.START | Event.INTERRUPT | Event.ARRIVE | Event.HOLD:
            asyncio.run(spool.mark(parcel, event, reason="for a reason"))
        case Event.CONFIRM:
            receipt = world.receipts.get(parcel) or world.receipt(parcel)
            world.receipts[parcel] = receipt
            asyncio.run(spool.confirm(parcel, receipt))
        case Event.PURGE:
            spool.confirmed._keep = 0
            assert spool.confirmed.let_go() == 1
        case Event.LOSE:
            assert spool.confirmed.lost(parcel) is not None
        case Event.RELEASE | Event.REOPEN:
            asyncio.run(spool.release(parcel))
        case Event.GIVE_UP:
            asyncio.run(spool.give_up(parcel, "by A: a phantom"))


def _sure(world: SpoolWorld) -> SpoolItem:
    item = _only(world)
    assert item is not None
    return item


def _dies(folder: Path, state: State, event: Event, at: int, *, after: bool) -> int:
    """Killed at step `at` of one transition; then everything goes on to its end. Returns the steps seen."""
    world = SpoolWorld(folder)
    world.spool.confirmed._keep = 3600
    parcel = world.receive(DATA).parcel_id
    for before in _way(state, event):
        _happen(world, parcel, before)
    assert _sure(world).state is state
    with pytest.MonkeyPatch.context() as patch:
        killer = Killer(patch, at, after=after)
        try:
            _happen(world, parcel, event)
        except Killed:
            pass
        else:
            assert at == 0
            assert _sure(world).state is TABLE[state, event]
    world.spool.close()
    world.open()
    found = _sure(world)
    assert found.parcel_id == parcel
    assert world.spool.files.body(parcel).exists() or world.spool.files.receipt(parcel).exists()
    if found.state in (State.HELD, State.GIVEN_UP):
        found = asyncio.run(world.spool.release(parcel))
    if found.state in {*UNSENT, State.RECEIVED}:
        if found.state is not State.RECEIVED:
            assert world.content(parcel)[1] == [DATA]
        asyncio.run(_life(world, found))
    world.spool.confirmed.let_go()
    assert _sure(world).state is State.PURGED
    assert world.spool.files.receipt(parcel).exists()
    world.spool.close()
    return killer.seen


@pytest.mark.parametrize(("state", "event"), TABLE, ids=lambda one: one.value)
def test_killed_at_every_transition(tmp_path: Path, state: State, event: Event) -> None:
    """Before and after each durable step of it; a transition that is new in the table is taken by itself."""
    count = _dies(tmp_path / "dry", state, event, 0, after=False)
    assert count >= 1
    for at in range(1, count + 1):
        for after in (False, True):
            _dies(tmp_path / f"{at}-{after}", state, event, at, after=after)

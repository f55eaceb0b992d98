"""The hub's disk fails one whole parcel for good: those beside it go on."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from edge.hub_client import HubClient
from gateway.wire import messages as m
from hub.intake import partials
from hub.intake.partials import Partials
from hub.intake.quarantine import Quarantine
from tests.doubles.arrivals import Lying
from tests.doubles.edges import until
from tests.doubles.lines import LineHub, Sealed, ask, enrolled, line_hub, say, sealed


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[LineHub]:
    async with line_hub(tmp_path) as running:
        yield running


@pytest.fixture
async def edge(hub: LineHub, tmp_path: Path) -> AsyncIterator[HubClient]:
    async with enrolled(hub, tmp_path / "edge") as client:
        yield client


def broken() -> OSError:
    return OSError(errno.EIO, os.strerror(errno.EIO))


def lying(hub: LineHub, edge: HubClient, number: int) -> Sealed:
    """Sealed and signed well, but not what its manifest says: it is put aside."""
    real, calls = hashlib.sha256, iter([Lying()])
    with patch("gateway.envelope.taken.sha256", lambda *a: next(calls, None) or real(*a)):
        return sealed(hub, edge.identity, number, [os.urandom(2500)])


async def whole(hub: LineHub, edge: HubClient, number: int) -> list[Sealed]:
    """So many parcels that have come and wait to be carried: the hub stands still."""
    await hub.stop()
    made = [sealed(hub, edge.identity, n + 1, [os.urandom(3000)]) for n in range(number)]
    for one in made:
        await say(edge, one.all(), linger=0)
    assert set((await hub.rows()).values()) == {"whole"}
    return made


async def stored(hub: LineHub, parcels: Sequence[Sealed]) -> None:
    async def done() -> bool:
        rows = await hub.rows()
        return {rows[one.id] for one in parcels} == {"indexed"}

    await until(done)


async def test_one_that_cannot_be_opened_holds_up_no_other(hub, edge, monkeypatch) -> None:
    monkeypatch.setattr("hub.intake.conveyor.FULL_SECONDS", 0.05)
    bad, *good = await whole(hub, edge, 4)
    real, path = partials._opened, hub.small.config.data / "intake" / f"{bad.id}.part"
    sick = [True]

    def opened(file: Path, flags: int) -> Any:
        if sick[0] and file == path:
            raise broken()
        return real(file, flags)

    monkeypatch.setattr(partials, "_opened", opened)
    await hub.restart()
    await stored(hub, good)
    assert (await hub.rows())[bad.id] == "whole"
    late = sealed(hub, edge.identity, 5, [os.urandom(3000)])
    await say(edge, late.all(), linger=0)  # what comes later is not held up either
    await stored(hub, [late])
    sick[0] = False
    await stored(hub, [bad])
    assert isinstance((await ask(edge, bad.id))[0], m.Receipt)


async def test_what_is_stored_leaves_no_part_if_another_cannot_be_put_aside(hub, edge, monkeypatch) -> None:
    monkeypatch.setattr("hub.intake.conveyor.FULL_SECONDS", 0.05)
    bad, good = lying(hub, edge, 1), sealed(hub, edge.identity, 2, [os.urandom(3000)])
    await hub.stop()
    for one in (bad, good):
        await say(edge, one.all(), linger=0)
    tries: list[int] = []

    def keep(*_: Any) -> None:
        tries.append(1)
        raise broken()

    async def tried() -> bool:
        return len(tries) > 2

    async def aside() -> bool:
        return (await hub.rows())[bad.id] == "quarantined"

    with monkeypatch.context() as sick:
        sick.setattr(Quarantine, "keep", keep)
        await hub.restart()
        await stored(hub, [good])
        await until(tried)
        assert {file.stem for file in (hub.small.config.data / "intake").iterdir()} == {bad.id}
    await until(aside)


async def test_the_map_of_one_that_is_no_longer_whole_cannot_be_read(hub, edge, monkeypatch) -> None:
    """It was put in line, lost chunks and left memory: the disk then fails the look at what it has."""
    monkeypatch.setattr("hub.intake.conveyor.FULL_SECONDS", 0.05)
    one = sealed(hub, edge.identity, 1, [os.urandom(3000)])
    await say(edge, [one.announce(), one.chunk(0)], linger=0)
    await hub.restart()
    real, looks = Partials.have, []

    def have(*args: Any) -> Any:
        looks.append(args)
        if len(looks) == 1:
            raise broken()
        return real(*args)

    async def looked_again() -> bool:
        return len(looks) > 1

    monkeypatch.setattr(Partials, "have", have)
    hub.intake._conveyor.put(one.id)
    await until(looked_again)
    assert not hub.task.done()
    await say(edge, [one.chunk(index) for index in range(1, len(one.header.chunks))], linger=0)
    await stored(hub, [one])

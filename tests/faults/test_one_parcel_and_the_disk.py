"""The hub's disk fails one whole parcel for good: those beside it go on."""

from __future__ import annotations

import errno
import os
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from edge.hub_client import HubClient
from gateway.wire import messages as m
from hub.intake import partials
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

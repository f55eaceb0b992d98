"""The uplink looks after so many parcels at once: the others must not wait for what never goes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.config import Uplink as Settings
from edge.spool.states import State
from edge.uplink.worker import Uplink
from tests.doubles.edges import until
from tests.doubles.spools import SpoolWorld

MOST = 2


@pytest.fixture
def world(tmp_path: Path) -> Iterator[SpoolWorld]:
    world = SpoolWorld(tmp_path / "data")
    yield world
    world.spool.close()


async def test_those_behind_are_seen_when_all_in_front_are_held(
    world: SpoolWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.uplink.worker.KNOWN", MOST)
    monkeypatch.setattr("edge.uplink.worker.LOOK_SECONDS", 0.05)
    *rotten, good = (world.packer.seal(world.receive(number=one)).parcel_id for one in range(MOST + 1))
    for parcel in rotten:
        head = world.spool.files.head(parcel)
        head.chmod(0o600)
        head.write_bytes(b"rotten")
    uplink = Uplink(world.spool, None, world.trust, Settings(), world.clock)
    looking = asyncio.create_task(uplink._look())

    async def seen() -> bool:
        return good in uplink._board.parcels

    await until(seen, 5)
    looking.cancel()
    for parcel in rotten:
        item = await world.spool.item(parcel)
        assert item is not None
        assert item.state is State.HELD

"""What an exchange takes next, when another one has announced it first."""

import asyncio
import itertools

import pytest

from edge.config import Uplink as Settings
from edge.uplink.parcel import Parcel
from edge.uplink.sending import _Body
from edge.uplink.worker import Uplink
from gateway.wire import sender
from tests.doubles.spools import SpoolWorld


@pytest.fixture
def world(tmp_path):
    world = SpoolWorld(tmp_path / "data")
    yield world
    world.spool.close()


async def test_a_parcel_announced_in_one_exchange_does_not_hold_up_another(world, monkeypatch) -> None:
    item = world.packer.seal(world.receive(bytes(range(256)) * 12000))
    uplink = Uplink(world.spool, None, world.trust, Settings(), world.clock)
    parcel = Parcel.load(world.spool, item, sender.State.FRESH)
    parcel.sender.handle(sender.Take(1, 0))  # announced there; its chunks are still to go
    assert parcel.sender.state is sender.State.ANNOUNCED
    assert parcel.sender.unsent
    uplink._board.add(parcel)
    sending, exchanges = uplink._sending, uplink._exchanges
    exchanges.numbers = itertools.count(2)
    number = exchanges.begin()
    body = _Body(number, uplink._flow.streams[number])
    tries = iter(range(100))
    choose = sending._choose

    def counted(number):
        assert next(tries, None) is not None, "it goes round for ever"
        return choose(number)

    monkeypatch.setattr(sending, "_choose", counted)
    assert await asyncio.wait_for(sending._frames(body), 5) == []
    assert not exchanges.own[number]

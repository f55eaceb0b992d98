"""A disk that fails what came to the hub is told to the administrator, by the portal, until it goes on."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import StorageFull
from gateway.wire import messages as m
from hub import alerts
from hub.intake import conveyor, desk, disk_alerts
from hub.intake.faults import REST_SECONDS
from hub.people import Role
from hub.tables.arrival import arrivals as rows
from tests.doubles.arrivals import Arrivals, Sealed
from tests.doubles.edges import until
from tests.doubles.portal_hub import Browser, portal_hub

pytestmark = pytest.mark.usefixtures("_quick")


@pytest.fixture
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conveyor, "FULL_SECONDS", 0.02)
    monkeypatch.setattr(disk_alerts, "LOOK_SECONDS", 0.02)


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[Arrivals]:
    made = Arrivals(tmp_path)
    await made.open()
    yield made
    await made.die()


@pytest.fixture
async def ida(tmp_path: Path, hub: Arrivals) -> AsyncIterator[Browser]:
    """An administrator at the portal over the same database."""
    async with portal_hub(tmp_path) as portal:
        await portal.hub.account("ida", Role.ADMIN)
        yield await portal.logged_in("ida")


@asynccontextmanager
async def running(hub: Arrivals) -> AsyncIterator[None]:
    """As `hub.app` runs the intake."""
    tasks = [asyncio.create_task(one()) for one in (hub.intake.run, hub.intake.tell)]
    try:
        yield
        assert not any(task.done() for task in tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def whole(hub: Arrivals, number: int) -> list[Sealed]:
    made = [hub.sealed(n + 1, [os.urandom(3000)]) for n in range(number)]
    for one in made:
        await hub.take(*one.all())
    return made


async def shown(ida: Browser) -> list[dict[str, Any]]:
    status, told = await ida.call("GET", "/api/admin/alerts")
    assert status == 200
    return list(told["alerts"])


async def seen(ida: Browser, number: int) -> dict[str, Any]:
    """The one alert, when it says that so many wait."""
    found: list[dict[str, Any]] = []

    async def told() -> bool:
        found[:] = await shown(ida)
        return bool(found) and found[0]["facts"].get("number") == number

    await until(told)
    (one,) = found
    return one


async def indexed(hub: Arrivals) -> None:
    async def done() -> bool:
        return {row["state"] for row in await hub.rows(rows)} == {"indexed"}

    await until(done)


async def over(hub: Arrivals, ida: Browser) -> None:
    hub.clock.advance(REST_SECONDS)

    async def ended() -> bool:
        return all(one["ended_at"] for one in await shown(ida))

    await until(ended)
    assert (await ida.call("GET", "/api/admin/alerts/count"))[1] == {"alarm": 0, "warning": 0}


def sick(code: int):
    def fails(*_: Any, **__: Any) -> None:
        raise OSError(code, os.strerror(code))

    return fails


async def test_the_store_cannot_be_written(hub, ida, tmp_path, monkeypatch) -> None:
    await whole(hub, 3)
    with monkeypatch.context() as disk:
        disk.setattr(os, "fdatasync", sick(errno.EIO))
        async with running(hub):
            one = await seen(ida, 3)
            assert (one["kind"], one["severity"], one["site"]) == ("disk-fails", "alarm", "")
            assert one["facts"]["folder"] == str(tmp_path / "archive")
            assert one["facts"]["error"] == "EIO, Input/output error"
            assert Path(one["facts"]["volume"]) in tmp_path.parents
            assert one["words"].endswith("Parcels that wait: 3")
            assert one["words_zh"].endswith("等待中的数据包：3 个")
            assert (await ida.call("GET", "/api/admin/alerts/count"))[1] == {"alarm": 1, "warning": 0}
            disk.undo()
            await indexed(hub)
            await seen(ida, 0)
            await over(hub, ida)


async def test_one_whose_end_cannot_be_written_down_is_counted_alone(hub, ida, monkeypatch) -> None:
    """Those that are stored beside it do not wait."""
    await hub.take(*hub.lying(1).all())
    good = hub.sealed(2, [os.urandom(3000)])
    await hub.take(*good.all())
    with monkeypatch.context() as disk:
        disk.setattr("hub.intake.quarantine.Quarantine.keep", sick(errno.EACCES))
        async with running(hub):
            one = await seen(ida, 1)
            assert one["kind"] == "disk-denied"
            assert one["facts"]["folder"] == str(hub.folder / "quarantine")
            disk.undo()
            await seen(ida, 0)
            await over(hub, ida)


async def test_the_line_is_asked_to_wait_for_a_disk_that_is_read_only(
    hub, ida, tmp_path, monkeypatch
) -> None:
    one = hub.sealed(1, [os.urandom(3000)])
    async with running(hub):
        with monkeypatch.context() as disk:
            disk.setattr(os, "posix_fallocate", sick(errno.EROFS))
            replies = await hub.take(*one.all())
            assert set(replies) == {m.Later(one.id, desk.FULL_SECONDS, "the hub's disk fails")}
            told = await seen(ida, 1)
            assert told["kind"] == "disk-readonly"
            assert told["facts"]["folder"] == str(tmp_path / "intake")
        assert isinstance((await hub.take(*one.all()))[-1], m.Have)
        await indexed(hub)
        await over(hub, ida)


async def test_a_hub_that_is_started_again_tells_it_once(hub, ida, monkeypatch) -> None:
    await whole(hub, 2)
    with monkeypatch.context() as disk:
        disk.setattr(os, "fdatasync", sick(errno.EIO))
        async with running(hub):
            await seen(ida, 2)
        await hub.die()
        await hub.open()
        await hub.intake.recover()
        assert await hub.intake._disk_alerts.look() == []
        (one,) = await shown(ida)
        assert one["ended_at"] is None, "nobody has seen yet that it is over"
        async with running(hub):
            await asyncio.sleep(0.3)
            assert [other["ended_at"] for other in await shown(ida)] == [None]
            disk.undo()
            await indexed(hub)
            await over(hub, ida)
    assert len(await shown(ida)) == 1


async def test_an_alert_for_which_there_is_no_room_comes_later(hub, ida, monkeypatch) -> None:
    await whole(hub, 1)
    real, full = alerts.settle, [3]

    async def settle(*given: Any) -> Any:
        full[0] -= 1
        if full[0] >= 0:
            raise StorageFull("no room for the database")
        return await real(*given)

    with monkeypatch.context() as disk:
        disk.setattr(alerts, "settle", settle)
        disk.setattr("hub.archive.store.BlobStore.put_all", sick(errno.ENOSPC))
        async with running(hub):
            assert (await seen(ida, 1))["kind"] == "disk-full"
            assert full[0] < 0

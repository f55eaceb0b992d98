"""``telerad edge status``, against the running page: as words and as JSON, with a pass-code, and without an edge."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from edge.console.app import console_app
from edge.console.guard import TRIES
from edge.console.outlook import Outlook
from edge.console.sources import Sources
from edge.ingest.commitments import EARLY
from edge.spool.item import LinkState
from edge.spool.states import Event
from gateway import cli
from tests.doubles.ports import free_ports
from tests.doubles.spools import SpoolWorld

CODE = "blue-7"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[SpoolWorld]:
    world = SpoolWorld(tmp_path / "data")
    yield world
    world.spool.close()


async def status(world: SpoolWorld, link: LinkState, *words: str, **options: Any) -> int:
    """The command's exit code, beside a page that says this."""
    ahead = Outlook(250.0, {one.facts.study_uid: 250.0 for one in world.spool.view.studies()})
    app = console_app(world.spool, lambda: link, world.clock, lambda _: ahead, **options)
    async with TestServer(app) as server:
        return await asyncio.to_thread(asked, world.data.parent, server.port, *words)


def asked(folder: Path, port: int | None, *words: str) -> int:
    (folder / "code").write_text(CODE)
    file = folder / "edge.yaml"
    file.write_text(f"data: {folder}\nconsole: {{port: {port}, passcode: {folder / 'code'}}}\n")
    return cli.main(["edge", "status", "-c", str(file), *words])


async def test_what_waits_why_and_when_it_goes(world: SpoolWorld, capsys: pytest.CaptureFixture[str]) -> None:
    world.packer.seal(world.receive())
    now = world.clock.now()
    up = LinkState(online=True, since=now, rate=160_000, streams=2)
    assert await status(world, up, passcode=CODE) == 0
    told = capsys.readouterr().out
    assert "line: the hub is reached, 1.28 Mbit/s of late, 2 streams" in told
    assert "waiting: 1 images, " in told
    assert "all at the hub in about 4 min" in told
    assert "0 of 1 at the hub, about 4 min" in told
    assert "in line: more urgent or earlier images go first" in told
    assert "Sample" not in told
    away = LinkState(online=False, since=now, reason="no cable", next_try=now + timedelta(seconds=8))
    assert await status(world, away) == 1
    told = capsys.readouterr().out
    assert "next try in 8 s: no cable" in told
    assert told.count("no cable") == 2  # of the line, and of what waits
    stuck = LinkState(online=True, since=now, stalled_since=now)
    assert await status(world, stuck) == 1
    assert "nothing moves" in capsys.readouterr().out


async def test_what_a_person_must_look_at_is_told(
    world: SpoolWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    item = world.receive()
    world.packer.seal(item)
    await world.spool.mark(item.parcel_id, Event.HOLD, reason="its bytes have rotted")
    assert await status(world, LinkState(online=True, since=world.clock.now()), "--json") == 1
    told = capsys.readouterr().out
    assert "Sample" not in told
    assert json.loads(told)["held"] == 1
    await status(world, LinkState(online=True, since=world.clock.now()))
    told = capsys.readouterr().out
    assert f"{item.parcel_id} (CT routine, " in told
    assert "held: its bytes have rotted" in told


async def test_another_pass_code_or_no_edge(world: SpoolWorld, capsys: pytest.CaptureFixture[str]) -> None:
    up = LinkState(online=True, since=world.clock.now())
    assert await status(world, up, passcode="another") == 2
    assert "does not take the pass-code" in capsys.readouterr().err
    (port,) = free_ports(1)
    assert await asyncio.to_thread(asked, world.data.parent, port) == 1
    assert "this edge does not run: " in capsys.readouterr().err


async def test_too_many_wrong_pass_codes_are_no_wrong_pass_code(
    world: SpoolWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    app = console_app(world.spool, lambda: None, world.clock, lambda _: Outlook(None, {}), passcode="another")
    async with TestServer(app) as server:
        codes = [await asyncio.to_thread(asked, world.data.parent, server.port) for _ in range(TRIES + 1)]
    assert codes == [2] * TRIES + [1]
    assert "too many wrong pass-codes" in capsys.readouterr().err.splitlines()[-1]


async def test_a_slow_edge_is_told_as_one(
    world: SpoolWorld, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def busy(_: web.Request) -> web.Response:
        await asyncio.sleep(60)
        return web.Response()

    monkeypatch.setattr("edge.status_command.SECONDS", 0.3)
    app = web.Application()
    app.router.add_get("/status.json", busy)
    async with TestServer(app, shutdown_timeout=0) as server:
        assert await asyncio.to_thread(asked, world.data.parent, server.port) == 1
    told = capsys.readouterr().err
    assert "has not answered in " in told
    assert "no running edge" not in told


async def test_what_the_configuration_wants_is_no_trouble(
    world: SpoolWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    up = LinkState(online=True, since=world.clock.now())
    assert await status(world, up, sources=Sources(troubles=lambda: [EARLY])) == 0
    assert f"note: {EARLY}" in capsys.readouterr().out
    assert await status(world, up, sources=Sources(troubles=lambda: [EARLY, "CT1 is away"])) == 1
    assert "trouble: CT1 is away" in capsys.readouterr().out

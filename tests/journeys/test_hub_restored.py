"""The hub is restored from yesterday's backup: the edge notices, and sends again what the hub has lost."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
from pathlib import Path

import pytest

from edge.enroll import enroll
from edge.spool.states import State
from gateway.clock import SystemClock
from gateway.errors import Unavailable
from hub.archive.store import BlobStore
from tests.doubles.edges import Edge, until
from tests.faults.test_kill import Site, look

CLOCK = SystemClock()


async def _joined(site: Site) -> Edge:
    invitation = await site.token()
    site.start("hub")
    while True:
        try:
            return Edge(await enroll(invitation, site.folder / "edge", CLOCK), site.folder / "edge")
        except Unavailable:
            await asyncio.sleep(0.1)


async def _receive(edge: Edge, numbers: range) -> set[str]:
    sent = [os.urandom(20_000 + number) for number in numbers]
    for number, data in zip(numbers, sent, strict=True):
        await asyncio.to_thread(edge.receive, number, data)
    await edge.emptied(60)
    return {hashlib.sha256(data).hexdigest() for data in sent}


async def _has(site: Site, digests: set[str]) -> bool:
    return digests <= set((await look(site.folder))["instances"])


async def test_what_a_restored_hub_has_lost_is_sent_again(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("edge.uplink.recheck.LOOK_SECONDS", 0.2)
    site = Site(tmp_path)
    edge = await _joined(site)
    try:
        edge.start(keep_confirmed=3600)
        yesterday = await _receive(edge, range(3))
        site.kill("hub")
        shutil.copytree(tmp_path / "hub", tmp_path / "backup")
        site.start("hub")
        today = await _receive(edge, range(10, 14))
        assert await _has(site, yesterday | today)
        site.kill("hub")
        shutil.rmtree(tmp_path / "hub")
        shutil.copytree(tmp_path / "backup", tmp_path / "hub")
        assert not await _has(site, today)
        site.start("hub")
        later = await _receive(
            edge, range(20, 22)
        )  # the newest that the hub knows tells nothing of those before

        async def whole() -> bool:
            return await _has(site, yesterday | today | later)

        await until(whole, 60)
        await edge.emptied(60)
        found = await look(tmp_path)
        assert len(found["instances"]) == 9
        assert found["states"] == {"indexed"}
        for digest in found["instances"]:
            data = BlobStore(tmp_path / "hub/blobs").read(digest, 0, 1 << 20)
            assert hashlib.sha256(data).hexdigest() == digest
        assert len(list(edge.spool.files.receipts.rglob("*.lost"))) >= 1  # the receipts that counted no more
    finally:
        await edge.stop()
        for process in site.running.values():
            process.kill()
            process.join()


async def test_kept_bodies_go_when_their_time_is_over_or_the_disk_is_full(
    tmp_path: Path, monkeypatch
) -> None:
    site = Site(tmp_path)
    edge = await _joined(site)
    try:
        edge.start(keep_confirmed=3600)
        await _receive(edge, range(3))
        spool = edge.spool
        assert len(spool.confirmed.kept()) == len(list(spool.files.spool.glob("*.tge"))) > 0
        assert spool.confirmed.let_go() == 0
        oldest = spool.confirmed.kept()[0]
        os.utime(spool.files.receipt(oldest.parcel_id), (1, 1))
        assert spool.confirmed.let_go() == 1
        assert (await spool.item(oldest.parcel_id)).state is State.PURGED
        monkeypatch.setattr("gateway.durable.free_bytes", lambda _: 0)
        with pytest.raises(Exception, match="reserve"):
            spool.check_room(1000)
        assert not spool.confirmed.kept()
        assert await spool.lost(oldest.parcel_id) is None  # what is gone cannot be sent again
    finally:
        await edge.stop()
        for process in site.running.values():
            process.kill()
            process.join()

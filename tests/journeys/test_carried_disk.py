"""The line is dead: spool → disk → hub → receipts on the disk → purge. With real commands, hub and edge beside."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from sqlalchemy import select

from edge.export import export
from edge.identity import Addresses
from edge.spool.states import State
from edge.uplink.handed import HandedIn
from gateway.disk import EdgeFolder
from gateway.envelope.signature import Statement
from gateway.errors import StorageFull, UsageError
from gateway.exclusive import folder_held
from gateway.model import ParcelId, Priority
from hub.disk_import import DiskImport
from hub.fleet import devices
from hub.local import Aside, Judge, serving, short_path
from hub.tables.arrival import quarantine
from hub.tables.study import instances
from tests.doubles.edges import CLOCK, Edge, edge_of, until
from tests.doubles.lines import LineHub, line_hub

ROOT = Path(__file__).parents[2]
DATA = [os.urandom(size) for size in (10, 90_000, 1_500_000, (2 << 20) + 7)]


@pytest.fixture
async def hub(tmp_path: Path):
    async with line_hub(tmp_path) as running:
        yield running


@pytest.fixture
async def edge(hub: LineHub, tmp_path: Path):
    """An edge without a line, with something waiting."""
    async with edge_of(hub, tmp_path / "edge") as running:
        cut(running)
        await running.client.close()  # connections that were kept ready would still carry
        for number, data in enumerate(DATA):
            priority = Priority.STAT if number == 2 else Priority.ROUTINE
            await asyncio.to_thread(running.receive, number, data, priority)
            await until(partial(signed, running, number + 1))  # or small ones would travel together
        yield running


async def signed(edge: Edge, count: int) -> bool:
    return len(await edge.spool.waiting()) == count


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    (tmp_path / "usb").mkdir()
    return tmp_path / "usb"


def cut(edge: Edge) -> None:
    line = edge.identity.addresses
    edge.identity.addresses = Addresses(line.web, "https://localhost:1")


def mend(hub: LineHub, edge: Edge) -> None:
    edge.identity.addresses = Addresses(hub.small.config.web.url, hub.small.config.line.url)


async def telerad(*words: object, code: int = 0, most: int | None = None) -> Any:
    """A real command; returns its JSON, or its error's words. Its files hold no more than `most` bytes."""
    program = ["-m", "gateway.cli"]
    if most is not None:
        limit = f"import resource as r; r.setrlimit(r.RLIMIT_FSIZE, ({most}, {most})); "
        program = ["-c", f"{limit}import sys; from gateway.cli import main; sys.exit(main())"]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, *program, "--log-level", "error"),
        *map(str, words),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    out, error = await process.communicate()
    assert process.returncode == code, (out, error)
    return json.loads(out) if out else error.decode()


def hub_yaml(hub: LineHub) -> Path:
    config = hub.small.config
    file = config.data.parent / "hub.yaml"
    file.write_text(
        f"data: {config.data}\npki: {config.pki}\nrules: none.yaml\nstorage: {{reserve: 0}}\n"
        f"web: {{url: '{config.web.url}'}}\nline: {{url: '{config.line.url}'}}\n"
    )
    return file


def edge_yaml(edge: Edge) -> Path:
    file = edge.data.parent / "edge.yaml"
    file.write_text(f"data: {edge.data}\nspool: {{reserve: 0}}\n")
    return file


@asynccontextmanager
async def door(hub: LineHub) -> AsyncIterator[aiohttp.ClientSession]:
    """The local door of the hub that runs here, and a session to it."""
    small, custody = hub.small, hub.archive.custody
    judge = Judge(small.database, small.authority.trust, CLOCK)
    aside = Aside(small.database, small.config.data, custody, CLOCK)
    with folder_held(small.config.data):
        async with serving(small.config.data, hub.intake, judge, aside):
            with short_path(small.config.data) as path:
                connector = aiohttp.UnixConnector(str(path))
                async with aiohttp.ClientSession("http://hub", connector=connector) as session:
                    yield session


async def exported(edge: Edge, disk: Path) -> EdgeFolder:
    await asyncio.to_thread(export, edge.data, edge.identity, disk, CLOCK)
    return EdgeFolder.of(disk, "H001", "1")


async def at_hub(hub: LineHub) -> list[str]:
    async with hub.small.database.reading() as connection:
        return sorted(row.sha256 for row in await connection.execute(select(instances.c.sha256)))


async def put_aside(hub: LineHub) -> list[Any]:
    async with hub.small.database.reading() as connection:
        return list(await connection.execute(select(quarantine)))


def digests(sent: list[bytes]) -> list[str]:
    return sorted(hashlib.sha256(data).hexdigest() for data in sent)


async def test_there_and_back_beside_a_running_hub_and_a_running_edge(
    hub: LineHub, edge: Edge, disk: Path
) -> None:
    told = await telerad("edge", "export", "-c", edge_yaml(edge), "--to", disk, "--json")
    assert (told["written"], told["there"], told["unsigned"]) == (len(DATA), 0, 0)
    assert all(data[:64] not in b"".join(file.read_bytes() for file in disk.rglob("*.body")) for data in DATA)
    async with door(hub):
        told = await telerad("hub", "import", "-c", hub_yaml(hub), disk, "--json")
        assert told == {
            "H001-1": {"receipts": len(DATA), "refused": {}, "missing": [], "listing": ""},
        }
        again = await telerad("hub", "import", "-c", hub_yaml(hub), disk, "--json")
        assert again == told
    assert await at_hub(hub) == digests(DATA)
    assert await put_aside(hub) == []
    taking = asyncio.create_task(HandedIn(edge.data, edge.uplink.handed).run())
    with folder_held(edge.data):
        told = await telerad("edge", "import-receipts", "-c", edge_yaml(edge), disk, "--json")
    taking.cancel()
    assert told == {"receipts": len(DATA), "refused": {}, "freed": len(DATA)}
    await edge.emptied(2)
    assert not list(disk.rglob("*.body"))
    assert not edge.uplink._board.parcels


async def test_there_and_back_with_neither_running(hub: LineHub, edge: Edge, disk: Path) -> None:
    await edge.stop()
    await hub.stop()
    await telerad("edge", "export", "-c", edge_yaml(edge), "--to", disk, "--json")
    told = await telerad("hub", "import", "-c", hub_yaml(hub), disk, "--json")
    assert told["H001-1"]["receipts"] == len(DATA)
    assert await at_hub(hub) == digests(DATA)
    told = await telerad("edge", "import-receipts", "-c", edge_yaml(edge), disk, "--json")
    assert told == {"receipts": len(DATA), "refused": {}, "freed": len(DATA)}
    edge.start()
    await edge.emptied(2)


async def test_what_arrives_both_ways_is_one(hub: LineHub, edge: Edge, disk: Path) -> None:
    folder = await exported(edge, disk)
    mend(hub, edge)
    await edge.emptied()
    async with door(hub) as session:
        found = await DiskImport(folder, session).run()
    assert found.good
    assert len(found.receipts) == len(DATA)
    assert await at_hub(hub) == digests(DATA)
    for parcel in folder.receipts():  # the same receipt, whichever way
        assert folder.receipt(parcel).read_bytes() == edge.spool.files.receipt(parcel).read_bytes()


async def test_by_disk_first_and_over_the_line_then(hub: LineHub, edge: Edge, disk: Path) -> None:
    folder = await exported(edge, disk)
    async with door(hub) as session:
        assert (await DiskImport(folder, session).run()).good
    mend(hub, edge)
    await edge.emptied()
    assert await at_hub(hub) == digests(DATA)


async def test_a_parcel_half_sent_over_the_line_is_made_whole_from_the_disk(
    hub: LineHub, edge: Edge, disk: Path
) -> None:
    folder = await exported(edge, disk)
    big = max(folder.parcels(), key=lambda parcel: folder.body(parcel).stat().st_size)
    body = folder.body(big).read_bytes()
    folder.body(big).write_bytes(
        body[:1_500_000] + b"\0" * (len(body) - 1_500_000)
    )  # its first chunk is good
    async with door(hub) as session:
        found = await DiskImport(folder, session).run()
        assert list(found.refused) == [big]
        folder.body(big).write_bytes(body)
        found = await DiskImport(folder, session).run()
    assert found.good
    assert await at_hub(hub) == digests(DATA)


async def test_a_tampered_parcel_is_refused_and_kept_aside_and_the_others_are_taken(
    hub: LineHub, edge: Edge, disk: Path
) -> None:
    folder = await exported(edge, disk)
    first, second, third, fourth = folder.parcels()
    flipped = bytearray(folder.body(first).read_bytes())
    flipped[3] ^= 1
    folder.body(first).write_bytes(flipped)
    header = Statement.from_bytes(folder.head(second).read_bytes())
    payload = header.payload.replace(b'"site":"H001"', b'"site":"H002"')
    assert payload != header.payload
    folder.head(second).write_bytes(
        Statement(header.kind, payload, header.chain, header.signature).to_bytes()
    )
    folder.body(third).write_bytes(folder.body(third).read_bytes() + b"x")
    async with door(hub) as session:
        for _ in range(2):  # the second time nothing is put aside twice
            found = await DiskImport(folder, session).run()
    assert not found.good
    assert set(found.refused) == {first, second, third}
    assert found.receipts == {fourth}
    assert "does not match its digest" in found.refused[first]
    rows = await put_aside(hub)
    assert {row.parcel_id for row in rows} == {first, second, third}
    assert len(rows) == 3
    kept = {row.parcel_id: hub.small.config.data / row.path for row in rows}
    assert kept[first].read_bytes() == bytes(flipped)
    assert all(path.with_suffix(".head").exists() for path in kept.values())
    assert "was changed" in found.refused[second]
    assert set((await edge.spool.status()).states) <= {State.SEALED, State.SENDING}


async def test_a_tampered_listing_stops_the_whole_disk_unless_a_person_says_otherwise(
    hub: LineHub, edge: Edge, disk: Path
) -> None:
    folder = await exported(edge, disk)
    listing = Statement.from_bytes(folder.listing.read_bytes())
    shorter = listing.payload.replace(b'"edge":"1"', b'"edge":"2"')
    folder.listing.write_bytes(Statement(listing.kind, shorter, listing.chain, listing.signature).to_bytes())
    async with door(hub):
        words = await telerad("hub", "import", "-c", hub_yaml(hub), disk, code=1)
        assert "Nothing was taken" in words
        assert await at_hub(hub) == []
        (row,) = await put_aside(hub)
        assert (hub.small.config.data / row.path).read_bytes() == folder.listing.read_bytes()
        command = ("hub", "import", "-c", hub_yaml(hub), disk, "--without-listing", "--json")
        told = await telerad(*command, code=1)
    assert told["H001-1"]["receipts"] == len(DATA)
    assert told["H001-1"]["listing"]


async def test_a_parcel_lost_on_the_way_is_missed(hub: LineHub, edge: Edge, disk: Path) -> None:
    folder = await exported(edge, disk)
    lost = next(folder.parcels())
    folder.head(lost).unlink()
    async with door(hub) as session:
        found = await DiskImport(folder, session).run()
    assert found.missing == {lost}
    assert not found.good
    assert len(found.receipts) == len(DATA) - 1


async def test_a_revoked_edges_disk_is_not_taken(hub: LineHub, edge: Edge, disk: Path) -> None:
    folder = await exported(edge, disk)
    async with hub.small.database.writing() as connection:
        await devices.revoke(connection, "H001", "1", CLOCK.now(), "stolen")
    async with door(hub) as session:
        found = await DiskImport(folder, session)._listing(without_listing=True)
        assert found is None
        found = await DiskImport(folder, session).run(without_listing=True)
    assert all("revoked" in why for why in found.refused.values())
    assert len(found.refused) == len(DATA)
    assert await at_hub(hub) == []


async def test_what_has_no_room_on_one_disk_goes_onto_the_next(
    hub: LineHub, edge: Edge, disk: Path, monkeypatch
) -> None:
    written, second = EdgeFolder.write, disk.with_name("usb2")
    second.mkdir()

    def small(self: EdgeFolder, target: Path, pieces) -> None:
        """As a disk of 1.7 MB does it."""
        if self.folder.is_relative_to(disk):
            pieces = [b"".join(pieces)]
            room = 1_700_000 - sum(file.stat().st_size for file in disk.rglob("*") if file.is_file())
            if len(pieces[0]) > room:
                target.with_name(f".tmp-{target.name}").write_bytes(pieces[0][:room])
                raise StorageFull("the disk is full")
        written(self, target, pieces)

    monkeypatch.setattr(EdgeFolder, "write", small)
    found = export(edge.data, edge.identity, disk, CLOCK)
    assert (found.full, found.written, found.left) == (True, len(DATA) - 1, 1)
    again = export(edge.data, edge.identity, disk, CLOCK)
    assert (again.full, again.there, again.left) == (True, len(DATA) - 1, 1)
    told = await telerad("edge", "export", "-c", edge_yaml(edge), "--to", second, "--beside", disk, "--json")
    assert (told["full"], told["written"], told["elsewhere"]) == (False, 1, len(DATA) - 1)
    async with door(hub) as session:
        for one in (second, disk):
            assert (await DiskImport(EdgeFolder.of(one, "H001", "1"), session).run()).good
    assert await at_hub(hub) == digests(DATA)


async def test_what_is_too_large_for_a_file_of_the_disk_is_told_and_the_rest_written(
    edge: Edge, disk: Path
) -> None:
    """As on FAT, with its 4 GB."""
    words = ("edge", "export", "-c", edge_yaml(edge), "--to", disk, "--json")
    told = await telerad(*words, most=2_000_000, code=1)
    (why,) = told["damaged"].values()
    assert "is it FAT?" in why
    assert told["written"] == len(DATA) - 1
    assert not list(disk.rglob(".tmp-*"))


async def test_the_disk_is_pulled_out_while_the_edge_writes(
    hub: LineHub, edge: Edge, disk: Path, monkeypatch
) -> None:
    written = EdgeFolder.write
    left = [5]

    def breaking(self: EdgeFolder, target: Path, pieces) -> None:
        left[0] -= 1
        if left[0] == 0:
            target.with_name(f".tmp-{target.name}").write_bytes(b"half")
            raise OSError(errno.EIO, "the disk is gone")
        written(self, target, pieces)

    monkeypatch.setattr(EdgeFolder, "write", breaking)
    with pytest.raises(OSError, match="gone"):
        await exported(edge, disk)
    monkeypatch.undo()
    folder = EdgeFolder.of(disk, "H001", "1")
    whole = set(folder.parcels())
    assert len(whole) == 2
    stat = next(item.parcel_id for item in await edge.spool.waiting() if item.priority is Priority.STAT)
    assert stat in whole  # what is urgent is written first
    async with door(hub) as session:
        found = await DiskImport(folder, session).run()
        assert found.receipts == whole
        assert "not finished" in found.listing
        told = await telerad("edge", "export", "-c", edge_yaml(edge), "--to", disk, "--json")
        assert (told["written"], told["there"]) == (len(DATA) - 2, 2)
        assert not list(disk.rglob(".tmp-*"))
        assert (await DiskImport(folder, session).run()).good
    assert await at_hub(hub) == digests(DATA)


async def test_the_disk_is_pulled_out_while_the_hub_reads(
    hub: LineHub, edge: Edge, disk: Path, monkeypatch
) -> None:
    folder = await exported(edge, disk)
    last = max(folder.parcels())
    async with door(hub) as session:
        bring = DiskImport(folder, session)
        judged = bring._judged

        async def gone(parcel: ParcelId):
            one = await judged(parcel)
            if parcel == last:
                folder.body(parcel).rename(disk / "elsewhere")
            return one

        monkeypatch.setattr(bring, "_judged", gone)
        with pytest.raises(FileNotFoundError):
            await bring.run()
        (disk / "elsewhere").rename(folder.body(last))
        assert (await DiskImport(folder, session).run()).good
    assert await at_hub(hub) == digests(DATA)


async def test_a_receipt_that_does_not_hold_lets_nothing_go(hub: LineHub, edge: Edge, disk: Path) -> None:
    folder = await exported(edge, disk)
    async with door(hub) as session:
        await DiskImport(folder, session).run()
    first, second, *_ = folder.receipts()
    one, other = folder.receipt(first).read_bytes(), folder.receipt(second).read_bytes()
    folder.receipt(first).write_bytes(other)
    folder.receipt(second).write_bytes(one)
    await edge.stop()
    told = await telerad("edge", "import-receipts", "-c", edge_yaml(edge), disk, "--json", code=1)
    assert set(told["refused"]) == {first, second}
    assert told["freed"] == len(DATA) - 2
    assert edge.spool.files.body(first).exists()
    assert edge.spool.files.body(second).exists()
    edge.start()
    mend(hub, edge)
    await edge.emptied()


@pytest.mark.parametrize("known", [True, False], ids=["on the board", "in the spool alone"])
async def test_a_receipt_that_cannot_be_kept_stays_for_the_next_round(
    hub: LineHub, edge: Edge, disk: Path, *, known: bool
) -> None:
    folder = await exported(edge, disk)
    async with door(hub) as session:
        await DiskImport(folder, session).run()
    if not known:
        await edge.stop()
        edge.start(line=False)
    taking = HandedIn(edge.data, edge.uplink.handed)
    for parcel in folder.receipts():
        (taking.folder / f"{parcel}.receipt").write_bytes(folder.receipt(parcel).read_bytes())
    first, *_ = folder.receipts()
    fault = spoil(edge, first)
    for _ in range(2):
        await taking.round()
        assert [file.stem for file in taking.folder.iterdir()] == [first]
    fault.unlink()
    assert await taking.round() == 1
    assert not list(taking.folder.iterdir())
    if not known:
        edge.open_line()
    await edge.emptied(2)


async def test_the_command_tells_what_it_cannot_keep(hub: LineHub, edge: Edge, disk: Path) -> None:
    folder = await exported(edge, disk)
    async with door(hub) as session:
        await DiskImport(folder, session).run()
    await edge.stop()
    fault = spoil(edge, next(iter(folder.receipts())))
    command = ("edge", "import-receipts", "-c", edge_yaml(edge), disk, "--json")
    assert "1 receipts cannot be kept yet" in await telerad(*command, code=1)
    fault.unlink()
    assert (await telerad(*command))["freed"] == len(DATA)
    edge.start()
    await edge.emptied(2)


def spoil(edge: Edge, parcel: ParcelId) -> Path:
    """The disk does not take one receipt: EEXIST, until what is returned is removed."""
    receipt = edge.spool.files.receipt(parcel)
    receipt.parent.mkdir(exist_ok=True)
    receipt.symlink_to("nowhere")
    return receipt


async def test_what_cannot_be_read_at_the_edge_is_told_and_the_rest_written(
    hub: LineHub, edge: Edge, disk: Path
) -> None:
    rotten = (await edge.spool.waiting())[0].parcel_id
    await edge.stop()  # or its uplink would find it first, and hold it
    path = edge.spool.files.body(rotten)
    body = bytearray(path.read_bytes())
    body[50] ^= 1
    path.chmod(0o600)
    path.write_bytes(body)
    told = await telerad("edge", "export", "-c", edge_yaml(edge), "--to", disk, "--json", code=1)
    assert set(told["damaged"]) == {rotten}
    assert told["written"] == len(DATA) - 1


async def test_no_disk_and_nothing_on_it(hub: LineHub, edge: Edge, disk: Path) -> None:
    with pytest.raises(UsageError, match="is the disk mounted"):
        export(edge.data, edge.identity, disk / "none", CLOCK)
    (disk / "file").touch()
    for beside in ("none", "file"):
        words = ("edge", "export", "-c", edge_yaml(edge), "--to", disk, "--beside", disk / beside)
        assert f"--beside {disk / beside} is no folder" in await telerad(*words, code=2)
    assert not list(disk.rglob("*.body"))
    assert "nothing from an edge" in await telerad("hub", "import", "-c", hub_yaml(hub), disk, code=2)
    words = await telerad("edge", "import-receipts", "-c", edge_yaml(edge), disk, code=2)
    assert "nothing of edge H001/1" in words
    await exported(edge, disk)
    with folder_held(hub.small.config.data):
        assert "is no running hub" in await telerad("hub", "import", "-c", hub_yaml(hub), disk, code=2)

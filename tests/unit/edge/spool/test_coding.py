"""Coding in packing: what does not come back is not used, large things stream, originals stay until all is proven."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import imagecodecs
import pytest

from edge.idle import LEAST, IdleCores
from edge.pack import Packer
from edge.spool import refill
from edge.spool.coding import Line, Task
from edge.spool.grouping import Group
from gateway.codec.chooser import Chooser
from gateway.codec.figures import START, Figures
from gateway.errors import Unverified
from gateway.wire.brief import Abridger
from gateway.wire.frames import HEAD, encode
from gateway.wire.messages import CHUNK_HEAD
from tests.doubles.images import Image
from tests.doubles.spools import SITE, SpoolWorld

ROOT = Path(__file__).parents[4]
SLOW = Line(rate=50_000, cores=2)
MIXED = Image(rows=1024, columns=256, noise=40, high=2000)


@pytest.fixture
def world(tmp_path):
    world = SpoolWorld(tmp_path / "data")
    yield world
    world.spool.close()


def lie(monkeypatch):
    """Every image codec gives back one pixel that is another; not in a probe, which would find it out."""
    for name in ("jpegxl", "htj2k", "jpegls"):
        whole = getattr(imagecodecs, f"{name}_encode")

        def wrong(pixels, *args, whole=whole, **options):
            if len(pixels) > 600:
                pixels = pixels.copy()
                pixels.flat[17] ^= 1
            return whole(pixels, *args, **options)

        monkeypatch.setattr(imagecodecs, f"{name}_encode", wrong)


def test_a_codec_that_lies_is_found_out_and_not_used_again(world, monkeypatch):
    lie(monkeypatch)
    for _ in range(4):
        items = [world.receive(MIXED.dataset, number=n) for n in range(3)]
        made = world.spool.merger.merge(items, SLOW)
        world.packer.seal(made.item)
        manifest, found = world.content(made.item.parcel_id)
        assert found == [MIXED.dataset] * 3
        assert {entry.codec for entry in manifest.instances} <= {"zstd", "raw"}
    assert len(world.spool.merger.coding._failed) >= 1


def test_a_large_one_that_does_not_come_back_stays_as_it_was(world, monkeypatch):
    monkeypatch.setattr(refill, "IN_MEMORY", 1000)
    lie(monkeypatch)
    item = world.receive(MIXED.dataset)
    made = world.packer.gather(Group((item,), full=True))
    assert (made.item, made.ways) == (item, {})
    assert not list(world.spool.files.spool.glob("*.mer*"))
    world.packer.seal(item)
    assert world.content(item.parcel_id)[1] == [MIXED.dataset]
    for number in (2, 3):  # the other two codecs
        again = world.receive(MIXED.dataset, number=number)
        assert world.packer.gather(Group((again,), full=True)).item == again
        world.packer.seal(again)
    last = world.receive(MIXED.dataset, number=4)
    made = world.packer.gather(Group((last,), full=True))
    assert not made.ways.keys() - {"zstd-1", "zstd-3", "zstd-9", "zstd-19"}
    world.packer.seal(made.item)
    assert world.content(made.item.parcel_id)[1] == [MIXED.dataset]


def test_what_rots_between_writing_and_reading_back_is_not_used(world, monkeypatch):
    whole = refill.OwnBody.coded

    def rotten(self, entry, read):
        for piece in whole(self, entry, read):
            yield memoryview(bytes([piece[0] ^ 1]) + bytes(piece[1:]))

    items = [world.receive(MIXED.dataset, number=n) for n in range(2)]
    with monkeypatch.context() as patch:
        patch.setattr(refill.OwnBody, "coded", rotten)
        with pytest.raises(Unverified):
            world.spool.merger.merge(items, SLOW)
    assert {one.parcel_id for one in world.spool._journal.all()} == {one.parcel_id for one in items}
    assert all(world.spool.files.segments.place(one.parcel_id) for one in items)


@pytest.mark.parametrize("line", [SLOW, Line(rate=1e12, cores=2)])  # coded; as it is
def test_what_is_read_otherwise_than_it_came_is_not_used(world, monkeypatch, line):
    whole = refill.Original.data

    def rotten(self, entry):
        return bytes([whole(self, entry)[0] ^ 1]) + whole(self, entry)[1:]

    items = [world.receive(MIXED.dataset[:60_000], number=n) for n in range(2)]
    monkeypatch.setattr(refill.Original, "data", rotten)
    with pytest.raises(Unverified):
        world.spool.merger.merge(items, line)
    assert {one.parcel_id for one in world.spool._journal.all()} == {one.parcel_id for one in items}
    assert not world.spool.merger.coding._failed


def test_a_large_one_starts_at_once_where_coding_all_of_it_would_end_later(world, monkeypatch):
    """Nothing of it can be sent before its last byte is coded, as the signed header names every chunk."""
    monkeypatch.setattr(refill, "IN_MEMORY", 1000)
    data = Image(rows=256, columns=256, frames=40, noise=20, high=2000).dataset  # 5 MB
    coding = world.spool.merger.coding
    coding.chooser = Chooser(Figures(dict.fromkeys(START, 10e6)), lambda: 0.0)  # half a second of one core
    item = world.receive(data)
    kept = world.spool.merger.kept(item.parcel_id)
    with refill.Original.open(world.spool.files, item, kept.key) as original:
        entry = original.own.manifest.instances[0]

        def chosen(seconds: float) -> Task:
            """On a line that would carry it uncoded in so many seconds."""
            return original.task(entry, coding, Line(rate=len(data) / seconds, cores=2))

        assert coding.pays(chosen(30))
        assert not coding.pays(chosen(0.6))  # piece after piece it would have been there after 0.55 s


def test_large_ones_stream_through_the_pool_and_keep_their_remarks(world, monkeypatch):
    monkeypatch.setattr(refill, "IN_MEMORY", 1000)
    monkeypatch.setattr(sys.modules["gateway.codec.plan"], "STRIP", 5000)
    image = Image(rows=100, columns=64, frames=5, padding=b"odd", trailing=b"after")
    item = world.receive(image.dataset, remarks={"flaw": "odd", "charset": "GB18030"})
    made = world.spool.merger.merge([item], SLOW)
    world.packer.seal(made.item)
    manifest, found = world.content(made.item.parcel_id)
    assert found == [image.dataset]
    assert made.coded < made.plain / 1.2
    assert manifest.instances[0].parameters == {"flaw": "odd", "charset": "GB18030"}
    assert manifest.instances[0].codec in ("jxl", "htj2k", "jpegls")


def test_one_that_gains_nothing_goes_as_it_is(world):
    for data in (os.urandom(200_000), b"small"):
        item = world.receive(data)
        made = world.spool.merger.merge([item], SLOW, lead=True)
        assert (made.item.parcel_id, made.ways, made.item.lead) == (item.parcel_id, {}, True)
        assert world.spool._journal.get(item.parcel_id).lead
        world.packer.seal(made.item)
        assert world.content(item.parcel_id)[1] == [data]


def test_headers_of_a_series_are_one_stream_and_overhead_is_below_two_per_cent(world):
    """32 KB MR: all that the line carries beside coded bytes of pixels and the headers' common stream."""
    image = Image(rows=128, columns=128, high=1200, noise=12)
    private = bytes(range(256)) * 12  # as vendors put into every slice
    head = image.head[:-12] + b"\x29\x00\x10\x10OB\0\0" + len(private).to_bytes(4, "little") + private
    slices = [Image(rows=128, columns=128, high=1200, noise=12, seed=seed) for seed in range(100)]
    items = [
        world.receive(head + image.head[-12:] + one.pixels, number=n, modality="MR")
        for n, one in enumerate(slices)
    ]
    packer = Packer(world.spool, SITE, lambda: world.device, world.clock)
    made = packer.gather(Group(tuple(items), full=True))
    packer.seal(made.item)
    manifest, _ = world.content(made.item.parcel_id)
    sent = len(world.spool.header(made.item.parcel_id)) + made.item.sealed_size
    coded = manifest.shared.coded_length + sum(entry.coded_length for entry in manifest.instances)
    assert manifest.shared.length >= 100 * len(private)
    assert manifest.shared.coded_length < 20_000  # each by itself would take 100 × 600
    print(f"{100 * (sent / coded - 1):.2f} % beyond {coded} coded bytes of {made.plain}")
    assert sent / coded - 1 < 0.02


@pytest.mark.parametrize(("rate", "most"), [(32e3, 0.02), (48e3, 0.02), (250e3, 0.015), (2.5e6, 0.01)])
def test_overhead_of_a_whole_series_as_it_is_really_gathered(world, rate, most):
    """Leads that go alone, first parcels that are small, and all: 256 and 384 kbit/s, 2 and 20 Mbit/s.

    All that is put on the line beside coded bytes: frames, signed headers said briefly, tags.
    """
    abridger = Abridger()
    packer = Packer(world.spool, SITE, lambda: world.device, world.clock, lambda: rate, lambda: 2.0)
    for number in range(300):
        one = Image(rows=128, columns=128, high=1200, noise=12, seed=number)
        world.receive(one.dataset, number=number, modality="MR")
    sent = coded = 0
    while found := packer._look():
        packer.begin(found[0])
        packer._row += not found[0].lead
        item = packer.gather(found[0]).item
        packer.seal(item)
        manifest, _ = world.content(item.parcel_id)
        signed = world.spool.header(item.parcel_id)
        sent += len(encode(abridger.announce(item.parcel_id, signed, brief=True)))
        sent += item.sealed_size + item.chunk_count * (HEAD.size + CHUNK_HEAD)
        shared = manifest.shared.coded_length if manifest.shared else 0
        coded += shared + sum(entry.coded_length for entry in manifest.instances)
    print(f"{100 * (sent / coded - 1):.2f} % beyond {coded} coded bytes at {rate / 1e3:.0f} kB/s")
    assert sent / coded - 1 < most


def test_idle_cores_by_the_kernels_counters(tmp_path):
    stat, clock, own = tmp_path / "stat", [0.0], [0.0]

    def idle(seconds):
        stat.write_text(f"cpu 1 2 3 {int(seconds * os.sysconf('SC_CLK_TCK'))} 0 0\n")

    idle(0)
    cores = IdleCores(lambda: own[0], lambda: clock[0], stat)
    full = cores()
    assert full == len(os.sched_getaffinity(0))
    for _ in range(20):
        clock[0] += 2
        cores()
    assert LEAST <= cores() < LEAST * 1.1
    for _ in range(20):
        clock[0], own[0] = clock[0] + 2, own[0] + 2 * full
        cores()
    assert cores() > full * 0.95  # what coding itself takes is not in its way


def test_a_large_multi_frame_object_is_coded_in_little_memory(tmp_path):
    """In a process of its own, C libraries counted. TELERAD_LARGE_MB=2000 for the real thing."""
    megabytes = os.environ.get("TELERAD_LARGE_MB", "128")
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            f"from tests.doubles.streams import packed; packed({str(tmp_path)!r}, {megabytes})",
        ],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    ratio, extra = map(float, done.stdout.split()[-2:])
    print(f"{megabytes} MB: ratio {ratio:.2f}, {extra:.0f} MB more memory")
    assert ratio > 1.3
    assert extra < 120

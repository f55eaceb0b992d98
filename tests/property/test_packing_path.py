"""From receiving to the hub's code, through coding and gathering: never a wrong byte, whatever the image."""

from __future__ import annotations

from collections import Counter

import imagecodecs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.pack import Packer
from gateway.dicom.part10 import split
from tests.doubles.datasets import shared_data, shared_files
from tests.doubles.images import Image, encapsulated
from tests.doubles.spools import SITE, SpoolWorld
from tests.property.test_image_codecs import SYNTAXES, images

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # as there

MBIT = 1e6 / 8
RATES = st.sampled_from([0.384 * MBIT, 20 * MBIT, 1000 * MBIT, 0.0])
QUICK = settings(
    deadline=None,
    max_examples=25,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
BASELINE = "1.2.840.10008.1.2.4.50"


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    world = SpoolWorld(tmp_path_factory.mktemp("packing") / "data")
    yield world
    world.spool.close()


@pytest.fixture
def fresh(tmp_path):
    """A world of its own, where nothing was measured on random images of the same kind."""
    world = SpoolWorld(tmp_path / "data")
    yield world
    world.spool.close()


def through(world, instances, rate) -> Counter[str]:
    """Receive, pack, open with the hub's code, compare; the ways that were taken."""
    packer = Packer(world.spool, SITE, lambda: world.device, world.clock, lambda: rate, lambda: 2.0)
    for number, (data, syntax) in enumerate(instances):
        world.receive(data, number=number, syntax=syntax)
    found, ways = Counter[bytes](), Counter[str]()
    while chosen := packer._look():
        packer.begin(chosen[0])
        made = packer.gather(chosen[0])
        packer.seal(made.item)
        ways.update(made.ways or {"raw": made.item.instances})
        found.update(world.content(made.item.parcel_id)[1])
        world.spool.confirmed.confirm(made.item.parcel_id, world.receipt(made.item.parcel_id))
    assert found == Counter(data for data, _ in instances)
    assert not list(world.spool.files.spool.glob("*.tge")) + list(world.spool.files.spool.glob("*.mer*"))
    return ways


@given(st.lists(images() | st.just(Image(allocated=1, columns=64)), min_size=1, max_size=6), RATES)
@QUICK
def test_every_image_arrives(world, found, rate):
    through(world, [(image.dataset, image.syntax) for image in found], rate)


@given(images(), SYNTAXES, RATES, st.data())
@QUICK
def test_bent_headers_arrive(world, image, syntax, rate, data):
    head = bytearray(image.head)
    for _ in range(data.draw(st.integers(1, 6))):
        head[data.draw(st.integers(0, len(head) - 1))] = data.draw(st.integers(0, 255))
    whole = bytes(head) + image.pixels + image.trailing
    cut = whole[: data.draw(st.integers(0, len(whole)))]
    through(world, [(whole, syntax), (cut, syntax), (b"", syntax)], rate)


@given(
    st.lists(st.binary(max_size=6000) | st.just(b"\xff\xd8\xff\xe0 no jpeg"), max_size=6),
    RATES,
    st.booleans(),
)
@QUICK
def test_fragments_arrive(world, fragments, rate, offsets):
    head = Image(allocated=8).head[:-12]
    data = encapsulated(*fragments, syntax_head=head, offsets=bytes(4 * len(fragments)) if offsets else b"")
    through(world, [(data, BASELINE), (data + b"after", "1.2.840.10008.1.2.4.90")], rate)


def _jpeg(seed: int) -> bytes:
    image = Image(rows=256, columns=256, allocated=8, high=255, seed=seed)
    return bytes(imagecodecs.jpeg8_encode(image.words[0, :, :, 0], level=90))


def _table(*frames: tuple[bytes, ...]) -> bytes:
    """A Basic Offset Table (PS3.5 A.4): where each frame's first fragment lies, from the first item on."""
    at, offsets = 0, b""
    for frame in frames:
        offsets += at.to_bytes(4, "little")
        at += sum(8 + len(fragment) for fragment in frame)
    return offsets


def test_jpeg_frames_arrive_and_shrink(fresh):
    """One or several fragments a frame, with and without an offset table, padded or odd, and bytes after."""
    files = [_jpeg(seed) for seed in range(4)]
    even = [(file + b"\0" * (len(file) % 2),) for file in files]
    padded = [(file + b"\0" * (2 + len(file) % 2),) for file in files]
    split = [(file[: len(file) // 4 * 2], file[len(file) // 4 * 2 :]) for (file,) in even]
    odd = [(file + b"\0" * (1 - len(file) % 2),) for file in files]  # against the standard, and seen
    head = Image(rows=256, columns=256, allocated=8, frames=4).head[:-12]
    instances = []
    for frames in (even, padded, split, odd):
        for offsets in (b"", _table(*frames), bytes(16)):
            fragments = [fragment for frame in frames for fragment in frame]
            data = encapsulated(*fragments, syntax_head=head, offsets=offsets)
            instances += [(data, BASELINE), (data + b"\xfc\xff\xfc\xffOB\0\0\4\0\0\0\0\0\0\0", BASELINE)]
            instances.append(
                (encapsulated(*fragments, syntax_head=head, offsets=offsets, closed=False), BASELINE)
            )
    ways = through(fresh, instances, 0.384 * MBIT)
    assert ways["jpeg-jxl"] == len(instances), ways
    assert sum(ways.values()) == len(instances)


def test_palettes_and_all_kinds_of_words_arrive(fresh):
    """At a rate at which they are coded; words of 32 bits that fill them go by zstd or as they are."""
    made = [
        Image(rows=96, columns=96, allocated=8, high=255, photometric="PALETTE COLOR"),
        Image(rows=96, columns=96, allocated=16, high=65535, photometric="PALETTE COLOR"),
        Image(rows=96, columns=96, signed=True, low=-1024, high=3071),
        Image(rows=96, columns=96, allocated=32, high=2**32 - 1),
        Image(rows=96, columns=96, allocated=32, signed=True, low=-(2**31), high=2**31 - 1),
        Image(rows=96, columns=96, samples=3, allocated=8, high=255, planar=1, photometric="RGB", frames=3),
        Image(rows=96, columns=96, samples=3, allocated=8, high=255, planar=0, photometric="RGB"),
        Image(rows=95, columns=97, allocated=8, high=255, padding=b"\0"),
        Image(rows=96, columns=96, frames=7, trailing=b"\xfc\xff\xfc\xffOB\0\0\2\0\0\0ab"),
        Image(rows=96, columns=96, allocated=1),
    ]
    palette = b"".join(
        b"\x28\x00" + tag + b"\x12OW\0\0" + (512).to_bytes(4, "little") + bytes(range(256)) * 2
        for tag in (b"\x01", b"\x02", b"\x03")
    )
    instances = [
        (one.head[:-12] + palette + one.head[-12:] + one.dataset[len(one.head) :], one.syntax) for one in made
    ]
    ways = through(fresh, instances * 2, 0.384 * MBIT)
    assert sum(ways[way] for way in ways if way.startswith(("jxl", "jpegls", "htj2k"))) >= 10, ways


def test_overlays_in_high_bits_arrive(world):
    image = Image(rows=256, columns=256)
    words = image.words | (image.words[::-1] & 1) << 15
    data = image.head + words.tobytes()
    assert through(world, [(data, image.syntax)] * 3, 2 * MBIT)


def test_series_shrink_and_every_rate_has_its_way(fresh):
    slices = [Image(rows=512, columns=512, seed=seed) for seed in range(6)]  # seconds of that line each
    instances = [(image.dataset, image.syntax) for image in slices]
    slow, fast = (through(fresh, instances, rate) for rate in (0.384 * MBIT, 1e12))
    assert slow.keys() & {"jxl-7", "jxl-3", "jxl-1", "jpegls", "htj2k"}
    assert fast == {"raw": 6}


def test_every_file_of_the_shared_data_arrives(world):
    if shared_data() is None:
        pytest.skip("no shared data")
    parts = [split(file.read_bytes()) for file in shared_files()]
    instances = [(bytes(part.dataset), part.transfer_syntax_uid) for part in parts]
    ways = Counter[str]()
    for at in range(0, len(instances), 40):
        ways += through(world, instances[at : at + 40], (2 * MBIT, 50 * MBIT)[at // 40 % 2])
    assert len(ways) >= 4, ways

"""From receiving to the hub's code, through coding and gathering: never a wrong byte, whatever the image."""

from __future__ import annotations

from collections import Counter

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


def test_overlays_in_high_bits_arrive(world):
    image = Image(rows=256, columns=256)
    words = image.words | (image.words[::-1] & 1) << 15
    data = image.head + words.tobytes()
    assert through(world, [(data, image.syntax)] * 3, 2 * MBIT)


def test_series_shrink_and_every_rate_has_its_way(world):
    slices = [Image(rows=512, columns=512, seed=seed) for seed in range(6)]  # seconds of that line each
    instances = [(image.dataset, image.syntax) for image in slices]
    slow, fast = (through(world, instances, rate) for rate in (0.384 * MBIT, 1e12))
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

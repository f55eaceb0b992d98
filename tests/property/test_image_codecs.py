"""Image codecs under random formats, bent headers and bent coded bytes: never a wrong byte, one kind of error."""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import replace

import imagecodecs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.codec import WAYS, plan
from gateway.codec.codestream import jxl_size
from gateway.codec.segment import HEADER_SIZE, LIMIT, Kind, Segment
from gateway.codec.strips import decode
from gateway.codec.way import IMAGE_CODECS, JPEG_CODEC, Way, parse
from gateway.dicom import transfer
from gateway.envelope.kem import KemKeys
from gateway.envelope.unseal import BodyOpener
from gateway.errors import DataError, Malformed
from tests.doubles.images import Image, code, encapsulated, kinds, reader, restore
from tests.doubles.parcels import seal
from tests.interop.segments import read_segments

# imagecodecs lets some of OpenJPH's errors fall through as "unraisable"; what is then decoded is refused by
# the SHA-256 of the original (the last tests here)
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

SYNTAXES = st.sampled_from((transfer.EXPLICIT_LITTLE, transfer.IMPLICIT_LITTLE, transfer.EXPLICIT_BIG))
FAST = st.sampled_from([way for way in WAYS if way.codec in IMAGE_CODECS and way.level != 7])
QUICK = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])


@st.composite
def images(draw) -> Image:
    allocated = draw(st.sampled_from([8, 16, 16, 32]))
    signed = draw(st.booleans())
    top = (1 << (allocated - signed)) - 1
    low = draw(st.sampled_from([0, 1, -1 - top if signed else 0, -1000 if signed and allocated > 8 else 0]))
    samples = draw(st.sampled_from([1, 1, 3]))
    return Image(
        rows=draw(st.integers(1, 70)),
        columns=draw(st.integers(1, 70)),
        frames=draw(st.integers(1, 4)),
        samples=samples,
        allocated=allocated,
        signed=signed,
        planar=draw(st.integers(0, 1)),
        photometric=draw(st.sampled_from(["MONOCHROME2", "RGB", "YBR_FULL", "PALETTE COLOR", ""])),
        syntax=draw(SYNTAXES),
        low=low,
        high=min(top, draw(st.sampled_from([2, 200, 4095, top]))),
        noise=draw(st.sampled_from([0.0, 3.0, 1e4])),
        padding=draw(st.binary(max_size=5)),
        trailing=draw(st.binary(max_size=40)),
        seed=draw(st.integers(0, 1 << 30)),
    )


@given(images(), FAST, st.integers(1, 9000))
@QUICK
def test_every_image_comes_back(image, way, step):
    data = image.dataset
    assert restore(code(data, image.syntax, way, step), len(data), way.codec, step) == data


@given(images(), FAST, st.data())
@QUICK
def test_a_wrong_header_makes_it_larger_never_wrong(image, way, data):
    head = bytearray(image.head)
    for _ in range(data.draw(st.integers(1, 6))):
        head[data.draw(st.integers(0, len(head) - 1))] = data.draw(st.integers(0, 255))
    whole = bytes(head) + image.pixels + image.trailing
    cut = whole[: data.draw(st.integers(0, len(whole)))] if data.draw(st.booleans()) else whole
    syntax = data.draw(SYNTAXES)
    assert restore(code(cut, syntax, way), len(cut), way.codec) == cut


@given(st.lists(st.binary(max_size=60) | st.just(b"\xff\xd8\xff\xe0 no jpeg"), max_size=6), st.booleans())
@QUICK
def test_any_fragments_come_back(fragments, closed):
    data = encapsulated(*fragments, syntax_head=Image(allocated=8).head[:-12], closed=closed)
    coded = code(data, "1.2.840.10008.1.2.4.50", Way(JPEG_CODEC))
    assert restore(coded, len(data), JPEG_CODEC) == data


JPEG_FILE = bytes(
    imagecodecs.jpeg8_encode(Image(rows=64, columns=80, allocated=8, samples=3, high=255).words[0], level=90)
)


@given(st.lists(st.integers(0, 3000), max_size=8), st.booleans(), st.binary(max_size=9), st.integers(1, 900))
@QUICK
def test_a_jpeg_cut_anywhere_is_recompressed_and_comes_back(cuts, again, tail, step):
    file, marks = JPEG_FILE, sorted(min(cut, len(JPEG_FILE)) for cut in cuts)
    parts = [file[a:b] for a, b in itertools.pairwise((0, *marks, len(file)))]
    data = encapsulated(*parts, tail, *parts * again, syntax_head=Image(allocated=8).head[:-12])
    coded = code(data, "1.2.840.10008.1.2.4.50", Way(JPEG_CODEC), step)
    assert restore(coded, len(data), JPEG_CODEC, step) == data
    assert read_segments(coded, JPEG_CODEC, len(data)) == data
    if not marks or marks[0] >= 3:  # what shows where a JPEG begins is in one piece
        assert {Kind.JPEG, Kind.JPEG_ITEMS} & {*kinds(coded)}


# -- coded bytes, bent -------------------------------------------------------------------------------

SMALL = {
    way: Image(rows=40, columns=40, samples=samples, allocated=allocated, high=200)
    for way, samples, allocated in (("jxl-1", 1, 16), ("jxl-3", 3, 8), ("htj2k", 1, 16), ("jpegls", 3, 8))
}
CODED = {name: code(image.dataset, image.syntax, name) for name, image in SMALL.items()}


JPEG_DATA = encapsulated(
    JPEG_FILE, JPEG_FILE[:700], JPEG_FILE[700:], syntax_head=Image(allocated=8).head[:-12]
)
CODED[JPEG_CODEC] = code(JPEG_DATA, "1.2.840.10008.1.2.4.50", JPEG_CODEC)
assert {Kind.JPEG, Kind.JPEG_ITEMS} <= {*kinds(CODED[JPEG_CODEC])}
ORIGINAL = {name: image.dataset for name, image in SMALL.items()} | {JPEG_CODEC: JPEG_DATA}


@st.composite
def bent(draw) -> tuple[str, bytes]:
    name = draw(st.sampled_from(sorted(CODED)))
    coded = bytearray(CODED[name])
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(coded) - 1))
        action = draw(st.sampled_from(["flip", "set", "cut", "double", "drop"]))
        if action == "flip":
            coded[at] ^= 1 << draw(st.integers(0, 7))
        elif action == "set":
            coded[at] = draw(st.integers(0, 255))
        elif action == "cut" and at:
            del coded[at:]
        elif action == "double":
            coded[at:at] = coded[at : at + draw(st.integers(1, 30))]
        elif len(coded) > 40:
            del coded[at : at + 3]
    return name, bytes(coded)


@given(bent())
@settings(deadline=None, max_examples=400, suppress_health_check=[HealthCheck.too_slow])
def test_bent_coded_bytes_are_refused_or_give_no_more_than_declared(case):
    name, coded = case
    original = ORIGINAL[name]
    try:
        plain = restore(coded, len(original), parse(name).codec)
    except DataError:
        return
    assert len(plain) == len(original)


@given(
    st.sampled_from(sorted(IMAGE_CODECS)),
    st.sampled_from(sorted(CODED)),
    st.integers(0, 1 << 32).map(lambda number: number >> 20),
    st.integers(0, 70),
    st.integers(0, 255),
)
@settings(deadline=None, max_examples=300)
def test_a_strip_that_says_another_shape_is_refused(codec, name, rows, columns, form):
    first = Segment.from_bytes(CODED[name][:HEADER_SIZE])
    at = HEADER_SIZE + first.coded
    segment = Segment.from_bytes(CODED[name][at : at + HEADER_SIZE])
    if segment.kind is not Kind.PIXELS:
        return
    content = CODED[name][at + HEADER_SIZE :][: segment.coded]
    forged = rows.to_bytes(4, "big") + columns.to_bytes(4, "big") + bytes([form]) + content[9:]
    if forged == content and name.startswith(codec):
        return
    width = (1, 2, 4, 4)[form & 3]
    plain = rows * columns * (3 if form & 8 else 1) * width
    if not 0 < plain <= LIMIT:
        return
    same = (rows, columns) == (40, 40) and name.startswith(codec)  # the order of bytes or planes may differ
    try:
        assert len(decode(forged, plain, codec)) == plain
    except Malformed:
        return
    assert same


@given(st.binary(max_size=300))
def test_any_bytes_have_a_size_or_are_malformed(data):
    for content in (data, b"\0\0\0\x0cJXL \r\n\x87\n\0\0\0\0jxlc\xff\x0a" + data):
        try:
            rows, columns = jxl_size(content)
        except Malformed:
            continue
        assert 0 < rows <= 1 << 31
        assert 0 < columns <= 1 << 32


def test_bent_pixels_in_a_whole_parcel_are_never_accepted():
    """Even a codestream that still decodes is caught: by the SHA-256 of the original."""
    keys = KemKeys.generate("hub-1")
    refused = 0
    for name, image in SMALL.items():
        coded = bytearray(CODED[name])
        coded[len(coded) * 2 // 3] ^= 1
        parcel = seal(keys, [bytes(coded)], codec="raw")
        opener = BodyOpener(parcel.header(), keys)
        entry = _entry(opener.manifest.instances[0], image.dataset, name)
        with pytest.raises(DataError):
            opener.extract(entry, parcel.read, len)
        refused += 1
    assert refused == len(SMALL)


def _entry(entry, original: bytes, name: str):
    digest = hashlib.sha256(original).hexdigest()
    return replace(entry, codec=parse(name).codec, length=len(original), sha256=digest)


@pytest.mark.parametrize("name", sorted(CODED))
def test_a_parcel_of_each_codec_opens(name):
    keys = KemKeys.generate("hub-1")
    data = ORIGINAL[name]
    syntax = "1.2.840.10008.1.2.4.50" if name == JPEG_CODEC else transfer.EXPLICIT_LITTLE
    parcel = seal(keys, [data], codec=name, plan=plan(reader(data), syntax))
    opener = BodyOpener(parcel.header(), keys)
    out: list[bytes] = []
    opener.extract(opener.manifest.instances[0], parcel.read, out.append)
    assert b"".join(out) == data
    assert opener.manifest.instances[0].coded_length < len(data)

"""Image codecs: every format comes back to the byte, what does not fit is carried all the same."""

from __future__ import annotations

import os
import random
import struct
import subprocess
import sys
import tracemalloc
from pathlib import Path

import imagecodecs
import numpy as np
import pytest

from gateway.codec import WAYS, Way, plan
from gateway.codec.codestream import jxl_size
from gateway.codec.jpeg import FRAGMENTS_MAX, ITEM_START, decode_items, encode_items
from gateway.codec.segment import HEADER_SIZE, Kind, Segment
from gateway.codec.way import IMAGE_CODECS, JPEG_CODEC
from gateway.dicom import transfer
from gateway.dicom.part10 import split
from gateway.errors import Malformed
from tests.doubles.datasets import shared_data, shared_files
from tests.doubles.images import Image, code, encapsulated, kinds, reader, restore
from tests.interop.segments import Refused, read_items

ROOT = Path(__file__).parents[4]
SPARE = {"jxl-7": 12, "jxl-5": 12, "jxl-2": 5, "zstd-19": 12, "zstd-9": 5}
"""Slow ways get every so-many-th file alone."""

JXL, HTJ2K, JPEGLS, JPEG = Way("jxl", 1), Way("htj2k"), Way("jpegls"), Way(JPEG_CODEC)
IMAGE_WAYS = tuple(way for way in WAYS if way.codec in IMAGE_CODECS)
BASELINE = "1.2.840.10008.1.2.4.50"

FORMATS = {
    "unsigned 12 bit": Image(),
    "signed 16 bit": Image(signed=True, low=-1024, high=3071),
    "signed 16 bit with a padding value": Image(signed=True, low=-32768, high=3071),
    "whole 16 bit": Image(low=0, high=65535, noise=200),
    "8 bit": Image(allocated=8, high=255),
    "8 bit in 16": Image(high=200),
    "32 bit": Image(allocated=32, high=1 << 28, noise=1000),
    "32 bit signed": Image(allocated=32, signed=True, low=-(1 << 20), high=1 << 20),
    "32 bit, few used": Image(allocated=32, high=1000),
    "RGB": Image(samples=3, allocated=8, high=255, photometric="RGB"),
    "RGB by plane": Image(samples=3, allocated=8, high=255, photometric="RGB", planar=1),
    "RGB of 16 bit by plane, several": Image(samples=3, photometric="RGB", planar=1, frames=3),
    "YBR": Image(samples=3, allocated=8, high=255, photometric="YBR_FULL"),
    "palette": Image(allocated=8, high=255, photometric="PALETTE COLOR"),
    "several frames": Image(frames=5),
    "implicit": Image(syntax=transfer.IMPLICIT_LITTLE),
    "big endian": Image(syntax=transfer.EXPLICIT_BIG, signed=True, low=-1000, high=1000),
    "big endian 32 bit": Image(syntax=transfer.EXPLICIT_BIG, allocated=32, high=1 << 20),
    "odd, padded": Image(rows=63, columns=45, allocated=8, high=255, padding=b"\0"),
    "bytes after": Image(trailing=b"\xfc\xff\xfc\xff\x04\0\0\0tail" * 5),
    "pixels longer than rows": Image(padding=b"more than one row" * 9),
    "constant": Image(low=7, high=7, noise=0),
}


@pytest.mark.parametrize("way", IMAGE_WAYS, ids=lambda way: way.name)
@pytest.mark.parametrize("image", FORMATS.values(), ids=FORMATS)
def test_every_format_comes_back_to_the_byte(image, way):
    data = image.dataset
    coded = code(data, image.syntax, way, step=1000)
    assert restore(coded, len(data), way.codec, step=777) == data
    if plan(reader(data), image.syntax).fits(way):
        assert Kind.PIXELS in kinds(coded)
        assert len(coded) < len(data) * 0.9
    else:
        assert image.allocated == 32
        assert way.codec != "htj2k"


@pytest.mark.parametrize(
    ("image", "why"),
    [
        (Image(allocated=1), "one bit"),
        (Image(allocated=8, photometric="YBR_FULL_422", samples=3, high=255), "chroma left out"),
        (Image(rows=2, columns=9), "tiny"),
        (Image(columns=4, rows=900), "narrow"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_no_image_codec_takes_is_declared_unfit_and_carried_by_zstd(image, why):
    data = image.dataset
    for way in (JXL, HTJ2K, JPEGLS):
        assert not plan(reader(data), image.syntax).fits(way), why
        coded = code(data, image.syntax, way)
        assert Kind.PIXELS not in kinds(coded)
        assert restore(coded, len(data), way.codec) == data


def test_a_value_shorter_than_an_image_has_no_plan():
    image = Image()
    data = image.head + image.pixels[:1000]
    cut = plan(reader(data), image.syntax)
    assert restore(code(data, image.syntax, JXL), len(data), "jxl") == data
    assert cut.form is not None  # the header claims them all: that they are missing shows in coding
    assert not plan(reader(Image(rows=64).head), transfer.DEFLATED_LITTLE).fits(JXL)


def test_noise_is_carried_as_it_is():
    pixels = random.Random(5).randbytes(64 * 48 * 2)
    data = Image().head + pixels
    coded = code(data, transfer.EXPLICIT_LITTLE, JPEGLS)
    assert kinds(coded)[1:] == [Kind.RAW]
    assert len(coded) < len(data) + 2 * HEADER_SIZE


def test_a_codec_that_errs_is_found_out_before_it_is_used(monkeypatch):
    whole = imagecodecs.jpegls_encode

    def wrong(pixels):
        pixels = pixels.copy()
        pixels.flat[17] ^= 1
        return whole(pixels)

    monkeypatch.setattr(imagecodecs, "jpegls_encode", wrong)
    data = FORMATS["unsigned 12 bit"].dataset
    coded = code(data, transfer.EXPLICIT_LITTLE, JPEGLS)
    assert kinds(coded) == [Kind.ZSTD, Kind.ZSTD]
    assert restore(coded, len(data), "jpegls") == data


def test_a_codec_that_refuses_costs_only_its_gain(monkeypatch):
    def refuse(*_args, **_more):
        raise imagecodecs.JpegxlError("no")

    monkeypatch.setattr(imagecodecs, "jpegxl_encode", refuse)
    data = Image().dataset
    assert kinds(code(data, transfer.EXPLICIT_LITTLE, JXL)) == [Kind.ZSTD, Kind.ZSTD]


# -- JPEG ------------------------------------------------------------------------------------------


def jpeg(rows: int = 96, columns: int = 128, seed: int = 3, **options) -> bytes:
    picture = Image(rows=rows, columns=columns, allocated=8, samples=3, high=255, seed=seed).words[0]
    return bytes(imagecodecs.jpeg8_encode(picture, level=90, **options))


@pytest.mark.parametrize("tail", [b"", b"\0", b"\xff", b"after the end"])
def test_jpeg_files_come_back_to_the_byte(tail):
    files = [jpeg(seed=1) + tail, jpeg(rows=90, columns=71, seed=2), jpeg(seed=3)]
    head = Image(samples=3, allocated=8).head[:-12]
    data = encapsulated(*files, syntax_head=head, offsets=bytes(12)) + b"what follows"
    coded = code(data, BASELINE, JPEG)
    assert kinds(coded).count(Kind.JPEG) == 3
    assert len(coded) < len(data)
    assert restore(coded, len(data), JPEG_CODEC) == data


def test_jpeg_files_in_several_fragments_are_recompressed_and_keep_their_cuts():
    one, two = jpeg(seed=1), jpeg(seed=2) + b"\0"
    head = Image(samples=3, allocated=8).head[:-12]
    files = [one[:1000], one[1000:1002], b"", one[1002:], two, one[:-9], one[-9:]]
    data = encapsulated(*files, syntax_head=head, offsets=bytes(12)) + b"what follows"
    coded = code(data, BASELINE, JPEG)
    assert [kind for kind in kinds(coded) if kind in (Kind.JPEG, Kind.JPEG_ITEMS)] == [
        Kind.JPEG_ITEMS,
        Kind.JPEG,
        Kind.JPEG_ITEMS,
    ]
    assert len(coded) < 0.9 * len(data)
    assert restore(coded, len(data), JPEG_CODEC) == data


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (b"", "cannot be 0"),
        (b"\0\0\0\0", "cannot be|do not make"),
        (b"\xff\xff\xff\xff", "cannot lie in 4294967295"),
        (b"\0\0\0\1\0\0\0\1", "do not make"),
    ],
)
def test_fragments_of_a_jpeg_that_do_not_add_up_are_refused(table, words):
    content = table + b"no more"
    with pytest.raises(Malformed, match=words):
        decode_items(content if table else b"", 500)


def test_a_jpeg_in_more_fragments_than_an_edge_looks_at_is_refused():
    """Empty ones cost the sender 4 bytes each, and the reader a hundred."""
    file = jpeg()
    coded = imagecodecs.jpegxl_encode_jpeg(file, usecontainer=True)
    for count in (FRAGMENTS_MAX, FRAGMENTS_MAX + 1):
        items = (ITEM_START + bytes(4)) * (count - 1) + ITEM_START + len(file).to_bytes(4, "little") + file
        lengths = [0] * (count - 1) + [len(file)]
        content = struct.pack(f">{count + 1}L", count, *lengths) + coded
        if count == FRAGMENTS_MAX:
            assert decode_items(content, len(items)) == read_items(content, len(items)) == items
            assert encode_items(memoryview(items))[: 4 * count] == content[: 4 * count]
            continue
        with pytest.raises(Malformed, match="cannot lie in 100001 fragments"):
            decode_items(content, len(items))
        with pytest.raises(Refused, match="items"):
            read_items(content, len(items))
        with pytest.raises(ValueError, match="too many"):
            encode_items(memoryview(items))


def test_size_header():
    for rows, columns in ((8, 8), (96, 128), (33, 17), (256, 256), (300, 400), (600, 1000), (1, 3)):
        assert jxl_size(imagecodecs.jpegxl_encode_jpeg(jpeg(rows, columns), usecontainer=True)) == (
            rows,
            columns,
        )
    with pytest.raises(Malformed, match="no codestream"):
        jxl_size(b"\0\0\0\x0cJXL \r\n\x87\n")
    with pytest.raises(Malformed, match="beyond its end"):
        jxl_size(b"\0\0\0\xffjxlc\xff\x0a")


def test_broken_jpeg_fragments_are_carried():
    whole = jpeg()
    head = Image(samples=3, allocated=8).head[:-12]
    for fragments in ([whole[:1000], whole[1000:]], [b"\xff\xd8\xff nothing"], [], [whole[:-40]]):
        for closed in (True, False):
            data = encapsulated(*fragments, syntax_head=head, closed=closed)
            assert restore(code(data, BASELINE, JPEG), len(data), JPEG_CODEC) == data
    assert not plan(reader(data), transfer.EXPLICIT_LITTLE).fits(JPEG)


def test_a_fragment_of_nothing_before_what_looks_like_a_jpeg():
    head = Image(samples=3, allocated=8).head[:-12]
    for claimed in (0, 1, 2, 3, 99, 100):
        data = (
            encapsulated(syntax_head=head, closed=False)
            + b"\xfe\xff\0\xe0"
            + claimed.to_bytes(4, "little")
            + jpeg()
        )
        assert restore(code(data, BASELINE, JPEG, step=13), len(data), JPEG_CODEC) == data


@pytest.mark.parametrize("way", [JXL, HTJ2K, JPEGLS], ids=lambda way: way.name)
@pytest.mark.parametrize(
    "image",
    [
        Image(rows=100, columns=64, frames=2),
        Image(rows=100, columns=64, samples=3, planar=1, photometric="RGB", padding=b"odd"),
        Image(rows=10, columns=64, frames=40),
        Image(rows=10, columns=4000),
    ],
    ids=["frame", "planes", "many", "row"],
)
def test_frames_larger_than_a_strip_are_cut_by_rows(monkeypatch, way, image):
    monkeypatch.setattr(sys.modules["gateway.codec.plan"], "STRIP", 5000)
    data = image.dataset
    found = plan(reader(data), image.syntax)
    assert found.strip <= 8000
    coded = code(data, image.syntax, way, step=777)
    assert kinds(coded).count(Kind.PIXELS) == -(-(found.end - found.start) // found.strip) >= 4
    assert restore(coded, len(data), way.codec) == data


# -- bounds ----------------------------------------------------------------------------------------


def test_declared_sizes_are_held_against_the_codestream():
    bomb = bytes(imagecodecs.jpegxl_encode(np.zeros((20000, 20000), "u1"), lossless=True, effort=1))
    content = b"\0\0\x10\0" + b"\0\0\x10\0" + b"\0" + bytes(4) + bomb
    plain = 4096 * 4096
    coded = Segment(Kind.PIXELS, plain, len(content)).to_bytes() + content
    tracemalloc.start()
    with pytest.raises(Malformed, match="not that of the strip"):
        restore(coded, plain, "jxl")
    assert tracemalloc.get_traced_memory()[1] < 40 << 20
    tracemalloc.stop()


def test_a_jpeg_that_claims_to_be_huge_is_refused():
    large = bytes(imagecodecs.jpegxl_encode_jpeg(jpeg(), usecontainer=True))
    with pytest.raises(Malformed, match="cannot have"):
        restore(_claim(large), len(large) + 1, JPEG_CODEC)


def _claim(file: bytes) -> bytes:
    at = file.index(b"\xff\x0a", file.index(b"jxlp")) + 2
    huge = 2 << 1 | (1 << 17) << 3 | 1 << 21  # not small, 18 bits of rows, ratio 1:1
    forged = file[:at] + huge.to_bytes(3, "little") + file[at + 3 :]
    return Segment(Kind.JPEG, len(file) + 1, len(file)).to_bytes() + forged


def test_a_large_multi_frame_object_passes_through_little_memory():
    """256 MB there and back, C libraries counted: the peak of a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", "from tests.doubles.images import flood; flood('jxl-1', 256)"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    ratio, extra = map(float, done.stdout.split())
    assert ratio > 1.5
    assert extra < 64


def test_noise_of_every_depth_breaks_no_memory():
    """libjxl 0.11 corrupted its heap at effort 1; in a process of its own, which that would kill."""
    done = subprocess.run(
        [sys.executable, "-c", "from tests.doubles.images import storm; storm()"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout.strip()) == (0, "calm"), done.stderr[-500:]


def test_every_file_of_the_shared_data_comes_back():
    if shared_data() is None:
        pytest.skip("no shared data")
    tried = {way.codec: 0 for way in WAYS}
    for number, file in enumerate(shared_files()):
        part = split(file.read_bytes())
        data, syntax = bytes(part.dataset), part.transfer_syntax_uid
        found = plan(reader(data), syntax)
        for way in WAYS:
            if (
                not found.fits(way)
                or number % SPARE.get(way.name, 1)
                or (number % 6 and "series" in str(file))
            ):
                continue
            tried[way.codec] += 1
            assert restore(code(data, syntax, way), len(data), way.codec) == data, (file.name, way.name)
    assert all(count >= 4 for count in tried.values()), tried

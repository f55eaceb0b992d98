"""Compressed frames: measured as other programs decode them, and never let near a decoder that they would overload."""

import os
import resource
import shutil
import signal
import struct
import subprocess
import threading
import time
import warnings
from dataclasses import replace
from pathlib import Path

import imagecodecs
import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.encaps import encapsulate
from pydicom.filereader import read_preamble

from edge.quality import decoding as module
from edge.quality import inspector
from edge.quality.coded import CODECS, MOST_SAMPLES, Coded, middle_frame
from edge.quality.decoder import measured
from edge.quality.decoding import Decoding
from edge.quality.glimpse import glimpse, looked_at
from edge.quality.inspector import Inspector
from edge.quality.later import EVERY, FIRST, Frame, Later
from tests.doubles.datasets import encode
from tests.doubles.hand_clock import HandClock
from tests.doubles.instances import ct

FILES = Path(pydicom.data.__file__).parent / "test_files"
LS, J2K, RLE, JPEG, LOSSLESS = (
    "1.2.840.10008.1.2.4.80",
    "1.2.840.10008.1.2.4.90",
    "1.2.840.10008.1.2.5",
    "1.2.840.10008.1.2.4.50",
    "1.2.840.10008.1.2.4.70",
)
BY = {"jpeg": "dcmdjpeg", "ljpeg": "dcmdjpeg", "jpegls": "dcmdjpls", "rle": "dcmdrle"}
NAMES = (
    "MR_small_RLE.dcm", "SC_rgb_rle.dcm", "SC_rgb_rle_16bit_2frame.dcm",
    "JPGExtended.dcm", "JPEG-lossy.dcm", "SC_rgb_dcmtk_+eb+cr.dcm", "SC_rgb_jpeg_gdcm.dcm",
    "MR_small_jpeg_ls_lossless.dcm", "JPEGLSNearLossless_08.dcm", "JPEGLSNearLossless_16.dcm",
    "693_J2KI.dcm", "J2K_pixelrep_mismatch.dcm", "MR_small_jp2klossless.dcm", "examples_jpeg2k.dcm",
)  # fmt: skip


def cut(file):
    """Glimpse and coded frame of a file."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        syntax = str(pydicom.dcmread(file, stop_before_pixels=True).file_meta.TransferSyntaxUID)
    with file.open("rb") as opened:
        read_preamble(opened, force=False)
        head = opened.read(12)  # (0002,0000) UL: length of the group
        opened.seek(struct.unpack("<L", head[8:])[0], os.SEEK_CUR)
        return looked_at(opened.read(), syntax, cut=True)


@pytest.fixture
def decoding():
    made = Decoding()
    yield made
    made.close()


@pytest.mark.parametrize("name", NAMES)
def test_a_frame_is_measured_as_another_program_decodes_it(name, decoding, tmp_path):
    seen, coded = cut(FILES / name)
    assert seen.pixels is None
    assert coded is not None
    found = decoding.measure(coded, "1.2.3")
    if coded.codec in BY:
        if shutil.which(BY[coded.codec]) is None:
            pytest.skip("dcmtk is not installed")
        plain = tmp_path / "plain.dcm"
        options = ["+cn"] if BY[coded.codec] == "dcmdjpeg" and coded.samples == 1 else []
        subprocess.run([BY[coded.codec], *options, str(FILES / name), str(plain)], check=True, timeout=60)
        expected = cut(plain)[0].pixels
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset = pydicom.dcmread(FILES / name)
            array = dataset.pixel_array
        values = array.reshape(coded.rows, -1)
        expected = module.Statistic(
            **{
                **{one: getattr(found, one) for one in ("top", "bottom", "writing", "stored")},
                "low": int(values[:: max(1, coded.rows // 192), :: max(1, values.shape[1] // coded.samples // 192)].min()),
                "high": int(values[:: max(1, coded.rows // 192), :: max(1, values.shape[1] // coded.samples // 192)].max()),
            }
        )  # fmt: skip
    assert found == expected


def rle(pixels):
    """PS3.5 Annex G, literally: runs of one byte repeated, a segment for each byte of a pixel."""
    segments = []
    for part in (pixels >> 8, pixels & 0xFF):
        flat, packed = part.astype("u1").tobytes(), b""
        for at in range(0, len(flat), 128):
            piece = flat[at : at + 128]
            packed += bytes([len(piece) - 1]) + piece
        segments.append(packed + b"\0" * (len(packed) % 2))
    offsets = np.cumsum([64] + [len(one) for one in segments[:-1]])
    return struct.pack("<16L", len(segments), *offsets, *[0] * (15 - len(segments))) + b"".join(segments)


ENCODERS = {
    LS: imagecodecs.jpegls_encode,
    J2K: lambda pixels: imagecodecs.jpeg2k_encode(pixels, codecformat="j2k", reversible=True, level=0),
    LOSSLESS: imagecodecs.ljpeg_encode,
    RLE: rle,
    JPEG: lambda pixels: imagecodecs.jpeg8_encode((pixels >> 4).astype("u1"), level=95),
}


def compressed(number, syntax, pixels, **changes):
    made = ct(number, ImageType=["ORIGINAL", "PRIMARY", "AXIAL"], **changes)
    made.ImageOrientationPatient, made.PixelSpacing = [1, 0, 0, 0, 1, 0], [0.5, 0.5]
    made.Rows, made.Columns = pixels.shape
    made.BitsAllocated, made.BitsStored, made.HighBit = (8, 8, 7) if syntax == JPEG else (16, 12, 11)
    made.PixelRepresentation = 0
    made.PixelData = encapsulate([ENCODERS[syntax](pixels)])
    made["PixelData"].VR = "OB"
    made["PixelData"].is_undefined_length = True
    return encode(made, syntax)


def picture(seed=1, blank=False):
    rng = np.random.default_rng(seed)
    return np.full((64, 80), 300, "u2") if blank else rng.integers(0, 4000, (64, 80)).astype("u2")


@pytest.mark.parametrize("syntax", ENCODERS)
def test_a_blank_compressed_slice_is_warned_of(syntax):
    clock, told = HandClock(), []
    at_work = Inspector(clock, told.append)
    for number in range(1, 7):
        at_work.seen("1.2.3", compressed(number, syntax, picture(number, blank=number == 4)), syntax)
    at_work.closed(["1.2.3"])
    clock.advance(seconds=3)
    for _ in range(3):
        at_work.turn()
    at_work._decoding.close()
    (blank,) = (one for one in at_work.warnings("1.2.3") if one.kind == "blank")
    assert dict(blank.parameters) == {"images": "1", "of": "6"}
    assert len(told) == 1


def test_a_study_waits_for_its_frames_but_not_for_ever(monkeypatch):
    monkeypatch.setattr(inspector, "POLL", 0.0)  # one frame a turn
    clock, told = HandClock(), []
    at_work = Inspector(clock, told.append, busy=lambda: True)
    monkeypatch.setattr(at_work._decoding, "measure", lambda coded, study: None)
    for number in range(1, 8):
        at_work.seen("1.2.3", compressed(number, LS, picture(number)), LS)
    at_work.closed(["1.2.3"])
    clock.advance(seconds=10)
    at_work.turn()
    assert at_work._studies["1.2.3"].changed
    clock.advance(seconds=inspector.DECODED)
    at_work.turn()
    assert not at_work._studies["1.2.3"].changed


def whole(syntax, pixels=None):
    found = looked_at(compressed(1, syntax, picture() if pixels is None else pixels), syntax, cut=True)[1]
    assert found is not None
    return found


PLACES = {LS: b"\xff\xf7", JPEG: b"\xff\xc0", LOSSLESS: b"\xff\xc3"}


def lying(syntax):
    """A stream whose own header says far more than the dataset does."""
    coded = whole(syntax)
    stream = bytearray(coded.stream)
    if syntax == J2K:
        struct.pack_into(">LL", stream, 8, 60000, 60000)
    elif syntax == RLE:
        struct.pack_into("<L", stream, 0, 15)
    else:
        struct.pack_into(">HH", stream, stream.index(PLACES[syntax]) + 5, 60000, 60000)
    return replace(coded, stream=bytes(stream))


@pytest.mark.parametrize("syntax", ENCODERS)
def test_a_bomb_is_refused_before_any_decoder_sees_it(syntax, decoding):
    coded = lying(syntax)
    assert not coded.fits
    assert decoding.measure(coded, "1.2.3") is None
    assert decoding._process is None
    assert measured(coded) is None


@pytest.mark.parametrize(
    "change",
    [{"rows": 65535, "columns": 65535}, {"samples": 4}, {"allocated": 32}, {"stored": 17}, {"rows": 0}],
)
def test_what_the_dataset_says_is_bounded(change):
    assert not replace(whole(LS), **change).fits
    assert MOST_SAMPLES < 65535 * 65535


def test_a_second_frame_header_is_refused():
    coded = whole(JPEG)
    at = coded.stream.index(PLACES[JPEG])
    length = 2 + int.from_bytes(coded.stream[at + 2 : at + 4], "big")
    again = coded.stream[:at] + coded.stream[at : at + length] * 2 + coded.stream[at + length :]
    assert coded.fits
    assert not replace(coded, stream=again).fits


def test_tiles_without_number_are_refused():
    coded = whole(J2K)
    stream = bytearray(coded.stream)
    struct.pack_into(">LL", stream, 24, 1, 1)
    assert not replace(coded, stream=bytes(stream)).fits


def test_a_decoder_that_falls_or_hangs_is_replaced_and_rests_after_three(decoding, monkeypatch):
    monkeypatch.setattr(module, "SECONDS", 3.0)
    coded = whole(LS)
    expected = measured(coded)
    assert decoding.measure(coded, "1.2.3") == expected
    for number in (signal.SIGKILL, signal.SIGSTOP):
        os.kill(decoding._process.pid, number)
        assert decoding.measure(coded, "1.2.3") is None
        assert decoding.measure(coded, "1.2.3") == expected
    for _ in range(module.FALLS):
        decoding._process and os.kill(decoding._process.pid, signal.SIGKILL)
        monkeypatch.setattr(module.sys, "executable", "/bin/false")
        assert decoding.measure(coded, "1.2.3") is None
    monkeypatch.undo()
    assert decoding.measure(coded, "1.2.3") is None
    assert decoding._process is None


def test_the_process_has_little_and_ends_when_it_is_not_needed(decoding, monkeypatch):
    decoding.measure(whole(LS), "1.2.3")
    process = decoding._process
    assert resource.prlimit(process.pid, resource.RLIMIT_FSIZE) == (0, 0)
    assert resource.prlimit(process.pid, resource.RLIMIT_AS)[0] < 3 << 30
    assert 0 < resource.prlimit(process.pid, resource.RLIMIT_CPU)[0] < 60
    files = [str(one.readlink()) for one in Path(f"/proc/{process.pid}/fd").iterdir()]
    assert sum(one.startswith("socket:") for one in files) == 1
    decoding.rest()
    assert decoding._process is process
    monkeypatch.setattr(module, "IDLE_SECONDS", 0.0)
    decoding.rest()
    assert process.poll() is not None
    decoding.close()
    assert decoding.measure(whole(LS), "1.2.3") is None


def test_it_ends_with_the_edge():
    code = (
        "from tests.unit.edge.quality.test_compressed import *\n"
        "one = Decoding(); one.measure(whole(LS), '1'); print(one._process.pid, flush=True); time.sleep(60)"
    )
    import sys

    root = Path(__file__).parents[4]
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=root) as edge:
        pid = int(edge.stdout.readline())
        edge.kill()
    until = time.monotonic() + 10
    while Path(f"/proc/{pid}/cmdline").exists() and Path(f"/proc/{pid}/cmdline").read_bytes():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_of_a_series_some_frames_and_of_memory_no_more_than_its_bound(monkeypatch):
    coded, later = whole(LS), Later()
    for place in range(100):
        later.add(Frame("1", "2", str(place), place, coded))
    places = [frame.place for frame in iter(later.next, None)]
    assert places == [*range(FIRST), *range(FIRST, 100, EVERY)]
    assert later.waiting["1"] == len(places)
    monkeypatch.setattr("edge.quality.later.MOST_BYTES", 3 * len(coded.stream))
    bounded = Later()
    for place in range(FIRST):
        bounded.add(Frame("1", "2", str(place), place, coded))
    assert bounded.waiting["1"] == 3


def test_the_middle_frame_is_found_with_and_without_an_offset_table():
    frames = [bytes([n]) * 10 for n in range(5)]
    for table in (True, False):
        assert middle_frame(memoryview(encapsulate(frames, has_bot=table)), 0, 5) == frames[2]
    split = encapsulate(frames, fragments_per_frame=2, has_bot=True)
    assert middle_frame(memoryview(split), 0, 5) == frames[2]
    assert middle_frame(memoryview(encapsulate(frames, fragments_per_frame=2, has_bot=False)), 0, 5) is None
    assert middle_frame(memoryview(encapsulate(frames[:1], fragments_per_frame=3)), 0, 1) == frames[0]
    assert middle_frame(memoryview(b""), 0, 1) is None


@given(st.binary(max_size=200), st.integers(1, 9))
def test_bytes_of_any_kind_are_cut_or_not(data, frames):
    middle_frame(memoryview(data), 0, frames)
    for codec in set(CODECS.values()):
        assert Coded(codec, 4, 4, 1, 8, 8, False, data).fits in (True, False)


@settings(max_examples=60)
@given(
    st.sampled_from(list(ENCODERS)), st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=4)
)
def test_damaged_streams_measure_or_do_not(syntax, changes):
    coded = whole(syntax)
    stream = bytearray(coded.stream)
    for at, value in changes:
        stream[at % len(stream)] = value
    found = measured(replace(coded, stream=bytes(stream)))
    assert found is None or found.low <= found.high


def test_nothing_is_cut_where_it_is_not_wanted():
    data = compressed(1, LS, picture())
    assert looked_at(data, LS)[1] is None
    assert glimpse(data, LS).pixels is None
    assert threading.active_count() < 50

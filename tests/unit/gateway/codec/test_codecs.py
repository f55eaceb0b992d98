"""The codecs by name."""

from __future__ import annotations

import pytest
import zstandard

from gateway.codec import NAMES, SharedStream, coder, decoder
from gateway.codec.zstd import WINDOW_LOG, ZstdCoder
from gateway.errors import Malformed


def test_every_name_has_both_halves():
    assert {"raw", "zstd"} <= NAMES
    for name in NAMES:
        coded: list[bytes] = []
        plain: list[bytes] = []
        writer = coder(name, lambda piece, coded=coded: coded.append(bytes(piece)))
        writer.write(b"some")
        writer.write(memoryview(b" bytes"))
        parameters = writer.finish()
        reader = decoder(name, lambda piece, plain=plain: plain.append(bytes(piece)), 10, parameters)
        for piece in coded:
            reader.write(piece)
        reader.finish()
        assert b"".join(plain) == b"some bytes"


def test_an_unknown_name_is_refused():
    with pytest.raises(Malformed, match="no codec 'jpeg'"):
        coder("jpeg", len)
    with pytest.raises(Malformed, match="no codec 'jpeg'"):
        decoder("jpeg", len, 0, {})


@pytest.mark.parametrize("level", [1, 3, 12, 22])
def test_no_level_needs_more_than_the_window_a_reader_grants(level):
    frame: list[bytes] = []
    writer = ZstdCoder(lambda piece: frame.append(bytes(piece)), level=level)
    writer.write(b"x")
    writer.finish()
    assert zstandard.get_frame_parameters(b"".join(frame)).window_size <= 1 << WINDOW_LOG


def test_a_shared_stream_is_coded_hard_where_the_line_is_slow():
    stream = SharedStream()
    for number in range(400):
        stream.add(b"".join(f"{word * number % 9973}\\".encode() for word in range(100)))
    sizes = [len(stream.coded(rate)) for rate in (0.0, 48_000.0, 12.5e6)]
    assert sizes[0] == sizes[1] < sizes[2]
    for rate in (48_000.0, 12.5e6):
        plain = bytearray()
        reader = decoder("zstd", plain.extend, len(stream), {})
        reader.write(stream.coded(rate))
        reader.finish()
        assert plain == stream.read(0, len(stream))


def test_bytes_after_the_end_are_refused_even_later():
    reader = decoder("zstd", len, 4, {})
    reader.write(zstandard.compress(b"four"))
    with pytest.raises(Malformed, match="after the end"):
        reader.write(b"\0")


@pytest.mark.parametrize("block", [b"\x07\0\0", (((128 << 10) + 1) << 3 | 1).to_bytes(3, "little")])
def test_forbidden_blocks_are_refused(block):
    header = (
        zstandard.ZstdCompressor(write_content_size=False).compressobj().compress(b"")
        or b"\x28\xb5\x2f\xfd\0\x58"
    )
    reader = decoder("zstd", len, 4, {})
    with pytest.raises(Malformed, match="forbidden kind or size"):
        reader.write(header + block + bytes(200))

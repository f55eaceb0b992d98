"""Cutting frames: native of every bit depth, compressed by every kind of table, and nothing that does not fit."""

from __future__ import annotations

import struct
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.encaps import encapsulate, encapsulate_extended, generate_frames

from gateway.errors import Malformed
from hub.dicomweb.frames import Image, encapsulated_frame, frame_numbers, group, native_frame, walk

ELE, BIG, J2K = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.4.90"


def reader(data: bytes):
    return lambda offset, size: data[offset : offset + size]


@given(rows=st.integers(1, 9), columns=st.integers(1, 9), frames=st.integers(1, 7), seed=st.integers(0, 99))
def test_one_bit_frames_begin_anywhere(rows: int, columns: int, frames: int, seed: int) -> None:
    bits = np.random.default_rng(seed).integers(0, 2, (frames, rows * columns), np.uint8)
    data = b"head" + np.packbits(bits.ravel(), bitorder="little").tobytes()
    data += b"\0" * (len(data) % 2)
    image = Image(ELE, frames, rows * columns, 1, 4, len(data) - 4)
    for number in range(1, frames + 1):
        packed = np.frombuffer(native_frame(image, number, reader(data)), np.uint8)
        assert len(packed) == -(-rows * columns // 8)
        assert (np.unpackbits(packed, bitorder="little")[: rows * columns] == bits[number - 1]).all()


@given(
    frames=st.integers(1, 5),
    samples=st.integers(1, 12),
    bits=st.sampled_from([8, 16, 32]),
    seed=st.integers(0, 99),
)
def test_big_endian_becomes_little(frames: int, samples: int, bits: int, seed: int) -> None:
    kind = {8: "u1", 16: "u2", 32: "u4"}[bits]
    values = np.random.default_rng(seed).integers(0, 2**bits, (frames, samples), np.uint64)
    data = b"\xe0\x7f\x10\x00OB\0\0....".ljust(12, b".") + values.astype(f">{kind}").tobytes()
    if len(data) % 2:
        data += b"\0"
    image = Image(BIG, frames, samples * bits, bits, 12, len(data) - 12)
    for number in range(1, frames + 1):
        assert native_frame(image, number, reader(data)) == values[number - 1].astype(f"<{kind}").tobytes()


def test_eight_bits_in_big_endian_words() -> None:
    data = b"\x7f\xe0\x00\x10OW\0\0\0\0\0\x06" + bytes([2, 1, 4, 3, 6, 5])
    image = Image(BIG, 2, 24, 8, 12, 6)
    assert native_frame(image, 1, reader(data)) == bytes([1, 2, 3])
    assert native_frame(image, 2, reader(data)) == bytes([4, 5, 6])


def test_pixels_that_are_not_there_are_refused() -> None:
    image = Image(ELE, 2, 64, 8, 0, 16)
    with pytest.raises(Malformed, match="ends within frame 2"):
        native_frame(image, 2, reader(bytes(15)))
    with pytest.raises(Malformed, match="before frame 2"):
        native_frame(replace(image, pixel_length=15), 2, reader(bytes(16)))
    with pytest.raises(Malformed, match="size of a frame"):
        native_frame(replace(image, frame_bits=None), 1, reader(bytes(16)))


@st.composite
def encapsulated(draw: st.DrawFn) -> tuple[list[bytes], bytes, tuple[int, ...]]:
    """Frames, their encapsulation, and the extended offset table if there is one."""
    count = draw(st.integers(1, 6))
    frames = [draw(st.binary(min_size=2, max_size=40)) + b"\xff\xd9" for _ in range(count)]
    frames = [frame + b"\0" * (len(frame) % 2) for frame in frames]
    kind = draw(st.sampled_from(["table", "marks", "extended"]))
    if kind == "extended":
        data, offsets, _ = encapsulate_extended(frames)
        return frames, data + SEQUENCE_END, struct.unpack(f"<{count}Q", offsets)
    pieces = draw(st.integers(1, 2))
    if kind == "marks":  # a mark inside a frame would be an end too
        frames = [frame.replace(b"\xff", b"\0")[:-3] + b"\0\xff\xd9" for frame in frames]
    data = encapsulate(frames, fragments_per_frame=pieces, has_bot=kind == "table")
    return frames, data + SEQUENCE_END, ()


SEQUENCE_END = b"\xfe\xff\xdd\xe0\0\0\0\0"


@given(encapsulated())
def test_frames_come_back_as_they_were_encapsulated(
    given_: tuple[list[bytes], bytes, tuple[int, ...]],
) -> None:
    frames, data, extended = given_
    read = reader(b"before" + data)
    found = walk(read, 6)
    places = group(found, len(frames), read, extended=extended)
    assert [encapsulated_frame(pieces, read) for pieces in places] == frames


@given(st.binary(max_size=200), st.integers(1, 5))
def test_any_bytes_are_walked_or_refused(data: bytes, frames: int) -> None:
    read = reader(b"\xfe\xff\x00\xe0\0\0\0\0" + data)
    try:
        places = group(walk(read, 0), frames, read)
    except Malformed:
        return
    assert len(places) == frames
    assert all(piece.offset + piece.length <= len(data) + 8 for pieces in places for piece in pieces)


def test_a_lying_table_falls_back_on_the_fragments() -> None:
    frames = [b"a" * 10, b"b" * 20, b"c" * 30]
    good = encapsulate(frames, has_bot=True)
    for table in ((0, 0, 0), (0, 18, 19), (8, 18, 46)):
        data = good[:8] + struct.pack("<3I", *table) + good[20:] + SEQUENCE_END
        read = reader(data)
        places = group(walk(read, 0), 3, read)
        assert [encapsulated_frame(pieces, read) for pieces in places] == frames


def test_a_missing_delimiter_is_forgiven_and_a_cut_is_not() -> None:
    data = encapsulate([b"a" * 10, b"b" * 20])
    assert len(walk(reader(data), 0).pieces) == 2
    with pytest.raises(Malformed, match="last fragment"):
        walk(reader(data[:-1]), 0)
    with pytest.raises(Malformed, match="offset table"):
        walk(reader(b"\0" * 20), 0)
    with pytest.raises(Malformed, match="cannot be told apart"):
        group(walk(reader(data), 0), 3, reader(data))


def test_agrees_with_pydicom_on_odd_groupings() -> None:
    frames = [b"x" * 6 + b"\xff\xd9", b"y" * 20 + b"\xff\xd9", b"z" * 30 + b"\xff\xd9"]
    data = encapsulate(frames, fragments_per_frame=2, has_bot=False) + SEQUENCE_END
    read = reader(data)
    mine = [encapsulated_frame(pieces, read) for pieces in group(walk(read, 0), 3, read)]
    assert mine == list(generate_frames(data, number_of_frames=3))


@pytest.mark.parametrize("text", ["0", "4", "", "1,", "1,x", "-1", "1.5", "٣", "9999999999"])
def test_frame_numbers_out_of_range(text: str) -> None:
    with pytest.raises(Malformed):
        frame_numbers(text, 3)


def test_frame_numbers() -> None:
    assert frame_numbers("3,1,1", 3) == (3, 1, 1)

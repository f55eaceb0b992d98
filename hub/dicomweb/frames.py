"""Where the frames of an image lie in its dataset bytes (PS3.5 §8 and §A.4). Pure: bytes come by a reader.

Native pixels are cut by arithmetic; compressed ones by their offset tables, by one fragment a frame, or
by the marks that end a JPEG stream. What does not add up is refused with the reason: a wrong frame
is worse than none.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from gateway.dicom import transfer
from gateway.dicom.transfer import Read
from gateway.errors import Malformed
from hub.archive.jsonmodel import swapped

ITEM = 0xFFFEE000
SEQUENCE_END = 0xFFFEE0DD
MAX_FRAGMENTS = 2_000_000
MAX_TABLE = 64 << 20

_END_MARK = b"\xff\xd9"  # EOI of JPEG and JPEG-LS, EOC of JPEG 2000
_TAIL = 10  # the mark may be followed by padding


@dataclass(frozen=True, slots=True)
class Image:
    """What must be known of an instance to cut out its frames.

    Args:
        syntax: transfer syntax of the dataset.
        frames: Number of Frames, at least 1.
        frame_bits: bits of one native frame; None if the header does not tell.
        bits_allocated: of one sample.
        pixel_offset: of the pixel data element's value, in the (inflated) dataset.
        pixel_length: its length in bytes; None: encapsulated.
    """

    syntax: str
    frames: int
    frame_bits: int | None
    bits_allocated: int | None
    pixel_offset: int
    pixel_length: int | None


def native_frame(image: Image, number: int, read: Read) -> bytes:
    """One uncompressed frame, little endian, its first bit at the start of its first byte.

    Args:
        image: the instance.
        number: from 1.
        read: the dataset bytes by offset.

    Raises:
        Malformed: the pixel data does not hold that frame.
    """
    if not image.frame_bits or not image.bits_allocated:
        raise Malformed("the header does not tell the size of a frame")
    first = (number - 1) * image.frame_bits
    last = first + image.frame_bits
    word = _word(image, read)
    start, end = first // 8 // word * word, -(-last // 8 // word) * word
    if image.pixel_length is not None and -(-last // 8) > image.pixel_length:
        raise Malformed(
            f"the pixel data has {image.pixel_length} bytes, which ends before frame {number} does"
        )
    data = swapped(read(image.pixel_offset + start, end - start), word)
    shift = first - start * 8
    if len(data) * 8 < shift + image.frame_bits:
        raise Malformed(f"the dataset ends within frame {number}")
    if shift % 8 == 0 and image.frame_bits % 8 == 0:
        return data[shift // 8 : (shift + image.frame_bits) // 8]
    bits = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")
    return np.packbits(bits[shift : shift + image.frame_bits], bitorder="little").tobytes()


def _word(image: Image, read: Read) -> int:
    """Bytes that were swapped together when the pixels were written; 1 in little endian."""
    bits = image.bits_allocated or 8
    if image.syntax == transfer.GE_PRIVATE_IMPLICIT:
        return max(1, bits // 8)
    if image.syntax != transfer.EXPLICIT_BIG:
        return 1
    if bits > 8:
        return bits // 8
    # 8 bits or 1 in OW are swapped two by two, in OB not at all (PS3.5 §A.3)
    return 2 if read(image.pixel_offset - 8, 2) == b"OW" else 1


@dataclass(frozen=True, slots=True)
class Fragment:
    """A piece of compressed pixel data.

    Args:
        item: offset of its item tag, from the first fragment's.
        offset: of its bytes in the dataset.
        length: of its bytes.
    """

    item: int
    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class Fragments:
    """Encapsulated pixel data, walked through.

    Args:
        table: the Basic Offset Table; empty if it has no entries.
        pieces: every fragment, in order.
    """

    table: tuple[int, ...]
    pieces: tuple[Fragment, ...]


def walk(read: Read, pixel_offset: int) -> Fragments:
    """Find every fragment, reading item headers only.

    Raises:
        Malformed: it does not begin with an offset table, or an item is none.
    """
    tag, length = _item(read, pixel_offset)
    if tag != ITEM or length > MAX_TABLE:
        raise Malformed("compressed pixel data does not begin with an offset table")
    table = read(pixel_offset + 8, length)
    offsets = struct.unpack(f"<{len(table) // 4}I", table[: len(table) // 4 * 4])
    at = origin = pixel_offset + 8 + length
    pieces: list[Fragment] = []
    while True:
        tag, length = _item(read, at)
        if tag != ITEM:
            break
        if length == 0xFFFFFFFF or len(pieces) >= MAX_FRAGMENTS:
            raise Malformed(f"fragment {len(pieces) + 1} has no length")
        pieces.append(Fragment(at - origin, at + 8, length))
        at += 8 + length
    if tag not in {SEQUENCE_END, 0}:  # 0: the bytes end without a delimiter, as some writers leave them
        raise Malformed(f"a fragment begins with {tag:08X}")
    if pieces and pieces[-1].length and not read(at - 1, 1):
        raise Malformed("the dataset ends within the last fragment")
    return Fragments(offsets, tuple(pieces))


def _item(read: Read, offset: int) -> tuple[int, int]:
    """Tag and length of an item header; tag 0 at the end of the bytes."""
    head = read(offset, 8)
    if len(head) < 8:
        return 0, 0
    group, element, length = struct.unpack("<HHI", head)
    return group << 16 | element, length


def group(
    found: Fragments,
    frames: int,
    read: Read,
    *,
    extended: Sequence[int] = (),
) -> tuple[tuple[Fragment, ...], ...]:
    """The fragments of each frame.

    Args:
        found: what `walk` found.
        frames: Number of Frames.
        read: the dataset bytes, to look for end marks.
        extended: the Extended Offset Table (7FE0,0001), if there is one.

    Raises:
        Malformed: fragments and frames do not fit each other.
    """
    pieces = found.pieces
    if not pieces:
        raise Malformed("the pixel data has no fragment")
    if frames == 1:
        return (pieces,)
    for table in (tuple(extended), found.table):
        by_table = _by_table(pieces, table, frames)
        if by_table is not None:
            return by_table
    if len(pieces) == frames:
        return tuple((piece,) for piece in pieces)
    by_mark = _by_mark(pieces, read)
    if len(by_mark) != frames:
        raise Malformed(f"{len(pieces)} fragments cannot be told apart into {frames} frames")
    return by_mark


def _by_table(
    pieces: tuple[Fragment, ...], table: tuple[int, ...], frames: int
) -> tuple[tuple[Fragment, ...], ...] | None:
    """By an offset table that names the start of a fragment for every frame, in order; else None."""
    if len(table) != frames:
        return None
    index = {piece.item: number for number, piece in enumerate(pieces)}
    starts = [index.get(offset, -1) for offset in table]
    if starts[0] != 0 or any(late <= early for early, late in pairwise(starts)):
        return None
    return tuple(pieces[early:late] for early, late in pairwise([*starts, len(pieces)]))


def _by_mark(pieces: tuple[Fragment, ...], read: Read) -> tuple[tuple[Fragment, ...], ...]:
    """By the mark that ends a compressed image."""
    groups: list[tuple[Fragment, ...]] = []
    current: list[Fragment] = []
    before = b""  # the mark may be cut in two by a fragment's end
    for piece in pieces:
        current.append(piece)
        size = min(piece.length, _TAIL)
        tail = read(piece.offset + piece.length - size, size)
        if _END_MARK in before + tail:
            groups.append(tuple(current))
            current, before = [], b""
        else:
            before = tail[-1:]
    if current:
        groups.append(tuple(current))
    return tuple(groups)


def encapsulated_frame(pieces: Sequence[Fragment], read: Read) -> bytes:
    """The bytes of one compressed frame. Raises Malformed if they are cut short."""
    data = b"".join(read(piece.offset, piece.length) for piece in pieces)
    if len(data) != sum(piece.length for piece in pieces):
        raise Malformed("the dataset ends within a fragment")
    return data


def frame_numbers(text: str, frames: int) -> tuple[int, ...]:
    """``1,2,5`` (PS3.18 §10.4.1.1.2); each from 1 to `frames`. Raises Malformed."""
    numbers: list[int] = []
    for part in text.split(","):
        if not (part.isascii() and part.isdecimal()) or len(part) > 9 or not 1 <= int(part) <= frames:
            raise Malformed(f"frame {part[:20]!r} is none of 1 to {frames}")
        numbers.append(int(part))
    return tuple(numbers)

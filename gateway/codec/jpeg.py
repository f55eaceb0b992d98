"""JPEG files made smaller and given back to the byte (ISO/IEC 18181-2: JPEG bitstream reconstruction).

Works for 8-bit Huffman-coded JPEG, baseline, extended or progressive; what else there is, the codec refuses.
"""

from __future__ import annotations

from struct import Struct

import imagecodecs

from gateway.codec import codestream
from gateway.codec.strips import CODEC_ERRORS
from gateway.errors import Malformed

START = b"\xff\xd8\xff"
"""Start of Image, and the first byte of the marker after it (ISO/IEC 10918-1 B.1.1.3)."""

ITEM_START = b"\xfe\xff\x00\xe0"
"""Of a fragment (PS3.5 A.4); 4 bytes of its length follow."""
_ITEM = Struct("<4sL")

FRAGMENTS_MAX = 100_000
"""Of one JPEG, and looked at in one instance: empty ones take 4 bytes of content, and far more of memory."""

PIXEL_LIMIT = 1 << 26
"""Pixels of one JPEG."""

DENSITY = 1 << 10
"""Pixels to a byte of JPEG at most: a block of 64 takes 2 bits, and chroma may be left out 4 of 4 times."""


def encode(data: memoryview) -> bytes:
    """The content of a JPEG segment. Raises one of `CODEC_ERRORS` if this is no JPEG it takes."""
    return bytes(imagecodecs.jpegxl_encode_jpeg(bytes(data), usecontainer=True, numthreads=1))


def encode_items(data: memoryview) -> bytes:
    """The same of a JPEG that lies in several fragments: how long each is, and the JPEG without their heads.

    Raises:
        ValueError, …: one of `CODEC_ERRORS`: these are no whole fragments, too many, or no JPEG it takes.
    """
    lengths: list[int] = []
    file, at = bytearray(), 0
    while at < len(data):
        head = bytes(data[at : at + _ITEM.size])
        length = int.from_bytes(head[4:], "little")
        at += _ITEM.size
        if not head.startswith(ITEM_START) or at + length > len(data) or len(lengths) == FRAGMENTS_MAX:
            raise ValueError("no whole fragments, or too many")
        lengths.append(length)
        file += data[at : at + length]
        at += length
    return Struct(f">{len(lengths) + 1}L").pack(len(lengths), *lengths) + encode(memoryview(file))


def decode_items(content: bytes, plain: int) -> bytes:
    """Exactly `plain` bytes of fragments that hold one JPEG. Raises Malformed, as `decode`."""
    count = int.from_bytes(content[:4], "big")
    if count > FRAGMENTS_MAX:
        raise Malformed(f"a JPEG cannot lie in {count} fragments")
    table = Struct(f">{min(count, len(content))}L")
    left = plain - count * _ITEM.size
    if left <= 0 or 4 + table.size > len(content):
        raise Malformed(f"{plain} bytes cannot be {count} fragments of a JPEG")
    lengths = table.unpack_from(content, 4)
    if sum(lengths) != left:
        raise Malformed(f"the fragments of a JPEG do not make {plain} bytes")
    file, at = decode(content[4 + table.size :], left), 0
    parts: list[bytes] = []
    for length in lengths:
        parts += _ITEM.pack(ITEM_START, length), file[at : at + length]
        at += length
    return b"".join(parts)


def decode(content: bytes, plain: int) -> bytes:
    """Exactly `plain` bytes of JPEG.

    Raises:
        Malformed: it is not what `encode` wrote, or a larger image than so many bytes can be.
    """
    rows, columns = codestream.jxl_size(content)
    if rows * columns > min(PIXEL_LIMIT, DENSITY * plain):
        raise Malformed(f"a JPEG of {plain} bytes cannot have {columns} × {rows} pixels")
    try:
        restored = imagecodecs.jpegxl_decode_jpeg(content, numthreads=1, out=bytearray(plain))
    except CODEC_ERRORS as error:
        raise Malformed(f"a recompressed JPEG cannot be read: {error}") from error
    if len(restored) != plain:
        raise Malformed(f"a recompressed JPEG has {len(restored)} bytes, not {plain}")
    return bytes(restored)

"""JPEG files made smaller and given back to the byte (ISO/IEC 18181-2: JPEG bitstream reconstruction).

Works for 8-bit Huffman-coded JPEG, baseline, extended or progressive; what else there is, the codec refuses.
"""

from __future__ import annotations

from collections.abc import Iterator

import imagecodecs

from gateway.codec.strips import CODEC_ERRORS
from gateway.errors import Malformed

START = b"\xff\xd8\xff"
"""Start of Image, and the first byte of the marker after it (ISO/IEC 10918-1 B.1.1.3)."""

PIXEL_LIMIT = 1 << 26
"""Pixels of one JPEG."""

DENSITY = 1 << 10
"""Pixels to a byte of JPEG at most: a block of 64 takes 2 bits, and chroma may be left out 4 of 4 times."""

HEADER_MAX = 12
"""Bytes that hold a codestream's signature and SizeHeader."""

_BOX = 8


def encode(data: memoryview) -> bytes:
    """The content of a JPEG segment. Raises one of `CODEC_ERRORS` if this is no JPEG it takes."""
    return bytes(imagecodecs.jpegxl_encode_jpeg(bytes(data), usecontainer=True, numthreads=1))


def decode(content: bytes, plain: int) -> bytes:
    """Exactly `plain` bytes of JPEG.

    Raises:
        Malformed: it is not what `encode` wrote, or a larger image than so many bytes can be.
    """
    rows, columns = size(content)
    if rows * columns > min(PIXEL_LIMIT, DENSITY * plain):
        raise Malformed(f"a JPEG of {plain} bytes cannot have {columns} × {rows} pixels")
    try:
        restored = imagecodecs.jpegxl_decode_jpeg(content, numthreads=1, out=bytearray(plain))
    except CODEC_ERRORS as error:
        raise Malformed(f"a recompressed JPEG cannot be read: {error}") from error
    if len(restored) != plain:
        raise Malformed(f"a recompressed JPEG has {len(restored)} bytes, not {plain}")
    return bytes(restored)


def size(content: bytes) -> tuple[int, int]:
    """Rows and columns a JPEG XL file declares (ISO/IEC 18181-1 D.2). Raises Malformed if there are none."""
    stream = b""
    for kind, start, end in _boxes(content):
        if kind in (b"jxlc", b"jxlp"):  # the codestream, whole or in parts that begin with their number
            stream += content[start + 4 * (kind == b"jxlp") : end][:HEADER_MAX]
        if len(stream) >= HEADER_MAX:
            break
    if not stream.startswith(b"\xff\x0a"):
        raise Malformed("a recompressed JPEG holds no codestream")
    return _size_header(int.from_bytes(stream[2:HEADER_MAX], "little"))


def _boxes(content: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Type, start and end of the content of every box (ISO/IEC 18181-2 §9.1)."""
    at = 0
    while at + _BOX <= len(content):
        length, kind, start = int.from_bytes(content[at : at + 4], "big"), content[at + 4 : at + 8], at + _BOX
        if length == 1:
            length, start = int.from_bytes(content[start : start + 8], "big"), start + 8
        end = len(content) if length == 0 else at + length
        if not start <= end <= len(content):
            raise Malformed("a box of a recompressed JPEG reaches beyond its end")
        yield kind, start, end
        at = end


_BITS = (9, 13, 18, 30)
_RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))


def _size_header(bits: int) -> tuple[int, int]:
    small, bits = bits & 1, bits >> 1
    rows, bits = _dimension(bits, small)
    ratio, bits = bits & 7, bits >> 3
    if ratio:
        width, height = _RATIOS[ratio - 1]
        return rows, rows * width // height
    columns, _ = _dimension(bits, small)
    return rows, columns


def _dimension(bits: int, small: int) -> tuple[int, int]:
    if small:
        return 8 * ((bits & 31) + 1), bits >> 5
    width = _BITS[bits & 3]
    return (bits >> 2 & (1 << width) - 1) + 1, bits >> 2 + width

"""JPEG files made smaller and given back to the byte (ISO/IEC 18181-2: JPEG bitstream reconstruction).

Works for 8-bit Huffman-coded JPEG, baseline, extended or progressive; what else there is, the codec refuses.
"""

from __future__ import annotations

import imagecodecs

from gateway.codec import codestream
from gateway.codec.strips import CODEC_ERRORS
from gateway.errors import Malformed

START = b"\xff\xd8\xff"
"""Start of Image, and the first byte of the marker after it (ISO/IEC 10918-1 B.1.1.3)."""

PIXEL_LIMIT = 1 << 26
"""Pixels of one JPEG."""

DENSITY = 1 << 10
"""Pixels to a byte of JPEG at most: a block of 64 takes 2 bits, and chroma may be left out 4 of 4 times."""


def encode(data: memoryview) -> bytes:
    """The content of a JPEG segment. Raises one of `CODEC_ERRORS` if this is no JPEG it takes."""
    return bytes(imagecodecs.jpegxl_encode_jpeg(bytes(data), usecontainer=True, numthreads=1))


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

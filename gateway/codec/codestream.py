"""What a codestream's own header says, read before a decoder is let near it. Pure.

A decoder takes memory and time by its codestream's header. So the header must say exactly what the strip
says, and hold nothing that the coders here do not write (tiles, precincts, presets, restarts, …).
"""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct

from gateway.codec.segment import Strip
from gateway.errors import Malformed

HEADER_MAX = 12
"""Bytes that hold the signature and SizeHeader of JPEG XL."""

_JXL = b"\xff\x0a"
_BOX = 8


def check(codec: str, stream: bytes, strip: Strip) -> None:
    """Raises Malformed if the header of `stream` is not one that a coder writes for `strip`."""
    if codec == "jxl":
        fits = jxl_size(stream) == (strip.rows, strip.columns)
    else:
        fits = _htj2k_fits(stream, strip) if codec == "htj2k" else _jpegls_fits(stream, strip)
    if not fits:
        raise Malformed(f"the header of a {codec} codestream is not that of the strip")


# -- HTJ2K: ISO/IEC 15444-1 Annex A, 15444-15 -------------------------------------------------------

_SIZ, _CAP, _COD, _QCD, _COM, _SOT = (bytes((0xFF, code)) for code in (0x51, 0x50, 0x52, 0x5C, 0x64, 0x90))
_SIZ_FIELDS = Struct(">H8LH")
_SOT_FIELDS = Struct(">HHLBB")
_LEVELS_MAX = 8
_HT_BLOCKS = b"\x04\x04\x40\x01"  # code-blocks of 64 × 64, HT, reversible 5/3 transform


def _htj2k_fits(stream: bytes, strip: Strip) -> bool:
    size = _SIZ_FIELDS.pack(
        0x4000, strip.columns, strip.rows, 0, 0, strip.columns, strip.rows, 0, 0, strip.samples
    ) + strip.samples * bytes((8 * strip.coded_width - 1, 1, 1))
    if stream[:2] != b"\xff\x4f":
        return False
    seen: list[bytes] = []
    at = 2
    for marker, fields, after in _markers(stream, at, _SOT):
        at = after
        if marker == _SIZ and fields != size:
            return False
        if marker == _COD and not _cod_fits(fields):
            return False
        seen.append(marker)
    if seen[:1] != [_SIZ] or {*seen[1:]} - {_COM} != {_CAP, _COD, _QCD} or seen.count(_COD) > 1:
        return False
    return _one_tile(stream, at)


def _cod_fits(fields: bytes) -> bool:
    """No precincts, one layer, few levels, blocks as the coder makes them."""
    return (
        len(fields) == 10
        and fields[0] == 0
        and fields[2:4] == b"\0\1"
        and fields[4] <= 1
        and fields[5] <= _LEVELS_MAX
        and fields[6:10] == _HT_BLOCKS
    )


def _one_tile(stream: bytes, at: int) -> bool:
    """One tile in one part, without a header of its own, up to the end."""
    head = stream[at : at + 14]
    if len(head) < 14 or head[:2] != _SOT or head[12:] != b"\xff\x93":
        return False
    length, tile, part_length, part, parts = _SOT_FIELDS.unpack(head[2:12])
    whole = at + part_length == len(stream) - 2 and stream.endswith(b"\xff\xd9")
    return bool((length, tile, part, parts) == (10, 0, 0, 1) and whole)


# -- JPEG-LS: ISO/IEC 14495-1 Annex C ----------------------------------------------------------------

_APP8, _SOF55, _LSE, _SOS = b"\xff\xe8", b"\xff\xf7", b"\xff\xf8", b"\xff\xda"
_PRESET_16 = bytes.fromhex("01ffff0012004301140040")  # the default thresholds of 16 bits, written out
_FRAME = Struct(">BHHB")


def _jpegls_fits(stream: bytes, strip: Strip) -> bool:
    if strip.rows > 0xFFFF or strip.columns > 0xFFFF or strip.coded_width > 2:
        return False
    if not (stream.startswith(b"\xff\xd8") and stream.endswith(b"\xff\xd9")):
        return False
    frame = _FRAME.pack(8 * strip.coded_width, strip.rows, strip.columns, strip.samples)
    frames = 0
    for marker, fields, _ in _markers(stream, 2, _SOS):
        if marker == _SOF55:
            frames += 1
            if fields[: _FRAME.size] != frame:
                return False
        elif marker != _APP8 and (marker, fields) != (_LSE, _PRESET_16):
            return False
    return frames == 1


def _markers(stream: bytes, at: int, last: bytes) -> Iterator[tuple[bytes, bytes, int]]:
    """Marker, fields and the offset after every marker segment up to `last`."""
    while (marker := stream[at : at + 2]) != last:
        length = int.from_bytes(stream[at + 2 : at + 4], "big")
        end = at + 2 + length
        if length < 2 or end > len(stream):
            raise Malformed("a marker of a codestream reaches beyond its end")
        yield marker, stream[at + 4 : end], end
        at = end


# -- JPEG XL: ISO/IEC 18181 --------------------------------------------------------------------------


def jxl_size(content: bytes) -> tuple[int, int]:
    """Rows and columns a JPEG XL file declares (ISO/IEC 18181-1 D.2). Raises Malformed if there are none."""
    if content.startswith(_JXL):
        return _size_header(int.from_bytes(content[2:HEADER_MAX], "little"))
    stream = b""
    for kind, start, end in _boxes(content):
        if kind in (b"jxlc", b"jxlp"):  # the codestream, whole or in parts that begin with their number
            stream += content[start + 4 * (kind == b"jxlp") : end][:HEADER_MAX]
        if len(stream) >= HEADER_MAX:
            break
    if not stream.startswith(_JXL):
        raise Malformed("a JPEG XL file holds no codestream")
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
            raise Malformed("a box of a JPEG XL file reaches beyond its end")
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

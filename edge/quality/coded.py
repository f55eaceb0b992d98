"""One compressed frame, cut out of its dataset, and what its own header says before a decoder sees it. Pure.

A decoder takes memory and time by the header of the codestream. So that must say exactly what the dataset
says, and be no larger than is looked at; all else is not decoded.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from struct import unpack_from

from gateway.codec.codestream import jxl_size
from gateway.errors import Malformed

MOST_SAMPLES = 32 << 20
"""Of a frame that is decoded; mammograms have 16 million."""
MOST_BYTES = 32 << 20
"""Of its codestream."""
MOST_FRAGMENTS = 100_000

JPEG, LOSSLESS, JPEG_LS, JPEG_2000, RLE, JPEG_XL = "jpeg", "ljpeg", "jpegls", "jpeg2k", "rle", "jxl"
CODECS = {
    "1.2.840.10008.1.2.4.50": JPEG,
    "1.2.840.10008.1.2.4.51": JPEG,
    "1.2.840.10008.1.2.4.57": LOSSLESS,
    "1.2.840.10008.1.2.4.70": LOSSLESS,
    "1.2.840.10008.1.2.4.80": JPEG_LS,
    "1.2.840.10008.1.2.4.81": JPEG_LS,
    "1.2.840.10008.1.2.4.90": JPEG_2000,
    "1.2.840.10008.1.2.4.91": JPEG_2000,
    "1.2.840.10008.1.2.4.110": JPEG_XL,
    "1.2.840.10008.1.2.4.111": JPEG_XL,
    "1.2.840.10008.1.2.4.112": JPEG_XL,
    "1.2.840.10008.1.2.4.201": JPEG_2000,
    "1.2.840.10008.1.2.4.202": JPEG_2000,
    "1.2.840.10008.1.2.4.203": JPEG_2000,
    "1.2.840.10008.1.2.5": RLE,
}
"""By transfer syntax; HTJ2K is a JPEG 2000 codestream to its decoder."""

_ITEM, _DELIMITER = 0xFFFEE000, 0xFFFEE0DD
_FRAME_MARKERS = {  # SOFn of ISO/IEC 10918-1 and 14495-1, by codec
    JPEG: {0xC0, 0xC1, 0xC2},
    LOSSLESS: {0xC3},
    JPEG_LS: {0xF7},
}
_ALONE = {0x01, *range(0xD0, 0xD9)}
"""JPEG markers without a length."""


@dataclass(frozen=True, slots=True)
class Coded:
    """A frame.

    Attributes:
        codec: of `CODECS`.
        rows: as the dataset has it, like all that follows.
        columns: of pixels.
        samples: of a pixel.
        allocated: bits of a sample.
        stored: of these, those that hold it.
        signed: whether it is.
        stream: the codestream.
    """

    codec: str
    rows: int
    columns: int
    samples: int
    allocated: int
    stored: int
    signed: bool
    stream: bytes

    @property
    def fits(self) -> bool:
        """Whether it may be decoded: its header says what the dataset says, and that is not too much."""
        count = self.rows * self.columns * self.samples
        if not (
            0 < count <= MOST_SAMPLES
            and len(self.stream) <= MOST_BYTES
            and self.samples in (1, 3)
            and self.allocated in (8, 16)
            and 0 < self.stored <= self.allocated
        ):
            return False
        try:
            return _declared(self)
        except (Malformed, IndexError, ValueError):
            return False


def middle_frame(data: memoryview, at: int, frames: int) -> bytes | None:
    """The codestream of the middle frame of encapsulated pixels (PS3.5 A.4); None if it cannot be told.

    Args:
        data: the dataset.
        at: where the first item of its pixels begins: the basic offset table.
        frames: how many there are.
    """
    items = list(_items(data, at))
    if len(items) < 2:
        return None
    (table, table_end), *fragments = items
    number = frames // 2
    if len(fragments) == frames:
        chosen = fragments[number : number + 1]
    elif frames == 1:
        chosen = fragments
    elif table_end - table == 4 * frames:
        offsets = unpack_from(f"<{frames}L", data, table)
        first = fragments[0][0] - 8
        until = offsets[number + 1] if number + 1 < frames else len(data)
        chosen = [one for one in fragments if offsets[number] <= one[0] - 8 - first < until]
    else:
        return None
    if not chosen or sum(end - start for start, end in chosen) > MOST_BYTES:
        return None
    return b"".join(bytes(data[start:end]) for start, end in chosen)


def _items(data: memoryview, at: int) -> Iterator[tuple[int, int]]:
    """Start and end of the content of every whole item."""
    for _ in range(MOST_FRAGMENTS):
        if at + 8 > len(data):
            return
        group, element, length = unpack_from("<HHL", data, at)
        start, end = at + 8, at + 8 + length
        if group << 16 | element != _ITEM or end > len(data):
            return
        yield start, end
        at = end


def _declared(coded: Coded) -> bool:
    said = (coded.rows, coded.columns, coded.samples)
    stream = coded.stream
    if coded.codec == RLE:
        return _rle_fits(coded)
    if coded.codec == JPEG_XL:
        return jxl_size(stream) == said[:2]
    if coded.codec == JPEG_2000:
        found, bits = _jpeg2000(stream)
    else:
        found, bits = _jpeg(stream, _FRAME_MARKERS[coded.codec])
    return found == said and bits <= coded.allocated


def _jpeg(stream: bytes, wanted: set[int]) -> tuple[tuple[int, int, int], int]:
    """Rows, columns and components of a JPEG or JPEG-LS stream, and bits of a sample. Raises Malformed."""
    if stream[:2] != b"\xff\xd8":
        raise Malformed("no JPEG begins here")
    at, found = 2, None
    while stream[at] == 0xFF:
        marker = stream[at + 1]
        if marker == 0xFF or marker in _ALONE:
            at += 1 if marker == 0xFF else 2
            continue
        length = int.from_bytes(stream[at + 2 : at + 4], "big")
        if length < 2 or marker == 0xD9:
            break
        if marker == 0xDA:
            if found is None:
                break
            return found
        frame = marker in wanted or (0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC))
        if frame:
            if found is not None or marker not in wanted:
                break
            bits, rows, columns, parts = unpack_from(">BHHB", stream, at + 4)
            found = (rows, columns, parts), bits
        at += 2 + length
    raise Malformed("no such JPEG")


def _jpeg2000(stream: bytes) -> tuple[tuple[int, int, int], int]:
    """The same of a JPEG 2000 codestream (ISO/IEC 15444-1 A.5.1), in few tiles."""
    if stream[:4] != b"\xff\x4f\xff\x51" or len(stream) < 42:
        raise Malformed("no JPEG 2000 codestream begins here")
    width, height, left, top, tile_width, tile_height, *_ = unpack_from(">8L", stream, 8)
    (parts,) = unpack_from(">H", stream, 40)
    if parts not in (1, 3) or len(stream) < 42 + 3 * parts or not tile_width or not tile_height:
        raise Malformed("a JPEG 2000 codestream of an odd size")
    depths = {(stream[42 + 3 * part] & 0x7F) + 1 for part in range(parts)}
    whole = all(stream[43 + 3 * part : 45 + 3 * part] == b"\1\1" for part in range(parts))
    if not whole or (width // tile_width + 1) * (height // tile_height + 1) > 4096:
        raise Malformed("a JPEG 2000 codestream of parts that are not looked at")
    return (height - top, width - left, parts), max(depths)


def _rle_fits(coded: Coded) -> bool:
    """A segment for each byte of a pixel (PS3.5 Annex G), in order and inside."""
    header = unpack_from("<16L", coded.stream) if len(coded.stream) >= 64 else (0,) * 16
    count, *offsets = header
    if count != coded.samples * coded.allocated // 8:
        return False
    used = offsets[:count]
    return used[0] == 64 and used == sorted(set(used)) and used[-1] < len(coded.stream)

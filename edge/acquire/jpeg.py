"""A JPEG's frame header (ITU-T T.81 §B.2.2), for whether its bytes may stand in DICOM as they are. Pure."""

from __future__ import annotations

from dataclasses import dataclass

_ALONE = frozenset((0x01, *range(0xD0, 0xD8)))
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SCAN, _ADOBE = 0xDA, 0xEE


@dataclass(frozen=True, slots=True)
class Frame:
    """What a decoder must know.

    Attributes:
        baseline: sequential DCT, Huffman, 8 bits: transfer syntax 1.2.840.10008.1.2.4.50 holds it.
        rgb: three components that are not YCbCr (the Adobe segment says so).
    """

    baseline: bool
    rows: int
    columns: int
    components: int
    rgb: bool


def frame(data: bytes) -> Frame | None:
    """Read the header; None if there is none."""
    at, rgb, found = 2, False, None
    while at + 4 <= len(data):
        if data[at] != 0xFF:
            return None
        marker = data[at + 1]
        if marker == 0xFF or marker in _ALONE:
            at += 1 if marker == 0xFF else 2
            continue
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        segment = data[at + 4 : at + 2 + length]
        if marker == _ADOBE and segment[:5] == b"Adobe" and len(segment) >= 12:
            rgb = segment[11] == 0
        if marker in _FRAMES and len(segment) >= 6:
            found = (marker, segment)
        if marker == _SCAN:
            break
        at += 2 + length
    if found is None:
        return None
    marker, segment = found
    rows, columns = int.from_bytes(segment[1:3], "big"), int.from_bytes(segment[3:5], "big")
    named_rgb = segment[5] == 3 and segment[6::3][:3] == b"RGB"
    return Frame(
        marker == 0xC0 and segment[0] == 8, rows, columns, segment[5], segment[5] == 3 and (rgb or named_rgb)
    )

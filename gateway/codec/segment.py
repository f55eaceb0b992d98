"""The segments a coded image is made of, as bytes. Pure. FORMAT.md, section "Segmented codecs", is the rule.

An instance is cut into segments, in order and without gap; each is coded by itself, so that one that
resists is carried as it is and the others are not the worse for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from struct import Struct

from gateway.errors import Malformed

LIMIT = 16 << 20
"""Original bytes of one segment; what a decoder must be ready to hold twice."""

_HEADER = Struct(">BLL")
HEADER_SIZE = _HEADER.size
SHARED_SIZE = 4
"""Content of a segment that lies in the parcel's shared stream: the offset there."""

_STRIP = Struct(">LLBL")
STRIP_SIZE = _STRIP.size

_BIG, _THREE, _PLANAR = 0x04, 0x08, 0x10
_WIDTHS = (1, 2, 4)


class Kind(IntEnum):
    """How one segment is coded."""

    RAW = 0
    ZSTD = 1
    PIXELS = 2
    JPEG = 3
    SHARED = 4
    JPEG_ITEMS = 6


@dataclass(frozen=True, slots=True)
class Segment:
    """What stands before a segment's content.

    Attributes:
        kind: how it is coded.
        plain: original bytes.
        coded: bytes of content that follow.
    """

    kind: Kind
    plain: int
    coded: int

    def to_bytes(self) -> bytes:
        """Nine bytes."""
        return _HEADER.pack(self.kind, self.plain, self.coded)

    @classmethod
    def from_bytes(cls, data: bytes) -> Segment:
        """Read nine bytes. Raises Malformed where a bound does not hold."""
        kind, plain, coded = _HEADER.unpack(data)
        if kind not in Kind.__members__.values():
            raise Malformed(f"there is no segment of kind {kind}")
        if not 0 < plain <= LIMIT:
            raise Malformed(f"a segment of {plain} bytes is out of bounds")
        fits = (
            coded == plain
            if kind == Kind.RAW
            else coded == SHARED_SIZE
            if kind == Kind.SHARED
            else 0 < coded < plain
        )
        if not fits:
            raise Malformed(f"a segment of {plain} bytes cannot be coded in {coded}")
        return cls(Kind(kind), plain, coded)


@dataclass(frozen=True, slots=True)
class Strip:
    """How the words of a pixel segment are an image.

    Attributes:
        rows, columns: of the image.
        samples: 1 or 3 to a pixel.
        width: bytes of a word: 1, 2 or 4.
        big: words are big-endian.
        planar: three planes one after another, not three samples side by side.
        coded_width: bytes of a sample in the codestream, at most `width`.
        offset: added to every decoded sample, modulo 2^(8 × width).
    """

    rows: int
    columns: int
    samples: int
    width: int
    big: bool
    planar: bool
    coded_width: int
    offset: int

    @property
    def size(self) -> int:
        """Original bytes."""
        return self.rows * self.columns * self.samples * self.width

    def to_bytes(self) -> bytes:
        """Thirteen bytes."""
        form = _WIDTHS.index(self.width) | _WIDTHS.index(self.coded_width) << 5
        form |= _BIG * self.big | _THREE * (self.samples == 3) | _PLANAR * self.planar
        return _STRIP.pack(self.rows, self.columns, form, self.offset)

    @classmethod
    def from_bytes(cls, data: bytes) -> Strip:
        """Read thirteen bytes. Raises Malformed where a bound does not hold."""
        if len(data) != STRIP_SIZE:
            raise Malformed("a pixel segment is cut short")
        rows, columns, form, offset = _STRIP.unpack(data)
        width, coded = form & 3, form >> 5 & 3
        three, planar = bool(form & _THREE), bool(form & _PLANAR)
        if form & 0x80 or width == 3 or coded > width or (planar and not three):
            raise Malformed(f"there is no pixel form {form:#04x}")
        if offset >> 8 * _WIDTHS[width]:
            raise Malformed("a pixel offset is wider than a pixel")
        return cls(
            rows=rows,
            columns=columns,
            samples=3 if three else 1,
            width=_WIDTHS[width],
            big=bool(form & _BIG),
            planar=planar,
            coded_width=_WIDTHS[coded],
            offset=offset,
        )

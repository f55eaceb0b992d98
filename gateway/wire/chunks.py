"""Which chunks of a parcel are there: a bitmap, and ranges of what is missing for the wire.

Pure. A range list on the wire may overstate what is missing (then something is sent twice, which
is harmless), but never understate it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from gateway.errors import Malformed

MAX_CHUNKS = 1 << 20
"""Of one parcel: 1 TiB in chunks of 1 MiB. Bounds the bitmap to 128 KiB."""


class Range(NamedTuple):
    """`length` chunks from index `first` on."""

    first: int
    length: int

    @property
    def end(self) -> int:
        """The index after the last."""
        return self.first + self.length


class ChunkSet:
    """A set of chunk indexes below `size`, as a bitmap (bit ``i & 7`` of byte ``i >> 3``)."""

    __slots__ = ("_bits", "_count", "size")

    def __init__(self, size: int, bits: bytes | None = None) -> None:
        """An empty set, or one read back.

        Args:
            size: number of chunks of the parcel, 1 to `MAX_CHUNKS`.
            bits: what `to_bytes` gave.

        Raises:
            Malformed: the size is out of bounds or the bitmap does not fit it.
        """
        if not 1 <= size <= MAX_CHUNKS:
            raise Malformed(f"a parcel of {size} chunks; 1 to {MAX_CHUNKS} are possible")
        self.size = size
        self._bits = bytearray(bytes_needed(size)) if bits is None else bytearray(bits)
        if len(self._bits) != bytes_needed(size) or (size & 7 and self._bits[-1] >> (size & 7)):
            raise Malformed(f"a bitmap of {len(self._bits)} bytes does not fit {size} chunks")
        self._count = int.from_bytes(self._bits, "little").bit_count()

    @classmethod
    def full(cls, size: int) -> ChunkSet:
        """The set of all chunks."""
        whole = cls(size)
        whole.update(range(size))
        return whole

    def to_bytes(self) -> bytes:
        """The bitmap, `bytes_needed` long."""
        return bytes(self._bits)

    def __len__(self) -> int:
        return self._count

    def __contains__(self, index: int) -> bool:
        return 0 <= index < self.size and bool(self._bits[index >> 3] >> (index & 7) & 1)

    def __iter__(self) -> Iterator[int]:
        return (index for index in range(self.size) if index in self)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ChunkSet) and (self.size, self._bits) == (other.size, other._bits)

    __hash__ = None  # type: ignore[assignment]  # mutable, so it has no hash

    @property
    def complete(self) -> bool:
        """Whether every chunk is in."""
        return self._count == self.size

    def add(self, index: int) -> bool:
        """Put `index` in. Returns whether it was not in yet. Raises Malformed if out of bounds."""
        if not 0 <= index < self.size:
            raise Malformed(f"chunk {index} of a parcel of {self.size}")
        if index in self:
            return False
        self._bits[index >> 3] |= 1 << (index & 7)
        self._count += 1
        return True

    def update(self, indexes: Iterable[int]) -> None:
        """Put all of `indexes` in."""
        for index in indexes:
            self.add(index)

    def discard(self, index: int) -> None:
        """Take `index` out, if it is in."""
        if index in self:
            self._bits[index >> 3] &= ~(1 << (index & 7))
            self._count -= 1

    def missing(self, limit: int | None = None) -> tuple[Range, ...]:
        """What is not in, as sorted disjoint ranges.

        Args:
            limit: at most so many ranges; the last then reaches to the end of the last gap and so
                overstates what is missing.
        """
        ranges: list[Range] = []
        index = 0
        while index < self.size:
            if not index & 7 and self._bits[index >> 3] == 0xFF:
                index += 8
                continue
            if index in self:
                index += 1
                continue
            first = index
            while index < self.size and index not in self:
                index += 1
            ranges.append(Range(first, index - first))
        if limit is not None and len(ranges) > limit:
            tail = Range(ranges[limit - 1].first, ranges[-1].end - ranges[limit - 1].first)
            return (*ranges[: limit - 1], tail)
        return tuple(ranges)

    @classmethod
    def without(cls, size: int, missing: Iterable[Range]) -> ChunkSet:
        """The set of all chunks but those in `missing`. Raises Malformed if a range is out of bounds."""
        have = cls.full(size)
        for first, count in missing:
            if not 0 <= first < first + count <= size:
                raise Malformed(f"range {first}+{count} of a parcel of {size} chunks")
            for index in range(first, first + count):
                have.discard(index)
        return have


def bytes_needed(size: int) -> int:
    """Length of the bitmap for `size` chunks."""
    return (size + 7) // 8

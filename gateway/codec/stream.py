"""The codecs by name: what a coder and a decoder are, ``raw``, and where to find the others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from gateway.codec import way as ways
from gateway.codec.plan import Plan
from gateway.codec.segmented import ALONE, Means, SegmentCoder, SegmentDecoder, Shared
from gateway.codec.way import IMAGE_CODECS, JPEG_CODEC, SEGMENTS_CODEC, Way
from gateway.codec.zstd import ZstdCoder, ZstdDecoder
from gateway.errors import Malformed

Buffer = bytes | bytearray | memoryview
Sink = Callable[[Buffer], object]
"""Takes the next bytes. What it is given is valid only until it returns: buffers are used again."""

Parameters = Mapping[str, int | str]
"""What a decoder must know beyond the coded bytes; sealed in the inner manifest with the entry."""


class Coder(Protocol):
    """One instance on its way to coded form."""

    def write(self, data: Buffer) -> None:
        """Take the next original bytes."""

    def finish(self) -> Parameters:
        """Write what is still held back, and give the parameters the decoder will need."""


class Decoder(Protocol):
    """One instance on its way back. It never writes more than the declared length."""

    def write(self, data: Buffer) -> None:
        """Take the next coded bytes. Raises Malformed as soon as they cannot be right."""

    def finish(self) -> None:
        """Raises Malformed if the coded bytes ended early or the length is not the declared one."""


class RawCoder:
    """Codec ``raw``: the bytes as they are."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    def write(self, data: Buffer) -> None:
        """Pass `data` on."""
        self._sink(data)

    def finish(self) -> Parameters:
        """Nothing is held back and nothing need be known."""
        return {}


class RawDecoder:
    """Codec ``raw``, backwards: counts."""

    def __init__(self, sink: Sink, length: int) -> None:
        self._sink, self._left = sink, length

    def write(self, data: Buffer) -> None:
        """Pass `data` on. Raises Malformed if it is more than declared."""
        self._left -= len(data)
        if self._left < 0:
            raise Malformed("the instance is longer than declared")
        self._sink(data)

    def finish(self) -> None:
        """Raises Malformed if bytes are missing."""
        if self._left:
            raise Malformed(f"the instance is {self._left} bytes shorter than declared")


SEGMENTED = IMAGE_CODECS | {JPEG_CODEC, SEGMENTS_CODEC}
"""Codecs that write segments, and may use the parcel's shared stream."""
NAMES = frozenset({"raw", "zstd"} | SEGMENTED)
"""Every codec this program can write and read."""


def coder(way: Way | str, sink: Sink, plan: Plan | None = None, means: Means = ALONE) -> Coder:
    """A fresh coder.

    Args:
        way: the codec and its level, or its name alone (``zstd``, ``jxl``, ``jxl-1``, …).
        sink: takes coded bytes.
        plan: where the instance's pixels lie; image codecs carry everything by zstd without it.
        means: what segmented codecs may use besides.

    Raises:
        Malformed: there is no codec of that name.
    """
    if isinstance(way, str):
        way = ways.parse(way)
    if way.codec == "raw":
        return RawCoder(sink)
    if way.codec == "zstd":
        return ZstdCoder(sink, level=way.level)
    _known(way.codec)
    return SegmentCoder(sink, way, plan, means)


def decoder(
    name: str, sink: Sink, length: int, parameters: Parameters, shared: Shared | None = None
) -> Decoder:
    """A fresh decoder that will write exactly `length` bytes or raise.

    Args:
        name: as the envelope gives it.
        sink: takes original bytes.
        length: how many there must be.
        parameters: as the envelope gives them.
        shared: reads the parcel's shared stream, if it has one.

    Raises:
        Malformed: there is no codec of that name.
    """
    _known(name)
    if name == "raw":
        return RawDecoder(sink, length)
    if name == "zstd":
        return ZstdDecoder(sink, length)
    return SegmentDecoder(sink, length, name, shared)


def _known(name: str) -> None:
    if name not in NAMES:
        raise Malformed(f"there is no codec {name!r}; known are {', '.join(sorted(NAMES))}")

"""The codecs ``jxl``, ``htj2k``, ``jpegls`` and ``jpeg-jxl``: an instance as a row of segments.

The coder cuts pixels out as the plan says, codes each strip, **decodes what it made and compares**; a
strip that does not shrink or does not come back to the byte goes by zstd or as it is. So any bytes at all
pass through any of these codecs. Both halves hold a segment or two, whatever the instance's size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

import zstandard

from gateway.codec import jpeg, strips
from gateway.codec.plan import Piece, Plan
from gateway.codec.segment import HEADER_SIZE, Kind, Segment
from gateway.codec.way import JPEG_CODEC, Way
from gateway.codec.zstd import ZstdDecoder
from gateway.errors import Malformed

Buffer = bytes | bytearray | memoryview
Sink = Callable[[Buffer], object]

OTHER = 1 << 20
"""Original bytes of one segment of what is not pixels."""

SMALL, SMALL_LEVEL, LEVEL = 64 << 10, 9, 3
"""Headers are small and worth a higher level of zstd."""


class SegmentCoder:
    """Original bytes to segments.

    Args:
        sink: takes coded bytes.
        way: an image codec or the JPEG one, and its level.
        plan: where the pixels lie; without one, all is carried by zstd.
    """

    def __init__(self, sink: Sink, way: Way, plan: Plan | None = None) -> None:
        self._sink, self._way = sink, way
        self._pieces: Iterator[Piece] = plan.pieces() if plan is not None and plan.fits(way) else iter(())
        self._piece = next(self._pieces, None)
        self._at = 0  # offset of the first byte held
        self._held = bytearray()

    def write(self, data: Buffer) -> None:
        """Take the next original bytes."""
        view = memoryview(data)
        while view:
            room = self._end() - self._at - len(self._held)
            self._held += view[:room]
            view = view[room:]
            if self._at + len(self._held) == self._end():
                self._cut()

    def finish(self) -> Mapping[str, int | str]:
        """Code what is still held. The segments tell all a decoder needs."""
        if self._held:
            self._other()
        return {}

    def _end(self) -> int:
        """Where the segment that is being filled ends."""
        if self._piece is None:
            return self._at + OTHER
        inside = self._at == self._piece.start
        return self._piece.end if inside else min(self._piece.start, self._at + OTHER)

    def _cut(self) -> None:
        if self._piece is None or self._at != self._piece.start:
            self._other()
            return
        content = self._coded(self._piece)
        if content is None:
            self._other()
        else:
            self._put(Kind.PIXELS if self._piece.form is not None else Kind.JPEG, content)
        self._piece = next(self._pieces, None)

    def _coded(self, piece: Piece) -> bytes | None:
        """What is held as the codec has it; None if it does not help, or does not come back the same."""
        plain = memoryview(self._held)
        try:
            if piece.form is None:
                content = jpeg.encode(plain) if self._way.codec == JPEG_CODEC else b""
            else:
                content = strips.encode(plain, piece.form, self._way)
        except strips.CODEC_ERRORS:
            return None
        if not 0 < len(content) < len(self._held):
            return None
        try:
            back = decoded(content, len(self._held), self._way.codec, piece.form is None)
        except Malformed:
            return None
        return content if back == self._held else None

    def _other(self) -> None:
        level = SMALL_LEVEL if len(self._held) <= SMALL else LEVEL
        coded = zstandard.ZstdCompressor(level=level, write_content_size=False).compress(self._held)
        if len(coded) < len(self._held) and self._held == zstandard.decompress(coded, len(self._held)):
            self._put(Kind.ZSTD, coded)
        else:
            self._put(Kind.RAW, self._held)

    def _put(self, kind: Kind, content: Buffer) -> None:
        self._sink(Segment(kind, len(self._held), len(content)).to_bytes())
        self._sink(content)
        self._at += len(self._held)
        self._held = bytearray()


class _Content(Protocol):
    """The content of one segment on its way back."""

    def write(self, data: Buffer) -> None: ...

    def finish(self) -> None: ...


class SegmentDecoder:
    """Segments back to exactly `length` original bytes, in bounded memory."""

    def __init__(self, sink: Sink, length: int, codec: str) -> None:
        self._sink, self._left, self._codec = sink, length, codec
        self._head = bytearray()
        self._content: _Content | None = None
        self._awaited = 0  # bytes of content still to come

    def write(self, data: Buffer) -> None:
        """Take the next coded bytes.

        Raises:
            Malformed: no valid segment, a codestream that cannot be read, or more bytes than declared.
        """
        view = memoryview(data)
        while view:
            if self._content is None:
                view = self._header(view)
                continue
            piece, view = view[: self._awaited], view[self._awaited :]
            self._awaited -= len(piece)
            self._content.write(piece)
            if not self._awaited:
                self._content.finish()
                self._content = None

    def finish(self) -> None:
        """Raises Malformed if a segment is not whole or the length is not the declared one."""
        if self._head or self._content is not None:
            raise Malformed("a segment is cut short")
        if self._left:
            raise Malformed(f"the instance is {self._left} bytes shorter than declared")

    def _header(self, view: memoryview) -> memoryview:
        room = HEADER_SIZE - len(self._head)
        self._head += view[:room]
        if len(self._head) == HEADER_SIZE:
            segment = Segment.from_bytes(bytes(self._head))
            self._head.clear()
            self._left -= segment.plain
            if self._left < 0:
                raise Malformed("the instance is longer than declared")
            self._awaited = segment.coded
            self._content = self._opened(segment)
        return view[room:]

    def _opened(self, segment: Segment) -> _Content:
        if segment.kind is Kind.RAW:
            return _RawContent(self._sink)
        if segment.kind is Kind.ZSTD:
            return ZstdDecoder(self._sink, segment.plain)
        if (segment.kind is Kind.JPEG) != (self._codec == JPEG_CODEC):
            raise Malformed(f"codec {self._codec!r} has no segments of kind {segment.kind.name}")
        return _ImageContent(self._sink, segment, self._codec)


class _RawContent:
    """Passed on; the segment's header has bound its length already."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    def write(self, data: Buffer) -> None:
        self._sink(data)

    def finish(self) -> None:
        """Nothing is held back."""


class _ImageContent:
    """Gathered, then decoded as one."""

    def __init__(self, sink: Sink, segment: Segment, codec: str) -> None:
        self._sink, self._segment, self._codec = sink, segment, codec
        self._held = bytearray()

    def write(self, data: Buffer) -> None:
        self._held += data

    def finish(self) -> None:
        content = bytes(self._held)
        self._held.clear()
        self._sink(decoded(content, self._segment.plain, self._codec, self._segment.kind is Kind.JPEG))


def decoded(content: bytes, plain: int, codec: str, is_jpeg: bool) -> bytes:
    """The original bytes of one pixel or JPEG segment. Raises Malformed."""
    return jpeg.decode(content, plain) if is_jpeg else strips.decode(content, plain, codec)

"""The codecs ``jxl``, ``htj2k``, ``jpegls``, ``jpeg-jxl`` and ``segments``: an instance as a row of segments.

The coder cuts pixels out as the plan says and codes each strip; a strip that does not shrink goes by zstd or
as it is. Unless the caller compares the whole, it **decodes what it made and compares**. So any bytes at all
pass through any of these codecs. Both halves hold a segment or two, or (with a pool) a few, whatever the
instance's size.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from typing import Protocol

import zstandard

from gateway.codec import jpeg, strips
from gateway.codec.plan import Piece, Plan
from gateway.codec.segment import HEADER_SIZE, SHARED_SIZE, Kind, Segment
from gateway.codec.shared import SharedStream
from gateway.codec.way import JPEG_CODEC, SEGMENTS_CODEC, Way
from gateway.codec.zstd import ZstdDecoder
from gateway.errors import Malformed

Buffer = bytes | bytearray | memoryview
Sink = Callable[[Buffer], object]
Shared = Callable[[int, int], bytes]
"""``shared(offset, n)``: bytes of the parcel's shared stream, fewer only at its end."""

OTHER = 1 << 20
"""Original bytes of one segment of what is not pixels."""

SMALL, SMALL_LEVEL, LEVEL = 64 << 10, 9, 3
"""Headers are small and worth a higher level of zstd."""

SHARED_MIN = SHARED_SIZE + 1
"""Fewer bytes than these are not worth a place in the shared stream."""


@dataclass(frozen=True, slots=True)
class Means:
    """What a coder may use besides its own thread.

    Attributes:
        check: decode every segment and compare; False only where the caller compares the whole instance.
        shared: takes what is not pixels; None: each segment stands by itself.
        pool: codes segments at the same time; None: one after another.
        window: segments held at once, with a pool.
    """

    check: bool = True
    shared: SharedStream | None = None
    pool: Executor | None = None
    window: int = 3


ALONE = Means()


class SegmentCoder:
    """Original bytes to segments.

    Args:
        sink: takes coded bytes.
        way: an image codec, the JPEG one or ``segments``, and its level.
        plan: where the pixels lie; without one, all is carried by zstd.
        means: what it may use.
    """

    def __init__(self, sink: Sink, way: Way, plan: Plan | None = None, means: Means = ALONE) -> None:
        self._sink, self._way, self._means = sink, way, means
        fits = plan is not None and way.codec != SEGMENTS_CODEC and plan.fits(way)
        self._pieces: Iterator[Piece] = plan.pieces() if plan is not None and fits else iter(())
        self._piece = next(self._pieces, None)
        self._at = 0  # offset of the first byte held
        self._held = bytearray()
        self._under_way: deque[tuple[int, Future[tuple[Kind, Buffer]]]] = deque()

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
            self._hand_over(None)
        self._drain(0)
        return {}

    def _end(self) -> int:
        """Where the segment that is being filled ends."""
        if self._piece is None:
            return self._at + OTHER
        inside = self._at == self._piece.start
        return self._piece.end if inside else min(self._piece.start, self._at + OTHER)

    def _cut(self) -> None:
        if self._piece is None or self._at != self._piece.start:
            self._hand_over(None)
            return
        self._hand_over(self._piece)
        self._piece = next(self._pieces, None)

    def _hand_over(self, piece: Piece | None) -> None:
        """What is held becomes a segment, here or in the pool; they are written in order."""
        plain, self._held = self._held, bytearray()
        self._at += len(plain)
        if self._means.pool is None:
            self._put(len(plain), *_coded(plain, piece, self._way, self._means))
            return
        future = self._means.pool.submit(_coded, plain, piece, self._way, self._means)
        self._under_way.append((len(plain), future))
        self._drain(self._means.window)

    def _drain(self, most: int) -> None:
        while len(self._under_way) > most:
            plain, future = self._under_way.popleft()
            self._put(plain, *future.result())

    def _put(self, plain: int, kind: Kind, content: Buffer) -> None:
        self._sink(Segment(kind, plain, len(content)).to_bytes())
        self._sink(content)


def _coded(plain: bytearray, piece: Piece | None, way: Way, means: Means) -> tuple[Kind, Buffer]:
    """One segment: pixels by their codec, others in the shared stream; what neither takes by zstd or raw."""
    if piece is not None:
        content = _image(plain, piece, way, check=means.check)
        if content is not None:
            return _kind(plain, piece), content
    elif means.shared is not None and len(plain) >= SHARED_MIN:
        offset = means.shared.add(plain)
        if offset is not None:
            return Kind.SHARED, offset.to_bytes(SHARED_SIZE, "big")
    level = SMALL_LEVEL if len(plain) <= SMALL else LEVEL
    coded = zstandard.ZstdCompressor(level=level, write_content_size=False).compress(plain)
    if len(coded) < len(plain) and (not means.check or plain == zstandard.decompress(coded, len(plain))):
        return Kind.ZSTD, coded
    return Kind.RAW, plain


def _kind(plain: bytearray, piece: Piece) -> Kind:
    if piece.form is not None:
        return Kind.PIXELS
    return Kind.JPEG_ITEMS if plain.startswith(jpeg.ITEM_START) else Kind.JPEG


def _image(plain: bytearray, piece: Piece, way: Way, *, check: bool) -> bytes | None:
    """The piece as the codec has it; None if it does not help, or does not come back the same."""
    view, kind = memoryview(plain), _kind(plain, piece)
    try:
        if piece.form is not None:
            content = strips.encode(view, piece.form, way)
        else:
            content = jpeg.encode_items(view) if kind is Kind.JPEG_ITEMS else jpeg.encode(view)
    except strips.CODEC_ERRORS:
        return None
    if not 0 < len(content) < len(plain):
        return None
    if not check:
        return content
    try:
        back = decoded(content, len(plain), way.codec, kind)
    except Malformed:
        return None
    return content if back == plain else None


class _Content(Protocol):
    """The content of one segment on its way back."""

    def write(self, data: Buffer) -> None: ...

    def finish(self) -> None: ...


class SegmentDecoder:
    """Segments back to exactly `length` original bytes, in bounded memory.

    Args:
        sink: takes original bytes.
        length: how many there must be.
        codec: the name in the envelope.
        shared: the parcel's shared stream; None: it has none.
    """

    def __init__(self, sink: Sink, length: int, codec: str, shared: Shared | None = None) -> None:
        self._sink, self._left, self._codec, self._shared = sink, length, codec, shared
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
        if segment.kind is Kind.SHARED:
            if self._shared is None:
                raise Malformed("a segment lies in a shared stream, and the parcel has none")
            return _Gathered(self._sink, _SharedContent(self._shared, segment.plain))
        if (segment.kind is Kind.PIXELS) == (self._codec == JPEG_CODEC) or self._codec == SEGMENTS_CODEC:
            raise Malformed(f"codec {self._codec!r} has no segments of kind {segment.kind.name}")
        return _Gathered(self._sink, _ImageContent(segment, self._codec))


class _RawContent:
    """Passed on; the segment's header has bound its length already."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    def write(self, data: Buffer) -> None:
        self._sink(data)

    def finish(self) -> None:
        """Nothing is held back."""


class _Gathered:
    """Gathered, then decoded as one."""

    def __init__(self, sink: Sink, decode: Callable[[bytes], bytes]) -> None:
        self._sink, self._decode = sink, decode
        self._held = bytearray()

    def write(self, data: Buffer) -> None:
        self._held += data

    def finish(self) -> None:
        content = bytes(self._held)
        self._held.clear()
        self._sink(self._decode(content))


@dataclass(frozen=True, slots=True)
class _ImageContent:
    segment: Segment
    codec: str

    def __call__(self, content: bytes) -> bytes:
        return decoded(content, self.segment.plain, self.codec, self.segment.kind)


@dataclass(frozen=True, slots=True)
class _SharedContent:
    shared: Shared
    plain: int

    def __call__(self, content: bytes) -> bytes:
        found = self.shared(int.from_bytes(content, "big"), self.plain)
        if len(found) != self.plain:
            raise Malformed("a segment lies beyond the end of the shared stream")
        return found


def decoded(content: bytes, plain: int, codec: str, kind: Kind) -> bytes:
    """The original bytes of one pixel or JPEG segment. Raises Malformed."""
    if kind is Kind.PIXELS:
        return strips.decode(content, plain, codec)
    return jpeg.decode_items(content, plain) if kind is Kind.JPEG_ITEMS else jpeg.decode(content, plain)

"""Codec ``zstd``: one Zstandard frame (RFC 8878), nothing before it and nothing after.

libzstd would gladly unpack a gigabyte from a kilobyte in one call. So the decoder here walks the
frame's blocks itself and hands libzstd one block at a time: a block holds at most 128 KiB (RFC
8878 §3.1.1.2.4), whatever the sender wrote, and the declared length is checked after each.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import zstandard

from gateway.errors import Malformed

Buffer = bytes | bytearray | memoryview
Sink = Callable[[Buffer], object]

LEVEL = 3
"""Faster than any line we serve; higher levels gain little on pixels."""

WINDOW_LOG = 23
"""8 MiB: the most memory a decoder must give to one instance (RFC 8878 §3.1.1.1.2 recommends it)."""

BLOCK_LIMIT = 128 << 10
"""Block_Maximum_Size."""

PIECE_LIMIT = BLOCK_LIMIT + 8
"""A block with its header and, after the last, the checksum."""

MAGIC = b"\x28\xb5\x2f\xfd"
_DICTIONARY_ID_SIZES = (0, 1, 2, 4)
_CONTENT_SIZE_SIZES = (0, 2, 4, 8)
_BLOCK_RLE, _BLOCK_RESERVED = 1, 3


class ZstdCoder:
    """Original bytes to one frame."""

    def __init__(self, sink: Sink, *, level: int = LEVEL) -> None:
        parameters = zstandard.ZstdCompressionParameters.from_level(level, write_content_size=0)
        if parameters.window_log > WINDOW_LOG:
            parameters = zstandard.ZstdCompressionParameters.from_level(
                level, window_log=WINDOW_LOG, write_content_size=0
            )
        self._sink = sink
        self._frame = zstandard.ZstdCompressor(compression_params=parameters).compressobj()

    def write(self, data: Buffer) -> None:
        """Take the next original bytes."""
        coded = self._frame.compress(data)
        if coded:
            self._sink(coded)

    def finish(self) -> Mapping[str, int | str]:
        """End the frame. The frame itself tells all a decoder needs."""
        self._sink(self._frame.flush())
        return {}


class ZstdDecoder:
    """One frame back to exactly `length` original bytes, in bounded memory."""

    def __init__(self, sink: Sink, length: int) -> None:
        self._sink, self._left = sink, length
        self._held = bytearray()  # less than one block and its header
        self._next: Callable[[], int] = self._frame_header
        self._ended = False
        self._checksum = 0
        window = zstandard.ZstdDecompressor(max_window_size=1 << WINDOW_LOG)
        self._frame = window.decompressobj()

    def write(self, data: Buffer) -> None:
        """Take the next coded bytes.

        Raises:
            Malformed: no valid frame, a window above 8 MiB, more bytes than declared, or bytes after the end.
        """
        view = memoryview(data)
        while view:
            if self._ended:
                raise Malformed("there are bytes after the end of the zstd frame")
            room = PIECE_LIMIT - len(self._held)
            self._held += view[:room]
            view = view[room:]
            self._walk()

    def finish(self) -> None:
        """Raises Malformed if the frame is not whole or the length is not the declared one."""
        if not self._ended:
            raise Malformed("the zstd frame is cut short")
        if self._left:
            raise Malformed(f"the instance is {self._left} bytes shorter than declared")

    def _walk(self) -> None:
        """Hand on every whole piece held: `_next` says how long the next piece is, or 0 for "need more"."""
        while self._held and not self._ended:
            size = self._next()
            if not size:
                return
            piece = bytes(memoryview(self._held)[:size])
            del self._held[:size]
            self._feed(piece)
        if self._ended and self._held:
            raise Malformed("there are bytes after the end of the zstd frame")

    def _feed(self, piece: bytes) -> None:
        try:
            plain = self._frame.decompress(piece)
        except zstandard.ZstdError as error:
            raise Malformed(f"not a zstd frame this program reads: {error}") from error
        self._ended = self._frame.eof
        self._left -= len(plain)
        if self._left < 0:
            raise Malformed("the instance is longer than declared")
        if plain:
            self._sink(plain)

    def _frame_header(self) -> int:
        """RFC 8878 §3.1.1.1."""
        if not MAGIC.startswith(bytes(self._held[:4])):
            raise Malformed("not a zstd frame")
        if len(self._held) < 5:
            return 0
        descriptor = self._held[4]
        single_segment = descriptor >> 5 & 1
        content_size = _CONTENT_SIZE_SIZES[descriptor >> 6] or single_segment
        self._checksum = 4 * (descriptor >> 2 & 1)
        size = 5 + (1 - single_segment) + _DICTIONARY_ID_SIZES[descriptor & 3] + content_size
        if len(self._held) < size:
            return 0
        self._next = self._block
        return size

    def _block(self) -> int:
        """RFC 8878 §3.1.1.2: three bytes, little-endian: last, type (2 bits), size (21 bits)."""
        if len(self._held) < 3:
            return 0
        header = int.from_bytes(self._held[:3], "little")
        last, kind, size = header & 1, header >> 1 & 3, header >> 3
        if kind == _BLOCK_RESERVED or size > BLOCK_LIMIT:
            raise Malformed("not a zstd frame: a block of a forbidden kind or size")
        whole = 3 + (1 if kind == _BLOCK_RLE else size) + (self._checksum if last else 0)
        return whole if len(self._held) >= whole else 0

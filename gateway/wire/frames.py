"""Messages into frames, and out of a stream of bytes again, however it is cut. PROTOCOL.md §3.

Pure. The decoder never waits: it is fed what came, and `Decoder.next` returns ``None`` when it needs
more. A length beyond the limit of its kind is refused before a byte of the payload is kept.
"""

from __future__ import annotations

import struct
import zlib
from collections import deque

from gateway.errors import Malformed
from gateway.wire.messages import CHUNK_HEAD, KINDS, MAX_PAYLOAD, Kind, Message, parse, payload

MEDIA_TYPE = "application/vnd.telerad.wire"
"""Of request and response bodies."""

HEAD = struct.Struct(">IBI")
"""Length of the payload, kind, check."""
MAX_SKIPPED = 64 << 10
"""Longest payload of a kind that is unknown here and skipped."""
_FIRST_SKIPPABLE = 0x80
_COVERED = struct.Struct(">IB")


def check(kind: int, data: bytes) -> int:
    """CRC-32 over length, kind and payload; of a CHUNK without its data, which its digest guards."""
    guarded = data[:CHUNK_HEAD] if kind == Kind.CHUNK else data
    return zlib.crc32(guarded, zlib.crc32(_COVERED.pack(len(data), kind)))


def encode(message: Message) -> bytes:
    """One frame."""
    kind, data = KINDS[type(message)], payload(message)
    return HEAD.pack(len(data), kind, check(kind, data)) + data


class Decoder:
    """Takes messages out of a byte stream."""

    def __init__(self) -> None:
        self._parts: deque[bytes] = deque()
        self._offset = 0  # of what is still wanted within the first part
        self._buffered = 0
        self._head: tuple[int, int, int] | None = None

    def feed(self, data: bytes) -> None:
        """Add what came from the line."""
        if data:
            self._parts.append(data)
            self._buffered += len(data)

    def next(self) -> Message | None:
        """The next message, or None: feed more.

        Raises:
            Malformed: the stream is not one of frames; nothing after this can be trusted.
        """
        while True:
            if self._head is None:
                if self._buffered < HEAD.size:
                    return None
                self._head = HEAD.unpack(self._take(HEAD.size))
                _check_length(self._head[0], self._head[1])
            length, kind, expected = self._head
            if self._buffered < length:
                return None
            data = self._take(length)
            self._head = None
            if check(kind, data) != expected:
                raise Malformed("a frame was damaged on the way: its check does not hold")
            if kind in MAX_PAYLOAD:
                return parse(Kind(kind), data)

    def finish(self) -> None:
        """The stream has ended. Raises Malformed if it ended inside a frame."""
        if self._head is not None or self._buffered:
            raise Malformed("the stream ended inside a frame")

    def _take(self, size: int) -> bytes:
        taken: list[bytes] = []
        left = size
        while left:
            part = self._parts[0][self._offset : self._offset + left]
            left -= len(part)
            self._offset += len(part)
            if self._offset == len(self._parts[0]):
                self._parts.popleft()
                self._offset = 0
            taken.append(part)
        self._buffered -= size
        return taken[0] if len(taken) == 1 else b"".join(taken)


def _check_length(length: int, kind: int) -> None:
    limit = MAX_PAYLOAD.get(Kind(kind)) if kind in MAX_PAYLOAD else None
    if limit is None:
        if kind < _FIRST_SKIPPABLE:
            raise Malformed(f"a frame of the unknown kind 0x{kind:02x}")
        limit = MAX_SKIPPED
    if length > limit:
        raise Malformed(f"a frame of kind 0x{kind:02x} claims {length} bytes; {limit} are possible")

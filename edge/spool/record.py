"""A record of a receive segment: put together in memory while its content comes, and read again.

::

    "TGSEGRE2" · state (8) · tag (16) · key (16) · life (16) · parcel (16) · length of note (4) · zeros (4)
    · length of content (8) · content · note

The tag is AES-GMAC (NIST SP 800-38D) of content, note, and what stands between key and content, with the
record's place, under the random key that stands beside it, which is the life: five times as fast here as
CRC-32. It is no secret and no signature: it tells a whole record from a torn one, and, as every use of a
segment is a new life, from a record of an earlier life. What is tagged was sealed before under a key that is
not on the disk, so nobody can choose it to fit. The state is outside of the tag: eight zeros, overwritten by
"TAKEN" once the item lives on elsewhere.

Records of an older form, "TGSEGREC" · state · life · parcel · lengths · tag · note · content, are read, too.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from struct import Struct

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import GCM

from edge.spool.aligned import BUFFERS, LEAST, PAGE
from gateway.model import ParcelId

MAGIC, FIRST_MAGIC = b"TGSEGRE2", b"TGSEGREC"
FRESH, TAKEN = bytes(8), b"TAKEN\0\0\0"
NOTE_LIMIT = 2048
_HEAD = Struct("<8s8s16s16s")
_REST = Struct("<16s16sL4xQ")
_FIRST = Struct("<8s8s16s16sLQ16s")
STATE_AT = len(MAGIC)
HEAD_SIZE = _HEAD.size + _REST.size
"""Bytes of a record before its content."""

_NONCE = bytes(12)
"""Nothing is hidden under these keys, so it may be the same for every record."""


class Life:
    """One use of a segment: what each of its records bears, and is tagged under. Thread-safe.

    Args:
        ident: 16 random bytes.
    """

    def __init__(self, ident: bytes) -> None:
        self.ident = ident
        self._mac = AESGCM(ident)

    def tag(self, data: memoryview) -> bytes:
        """Of all of this, in one step."""
        return self._mac.encrypt(_NONCE, b"", data)


class Record:
    """A record whose content grows piece by piece in one buffer. For one thread; to be closed.

    Attributes:
        length: bytes of content.
    """

    def __init__(self) -> None:
        self._buffer: mmap.mmap | None = BUFFERS.take(LEAST)
        self._view = memoryview(self._buffer)
        self.length = 0

    def room(self, size: int) -> memoryview:
        """What lies behind the content, `size` bytes or more: to be filled, and then told to `grew`."""
        at = HEAD_SIZE + self.length
        return self._reaching(at + size)[at:]

    def grew(self, size: int) -> None:
        """So many bytes more are content."""
        self.length += size

    def add(self, data: bytes) -> None:
        """More content."""
        self.room(len(data))[: len(data)] = data
        self.grew(len(data))

    def part(self, offset: int, size: int) -> memoryview:
        """Up to `size` bytes of the content from `offset`; valid until more room is asked for."""
        at = HEAD_SIZE + offset
        return self._view[at : min(at + size, HEAD_SIZE + self.length)]

    def whole(self, at: int, life: Life, parcel: ParcelId, note: bytes) -> memoryview:
        """All of it, with zeros up to the end of the page. Once.

        Args:
            at: where it will lie in its segment.
            life: of the segment.
            parcel: whose it is.
            note: at most `NOTE_LIMIT` bytes.
        """
        rest = _REST.pack(life.ident, bytes.fromhex(parcel), len(note), self.length)
        last = note + rest + at.to_bytes(8, "big")
        noted = HEAD_SIZE + self.length
        end = noted + len(note)
        pages = -(-end // PAGE) * PAGE
        view = self._reaching(max(pages, noted + len(last)))
        view[noted : noted + len(last)] = last
        tag = life.tag(view[HEAD_SIZE : noted + len(last)])
        view[:HEAD_SIZE] = _HEAD.pack(MAGIC, FRESH, tag, life.ident) + rest
        view[end:pages] = bytes(pages - end)
        return view[:pages]

    def close(self) -> None:
        """It is no longer needed."""
        buffer, self._buffer = self._buffer, None
        if buffer is not None:
            self._view.release()
            BUFFERS.give(buffer)

    def _reaching(self, end: int) -> memoryview:
        old = self._buffer
        if old is None:
            raise ValueError("it has been closed")
        if end > len(old):
            more = BUFFERS.take(end)
            more[: len(old)] = old[:]
            self._view.release()
            self._buffer, self._view = more, memoryview(more)
            BUFFERS.give(old)
        return self._view


@dataclass(frozen=True, slots=True)
class Found:
    """A record: where it begins, where its content lies, and where it ends.

    If it is not `whole` it was torn while being written, which nobody was told had succeeded, or has
    rotted since: whoever has heard of the parcel knows which.
    """

    parcel: ParcelId
    at: int
    offset: int
    length: int
    end: int
    taken: bool
    note: bytes
    whole: bool


def begins(data: bytes) -> bool:
    """Whether any page of this begins as a record does."""
    return any(data.startswith((MAGIC, FIRST_MAGIC), at) for at in range(0, len(data), PAGE))


def read(handle: int, at: int, size: int, life: bytes | None) -> Found | None:
    """The record that begins at `at` in a file of `size` bytes; None if there is none, or of another life.

    Args:
        handle: of the file.
        at: a page's beginning.
        size: of the file, in bytes.
        life: of the segment; None: of any.
    """
    head = os.pread(handle, HEAD_SIZE, at)
    if len(head) < HEAD_SIZE:
        return None
    if head.startswith(FIRST_MAGIC):
        return _read_first(handle, head, at, size, life)
    magic, state, tag, key = _HEAD.unpack_from(head)
    own, ident, noted, length = _REST.unpack_from(head, _HEAD.size)
    offset = at + HEAD_SIZE
    end = offset + length + noted
    if magic != MAGIC or noted > NOTE_LIMIT or end > size or (life is not None and own != life):
        return None
    note = os.pread(handle, noted, offset + length)
    taken = state == TAKEN  # then nothing depends on it any more: spare the reading
    last = note + head[_HEAD.size :] + at.to_bytes(8, "big")
    whole = taken or tag == _tag(key, GCM(_NONCE), chain(_pieces(handle, offset, length), (last,)))
    return Found(ParcelId(ident.hex()), at, offset, length, end, taken, note, whole)


def _read_first(handle: int, head: bytes, at: int, size: int, life: bytes | None) -> Found | None:
    _, state, own, ident, noted, length, tag = _FIRST.unpack_from(head)
    offset = at + _FIRST.size + noted
    end = offset + length
    if noted > NOTE_LIMIT or end > size or (life is not None and own != life):
        return None
    note = os.pread(handle, noted, at + _FIRST.size)
    taken = state == TAKEN
    first = ident + length.to_bytes(8, "big")
    mode = GCM(at.to_bytes(12, "big"))
    whole = taken or tag == _tag(own, mode, chain((first, note), _pieces(handle, offset, length)))
    return Found(ParcelId(ident.hex()), at, offset, length, end, taken, note, whole)


def _pieces(handle: int, offset: int, length: int) -> Iterator[bytes]:
    end = offset + length
    while offset < end:
        piece = os.pread(handle, min(1 << 20, end - offset), offset)
        if not piece:
            return
        yield piece
        offset += len(piece)


def _tag(key: bytes, mode: GCM, pieces: Iterable[bytes]) -> bytes:
    mac = Cipher(AES(key), mode).encryptor()
    for piece in pieces:
        mac.authenticate_additional_data(piece)
    mac.finalize()
    tag: bytes = mac.tag
    return tag

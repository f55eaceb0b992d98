"""Signed headers said briefly: what the hub can spell out by itself is not sent. PROTOCOL.md §4.1.

Pure. A signed header of a small parcel has some 3 kB, two thirds of which are base64 and hexadecimal digits
and the edge's certificates, over and over. On a line of 384 kbit/s that was 3 % of small images.
"""

from __future__ import annotations

import base64
import binascii
import re

import zstandard

from gateway.errors import Malformed
from gateway.model import ParcelId
from gateway.wire.messages import Announce, Brief, Message

READS_HEADER, READS_BRIEF = "Telerad-Reads", "brief"
"""A hub that understands BRIEF says so in its answers."""

HEX, BASE64, NESTED = b"\x01", b"\x02", b"\x03"
DEEPEST = 2
"""A statement holds its payload; that holds nothing more that is JSON."""
LEVEL = 9
"""Of zstd: the little that is left is text that was there before, and what nothing makes smaller."""
LONGEST = 256 << 10
"""Bytes of a statement that is said briefly; in longer ones, digests outweigh all that could be saved."""
LEAST = {HEX: 8, BASE64: 10, NESTED: 10}
"""Bytes behind a mark at least: what sixteen characters stand for."""

_LENGTH = 3  # bytes
_QUOTED = re.compile(rb'"([A-Za-z0-9+/=]{16,})"')
_DIGITS = re.compile(rb"(?:[0-9a-f]{2})+")
_CONTROL = re.compile(rb"[\x00-\x1f]")


class Abridger:
    """The edge's side of one exchange."""

    def __init__(self) -> None:
        self._before = b""

    def announce(self, parcel: ParcelId, header: bytes, *, brief: bool) -> Announce | Brief:
        """How a signed header goes next in this exchange.

        Args:
            parcel: whose it is.
            header: its bytes.
            brief: whether the hub reads BRIEF.
        """
        before, self._before = self._before, bare(header)
        if not (brief and before and self._before):
            return Announce(parcel, header)
        return Brief(parcel, _compressor(before).compress(self._before))

    def forget(self) -> None:
        """What was announced last has not been sent: the next goes at full length."""
        self._before = b""


class Restorer:
    """The hub's side of one exchange."""

    def __init__(self) -> None:
        self._before = b""

    def read(self, message: Message) -> Message:
        """A message as it was meant.

        Raises:
            Malformed: a BRIEF that cannot be spelled out.
        """
        if isinstance(message, Announce):
            self._before = bare(message.header)
        if not isinstance(message, Brief):
            return message
        if not self._before:
            raise Malformed("a BRIEF without an ANNOUNCE before it")
        self._before = _decompressed(message.packed, self._before)
        return Announce(message.parcel, spelled_out(self._before))


def bare(text: bytes) -> bytes:
    """Canonical JSON without what can be spelled out again; empty: it is no such text, or too long."""
    return _bare(text, 1) if len(text) <= LONGEST and not _CONTROL.search(text) else b""


def _bare(text: bytes, depth: int) -> bytes:
    def raw(found: re.Match[bytes]) -> bytes:
        quoted: bytes = found[1]
        if _DIGITS.fullmatch(quoted):
            return _marked(HEX, bytes.fromhex(quoted.decode()))
        try:
            data = base64.b64decode(quoted, validate=True)
        except binascii.Error:
            return found[0]
        if base64.b64encode(data) != quoted:
            return found[0]
        if depth < DEEPEST and data.startswith(b"{") and not _CONTROL.search(data):
            return _marked(NESTED, _bare(data, depth + 1))
        return _marked(BASE64, data)

    return _QUOTED.sub(raw, text)


def _marked(kind: bytes, data: bytes) -> bytes:
    return kind + len(data).to_bytes(_LENGTH, "big") + data


def spelled_out(data: bytes) -> bytes:
    """The text that `bare` was given.

    Raises:
        Malformed: it never was one.
    """
    return _spelled_out(data, 1)


def _spelled_out(data: bytes, depth: int) -> bytes:
    parts: list[bytes] = []
    at = size = 0
    while (mark := _CONTROL.search(data, at)) is not None:
        begin = mark.end() + _LENGTH
        end = begin + int.from_bytes(data[mark.end() : begin], "big")
        if end > len(data) or end - begin < LEAST.get(mark[0], 0):
            raise Malformed("a BRIEF with a mark for too little")
        quoted = _quoted(mark[0], data[begin:end], depth)
        parts += data[at : mark.start()], b'"', quoted, b'"'
        size += mark.start() - at + len(quoted) + 2
        _check(size)
        at = end
    _check(size + len(data) - at)
    return b"".join((*parts, data[at:]))


def _check(size: int) -> None:
    if size > LONGEST:
        raise Malformed("a BRIEF that stands for too much")


def _quoted(kind: bytes, data: bytes, depth: int) -> bytes:
    if kind == HEX:
        return data.hex().encode()
    if kind == BASE64:
        return base64.b64encode(data)
    if kind == NESTED and depth < DEEPEST:
        return base64.b64encode(_spelled_out(data, depth + 1))
    raise Malformed(f"a BRIEF with the unknown mark {kind.hex()}")


def _known(before: bytes) -> zstandard.ZstdCompressionDict:
    return zstandard.ZstdCompressionDict(before, dict_type=zstandard.DICT_TYPE_RAWCONTENT)


def _compressor(before: bytes) -> zstandard.ZstdCompressor:
    return zstandard.ZstdCompressor(level=LEVEL, dict_data=_known(before), write_dict_id=False)


def _decompressed(frame: bytes, before: bytes) -> bytes:
    try:
        size = zstandard.frame_content_size(frame)
        if not 0 < size <= LONGEST:
            raise Malformed(f"a BRIEF of {size} bytes")
        data: bytes = zstandard.ZstdDecompressor(dict_data=_known(before)).decompress(
            frame, max_output_size=size, read_across_frames=False, allow_extra_data=False
        )
    except zstandard.ZstdError as error:
        raise Malformed(f"a BRIEF that cannot be read: {error}") from error
    return data

"""The messages of the line, valid from birth, each with its payload. PROTOCOL.md §3 and §4.

Pure. A message that cannot be sent cannot be made: the constructors raise `Malformed`. `frames`
puts them into frames and takes them out again.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import TypeAlias

from gateway.errors import Malformed
from gateway.model import ParcelId, Sha256, parcel_id, sha256_hex
from gateway.wire.chunks import MAX_CHUNKS, Range

MAX_STATEMENT = 16 << 20
"""Bytes of a signed header or receipt: some 100,000 chunks or instances."""
MAX_BRIEF = 512 << 10
"""Bytes of a header said briefly."""
MAX_CHUNK = 16 << 20
"""Bytes of one sealed chunk."""
MAX_WORDS = 1000
"""UTF-8 bytes of an explanation."""
MAX_RANGES = 4096
"""Ranges in one HAVE: 32 KiB."""
MAX_LATER = 3600
"""Seconds a hub may ask an edge to wait."""
MAX_LINGER = 60_000
"""Milliseconds an edge may ask a hub to hold the answer open."""
EVERY_PARCEL = ParcelId("0" * 32)
"""In REFUSED and LATER: not about one parcel but about this exchange."""

_U16, _U32 = struct.Struct(">H"), struct.Struct(">I")


class Kind(IntEnum):
    """Frame kinds. From 0x80 on a reader that does not know the kind skips the frame."""

    ANNOUNCE = 0x01
    CHUNK = 0x02
    ASK = 0x03
    END = 0x04
    BRIEF = 0x05
    RECEIPT = 0x41
    HAVE = 0x42
    UNKNOWN = 0x43
    REFUSED = 0x44
    LATER = 0x45
    DONE = 0x46
    PULSE = 0x80


class Code(IntEnum):
    """Why something is refused. Below 128 it cannot heal by itself; from 128 on the edge tries again."""

    MALFORMED = 1
    UNVERIFIED = 2
    NOT_ALLOWED = 3
    CONFLICT = 4
    QUARANTINED = 5
    TOO_LARGE = 6
    DAMAGED = 128
    FRAMING = 129
    UNSUPPORTED = 130


def heals(code: int) -> bool:
    """Whether the same parcel may be accepted later: then the edge goes on by itself."""
    return code >= 128


def _check(condition: bool, text: str) -> None:
    if not condition:
        raise Malformed(text)


def _check_words(words: str) -> None:
    _check(len(words.encode(errors="replace")) <= MAX_WORDS, "an explanation too long for the wire")


@dataclass(frozen=True, slots=True)
class Announce:
    """Edge: this parcel comes; its signed header."""

    parcel: ParcelId
    header: bytes

    def __post_init__(self) -> None:
        parcel_id(self.parcel)
        _check(0 < len(self.header) <= MAX_STATEMENT, f"a header of {len(self.header)} bytes")


@dataclass(frozen=True, slots=True)
class Brief:
    """Edge: as ANNOUNCE, by what differs from the header announced before in this exchange (`brief`)."""

    parcel: ParcelId
    packed: bytes

    def __post_init__(self) -> None:
        parcel_id(self.parcel)
        _check(0 < len(self.packed) <= MAX_BRIEF, f"a brief header of {len(self.packed)} bytes")


@dataclass(frozen=True, slots=True)
class Chunk:
    """Edge: one sealed chunk; `digest` is the SHA-256 of `data` as the edge read it from its disk."""

    parcel: ParcelId
    index: int
    digest: Sha256
    data: bytes

    def __post_init__(self) -> None:
        parcel_id(self.parcel)
        sha256_hex(self.digest)
        _check(0 <= self.index < MAX_CHUNKS, f"chunk index {self.index}")
        _check(0 < len(self.data) <= MAX_CHUNK, f"a chunk of {len(self.data)} bytes")


@dataclass(frozen=True, slots=True)
class Ask:
    """Edge: how far are you with this parcel?"""

    parcel: ParcelId

    def __post_init__(self) -> None:
        parcel_id(self.parcel)


@dataclass(frozen=True, slots=True)
class End:
    """Edge: nothing more comes in this exchange; answer for `linger` milliseconds more, then DONE."""

    linger: int = 0

    def __post_init__(self) -> None:
        _check(0 <= self.linger <= MAX_LINGER, f"a linger of {self.linger} ms")


@dataclass(frozen=True, slots=True)
class Receipt:
    """Hub: this parcel is stored for good; the signed receipt."""

    parcel: ParcelId
    receipt: bytes

    def __post_init__(self) -> None:
        parcel_id(self.parcel)
        _check(0 < len(self.receipt) <= MAX_STATEMENT, f"a receipt of {len(self.receipt)} bytes")


@dataclass(frozen=True, slots=True)
class Have:
    """Hub: of `chunks` chunks all are durable but those in `missing`."""

    parcel: ParcelId
    chunks: int
    missing: tuple[Range, ...] = ()

    def __post_init__(self) -> None:
        parcel_id(self.parcel)
        _check(1 <= self.chunks <= MAX_CHUNKS, f"a parcel of {self.chunks} chunks")
        _check(len(self.missing) <= MAX_RANGES, f"{len(self.missing)} ranges")
        end = 0
        for first, count in self.missing:
            _check(end <= first and count > 0 and first + count <= self.chunks, f"range {first}+{count}")
            end = first + count


@dataclass(frozen=True, slots=True)
class Unknown:
    """Hub: nothing is known of this parcel here; announce it."""

    parcel: ParcelId

    def __post_init__(self) -> None:
        parcel_id(self.parcel)


@dataclass(frozen=True, slots=True)
class Refused:
    """Hub: refused, and why, in words for a person. `code` may be one this program does not know."""

    parcel: ParcelId
    code: int
    words: str

    def __post_init__(self) -> None:
        parcel_id(self.parcel)
        _check(1 <= self.code <= 0xFFFF, f"refusal code {self.code}")
        _check_words(self.words)


@dataclass(frozen=True, slots=True)
class Later:
    """Hub: not now; ask again in `seconds`."""

    parcel: ParcelId
    seconds: int
    words: str

    def __post_init__(self) -> None:
        parcel_id(self.parcel)
        _check(1 <= self.seconds <= MAX_LATER, f"a pause of {self.seconds} s")
        _check_words(self.words)


@dataclass(frozen=True, slots=True)
class Done:
    """Hub: last frame of the exchange; an answer without it was cut."""


@dataclass(frozen=True, slots=True)
class Pulse:
    """Either: still here (so that idle timeouts need not be long)."""


Message: TypeAlias = (
    Announce | Brief | Chunk | Ask | End | Receipt | Have | Unknown | Refused | Later | Done | Pulse
)

KINDS: dict[type, Kind] = {
    Announce: Kind.ANNOUNCE,
    Brief: Kind.BRIEF,
    Chunk: Kind.CHUNK,
    Ask: Kind.ASK,
    End: Kind.END,
    Receipt: Kind.RECEIPT,
    Have: Kind.HAVE,
    Unknown: Kind.UNKNOWN,
    Refused: Kind.REFUSED,
    Later: Kind.LATER,
    Done: Kind.DONE,
    Pulse: Kind.PULSE,
}
CHUNK_HEAD = 16 + 4 + 32
"""Parcel, index, digest: the part of a CHUNK payload before its data."""
MAX_PAYLOAD: dict[Kind, int] = {
    Kind.ANNOUNCE: 16 + MAX_STATEMENT,
    Kind.BRIEF: 16 + MAX_BRIEF,
    Kind.CHUNK: CHUNK_HEAD + MAX_CHUNK,
    Kind.ASK: 16,
    Kind.END: 4,
    Kind.RECEIPT: 16 + MAX_STATEMENT,
    Kind.HAVE: 20 + 8 * MAX_RANGES,
    Kind.UNKNOWN: 16,
    Kind.REFUSED: 18 + MAX_WORDS,
    Kind.LATER: 20 + MAX_WORDS,
    Kind.DONE: 0,
    Kind.PULSE: 0,
}
"""Longest payload of each kind, checked before a byte of it is kept."""


def shorten(words: str) -> str:
    """Cut an explanation so that it fits the wire."""
    return words.encode(errors="replace")[:MAX_WORDS].decode(errors="ignore")


def payload(message: Message) -> bytes:
    """The payload of a message."""
    match message:
        case Announce(parcel, header):
            return bytes.fromhex(parcel) + header
        case Brief(parcel, packed):
            return bytes.fromhex(parcel) + packed
        case Chunk(parcel, index, digest, data):
            return b"".join((bytes.fromhex(parcel), _U32.pack(index), bytes.fromhex(digest), data))
        case Ask(parcel) | Unknown(parcel):
            return bytes.fromhex(parcel)
        case End(linger):
            return _U32.pack(linger)
        case Receipt(parcel, receipt):
            return bytes.fromhex(parcel) + receipt
        case Have(parcel, chunks, missing):
            ranges = b"".join(struct.pack(">II", *item) for item in missing)
            return bytes.fromhex(parcel) + _U32.pack(chunks) + ranges
        case Refused(parcel, code, words):
            return bytes.fromhex(parcel) + _U16.pack(code) + words.encode()
        case Later(parcel, seconds, words):
            return bytes.fromhex(parcel) + _U32.pack(seconds) + words.encode()
        case Done() | Pulse():
            return b""


def parse(kind: Kind, data: bytes) -> Message:
    """The message of a payload.

    Raises:
        Malformed: the payload is not one of this kind.
    """
    try:
        return _parse(kind, data)
    except (struct.error, UnicodeError) as error:
        raise Malformed(f"a {kind.name} frame that cannot be read: {error}") from error


def _parse(kind: Kind, data: bytes) -> Message:
    match kind:
        case Kind.END:
            return End(*_U32.unpack(data))
        case Kind.DONE | Kind.PULSE:
            _check(not data, f"a {kind.name} frame with a payload")
            return Done() if kind is Kind.DONE else Pulse()
    _check(len(data) >= 16, f"a {kind.name} frame without a parcel")
    parcel, rest = ParcelId(data[:16].hex()), data[16:] if kind is not Kind.CHUNK else b""
    match kind:
        case Kind.ANNOUNCE:
            return Announce(parcel, rest)
        case Kind.BRIEF:
            return Brief(parcel, rest)
        case Kind.CHUNK:
            index = int.from_bytes(data[16:20], "big")
            return Chunk(parcel, index, Sha256(data[20:CHUNK_HEAD].hex()), data[CHUNK_HEAD:])
        case Kind.RECEIPT:
            return Receipt(parcel, rest)
        case Kind.HAVE:
            missing = tuple(Range(*pair) for pair in struct.iter_unpack(">II", rest[4:]))
            return Have(parcel, _U32.unpack(rest[:4])[0], missing)
        case Kind.REFUSED:
            return Refused(parcel, _U16.unpack(rest[:2])[0], rest[2:].decode())
        case Kind.LATER:
            return Later(parcel, _U32.unpack(rest[:4])[0], rest[4:].decode())
        case _:
            _check(not rest, f"a {kind.name} frame with more than a parcel")
            return Ask(parcel) if kind is Kind.ASK else Unknown(parcel)

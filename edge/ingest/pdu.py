"""The PDUs of the DICOM upper layer that are read and written here (PS3.8 §9.3). Pure.

A-ASSOCIATE-RQ and -AC, which have many items, are pynetdicom's (`acse`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import IntEnum
from struct import Struct

from gateway.errors import Malformed

HEAD = PDV_HEAD = 6
MAX_PDU = 131072
"""What we offer as maximum length (PS3.8 D.1)."""

SLACK = 4096
"""Bytes beyond it that are borne: some senders do not count the headers."""

FIRST_PDU = 128 << 10
"""Bytes of an A-ASSOCIATE-RQ: 128 contexts with every transfer syntax fit many times."""

_HEAD = Struct(">BxL")
_PDV = Struct(">LBB")
COMMAND, LAST = 1, 2
"""Bits of a PDV's message control header (PS3.8 E.2)."""


class Pdu(IntEnum):
    """Types of PDU."""

    ASSOCIATE_RQ = 1
    ASSOCIATE_AC = 2
    ASSOCIATE_RJ = 3
    DATA = 4
    RELEASE_RQ = 5
    RELEASE_RP = 6
    ABORT = 7


class AbortReason(IntEnum):
    """Of the service provider, PS3.8 Table 9-26."""

    NOT_SPECIFIED = 0
    UNRECOGNIZED_PDU = 1
    UNEXPECTED_PDU = 2
    INVALID_PARAMETER = 6


RELEASE_RP = b"\x06\0\0\0\0\x04\0\0\0\0"


def head_of(data: bytes | memoryview, at: int = 0) -> tuple[int, int]:
    """Of a PDU whose six-byte head is `at` in `data`: its type, and how many bytes follow the head."""
    kind, length = _HEAD.unpack_from(data, at)
    return kind, length


def reject(result: int, source: int, reason: int) -> bytes:
    """A-ASSOCIATE-RJ, PS3.8 §9.3.4."""
    return bytes((Pdu.ASSOCIATE_RJ, 0, 0, 0, 0, 4, 0, result, source, reason))


def abort(reason: AbortReason | None) -> bytes:
    """A-ABORT, PS3.8 §9.3.8: by the provider for a reason, or by the user."""
    source, why = (0, 0) if reason is None else (2, int(reason))
    return bytes((Pdu.ABORT, 0, 0, 0, 0, 4, 0, 0, source, why))


def pdvs(length: int, take: Callable[[int], bytes | memoryview]) -> Iterator[tuple[int, int, int]]:
    """The presentation data values of a P-DATA-TF: context, control header, and bytes of the fragment.

    Args:
        length: of what follows the PDU's head.
        take: gives its next bytes; whoever takes a value from here reads its fragment before the next.

    Raises:
        Malformed: lengths do not add up.
    """
    while length:
        if length < _PDV.size:
            raise Malformed("a P-DATA-TF ends within a presentation data value")
        size, context, control = _PDV.unpack(take(_PDV.size))
        length -= 4 + size
        if size < 2 or length < 0:
            raise Malformed("a presentation data value is longer than its P-DATA-TF, or has no header")
        yield context, control, size - 2


def p_data(context: int, data: bytes, limit: int, *, command: bool) -> Iterator[bytes]:
    """P-DATA-TF PDUs that carry a command set or dataset to a peer.

    Args:
        context: presentation context ID.
        data: what to carry.
        limit: the peer's maximum length; 0: none.
        command: whether it is a command set.
    """
    size = max(limit - _PDV.size, 1) if limit else MAX_PDU
    for at in range(0, max(len(data), 1), size):
        piece = data[at : at + size]
        control = command * COMMAND | (at + size >= len(data)) * LAST
        value = _PDV.pack(len(piece) + 2, context, control) + piece
        yield bytes((Pdu.DATA, 0)) + len(value).to_bytes(4, "big") + value

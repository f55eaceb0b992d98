"""A parcel as one file: the sealed body, then its draft header in clear, then where to find it.

The draft follows the body so that both become durable by one fsync, before anything is signed::

    sealed body · draft (canonical JSON) · length of the draft (4 bytes, big-endian) · "TGE1DRFT"
"""

from __future__ import annotations

from collections.abc import Callable

from gateway.envelope.layout import HEADER_LIMIT, Draft
from gateway.errors import Malformed

MAGIC = b"TGE1DRFT"
_TAIL = 4 + len(MAGIC)


def trailer(draft: Draft) -> bytes:
    """What to write after the body."""
    data = draft.to_bytes()
    return data + len(data).to_bytes(4, "big") + MAGIC


def read_trailer(read: Callable[[int, int], bytes], size: int) -> Draft:
    """The draft of a parcel file.

    Args:
        read: ``read(offset, n)`` of the file.
        size: bytes of the file.

    Raises:
        Malformed: the file has no whole trailer (it was cut off while being written), or its body
            has another size than the draft says.
    """
    tail = read(max(size - _TAIL, 0), _TAIL)
    if len(tail) != _TAIL or not tail.endswith(MAGIC):
        raise Malformed("the parcel file has no trailer: it was not finished")
    length = int.from_bytes(tail[:4], "big")
    if length > min(HEADER_LIMIT, size - _TAIL):
        raise Malformed("the parcel file's trailer is longer than may be")
    draft = Draft.from_bytes(read(size - _TAIL - length, length))
    if draft.sealed_size + length + _TAIL != size:
        raise Malformed("the parcel file's body has another size than its trailer says")
    return draft

"""Transfer syntaxes (PS3.5 §10 and Annex A): how the dataset is encoded, and bounded inflation.

Pure. An unknown or private syntax is taken for explicit VR little endian, as every encapsulated one is
(PS3.5 A.4); `header` looks at the bytes and says so when they are something else.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass

IMPLICIT_LITTLE = "1.2.840.10008.1.2"
EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
DEFLATED_LITTLE = "1.2.840.10008.1.2.1.99"
EXPLICIT_BIG = "1.2.840.10008.1.2.2"
GE_PRIVATE_IMPLICIT = "1.2.840.113619.5.2"  # implicit little endian but big endian pixels (dcm4che, GDCM)
JPIP_DEFLATED = ("1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205")  # JPIP (HTJ2K) Referenced Deflate

MAX_INFLATED = 64 << 20
"""Bytes a deflated dataset may unfold to while its header is sought (a bomb unfolds a thousandfold)."""

KEPT = 8 << 20
"""Bytes from its beginning that a deflated dataset is held inflated while its header is read."""

LATEST = 2 << 20
"""Beyond them, so many are held of what was inflated last."""

Read = Callable[[int, int], bytes]
"""``read(offset, n)``: up to `n` bytes from `offset`; fewer only at the end."""


@dataclass(frozen=True, slots=True)
class Encoding:
    """How elements are written."""

    implicit: bool
    little: bool
    deflated: bool = False


def encoding(transfer_syntax_uid: str) -> Encoding:
    """How a dataset of this transfer syntax is encoded."""
    if transfer_syntax_uid in (IMPLICIT_LITTLE, GE_PRIVATE_IMPLICIT):
        return Encoding(implicit=True, little=True)
    if transfer_syntax_uid == EXPLICIT_BIG:
        return Encoding(implicit=False, little=False)
    deflated = transfer_syntax_uid == DEFLATED_LITTLE or transfer_syntax_uid in JPIP_DEFLATED
    return Encoding(implicit=False, little=True, deflated=deflated)


def compressed(transfer_syntax_uid: str) -> bool:
    """Whether the pixels (or the whole dataset) are compressed already: anything but the plain syntaxes.

    Private syntaxes count as compressed; that only means that little is gained by trying.
    """
    return transfer_syntax_uid not in (IMPLICIT_LITTLE, EXPLICIT_LITTLE, EXPLICIT_BIG, GE_PRIVATE_IMPLICIT)


class Inflated:
    """A deflated dataset (RFC 1951, PS3.5 A.5), readable by offset as if it were not, up to a limit.

    Args:
        source: reads the deflated bytes.
        limit: bytes it may unfold to; beyond that `read` answers short, as at the end, and `cut` is true.
        kept: bytes from the beginning that can be read again and again; what lies behind them is read
            forwards, and going back there by more than `LATEST` is answered likewise. None: all of them.
    """

    def __init__(self, source: Read, limit: int = MAX_INFLATED, kept: int | None = None) -> None:
        self.cut = False
        self.damaged = False
        self._source, self._limit, self._kept = source, limit, limit if kept is None else kept
        self._consumed = self._size = 0
        self._plain, self._latest = bytearray(), bytearray()
        self._inflater = zlib.decompressobj(-15)
        self._ended = False

    def read(self, offset: int, n: int) -> bytes:
        """Up to `n` inflated bytes from `offset`."""
        while self._size < offset + n and not self._ended:
            self._more()
        if offset + n <= self._kept or self._size <= self._kept:
            return bytes(self._plain[offset : offset + n])
        first = self._size - len(self._latest)
        if max(offset, self._kept) < first:
            self.cut = True
            return b""
        behind = memoryview(self._latest)[max(offset, self._kept) - first : max(0, offset + n - first)]
        return bytes(self._plain[offset : offset + n]) + bytes(behind)

    def _more(self) -> None:
        block = self._inflater.unconsumed_tail
        if not block:
            block = self._source(self._consumed, 1 << 16)
            self._consumed += len(block)
        try:
            plain = self._inflater.decompress(block, 1 << 20) if block else self._inflater.flush()
        except zlib.error:
            self.damaged = self._ended = True
            return
        if self._size + len(plain) > self._limit:
            plain = plain[: self._limit - self._size]
            self.cut = self._ended = True
        self._hold(plain)
        if self.cut:
            return
        if self._inflater.eof or not block:
            self.damaged = not self._inflater.eof
            self._ended = True

    def _hold(self, plain: bytes) -> None:
        room = max(0, self._kept - self._size)
        self._plain += plain[:room]
        self._latest += plain[room:]
        self._size += len(plain)
        if len(self._latest) > 2 * LATEST:
            del self._latest[:-LATEST]

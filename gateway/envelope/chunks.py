"""Cutting a payload into chunks, each sealed where it is to lie."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from gateway.envelope.cipher import ParcelCipher
from gateway.envelope.layout import CHUNK_LIMIT, TAG_SIZE
from gateway.errors import Malformed
from gateway.model import Sha256

Buffer = bytes | bytearray | memoryview

_NOWHERE = memoryview(b"")


class ChunkSealer:
    """Cuts the payload into chunks and seals each in its place. One is held back, since the last is marked.

    Args:
        cipher: of the parcel.
        sink: takes each sealed chunk, in what `room` gave for it.
        size: plain bytes of a chunk.
        digest: names a sealed chunk.
        room: as `seal.BodySealer` takes it.
    """

    def __init__(
        self,
        cipher: ParcelCipher,
        sink: Callable[[memoryview], object],
        size: int,
        digest: Callable[[Buffer], Sha256],
        room: Callable[[int], memoryview],
    ) -> None:
        self._cipher, self._sink, self._digest, self._room = cipher, sink, digest, room
        self._size = size
        self._place = _NOWHERE  # where the chunk is gathered and sealed; behind it, perhaps, the next one's
        self._filled = self._heard = 0
        self._listener: Callable[[memoryview], object] | None = None
        self.digests: list[Sha256] = []
        self.plain_size = self.sealed_size = 0

    def write(self, data: Buffer) -> None:
        view = memoryview(data)
        while size := len(view):
            place = self.places(size)[0]
            count = len(place)
            place[:] = view[:count]
            self.came(count)
            view = view[count:]

    def places(self, size: int) -> list[memoryview]:
        """Where the next `size` bytes, or the first of them, may be put, in this order; then `came`."""
        if self._filled == self._size:
            self._seal(last=False)
        if not self._place:
            self._place = self._room(self._size + TAG_SIZE)
        begin, end = self._filled, self._filled + size
        if end <= self._size:
            return [self._place[begin:end]]
        own = self._place[begin : self._size]
        beyond = self._place[self._size + TAG_SIZE : end + TAG_SIZE][: self._size]
        return [own, beyond] if beyond else [own]

    def came(self, count: int) -> None:
        """So many bytes lie in what `places` gave last."""
        self.plain_size += count
        if (rest := self._size - self._filled) < count:
            self._filled = self._size
            self._seal(last=False)
            self._place = self._room(self._size + TAG_SIZE)
            count -= rest
        self._filled += count

    def listen(self, listener: Callable[[memoryview], object] | None) -> None:
        """Tell `listener` of what is written from now on; None: nobody any more.

        It hears a chunk at a time: BLAKE3 of whole, aligned blocks is a fifth quicker than of what comes.
        """
        self._listener, self._heard = listener, self._filled

    def tell(self) -> None:
        """What the listener has not heard yet."""
        if self._listener is not None and self._heard < self._filled:
            self._listener(self._place[self._heard : self._filled])
            self._heard = self._filled

    def finish(self) -> None:
        self._seal(last=True)
        # they lead back to whoever holds this: without them memory and keys go as soon as it is let go
        del self._sink, self._room, self._digest

    def pending(self) -> tuple[int, memoryview]:
        """How many chunks are sealed, and what is not."""
        return len(self.digests), self._place[: self._filled]

    def _seal(self, *, last: bool) -> None:
        index = len(self.digests)
        if index >= CHUNK_LIMIT:
            raise Malformed(f"a parcel holds at most {CHUNK_LIMIT} chunks")
        self.tell()
        sealed = (self._place or self._room(TAG_SIZE))[: self._filled + TAG_SIZE]
        self._cipher.seal_chunk(index, last=last, place=sealed)
        self.digests.append(self._digest(sealed))
        self.sealed_size += len(sealed)
        self._filled, self._heard, self._place = 0, 0, _NOWHERE
        self._sink(sealed)


def chunk_digest(sealed: Buffer) -> Sha256:
    """What the header names a sealed chunk by."""
    return Sha256(hashlib.sha256(sealed).hexdigest())


def new_room(size: int) -> memoryview:
    """So many new bytes."""
    return memoryview(bytearray(size))

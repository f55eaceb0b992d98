"""A body of ours opened again with the key it was sealed under, while that key is still in memory.

For whoever sealed a parcel and means to carry its instances in another one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from gateway.envelope.cipher import Context, ParcelCipher
from gateway.envelope.inner import InnerManifest, InstanceEntry
from gateway.envelope.layout import Draft
from gateway.envelope.unseal import Payload, Read, open_manifest

RAW = "raw"


class OwnBody:
    """One parcel of ours, not necessarily signed yet. Not to be shared between threads.

    Args:
        draft: as it lies behind the body.
        key: as `seal.BodySealer.key` gave it.
        named: whether the draft names every chunk's digest; else their own tags (GCM) alone prove them.

    Attributes:
        manifest: the inner manifest, verified.

    Raises:
        Unverified: the key is another parcel's, or the manifest was changed.
        Malformed: the manifest cannot be read.
    """

    def __init__(self, draft: Draft, key: bytes, *, named: bool = True) -> None:
        cipher = ParcelCipher(key, Context(draft.suite, draft.parcel_id, draft.salt))
        cipher.check_commitment(draft.commitment)
        self.manifest: InnerManifest = open_manifest(draft, cipher)
        self._payload = Payload(draft, cipher, self.manifest.shared, named=named)

    def coded(self, entry: InstanceEntry, read: Read) -> Iterator[memoryview]:
        """An instance's coded bytes as they are; each piece is valid until the next is asked for.

        Only of use elsewhere if the parcel has no shared stream.

        Raises:
            Unverified: a chunk is not as it was sealed.
        """
        return self._payload.pieces(entry.offset, entry.coded_length, read)

    def extract(self, entry: InstanceEntry, read: Read, write: Callable[[bytes], object]) -> None:
        """Write an instance's original bytes, exactly as the hub will.

        Raises:
            Unverified: a chunk or the instance's digest does not hold.
            Malformed: the coded bytes are not what the codec writes.
        """
        self._payload.extract(entry, read, write)

    def shared(self, read: Read) -> bytes:
        """The shared stream, plain; empty if there is none. Raises as `extract`."""
        return self._payload.shared(read) or b""

    def reader(self, entry: InstanceEntry, read: Read) -> Read | None:
        """Reads an uncoded instance's bytes by offset; None if it is coded.

        The chunks are verified; the digest of the whole instance is not.
        """
        if entry.codec != RAW:
            return None

        def at(offset: int, n: int) -> bytes:
            n = max(min(n, entry.length - offset), 0)
            return b"".join(bytes(piece) for piece in self._payload.pieces(entry.offset + offset, n, read))

        return at

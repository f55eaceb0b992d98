"""A body of ours opened again with the key it was sealed under, while that key is still in memory.

For whoever sealed a parcel and means to carry its instances in another one. Nothing is decoded: the
coded bytes are handed on as they are, once the chunks' digests and AES-GCM have vouched for them.
"""

from __future__ import annotations

from collections.abc import Iterator

from gateway.envelope.cipher import Context, ParcelCipher
from gateway.envelope.inner import InnerManifest, InstanceEntry
from gateway.envelope.layout import Draft
from gateway.envelope.unseal import Payload, Read, open_manifest


class OwnBody:
    """One parcel of ours, not necessarily signed yet. Not to be shared between threads.

    Args:
        draft: as it lies behind the body.
        key: as `seal.BodySealer.key` gave it.

    Attributes:
        manifest: the inner manifest, verified.

    Raises:
        Unverified: the key is another parcel's, or the manifest was changed.
        Malformed: the manifest cannot be read.
    """

    def __init__(self, draft: Draft, key: bytes) -> None:
        cipher = ParcelCipher(key, Context(draft.suite, draft.parcel_id, draft.salt))
        cipher.check_commitment(draft.commitment)
        self.manifest: InnerManifest = open_manifest(draft, cipher)
        self._payload = Payload(draft, cipher)

    def coded(self, entry: InstanceEntry, read: Read) -> Iterator[memoryview]:
        """An instance's coded bytes; each piece is valid until the next is asked for.

        Raises:
            Unverified: a chunk is not as it was sealed.
        """
        return self._payload.pieces(entry.offset, entry.coded_length, read)

"""The one place that encrypts: the key schedule of a parcel and its chunks.

Why it is safe: every parcel has its own random key, used for one body only, so counting nonces
never repeat (NIST SP 800-38D §8.2.1). A chunk's place and whether it is the last are authenticated
with it (STREAM, ePrint 2015/189), so chunks cannot be swapped, dropped or cut off. The context ties
all keys to one parcel and suite. AES-GCM alone does not commit to its key; the commitment does, and
is compared before anything is decrypted.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from gateway.envelope.layout import COMMITMENT_SIZE, TAG_SIZE
from gateway.errors import Unverified
from gateway.model import ParcelId

BODY_LABEL = b"telerad/tge1/body/AES-256-GCM"
MANIFEST_LABEL = b"telerad/tge1/manifest/AES-256-GCM"
WRAP_LABEL = b"telerad/tge1/wrap"
"""Each use of the parcel's key has a label of its own, so that no two uses share a key (RFC 5869 §3.2)."""

KEY_SIZE = 32
NONCE_SIZE = 12


@dataclass(frozen=True, slots=True)
class Context:
    """What all keys of a parcel are tied to."""

    suite: str
    parcel_id: ParcelId
    salt: bytes

    def info(self, label: bytes) -> bytes:
        """HKDF's info: ``label 00 salt len(suite) suite parcel_id``; every part of known length or ended."""
        suite = self.suite.encode("ascii")
        return label + b"\0" + self.salt + bytes([len(suite)]) + suite + bytes.fromhex(self.parcel_id)

    def wrap_info(self, commitment: bytes) -> bytes:
        """HPKE's info: as above, and the commitment, so that a wrap fits one key and one parcel."""
        return self.info(WRAP_LABEL) + commitment


def _expand(key: bytes, info: bytes, length: int) -> bytes:
    return HKDFExpand(hashes.SHA256(), length, info).derive(key)


class ParcelCipher:
    """Seals and opens the chunks and the manifest of one parcel.

    Args:
        key: the parcel's own 32 random bytes.
        context: what it is tied to.
    """

    def __init__(self, key: bytes, context: Context) -> None:
        body = _expand(key, context.info(BODY_LABEL), KEY_SIZE + NONCE_SIZE + COMMITMENT_SIZE)
        manifest = _expand(key, context.info(MANIFEST_LABEL), KEY_SIZE + NONCE_SIZE)
        self._body = AESGCM(body[:KEY_SIZE])
        self._base = int.from_bytes(body[KEY_SIZE : KEY_SIZE + NONCE_SIZE], "big")
        self.commitment = body[KEY_SIZE + NONCE_SIZE :]
        self._manifest = AESGCM(manifest[:KEY_SIZE])
        self._manifest_nonce = manifest[KEY_SIZE:]

    def check_commitment(self, commitment: bytes) -> None:
        """Raises Unverified if the parcel was sealed under another key. Takes the same time either way."""
        if not hmac.compare_digest(self.commitment, commitment):
            raise Unverified("the key does not fit the parcel's key commitment")

    def _nonce(self, index: int) -> bytes:
        """RFC 8446 §5.3: base XOR counter."""
        return (self._base ^ index).to_bytes(NONCE_SIZE, "big")

    def seal_chunk(self, index: int, *, last: bool, place: memoryview) -> None:
        """Encrypt one chunk where it lies; other threads run meanwhile.

        `place` has `TAG_SIZE` bytes more than the chunk. OpenSSL's EVP allows input and output to be the same
        memory, and `cryptography` hands both on as they are: one pass less through what is no longer cached.
        Never call it twice for one index: that would reuse a nonce.
        """
        plain = place[: len(place) - TAG_SIZE]
        self._body.encrypt_into(self._nonce(index), plain, _place(index, last=last), place)

    def open_chunk(self, index: int, *, last: bool, sealed: bytes | memoryview, into: memoryview) -> int:
        """Decrypt one chunk into `into`, whose length must be the chunk's plain length.

        Returns:
            How many bytes were written.

        Raises:
            Unverified: it is not this chunk of this parcel, or was changed.
        """
        if len(sealed) != len(into) + TAG_SIZE:
            raise Unverified(f"chunk {index} has the wrong length")
        try:
            return self._body.decrypt_into(self._nonce(index), sealed, _place(index, last=last), into)
        except InvalidTag as error:
            raise Unverified(f"chunk {index} cannot be decrypted: changed, or not in its place") from error

    def seal_manifest(self, plain: bytes) -> bytes:
        """Encrypt the inner manifest. Once per parcel."""
        return self._manifest.encrypt(self._manifest_nonce, plain, None)

    def open_manifest(self, sealed: bytes) -> bytes:
        """Decrypt the inner manifest. Raises Unverified if it was changed or is another parcel's."""
        try:
            return self._manifest.decrypt(self._manifest_nonce, sealed, None)
        except InvalidTag as error:
            raise Unverified(
                "the sealed manifest cannot be decrypted: changed or another parcel's"
            ) from error


def _place(index: int, *, last: bool) -> bytes:
    """Authenticated with a chunk: eight bytes of index, one byte saying whether it is the last."""
    return index.to_bytes(8, "big") + (b"\1" if last else b"\0")

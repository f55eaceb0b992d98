"""Opening a parcel: first who signed it and that it is whole, then its content, each byte checked.

The header can be judged without any key (by a relay, by the hub's front); the body only with the
hub's private key. Nothing is believed before it has been compared with what was signed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from gateway import codec as codecs
from gateway.codec.zstd import ZstdDecoder
from gateway.envelope.cipher import Context, ParcelCipher
from gateway.envelope.inner import MANIFEST_LIMIT, InnerManifest, InstanceEntry, Shared
from gateway.envelope.kem import SUITES, KemKeys, known_suite
from gateway.envelope.layout import HEADER_KIND, TAG_SIZE, Draft, Header
from gateway.envelope.signature import Statement, verify
from gateway.envelope.taken import Taken
from gateway.errors import Malformed, Unverified
from gateway.model import Sha256
from gateway.trust import Identity, Purpose, Trust

__all__ = ["BodyOpener", "KemKeys", "OpenedHeader", "check_body", "check_chunk", "open_header"]

Buffer = bytes | bytearray | memoryview
Read = Callable[[int, int], bytes]
"""``read(offset, n)``: exactly `n` bytes of the sealed body from `offset`, fewer only at its end."""


@dataclass(frozen=True, slots=True)
class OpenedHeader:
    """A header that holds.

    Attributes:
        header: what it says.
        identity: the edge that signed it; its site is the header's.
        digest: what the next header and the receipt name it by.
    """

    header: Header
    identity: Identity
    digest: Sha256


def open_header(signed: bytes, trust: Trust, at: datetime) -> OpenedHeader:
    """Verify a signed header: certificate chain, signature, site, suite.

    Args:
        signed: the statement as the edge made it.
        trust: the roots.
        at: the time the edge's certificate must be valid at.

    Raises:
        Malformed: it cannot be read.
        Unverified: the chain, the signature or the site does not hold, or the suite is unknown.
    """
    payload, identity = verify(signed, HEADER_KIND, trust, Purpose.DEVICE, at)
    header = Header.from_bytes(payload)
    known_suite(header.suite, SUITES if trust.suites is None else trust.suites)
    if header.site != identity.site:
        raise Unverified(f"the header is of site {header.site!r}, but {identity.name} signed it")
    return OpenedHeader(header, identity, Statement.from_bytes(signed).digest)


def check_chunk(header: Draft, index: int, sealed: Buffer) -> None:
    """Compare one sealed chunk with its digest in the header. Needs no key.

    Raises:
        Malformed: there is no such chunk.
        Unverified: other length or other bytes.
    """
    _, length = header.chunk_span(index)
    if len(sealed) != length:
        raise Unverified(f"chunk {index} has {len(sealed)} bytes, the header says {length}")
    if hashlib.sha256(sealed).hexdigest() != header.chunks[index]:
        raise Unverified(f"chunk {index} does not match its digest in the header")


def check_body(header: Draft, read: Read) -> None:
    """Compare a whole sealed body with its header, chunk by chunk. Needs no key.

    Raises:
        Unverified: a chunk is missing, short or changed, or there are bytes after the last.
    """
    for index in range(len(header.chunks)):
        check_chunk(header, index, read(*header.chunk_span(index)))
    if read(header.sealed_size, 1):
        raise Unverified("there are bytes after the last chunk of the body")


class BodyOpener:
    """Opens one parcel with the hub's key. Not to be shared between threads: it keeps one buffer.

    Args:
        header: verified by `open_header`.
        keys: the hub's private keys.

    Attributes:
        manifest: the inner manifest, verified.

    Raises:
        Unverified: no key of ours opens it, or commitment, manifest or site do not hold.
        Malformed: the manifest cannot be read.
    """

    def __init__(self, header: Header, keys: KemKeys) -> None:
        context = Context(header.suite, header.parcel_id, header.salt)
        key = keys.unwrap(header.suite, header.wraps, context.wrap_info(header.commitment))
        self._cipher = ParcelCipher(key, context)
        self._cipher.check_commitment(header.commitment)
        self.manifest = open_manifest(header, self._cipher)
        if self.manifest.site != header.site:
            raise Unverified(
                f"the parcel was sealed at site {self.manifest.site!r} but signed by {header.site!r}"
            )
        self._payload = Payload(header, self._cipher, self.manifest.shared)

    def extract(self, entry: InstanceEntry, read: Read, write: Callable[[bytes], object]) -> InstanceEntry:
        """Write one instance's original bytes, in order.

        Only when this returns are they verified as a whole: drop what was written if it raises.

        Args:
            entry: from the manifest.
            read: gives bytes of the sealed body.
            write: takes original bytes, at most `entry.length` in all.

        Returns:
            The entry, with its SHA-256 even if that was not taken before.

        Raises:
            Unverified: a chunk or the instance's digest does not hold.
            Malformed: the coded bytes are not what the codec writes.
        """
        if entry.sha256:
            self._payload.extract(entry, read, write)
            return entry
        digest = hashlib.sha256()

        def take(piece: bytes) -> None:
            digest.update(piece)
            write(piece)

        self._payload.extract(entry, read, take)
        return replace(entry, sha256=Sha256(digest.hexdigest()))


class Payload:
    """The plain payload of a parcel. Not to be shared between threads.

    It keeps one chunk, and the shared stream (at most 16 MiB) once an instance has needed it. `named` is
    False only where whoever sealed it opens it before its chunks' digests were taken.
    """

    def __init__(
        self, header: Draft, cipher: ParcelCipher, shared: Shared | None, *, named: bool = True
    ) -> None:
        self._header, self._cipher, self._shared, self._named = header, cipher, shared, named
        self._shared_plain: bytes | None = None
        self._buffer = memoryview(bytearray(min(header.chunk_size, header.plain_size)))
        self._opened: int | None = None  # the chunk whose plain bytes are in the buffer

    def pieces(self, offset: int, length: int, read: Read) -> Iterator[memoryview]:
        """Plain payload bytes, chunk by chunk; each piece is valid until the next is asked for."""
        size = self._header.chunk_size
        while length:
            index, start = divmod(offset, size)
            piece = self._chunk(index, read)[start : start + length]
            yield piece
            offset += len(piece)
            length -= len(piece)

    def extract(self, entry: InstanceEntry, read: Read, write: Callable[[bytes], object]) -> None:
        """As `BodyOpener.extract`."""
        digests = {taken: taken.begin() for taken in Taken if getattr(entry, taken.value)}

        def take(data: Buffer) -> None:
            piece = data if isinstance(data, bytes) else bytes(data)
            for digest in digests.values():
                digest.update(piece)
            write(piece)

        held = self.shared(read) if entry.codec in codecs.SEGMENTED else None
        shared = None if held is None else lambda at, n: held[at : at + n]
        decoder = codecs.decoder(entry.codec, take, entry.length, entry.parameters, shared)
        for piece in self.pieces(entry.offset, entry.coded_length, read):
            decoder.write(piece)
        decoder.finish()
        for taken, digest in digests.items():
            if digest.hexdigest() != getattr(entry, taken.value):
                words = f"an instance's bytes do not match the {taken.words} taken when it was received"
                raise Unverified(words)

    def shared(self, read: Read) -> bytes | None:
        """The shared stream, plain; None if there is none. Raises Malformed where it cannot be read."""
        if self._shared is None:
            return None
        if self._shared_plain is None:
            plain = bytearray()
            decoder = ZstdDecoder(plain.extend, self._shared.length)
            for piece in self.pieces(0, self._shared.coded_length, read):
                decoder.write(piece)
            decoder.finish()
            self._shared_plain = bytes(plain)
        return self._shared_plain

    def _chunk(self, index: int, read: Read) -> memoryview:
        at, sealed_length = self._header.chunk_span(index)
        plain = self._buffer[: sealed_length - TAG_SIZE]
        if self._opened != index:
            self._opened = None
            sealed = read(at, sealed_length)
            if self._named:
                check_chunk(self._header, index, sealed)
            last = index == len(self._header.chunks) - 1
            self._cipher.open_chunk(index, last=last, sealed=sealed, into=plain)
            self._opened = index
        return plain


def open_manifest(header: Draft, cipher: ParcelCipher) -> InnerManifest:
    """The inner manifest, compared with its digest; whose it is, the caller compares.

    Raises:
        Unverified: it was changed, or is another parcel's.
        Malformed: it cannot be read, or does not fit the payload.
    """
    packed = cipher.open_manifest(header.sealed_manifest)
    length = int.from_bytes(packed[:4], "big")
    if len(packed) < 4 or length > MANIFEST_LIMIT:
        raise Malformed(f"the inner manifest is longer than {MANIFEST_LIMIT} bytes")
    pieces: list[bytes] = []
    decoder = ZstdDecoder(lambda piece: pieces.append(bytes(piece)), length)
    decoder.write(packed[4:])
    decoder.finish()
    plain = b"".join(pieces)
    if hashlib.sha256(plain).hexdigest() != header.manifest_sha256:
        raise Unverified("the inner manifest does not match its digest in the header")
    manifest = InnerManifest.from_bytes(plain)
    if manifest.payload_end > header.plain_size:
        raise Malformed("an instance lies beyond the end of the payload")
    return manifest

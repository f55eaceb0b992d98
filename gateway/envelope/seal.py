"""Sealing a parcel: instances go in piece by piece, sealed chunks come out; the header is signed after.

A body is sealed once, under a key that lives in memory alone until it is finished. After a crash
half-way the started body is dropped and the parcel sealed anew, under a new key and identifier.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields, replace
from types import MappingProxyType

import zstandard

from gateway import codec as codecs
from gateway.codec import way as ways
from gateway.codec.segmented import ALONE
from gateway.envelope.chunks import Buffer, ChunkSealer, chunk_digest, new_room
from gateway.envelope.inner import UNTAKEN, InnerManifest, InstanceEntry, InstanceFacts, Notice, Shared
from gateway.envelope.kem import KemPublic
from gateway.envelope.keys import ParcelKeys
from gateway.envelope.layout import (
    CHUNK_SIZE,
    CHUNK_SIZE_MAX,
    CHUNK_SIZE_MIN,
    SEALED_MANIFEST_LIMIT,
    Draft,
    Header,
)
from gateway.envelope.signature import Statement
from gateway.envelope.taken import Taken
from gateway.errors import Malformed
from gateway.model import ParcelId, Priority, Sha256, SiteId

__all__ = [
    "BodySealer",
    "InstanceWriter",
    "KemPublic",
    "ParcelKeys",
    "chunk_digest",
    "complete",
    "header_digest",
]

MANIFEST_LEVEL = 9
"""Of zstd: manifests are small and full of UIDs that resemble each other."""

QUICK, QUICK_LEVEL = 1024, -1
"""Bytes up to which there is nothing to be found that a quick look would not find: those of one instance."""


class _Tools(threading.local):
    """A compressor is for one thread, and making one takes longer than using it."""

    def __init__(self) -> None:
        self.thorough = zstandard.ZstdCompressor(level=MANIFEST_LEVEL)
        self.quick = zstandard.ZstdCompressor(level=QUICK_LEVEL)


_TOOLS = _Tools()


def _packed(manifest: bytes) -> bytes:
    compressor = _TOOLS.quick if len(manifest) <= QUICK else _TOOLS.thorough
    packed: bytes = compressor.compress(manifest)
    return packed


class InstanceWriter:
    """One instance on its way into a parcel. Made by `BodySealer.begin`; ended by `finish` or `abandon`."""

    def __init__(
        self,
        sealer: BodySealer,
        chunks: ChunkSealer,
        way: codecs.Way,
        plan: codecs.Plan | None,
        means: codecs.Means,
        taken: Taken,
    ) -> None:
        self._sealer, self._chunks, self._codec = sealer, chunks, way.codec
        self._coder = codecs.coder(way, chunks.write, plan, means)
        self._offset = chunks.plain_size
        self._taken, self._digest = taken, taken.begin()
        self._raw = way.codec == "raw"
        if self._raw:
            chunks.listen(self._digest.update)
        self.length = 0

    def write(self, data: Buffer) -> None:
        """Take the next bytes of the dataset."""
        self.length += len(data)
        if self._raw:
            self._chunks.write(data)
        else:
            self._digest.update(data)
            self._coder.write(data)

    def places(self, size: int) -> list[memoryview]:
        """Where the next `size` bytes of the dataset, or the first of them, may be put, instead of `write`.

        In this order. Nowhere if they are to be coded.
        """
        return self._chunks.places(size) if self._raw else []

    def came(self, count: int) -> None:
        """So many bytes lie in what `places` gave last."""
        self.length += count
        self._chunks.came(count)

    def finish(
        self, facts: InstanceFacts, remarks: Mapping[str, str] = MappingProxyType({})
    ) -> InstanceEntry:
        """End the instance and enter it in the manifest under `facts`.

        `remarks` stand beside the codec's parameters, for the hub to read: ``flaw``, ``charset``.
        """
        parameters = {**remarks, **self._coder.finish()}
        digest = self.digest
        entry = InstanceEntry(
            sop_class_uid=facts.sop_class_uid,
            sop_instance_uid=facts.sop_instance_uid,
            study_uid=facts.study_uid,
            series_uid=facts.series_uid,
            transfer_syntax_uid=facts.transfer_syntax_uid,
            received_at=facts.received_at,
            calling_ae=facts.calling_ae,
            sha256=Sha256(digest) if self._taken is Taken.SHA256 else UNTAKEN,
            blake3=digest if self._taken is Taken.BLAKE3 else "",
            length=self.length,
            codec=self._codec,
            offset=self._offset,
            coded_length=self._chunks.plain_size - self._offset,
            parameters=parameters,
        )
        self._sealer.ended(self, entry)
        return entry

    @property
    def digest(self) -> str:
        """Of the bytes taken so far, in hexadecimal."""
        if self._raw:
            self._chunks.tell()
        return self._digest.hexdigest()

    def abandon(self) -> None:
        """Give the instance up: what was written stays in the payload as bytes that no entry names."""
        self._sealer.ended(self, None)


class BodySealer:
    """Writes one parcel's body as a stream, holding one chunk in memory.

    Args:
        sink: takes each sealed chunk, in what `room` gave for it.
        recipients: who can open it; all of the one suite.
        parcel_id: fresh and random; never used for another body.
        site: whose parcel it is: sealed inside, so that a stolen body cannot be sent as another site's.
        suite: the name of the algorithms; None: that of the first recipient.
        chunk_size: plain bytes of a chunk, 1 KiB to 8 MiB.
        random: where key, salt and blind come from; handed in by tests alone.
        keys: made before for these recipients and this parcel, and for no other body.
        room: gives so many bytes, in which the next chunk is gathered and then sealed. If it gives more, the
            rest is where the chunks after it will lie: it gives that when it is asked for them. By default
            new bytes for each.
        digest: names a sealed chunk in the draft. Who answers a modality may leave this, half the hashing,
            for later; the header to be signed needs `chunk_digest`.

    Raises:
        Unverified: an unknown suite, or a recipient of another one.
        Malformed: no recipient, or a chunk size out of bounds.

    Attributes:
        key: the parcel's own, for `own.OwnBody`. It must never be written anywhere.
    """

    def __init__(
        self,
        sink: Callable[[memoryview], object],
        recipients: Sequence[KemPublic],
        parcel_id: ParcelId,
        *,
        site: SiteId,
        suite: str | None = None,
        chunk_size: int = CHUNK_SIZE,
        random: Callable[[int], bytes] = os.urandom,
        digest: Callable[[Buffer], Sha256] = chunk_digest,
        keys: ParcelKeys | None = None,
        room: Callable[[int], memoryview] = new_room,
    ) -> None:
        if not CHUNK_SIZE_MIN <= chunk_size <= CHUNK_SIZE_MAX:
            raise Malformed(f"a chunk has {CHUNK_SIZE_MIN} to {CHUNK_SIZE_MAX} bytes, not {chunk_size}")
        keys = keys or ParcelKeys(recipients, parcel_id, suite, random)
        self.key, self._context, self._cipher, self._wraps = keys.key, keys.context, keys.cipher, keys.wraps
        self._blind = keys.blind
        self._site, self._chunk_size = site, chunk_size
        self._chunks = ChunkSealer(self._cipher, sink, chunk_size, digest, room)
        self._entries: list[InstanceEntry] = []
        self._notices: list[Notice] = []
        self._shared: Shared | None = None
        self._writer: InstanceWriter | None = None
        self._finished = False

    @property
    def plain_size(self) -> int:
        """Coded bytes written so far."""
        return self._chunks.plain_size

    def opened(self, offset: int, size: int, sealed: Callable[[int], bytes | memoryview]) -> bytes:
        """Up to `size` coded bytes written so far, from `offset`; fewer at a chunk's end and at the end.

        Args:
            offset: in the payload.
            size: in bytes.
            sealed: gives chunk `index` as the sink took it.

        Raises:
            Unverified: it is not as the sink took it.
        """
        index, start = divmod(offset, self._chunk_size)
        count, pending = self._chunks.pending()
        if index >= count:
            return bytes(pending[start : start + size]) if index == count else b""
        plain = memoryview(bytearray(self._chunk_size))
        self._cipher.open_chunk(index, last=False, sealed=sealed(index), into=plain)
        return bytes(plain[start : start + size])

    @property
    def entries(self) -> tuple[InstanceEntry, ...]:
        """The instances finished so far."""
        return tuple(self._entries)

    def share(self, stream: codecs.SharedStream, rate: float = 0.0) -> None:
        """Begin the payload with what `stream` holds; instances put after it may lie in it.

        `rate` is that of the line, as `SharedStream.coded` takes it.

        Raises:
            ValueError: something has been written before it, or it is empty.
        """
        if self._finished or self._chunks.plain_size or not len(stream):
            raise ValueError("a shared stream is the first thing in a parcel, and not empty")
        coded = stream.coded(rate)
        self._chunks.write(coded)
        self._shared = Shared(len(stream), len(coded))

    def begin(
        self,
        codec: codecs.Way | str,
        plan: codecs.Plan | None = None,
        means: codecs.Means = ALONE,
        taken: Taken = Taken.SHA256,
    ) -> InstanceWriter:
        """Start an instance; the one before must have been ended. Raises Malformed for an unknown codec.

        `plan` tells an image codec where the pixels lie (`gateway.codec.plan`), `means` what else it may use,
        `taken` which digest of it is taken.
        """
        if self._finished or self._writer is not None:
            raise ValueError("the parcel is finished, or another instance is still open")
        way = ways.parse(codec) if isinstance(codec, str) else codec
        self._writer = InstanceWriter(self, self._chunks, way, plan, means, taken)
        return self._writer

    def ended(self, writer: InstanceWriter, entry: InstanceEntry | None) -> None:
        """For `InstanceWriter` alone: its instance has ended."""
        if writer is not self._writer:
            raise ValueError("this instance has been ended already")
        self._writer = None
        self._chunks.listen(None)
        if entry is not None:
            self._entries.append(entry)

    def add(
        self,
        facts: InstanceFacts,
        data: Iterable[Buffer],
        codec: codecs.Way | str,
        *,
        plan: codecs.Plan | None = None,
        remarks: Mapping[str, str] = MappingProxyType({}),
    ) -> InstanceEntry:
        """Code and seal one whole instance.

        Args:
            facts: what is known besides its bytes.
            data: the dataset bytes, in pieces of any size.
            codec: ``raw``, ``zstd`` or any other of `gateway.codec.way`.
            plan: where the pixels lie, for image codecs.
            remarks: as `InstanceWriter.finish` takes them.

        Returns:
            The entry, with digest, length and place.
        """
        writer = self.begin(codec, plan)
        for piece in data:
            writer.write(piece)
        return writer.finish(facts, remarks)

    def copy(self, entry: InstanceEntry, coded: Iterable[Buffer]) -> InstanceEntry:
        """Take over one instance that has been coded already: the coded bytes as they are.

        Args:
            entry: what is known of it; its offset counts for nothing.
            coded: its coded bytes, in pieces of any size, as `own.OwnBody.coded` gives them.

        Returns:
            The entry with its place here.

        Raises:
            Malformed: there are more or fewer coded bytes than the entry says.
        """
        if self._finished or self._writer is not None:
            raise ValueError("the parcel is finished, or another instance is still open")
        offset = self._chunks.plain_size
        for piece in coded:
            self._chunks.write(piece)
        if self._chunks.plain_size - offset != entry.coded_length:
            raise Malformed("an instance has another number of coded bytes than its entry says")
        self._entries.append(replace(entry, offset=offset))
        return self._entries[-1]

    def notice(self, notice: Notice) -> None:
        """Tell the hub something along with the instances."""
        self._notices.append(notice)

    def finish(self) -> Draft:
        """Seal the last chunk and the manifest; the sealer is of no further use.

        Raises:
            Malformed: the manifest is beyond its limit.
        """
        if self._finished or self._writer is not None:
            raise ValueError("the parcel is finished, or an instance is still open")
        self._finished = True
        self._chunks.finish()
        manifest = InnerManifest(
            instances=tuple(self._entries),
            notices=tuple(self._notices),
            site=self._site,
            blind=self._blind,
            shared=self._shared,
        ).to_bytes()
        packed = _packed(manifest)
        sealed_manifest = self._cipher.seal_manifest(len(manifest).to_bytes(4, "big") + packed)
        if len(sealed_manifest) > SEALED_MANIFEST_LIMIT:
            raise Malformed(f"{len(self._entries)} instances are too many for one parcel")
        return Draft(
            suite=self._context.suite,
            parcel_id=self._context.parcel_id,
            wraps=self._wraps,
            salt=self._context.salt,
            commitment=self._cipher.commitment,
            chunk_size=self._chunk_size,
            plain_size=self._chunks.plain_size,
            chunks=tuple(self._chunks.digests),
            sealed_size=self._chunks.sealed_size,
            sealed_manifest=sealed_manifest,
            manifest_sha256=Sha256(hashlib.sha256(manifest).hexdigest()),
        )


def complete(
    draft: Draft,
    *,
    site: SiteId,
    sequence: int,
    previous: Sha256,
    priority: Priority,
    created_at: str,
) -> Header:
    """The header to sign, as ``signature.sign(HEADER_KIND, header.to_bytes(), signer)``.

    Args:
        draft: what `BodySealer.finish` gave.
        site: as the signing certificate names it.
        sequence: 1 for the edge's first parcel, then without gap.
        previous: `header_digest` of the one before; `layout.NO_PREVIOUS` for the first.
        priority: how soon it must travel.
        created_at: RFC 3339 in UTC (`gateway.clock.rfc3339`).

    Raises:
        Malformed: sequence and previous do not fit each other.
    """
    known = {one.name: getattr(draft, one.name) for one in fields(Draft)}
    return Header(
        **known,
        site=site,
        sequence=sequence,
        previous=previous,
        priority=priority,
        created_at=created_at,
    )


def header_digest(signed: bytes) -> Sha256:
    """The digest the next header and the receipt name: of what was signed, not of the signature.

    Raises:
        Malformed: `signed` is no signed statement.
    """
    return Statement.from_bytes(signed).digest

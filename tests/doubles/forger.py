"""Parcels that are wrong in exactly one way, each with the words by which it must be refused.

The forger holds every key: it plays an edge, a thief of parcels, or a hub's disk gone bad. What it
builds it builds from the parts below the sealer, so that it can break any one rule.
"""

from __future__ import annotations

import dataclasses
import hashlib
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import zstandard

from gateway import canonical
from gateway.codec import Means, SharedStream, coder, plan
from gateway.envelope.cipher import Context, ParcelCipher
from gateway.envelope.inner import InnerManifest, InstanceEntry
from gateway.envelope.kem import KemKeys
from gateway.envelope.layout import HEADER_KIND, RECEIPT_KIND
from gateway.envelope.signature import Statement, sign
from gateway.errors import DataError, Malformed, Unverified
from gateway.model import ParcelId, Sha256
from tests.doubles.images import Image, reader
from tests.doubles.parcels import PARCEL, SITE, Parcel, facts, seal
from tests.doubles.signers import NOW, MemoryAuthority

KEY, SALT = bytes(range(32)), bytes(range(24))
OTHER = ParcelId("f" * 32)
DATA = bytes(range(256)) * 16  # four chunks of 1024
HEADS = b"what is not pixels; " * 100
HEADS_FRAME = zstandard.compress(HEADS)


@dataclass
class Forgery:
    """What a reader is given, and how it must answer; `error` None means it must accept."""

    signed: bytes
    body: bytes
    error: type[DataError] | None = None
    says: str = ""
    at: datetime = NOW

    def read(self, offset: int, count: int) -> bytes:
        return self.body[offset : offset + count]


def digest(data: bytes) -> Sha256:
    return Sha256(hashlib.sha256(data).hexdigest())


def entry_for(data: bytes, coded: bytes, codec: str, **changes: Any) -> InstanceEntry:
    known = {field.name: getattr(facts(), field.name) for field in dataclasses.fields(facts())}
    values = {
        "sha256": digest(data),
        "length": len(data),
        "codec": codec,
        "offset": 0,
        "coded_length": len(coded),
        "parameters": {},
    }
    return InstanceEntry(**known | values | changes)


class Forger:
    """Makes forgeries for one hub and one authority."""

    def __init__(self, authority: MemoryAuthority, keys: KemKeys) -> None:
        self.authority, self.keys = authority, keys
        self.device = authority.device()

    def good(self, data: bytes = DATA) -> Parcel:
        return seal(self.keys, [data], codec="raw", site=SITE, random=lambda n: (KEY + SALT)[:n])

    def sign(self, parcel: Parcel, says: str = "", error=Unverified, **changes: Any) -> Forgery:
        """Sign `parcel`'s header with `changes` to its JSON (None removes a key)."""
        fields = parcel.header().fields() | changes
        fields = {name: value for name, value in fields.items() if value is not None}
        signed = sign(HEADER_KIND, canonical.dump(fields), self.device)
        return Forgery(signed, parcel.body, error if says else None, says)

    def malformed(self, says: str, **changes: Any) -> Forgery:
        return self.sign(self.good(), says, Malformed, **changes)

    def statement(self, says: str, error=Unverified, **changes: Any) -> Forgery:
        """A good header whose wrapping is changed after it was signed."""
        parcel = self.good()
        statement = Statement.from_bytes(self.sign(parcel).signed)
        return Forgery(dataclasses.replace(statement, **changes).to_bytes(), parcel.body, error, says)

    def body(self, says: str, change: Callable[[bytes], bytes]) -> Forgery:
        """The body changed after its header was signed."""
        parcel = self.good()
        return Forgery(self.sign(parcel).signed, change(parcel.body), Unverified, says)

    def resealed(self, says: str, chunks: Callable[[list[bytes]], list[bytes]]) -> Forgery:
        """The sealed chunks rearranged, and a header signed that fits their digests."""
        parcel, step = self.good(), 1040
        sealed = chunks([parcel.body[at : at + step] for at in range(0, len(parcel.body), step)])
        draft = dataclasses.replace(
            parcel.draft,
            chunks=tuple(map(digest, sealed)),
            plain_size=sum(map(len, sealed)) - 16 * len(sealed),
            sealed_size=sum(map(len, sealed)),
        )
        return self.sign(Parcel(draft, b"".join(sealed)), says)

    def cut_off(self) -> Forgery:
        """The last chunk cut off, and a manifest that never asks for it: only the last flag tells."""
        parcel, data = self.good(), DATA[:3072]
        draft = dataclasses.replace(
            parcel.draft, chunks=parcel.draft.chunks[:3], plain_size=3072, sealed_size=3 * 1040
        )
        plain = InnerManifest(instances=(entry_for(data, data, "raw"),), site=SITE).to_bytes()
        cut = self._with_manifest(Parcel(draft, parcel.body[: 3 * 1040]), plain)
        return self.sign(cut, "changed, or not in its place")

    def manifest(self, says: str, error=Unverified, **changes: Any) -> Forgery:
        """A good body with another inner manifest: an edge that lies."""
        entry = entry_for(DATA, DATA, "raw")
        values = {"version": 1, "site": SITE, "blind": "00" * 16, "notices": []}
        values |= {"instances": [entry.fields()]} | changes
        return self.sign(self._with_manifest(self.good(), canonical.dump(values)), says, error)

    def coded(self, says: str, coded: bytes, codec: str = "zstd", *, error=Malformed, **changes) -> Forgery:
        """`DATA` said to be coded as `coded`: everything sealed and signed well, the coding wrong."""
        parcel = self.good(coded)
        entry = entry_for(DATA, coded, codec, **changes)
        plain = InnerManifest(instances=(entry,), site=SITE, blind="00" * 16).to_bytes()
        return self.sign(self._with_manifest(parcel, plain), says, error)

    def shared(self, says: str, payload: bytes, entries, *, error=Malformed, **changes: Any) -> Forgery:
        """A payload with a shared stream of `HEADS`, and what the manifest says of it."""
        values = {"version": 2, "site": SITE, "blind": "00" * 16, "notices": []}
        values |= {"instances": [entry.fields() for entry in entries]}
        values |= {"shared": {"length": len(HEADS), "coded_length": len(HEADS_FRAME)}} | changes
        plain = canonical.dump({name: value for name, value in values.items() if value is not None})
        return self.sign(self._with_manifest(self.good(payload), plain), says, error)

    def _with_manifest(self, parcel: Parcel, plain: bytes) -> Parcel:
        cipher = ParcelCipher(KEY, Context("P256", PARCEL, parcel.draft.salt))
        packed = len(plain).to_bytes(4, "big") + zstandard.compress(plain)
        draft = dataclasses.replace(
            parcel.draft, sealed_manifest=cipher.seal_manifest(packed), manifest_sha256=digest(plain)
        )
        return Parcel(draft, parcel.body)

    def stolen(self) -> Forgery:
        """A whole parcel of H001, signed and sent by the edge of H002."""
        parcel = self.good()
        return Forgery(
            parcel.signed(self.authority.device("H002"), site="H002"),
            parcel.body,
            Unverified,
            "sealed at site 'H001' but signed by 'H002'",
        )

    def wrap_of_another_parcel(self) -> Forgery:
        """The key wrap of another parcel with the same key and salt."""
        other = seal(self.keys, [DATA], codec="raw", parcel_id=OTHER, random=lambda n: (KEY + SALT)[:n])
        draft = dataclasses.replace(self.good().draft, wraps=other.draft.wraps)
        return self.sign(Parcel(draft, self.good().body), "does not open for this parcel")

    def other_commitment(self) -> Forgery:
        """Commitment and wrap fit each other, but not the key: a ciphertext made to open under two keys."""
        parcel, commitment = self.good(), bytes(32)
        info = Context("P256", PARCEL, parcel.draft.salt).wrap_info(commitment)
        wraps = tuple(public.wrap(KEY, info) for public in self.keys.publics())
        draft = dataclasses.replace(parcel.draft, commitment=commitment, wraps=wraps)
        return self.sign(Parcel(draft, parcel.body), "key commitment")

    def manifest_of_another_parcel(self) -> Forgery:
        cipher = ParcelCipher(KEY, Context("P256", OTHER, SALT))
        plain = InnerManifest(instances=(), site=SITE).to_bytes()
        packed = len(plain).to_bytes(4, "big") + zstandard.compress(plain)
        draft = dataclasses.replace(
            self.good().draft, sealed_manifest=cipher.seal_manifest(packed), manifest_sha256=digest(plain)
        )
        return self.sign(Parcel(draft, self.good().body), "sealed manifest cannot be decrypted")


def _flip(body: bytes) -> bytes:
    return body[:2000] + bytes([body[2000] ^ 1]) + body[2001:]


def _swap(chunks: list[bytes]) -> list[bytes]:
    return [chunks[1], chunks[0], *chunks[2:]]


def _frame(data: bytes, **options: Any) -> bytes:
    parameters = zstandard.ZstdCompressionParameters.from_level(3, **options)
    return zstandard.ZstdCompressor(compression_params=parameters).compress(data)


def _wide_window() -> bytes:
    """A frame that asks for a window of 16 MiB."""
    parameters = zstandard.ZstdCompressionParameters.from_level(1, window_log=24, write_content_size=0)
    frame = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    return frame.compress(DATA) + frame.flush()


def _bomb(length: int = 64 << 20) -> bytes:
    """A few kilobytes that unpack to `length` zeros."""
    return zstandard.ZstdCompressor(level=3, write_content_size=False).compress(bytes(length))


SKIPPABLE = b"\x50\x2a\x4d\x18" + (4).to_bytes(4, "little") + b"skip"


def forgeries(forger: Forger) -> dict[str, Forgery]:
    """Every way a parcel can be wrong, by the name of the attack."""
    return (
        _good(forger)
        | _statements(forger)
        | _headers(forger)
        | _bodies(forger)
        | _inners(forger)
        | _codecs(forger)
        | shared_streams(forger)
    )


def _good(forger: Forger) -> dict[str, Forgery]:
    several = seal(forger.keys, [b"", b"one", DATA, DATA * 9], codec="zstd", site=SITE)
    return {
        "good": forger.sign(forger.good()),
        "good-several-zstd": forger.sign(several),
        "good-empty-instance": forger.sign(seal(forger.keys, [b""], codec="raw")),
        "good-no-instance": forger.sign(seal(forger.keys, [])),
        "good-with-remarks": forger.coded(
            "", DATA, "raw", parameters={"flaw": "cut short", "charset": "GB18030"}
        ),
        "good-frame-with-size-and-checksum": forger.coded("", _frame(DATA, write_checksum=1)),
    }


def _statements(forger: Forger) -> dict[str, Forgery]:
    stranger = MemoryAuthority("Stranger").device()
    parcel = forger.good()
    payload = parcel.header().to_bytes()
    late = forger.sign(parcel, "expired")
    late.at = NOW + timedelta(days=31)
    changed = payload.replace(b'"routine"', b'"stat"')
    return {
        "changed-after-signing": forger.statement("signature of .* does not fit", payload=changed),
        "other-kind": forger.statement("not a 'tge1-header'", kind="telerad-other"),
        "signed-as-receipt": Forgery(
            sign(RECEIPT_KIND, payload, forger.device), parcel.body, Unverified, "not a 'tge1-header'"
        ),
        "wrong-signature": forger.statement("does not fit", signature=forger.device.sign(b"other")),
        "no-signature": forger.statement("does not fit", signature=b""),
        "no-chain": forger.statement("chain is not a list", Malformed, chain=()),
        "broken-certificate": forger.statement("unreadable certificate", Malformed, chain=(b"no",)),
        "unknown-root": Forgery(parcel.signed(stranger), parcel.body, Unverified, "not signed by a root"),
        "expired-certificate": late,
        "signed-by-a-hub": Forgery(
            parcel.signed(forger.authority.hub()), parcel.body, Unverified, "is not for an edge"
        ),
        "another-sites-device": Forgery(
            parcel.signed(forger.authority.device("H002")),
            parcel.body,
            Unverified,
            "header is of site 'H001'",
        ),
        "not-canonical": Forgery(forger.sign(parcel).signed + b"\n", parcel.body, Malformed, "canonical"),
    }


def _headers(forger: Forger) -> dict[str, Forgery]:
    good = forger.good().draft
    longer = b64encode(bytes(25)).decode()
    return {
        "unknown-suite": forger.sign(forger.good(), "suite 'P257' is not known", suite="P257"),
        "other-version": forger.malformed("version is not", version=2),
        "missing-key": forger.malformed("'salt'", salt=None),
        "added-key": forger.malformed("'patient'", patient="x"),
        "first-with-previous": forger.malformed("only the first", previous="1" * 64),
        "second-without-previous": forger.malformed("only the first", sequence=2),
        "sequence-zero": forger.malformed("sequence is not", sequence=0),
        "unknown-priority": forger.malformed("priority", priority="soon"),
        "fewer-digests": forger.malformed("do not make", chunks=list(good.chunks[:-1])),
        "forged-plain-size": forger.malformed("do not make", plain_size=good.plain_size + 1),
        "forged-sealed-size": forger.malformed("sealed size", sealed_size=good.sealed_size + 1),
        "tiny-chunks": forger.malformed("chunk_size is not", chunk_size=1),
        "long-salt": forger.malformed("salt", salt=longer),
        "no-wrap": forger.malformed("wraps is not", wraps=[]),
        "same-kid-twice": forger.malformed("same key", wraps=forger.good().header().fields()["wraps"] * 2),
        "no-wrap-for-us": forger.sign(
            forger.good(),
            "none of which is a key of this hub",
            wraps=[{**forger.good().header().fields()["wraps"][0], "kid": "another-hub"}],
        ),
        "other-kem": forger.sign(
            forger.good(),
            "not the suite's",
            wraps=[{**forger.good().header().fields()["wraps"][0], "kem": "HPKE-P521-HKDF512-A256GCM"}],
        ),
        "wrap-of-another-parcel": forger.wrap_of_another_parcel(),
        "parcel-id-changed": forger.sign(forger.good(), "does not open for this parcel", parcel_id=OTHER),
        "wrong-commitment": forger.sign(
            forger.good(), "does not open for this parcel", commitment=b64encode(bytes(32)).decode()
        ),
        "two-keys-one-ciphertext": forger.other_commitment(),
        "wrong-key": Forgery(
            seal(KemKeys.generate(next(iter(forger.keys))), [DATA]).signed(forger.device),
            b"",
            Unverified,
            "does not open for this parcel",
        ),
        "stolen-and-signed-by-another-site": forger.stolen(),
    }


def _bodies(forger: Forger) -> dict[str, Forgery]:
    return {
        "flipped-bit": forger.body("does not match its digest", _flip),
        "swapped-chunks": forger.body(
            "does not match its digest", lambda body: body[1040:2080] + body[:1040] + body[2080:]
        ),
        "truncated": forger.body("the header says", lambda body: body[:-1]),
        "last-chunk-missing": forger.body("the header says", lambda body: body[:-1040]),
        "lengthened": forger.body("bytes after the last chunk", lambda body: body + b"\0"),
        "swapped-chunks-and-digests": forger.resealed("changed, or not in its place", _swap),
        "last-chunk-cut-off-and-signed": forger.cut_off(),
        "last-chunk-not-last": forger.resealed(
            "changed, or not in its place", lambda chunks: [*chunks, chunks[-1]]
        ),
        "chunk-repeated": forger.resealed(
            "changed, or not in its place", lambda chunks: [chunks[0], chunks[0], *chunks[2:]]
        ),
    }


def _inners(forger: Forger) -> dict[str, Forgery]:
    entry = entry_for(DATA, DATA, "raw").fields()
    sealed = bytearray(forger.good().draft.sealed_manifest)
    sealed[5] ^= 1
    return {
        "manifest-flipped-bit": forger.sign(
            forger.good(),
            "sealed manifest cannot be decrypted",
            sealed_manifest=b64encode(bytes(sealed)).decode(),
        ),
        "manifest-of-another-parcel": forger.manifest_of_another_parcel(),
        "manifest-digest": forger.sign(
            forger.good(), "inner manifest does not match its digest", manifest_sha256="0" * 64
        ),
        "manifest-version": forger.manifest("version is not", Malformed, version=2),
        "manifest-added-key": forger.manifest("'extra'", Malformed, extra=1),
        "sealed-at-no-site": forger.manifest("not a site identifier", Malformed, site=""),
        "sealed-at-another-site": forger.manifest("sealed at site 'H002'", site="H002"),
        "overlapping-instances": forger.manifest("overlap", Malformed, instances=[entry, entry]),
        "instance-beyond-the-payload": forger.manifest(
            "beyond the end", Malformed, instances=[entry | {"offset": 1}]
        ),
        "negative-length": forger.manifest("length is not", Malformed, instances=[entry | {"length": -1}]),
        "wrong-instance-digest": forger.manifest(
            "do not match the SHA-256", instances=[entry | {"sha256": "0" * 64}]
        ),
        "forged-length-short": forger.manifest(
            "longer than declared", Malformed, instances=[entry | {"length": len(DATA) - 1}]
        ),
        "forged-length-long": forger.manifest(
            "shorter than declared", Malformed, instances=[entry | {"length": len(DATA) + 1}]
        ),
    }


def _codecs(forger: Forger) -> dict[str, Forgery]:
    frame = _frame(DATA)
    return {
        "unknown-codec": forger.coded("no codec 'lzma'", frame, "lzma"),
        "zstd-bomb": forger.coded("longer than declared", _bomb()),
        "zstd-forged-length-long": forger.coded("shorter than declared", frame, length=len(DATA) + 1),
        "zstd-forged-length-short": forger.coded("longer than declared", frame, length=len(DATA) - 1),
        "zstd-concatenated-frames": forger.coded("after the end", _frame(DATA[:100]) + _frame(DATA[100:])),
        "zstd-empty-frame-after": forger.coded("after the end", frame + _frame(b"")),
        "zstd-trailing-byte": forger.coded("after the end", frame + b"\0"),
        "zstd-cut-short": forger.coded("cut short", frame[:-1]),
        "zstd-empty": forger.coded("cut short", b""),
        "zstd-skippable-frame-first": forger.coded("not a zstd frame", SKIPPABLE + frame),
        "zstd-not-a-frame": forger.coded("not a zstd frame", b"plain bytes"),
        "zstd-window-above-8-mib": forger.coded("not a zstd frame this program reads", _wide_window()),
        "zstd-other-bytes": forger.coded(
            "do not match the SHA-256", _frame(bytes(len(DATA))), error=Unverified
        ),
    }


def segment(kind: int, plain: int, content: bytes) -> bytes:
    """FORMAT.md, section "Segmented codecs"."""
    return bytes([kind]) + plain.to_bytes(4, "big") + len(content).to_bytes(4, "big") + content


def in_shared(offset: int, plain: int) -> bytes:
    """A segment that lies in the shared stream."""
    return segment(4, plain, offset.to_bytes(4, "big"))


def shared_streams(forger: Forger) -> dict[str, Forgery]:
    """Parcels with a shared stream, right and wrong."""
    return _shared_good(forger) | _shared_manifests(forger) | _shared_segments(forger)


def _shared_good(forger: Forger) -> dict[str, Forgery]:
    image = Image(rows=32, columns=40, noise=2, high=600)
    stream, coded = SharedStream(), []
    means = Means(shared=stream)
    writer = coder(
        "jpegls", lambda piece: coded.append(bytes(piece)), plan(reader(image.dataset), image.syntax), means
    )
    writer.write(image.dataset)
    writer.finish()
    frame, pixels = stream.coded(), b"".join(coded)
    picture = entry_for(image.dataset, pixels, "jpegls", offset=len(frame))
    first, second = in_shared(0, 900), in_shared(500, 1500) + segment(0, 4, b"tail")
    start = len(HEADS_FRAME)
    entries = (
        entry_for(HEADS[:900], first, "segments", offset=start),
        entry_for(HEADS[500:] + b"tail", second, "segments", offset=start + len(first)),
        entry_for(b"plain", b"plain", "raw", offset=start + len(first + second)),
    )
    return {
        "good-shared": forger.shared("", HEADS_FRAME + first + second + b"plain", entries),
        "good-shared-no-instance": forger.shared("", HEADS_FRAME, ()),
        "good-shared-and-pixels": forger.shared(
            "", frame + pixels, (picture,), shared={"length": len(stream), "coded_length": len(frame)}
        ),
    }


def _shared_manifests(forger: Forger) -> dict[str, Forgery]:
    size, coded = in_shared(0, len(HEADS)), len(HEADS_FRAME)

    def claim(says: str, frame: bytes = HEADS_FRAME, **changes: Any) -> Forgery:
        entry = entry_for(HEADS, size, "segments", offset=len(frame))
        said = {"length": len(HEADS), "coded_length": len(frame)}
        return forger.shared(says, frame + size, (entry,), **{"shared": said} | changes)

    return {
        "shared-version-1": claim("version is not", version=1),
        "shared-version-3": claim("version is not", version=3),
        "shared-left-out": claim("version is not", shared=None),
        "shared-added-key": claim("'codec'", shared={"length": 1, "coded_length": 1, "codec": "raw"}),
        "shared-of-nothing": claim("length is not", shared={"length": 0, "coded_length": coded}),
        "shared-above-16-mib": claim(
            "length is not", shared={"length": (16 << 20) + 1, "coded_length": coded}
        ),
        "shared-coded-in-nothing": claim("length is not", shared={"length": 1, "coded_length": 0}),
        "shared-forged-short": claim("longer than", shared={"length": len(HEADS) - 1, "coded_length": coded}),
        "shared-forged-long": claim("shorter than", shared={"length": len(HEADS) + 1, "coded_length": coded}),
        "shared-no-frame": claim("not a zstd frame", b"no frame at all"),
        "shared-two-frames": claim("after the end", _frame(HEADS[:500]) + _frame(HEADS[500:])),
        "shared-cut-short": claim("cut short", HEADS_FRAME[:-1]),
        "shared-bomb": claim("longer than", _bomb()),
        "shared-overlaps-an-instance": claim(
            "overlap", shared={"length": len(HEADS), "coded_length": coded + 1}
        ),
        "shared-beyond-the-payload": forger.shared(
            "beyond the end", HEADS_FRAME, (), shared={"length": len(HEADS), "coded_length": coded + 1}
        ),
    }


def _shared_segments(forger: Forger) -> dict[str, Forgery]:
    def coded(says: str, data: bytes, content: bytes, codec: str = "segments", **changes: Any) -> Forgery:
        entry = entry_for(data, content, codec, offset=len(HEADS_FRAME))
        return forger.shared(says, HEADS_FRAME + content, (entry,), **changes)

    alone = in_shared(0, 900)
    return {
        "segment-beyond-the-shared-stream": coded(
            "beyond the end", HEADS[1:] + b"x", in_shared(1, len(HEADS))
        ),
        "segment-far-beyond": coded("beyond the end", HEADS[:9], in_shared(0xFFFFFFFF, 9)),
        "segment-with-five-bytes-of-offset": coded("cannot be coded", HEADS[:9], segment(4, 9, bytes(5))),
        "segment-of-nothing": coded("out of bounds", b"", in_shared(0, 0)),
        "segment-of-other-bytes": coded(
            "do not match the SHA-256", HEADS[:900], in_shared(1, 900), error=Unverified
        ),
        "segments-with-pixels": coded("has no segments", bytes(900), segment(2, 900, bytes(20))),
        "segments-with-a-jpeg": coded("has no segments", bytes(900), segment(3, 900, bytes(20))),
        "no-such-kind": coded("no segment of kind 5", HEADS[:9], segment(5, 9, bytes(4))),
        "shared-offset-cut-short": coded("cut short", HEADS[:900], alone[:-1]),
        "segment-in-no-shared-stream": forger.sign(
            forger._with_manifest(  # a part of it
                forger.good(alone),
                InnerManifest(
                    instances=(entry_for(HEADS[:900], alone, "segments"),), site=SITE, blind="00" * 16
                ).to_bytes(),
            ),
            "the parcel has none",
            Malformed,
        ),
    }

"""Who can open a parcel: the hub's key-encapsulation keys, and the suites they belong to.

A suite names every algorithm together, so that none can be exchanged for a weaker one by itself.
``P256`` is made of algorithms a FIPS module may run. ``MLKEM768-X25519`` holds as long as either of its
two halves does: against whoever records the line today and has a quantum computer later. A name this
program does not know, or that the configuration does not list, is refused, never guessed.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias, assert_never

from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric import ec, mlkem, x25519
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from gateway import durable, keyfile
from gateway.envelope.layout import KeyWrap
from gateway.errors import Malformed, Unverified
from gateway.private_file import read_private

P256 = "P256"
HYBRID = "MLKEM768-X25519"
DEFAULT_SUITE = P256
KEMS: Mapping[str, str] = {
    P256: "HPKE-P256-HKDF256-A256GCM",
    HYBRID: "HPKE-MLKEM768X25519-HKDF256-A256GCM",
}
"""The name of the key wrap of every suite. All of them use AES-256-GCM, HKDF-SHA-256 and SHA-256 besides."""

SUITES = tuple(KEMS)

FILE_SUFFIX = ".kem.pem"
_KID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_MLKEM_PUBLIC = 1184
_HPKE = {
    P256: hpke.Suite(hpke.KEM.P256, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM),
    HYBRID: hpke.Suite(hpke.KEM.MLKEM768_X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM),
}


@dataclass(frozen=True, slots=True)
class HybridPrivate:
    """Both halves of a private key for `HYBRID`."""

    lattice: mlkem.MLKEM768PrivateKey
    curve: x25519.X25519PrivateKey

    @classmethod
    def generate(cls) -> HybridPrivate:
        """A fresh one."""
        return cls(mlkem.MLKEM768PrivateKey.generate(), x25519.X25519PrivateKey.generate())


PrivateKem: TypeAlias = ec.EllipticCurvePrivateKey | HybridPrivate


@dataclass(frozen=True, slots=True)
class KemPublic:
    """A recipient's public key.

    Attributes:
        kid: its name, 1 to 64 of ``A-Z a-z 0-9 . _ -``.
        suite: which suite it is for.
        public: for P256 the uncompressed point, 65 bytes (SEC 1 §2.3.3); for MLKEM768-X25519 the
            ML-KEM-768 encapsulation key (FIPS 203), 1184 bytes, and the X25519 one (RFC 7748), 32.
    """

    kid: str
    suite: str
    public: bytes

    def wrap(self, key: bytes, info: bytes) -> KeyWrap:
        """Seal `key` for this recipient, bound to `info`. Raises Malformed if the public key is none."""
        known_suite(self.suite)
        try:
            return KeyWrap(
                self.kid, KEMS[self.suite], _HPKE[self.suite].encrypt(key, self._recipient(), info)
            )
        except ValueError as error:
            raise Malformed(f"the public key {self.kid!r} is not one of the suite {self.suite}") from error

    def _recipient(self) -> ec.EllipticCurvePublicKey | hpke.MLKEM768X25519PublicKey:
        if self.suite == P256:
            return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), self.public)
        lattice, curve = self.public[:_MLKEM_PUBLIC], self.public[_MLKEM_PUBLIC:]
        return hpke.MLKEM768X25519PublicKey(
            mlkem.MLKEM768PublicKey.from_public_bytes(lattice),
            x25519.X25519PublicKey.from_public_bytes(curve),
        )


def known_suite(suite: str, allowed: Collection[str] = SUITES) -> str:
    """Check the name of a suite against what is known, and what the configuration allows.

    Raises:
        Unverified: a suite that is not listed is refused, not tried.
    """
    if suite not in KEMS:
        raise Unverified(f"the suite {suite!r} is not known here; known are {', '.join(sorted(KEMS))}")
    if suite not in allowed:
        raise Unverified(f"the suite {suite!r} is not allowed here (suites: {', '.join(sorted(allowed))})")
    return suite


def check_suites(names: Sequence[str]) -> None:
    """Check the list of suites of a configuration. Raises ValueError."""
    if not names or not set(names) <= set(SUITES) or len(set(names)) != len(names):
        raise ValueError(f"suites must be a list of one or more of {', '.join(SUITES)}, each once")


def wants_both(suites: Sequence[str]) -> bool:
    """Whether an allow-list means that statements must bear an ML-DSA signature, too."""
    return P256 not in suites


def suite_of(key: PrivateKem) -> str:
    """Which suite a private key is for."""
    match key:
        case HybridPrivate():
            return HYBRID
        case ec.EllipticCurvePrivateKey():
            return P256
        case _:
            assert_never(key)


def choose(keys: Sequence[KemPublic], suites: Sequence[str]) -> tuple[KemPublic, ...]:
    """The keys of the first of `suites` that has any: a parcel is never sealed under two suites.

    Raises:
        Unverified: no key is of an allowed suite. There is no falling back to another.
    """
    for suite in suites:
        if found := tuple(key for key in keys if key.suite == suite):
            return found
    offered = ", ".join(sorted({key.suite for key in keys}))
    raise Unverified(f"the hub offers keys of {offered}, and only {', '.join(suites)} is allowed here")


class KemKeys:
    """The private keys a hub opens parcels with, by kid: the newest, and older ones for what is on its way.

    Iterating gives the kids, in order. Keys may be added while others read.
    """

    def __init__(self, keys: Mapping[str, PrivateKem]) -> None:
        for kid, key in keys.items():
            if not _KID.fullmatch(kid):
                raise Malformed(f"{kid!r} is no name for a key")
            if isinstance(key, ec.EllipticCurvePrivateKey) and not isinstance(key.curve, ec.SECP256R1):
                raise Malformed(f"the key {kid!r} is not on the curve P-256")
        self._keys = dict(sorted(keys.items()))

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    @classmethod
    def generate(cls, kid: str, suite: str = DEFAULT_SUITE) -> KemKeys:
        """One fresh key."""
        if known_suite(suite) == HYBRID:
            return cls({kid: HybridPrivate.generate()})
        return cls({kid: ec.generate_private_key(ec.SECP256R1())})

    @classmethod
    def load(cls, folder: Path) -> KemKeys:
        """Every ``<kid>.kem.pem`` in `folder`.

        Raises:
            Malformed: one holds no key, or there is none.
            UsageError: others than its owner may read one.
        """
        keys = {
            file.name.removesuffix(FILE_SUFFIX): _read(file)
            for file in sorted(folder.glob(f"*{FILE_SUFFIX}"))
        }
        if not keys:
            raise Malformed(f"there is no *{FILE_SUFFIX} in {folder}")
        return cls(keys)

    def save(self, folder: Path) -> None:
        """Write every key that is not there yet, PKCS#8, mode 0600, durably; never over another."""
        for kid, key in self._keys.items():
            target = folder / f"{kid}{FILE_SUFFIX}"
            if not target.exists():
                durable.create(target, _pem(key))

    def joined(self, other: KemKeys) -> KemKeys:
        """These keys and the others."""
        return KemKeys(self._keys | other._keys)

    def add(self, other: KemKeys) -> None:
        """Take over the others' keys, in one step."""
        self._keys = dict(sorted((self._keys | other._keys).items()))

    def publics(self) -> tuple[KemPublic, ...]:
        """What edges seal to."""
        return tuple(KemPublic(kid, suite_of(key), _public(key)) for kid, key in self._keys.items())

    def unwrap(self, suite: str, wraps: Sequence[KeyWrap], info: bytes) -> bytes:
        """The parcel's key, by the first wrap that names one of ours.

        Raises:
            Unverified: no wrap is for us, or ours does not open under `info`.
        """
        known_suite(suite)
        keys = self._keys
        for wrap in wraps:
            if wrap.kid not in keys:
                continue
            if wrap.kem != KEMS[suite] or suite_of(keys[wrap.kid]) != suite:
                raise Unverified(f"the key wrap {wrap.kid!r} is {wrap.kem!r}, which is not the suite's")
            try:
                return _HPKE[suite].decrypt(wrap.wrapped, _opener(keys[wrap.kid]), info)
            except (InvalidTag, ValueError) as error:
                raise Unverified(f"the key wrap for {wrap.kid!r} does not open for this parcel") from error
        kids = ", ".join(repr(wrap.kid) for wrap in wraps)
        raise Unverified(f"the parcel is sealed to {kids}, none of which is a key of this hub")


def _opener(key: PrivateKem) -> ec.EllipticCurvePrivateKey | hpke.MLKEM768X25519PrivateKey:
    return hpke.MLKEM768X25519PrivateKey(key.lattice, key.curve) if isinstance(key, HybridPrivate) else key


def _public(key: PrivateKem) -> bytes:
    if isinstance(key, HybridPrivate):
        return key.lattice.public_key().public_bytes_raw() + key.curve.public_key().public_bytes_raw()
    return key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def _pem(key: PrivateKem) -> bytes:
    parts = (key.lattice, key.curve) if isinstance(key, HybridPrivate) else (key,)
    return b"".join(part.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) for part in parts)


def _read(file: Path) -> PrivateKem:
    try:
        keys = keyfile.read_pem(read_private(file))
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise Malformed(f"{file} holds no readable private key") from error
    match keys:
        case [ec.EllipticCurvePrivateKey() as key]:
            return key
        case [mlkem.MLKEM768PrivateKey() as lattice, x25519.X25519PrivateKey() as curve]:
            return HybridPrivate(lattice, curve)
        case []:
            raise Malformed(f"{file} holds no readable private key")
        case _:
            raise Malformed(f"{file} holds no key of a known suite")

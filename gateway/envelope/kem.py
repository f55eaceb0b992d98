"""Who can open a parcel: the hub's key-encapsulation keys, and the suites they belong to.

A suite names every algorithm together, so that none can be exchanged for a weaker one by itself.
``P256`` is made of algorithms a FIPS module may run. A stronger one is added as a new name; a
name this program does not know is refused, never guessed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from gateway import durable
from gateway.envelope.layout import KeyWrap
from gateway.errors import Malformed, Unverified

DEFAULT_SUITE = "P256"
KEMS: Mapping[str, str] = {"P256": "HPKE-P256-HKDF256-A256GCM"}
"""The name of the key wrap of every suite. All of them use AES-256-GCM, HKDF-SHA-256 and SHA-256 besides."""

FILE_SUFFIX = ".kem.pem"
_KID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_HPKE_P256 = hpke.Suite(hpke.KEM.P256, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)


@dataclass(frozen=True, slots=True)
class KemPublic:
    """A recipient's public key.

    Attributes:
        kid: its name, 1 to 64 of ``A-Z a-z 0-9 . _ -``.
        suite: which suite it is for.
        public: for P256 the uncompressed point, 65 bytes (SEC 1 §2.3.3).
    """

    kid: str
    suite: str
    public: bytes

    def wrap(self, key: bytes, info: bytes) -> KeyWrap:
        """Seal `key` for this recipient, bound to `info`. Raises Malformed if the public key is none."""
        known_suite(self.suite)
        try:
            point = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), self.public)
        except ValueError as error:
            raise Malformed(f"the public key {self.kid!r} is not a point of P-256") from error
        return KeyWrap(self.kid, KEMS[self.suite], _HPKE_P256.encrypt(key, point, info))


def known_suite(suite: str) -> str:
    """Check the name of a suite. Raises Unverified: an unknown suite is refused, not tried."""
    if suite not in KEMS:
        raise Unverified(f"the suite {suite!r} is not known here; known are {', '.join(sorted(KEMS))}")
    return suite


class KemKeys:
    """The private keys a hub opens parcels with, by kid: the newest, and older ones for what is on its way.

    Iterating gives the kids, in order.
    """

    def __init__(self, keys: Mapping[str, ec.EllipticCurvePrivateKey]) -> None:
        for kid, key in keys.items():
            if not _KID.fullmatch(kid):
                raise Malformed(f"{kid!r} is no name for a key")
            if not isinstance(key.curve, ec.SECP256R1):
                raise Malformed(f"the key {kid!r} is not on the curve P-256")
        self._keys = dict(sorted(keys.items()))

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    @classmethod
    def generate(cls, kid: str) -> KemKeys:
        """One fresh key."""
        return cls({kid: ec.generate_private_key(ec.SECP256R1())})

    @classmethod
    def load(cls, folder: Path) -> KemKeys:
        """Every ``<kid>.kem.pem`` in `folder`. Raises Malformed if one is unreadable or there is none."""
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
                pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
                durable.create(target, pem)

    def joined(self, other: KemKeys) -> KemKeys:
        """These keys and the others."""
        return KemKeys(self._keys | other._keys)

    def publics(self) -> tuple[KemPublic, ...]:
        """What edges seal to."""
        return tuple(
            KemPublic(
                kid,
                DEFAULT_SUITE,
                key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint),
            )
            for kid, key in self._keys.items()
        )

    def unwrap(self, suite: str, wraps: Sequence[KeyWrap], info: bytes) -> bytes:
        """The parcel's key, by the first wrap that names one of ours.

        Raises:
            Unverified: no wrap is for us, or ours does not open under `info`.
        """
        known_suite(suite)
        for wrap in wraps:
            if wrap.kid not in self._keys:
                continue
            if wrap.kem != KEMS[suite]:
                raise Unverified(f"the key wrap {wrap.kid!r} is {wrap.kem!r}, which is not the suite's")
            try:
                return _HPKE_P256.decrypt(wrap.wrapped, self._keys[wrap.kid], info)
            except (InvalidTag, ValueError) as error:
                raise Unverified(f"the key wrap for {wrap.kid!r} does not open for this parcel") from error
        kids = ", ".join(repr(wrap.kid) for wrap in wraps)
        raise Unverified(f"the parcel is sealed to {kids}, none of which is a key of this hub")


def _read(file: Path) -> ec.EllipticCurvePrivateKey:
    try:
        key = load_pem_private_key(file.read_bytes(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise Malformed(f"{file} holds no readable private key") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise Malformed(f"{file} holds no elliptic-curve key")
    return key

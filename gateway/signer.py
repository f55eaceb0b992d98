"""What signs: a P-256 key, wherever it lies, and perhaps an ML-DSA-65 key beside it; with its certificates.

A key in a file and a key in a token (`gateway.token`) are the same to `FileSigner`: both are handed to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey, MLDSA65PublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key
from cryptography.x509.oid import ObjectIdentifier

from gateway import keyfile
from gateway.certificate import UNREADABLE, read_certificates
from gateway.errors import Malformed, Unverified

SECOND_KEY = ObjectIdentifier("2.5.29.72")
"""subjectAltPublicKeyInfo (ITU-T X.509 of 2019, §9.8.2): the ML-DSA-65 key that signs beside P-256."""


class Signer(Protocol):
    """A key that signs, and the chain that says whose it is: leaf first, excluding the root."""

    @property
    def chain(self) -> tuple[x509.Certificate, ...]:
        """Of the key that signs next; read it before each signature, since keys are renewed."""

    def sign(self, data: bytes) -> bytes:
        """ECDSA over P-256 with SHA-256, as DER."""


@runtime_checkable
class DoubleSigner(Signer, Protocol):
    """A signer that may hold a second, post-quantum key beside the first."""

    def sign_second(self, data: bytes) -> bytes | None:
        """ML-DSA-65 (FIPS 204) with an empty context; None if the certificate names no such key."""


class FileSigner:
    """A signing key and its certificate. Where the key lies (file, token) is the key's matter.

    Args:
        key: on P-256.
        chain: leaf first, without the root.
        second: the ML-DSA-65 key that the certificate names, if it names one.

    Raises:
        Malformed: key and certificate do not belong together.
    """

    def __init__(
        self,
        key: ec.EllipticCurvePrivateKey,
        chain: Sequence[x509.Certificate],
        second: MLDSA65PrivateKey | None = None,
    ) -> None:
        if not chain or chain[0].public_key() != key.public_key():
            raise Malformed("the signing key does not belong to the certificate beside it")
        if not isinstance(key.curve, ec.SECP256R1):
            raise Malformed(f"a signing key must be on the curve P-256, this one is on {key.curve.name}")
        named = second_key(chain[0])
        if named is not None and (second is None or second.public_key() != named):
            raise Malformed("the certificate names an ML-DSA key, and that key is not beside it")
        self._key = key
        self._second = second if named is not None else None
        self.chain = tuple(chain)

    @classmethod
    def load(cls, key: Path, chain: Path) -> FileSigner:
        """Read PEM keys and a PEM chain. Raises as `gateway.keyfile.load_p256`, or Malformed if unfit."""
        return cls(keyfile.load_p256(key), read_certificates(chain), keyfile.load_second(key))

    def sign(self, data: bytes) -> bytes:
        """ECDSA over P-256 with SHA-256, as DER."""
        return self._key.sign(data, ec.ECDSA(hashes.SHA256()))

    def sign_second(self, data: bytes) -> bytes | None:
        """ML-DSA-65, if the certificate names such a key."""
        return None if self._second is None else self._second.sign(data)


def second_key(certificate: x509.Certificate) -> MLDSA65PublicKey | None:
    """The ML-DSA-65 key a certificate names beside its own; None if it names none.

    Raises:
        Unverified: what it names is no such key.
    """
    try:
        found = certificate.extensions.get_extension_for_oid(SECOND_KEY).value
        key = load_der_public_key(found.public_bytes())
    except x509.ExtensionNotFound:
        return None
    except UNREADABLE as error:
        raise Unverified(
            f"the second key of {certificate.subject.rfc4514_string()} cannot be read: {error}"
        ) from error
    if not isinstance(key, MLDSA65PublicKey):
        raise Unverified(f"the second key of {certificate.subject.rfc4514_string()} is not ML-DSA-65")
    return key

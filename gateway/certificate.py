"""Certificates as bytes: reading them from anywhere, writing them, and their two kinds of digest.

What comes from a line or a file may be anything; the X.509 library tells some of that by exceptions
of its own, which are all Malformed here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.utils import CryptographyDeprecationWarning

from gateway.errors import Malformed
from gateway.model import Sha256

UNREADABLE: tuple[type[Exception], ...] = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
    CryptographyDeprecationWarning,  # where warnings are errors: such as a serial number that is not positive
)
"""What the library raises for bytes that are no certificate it knows; some only when a field is looked at."""


def read_der(data: bytes) -> x509.Certificate:
    """One certificate, DER. Raises Malformed."""
    try:
        return x509.load_der_x509_certificate(data)
    except UNREADABLE as error:
        raise Malformed(f"this is an unreadable certificate: {error}") from error


def read_pem(data: bytes, what: str = "this") -> tuple[x509.Certificate, ...]:
    """Every certificate of a PEM text, in its order. Raises Malformed if it holds none; `what` names it."""
    try:
        return tuple(x509.load_pem_x509_certificates(data))
    except UNREADABLE as error:
        raise Malformed(f"{what} holds no readable certificate: {error}") from error


def read_certificates(file: Path) -> tuple[x509.Certificate, ...]:
    """Every certificate of a PEM file, in its order. Raises Malformed if it holds none."""
    return read_pem(file.read_bytes(), str(file))


def read_request(data: bytes) -> x509.CertificateSigningRequest:
    """A certificate request (PKCS#10, RFC 2986), PEM, whose key can be read. Raises Malformed."""
    try:
        request = x509.load_pem_x509_csr(data)
        request.public_key()
        return request
    except UNREADABLE as error:
        raise Malformed(f"the certificate request cannot be read: {error}") from error


def pem(certificates: Sequence[x509.Certificate]) -> bytes:
    """The certificates as PEM, in their order."""
    return b"".join(certificate.public_bytes(Encoding.PEM) for certificate in certificates)


def fingerprint(certificate: x509.Certificate) -> Sha256:
    """SHA-256 of the certificate's DER."""
    return Sha256(certificate.fingerprint(hashes.SHA256()).hex())


def spki_pin(certificate: x509.Certificate) -> str:
    """``sha256:<hex>`` of the SubjectPublicKeyInfo: it stays the same when a certificate is renewed."""
    info = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return f"sha256:{hashlib.sha256(info).hexdigest()}"

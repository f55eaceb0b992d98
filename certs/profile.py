"""What stands in each kind of certificate. Pure: keys and time are handed in.

All authorities and people have P-256 keys and sign with ECDSA and SHA-256 (FIPS 186-5); serials
are 159 random bits (RFC 5280 §4.1.2.2).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID, ObjectIdentifier

from gateway.trust import SECOND_KEY

BACKDATE = timedelta(minutes=10)
"""Certificates begin a little in the past, for receivers whose clocks are slow."""

ROOT_LIFE = timedelta(days=3652)
ISSUER_LIFE = timedelta(days=8 * 365)

PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey


@dataclass(frozen=True, slots=True)
class Leaf:
    """What a leaf certificate is to say."""

    key: PublicKey
    name: str  # common name, for people to read; no program takes anything from it
    names: Sequence[x509.GeneralName]  # subject alternative names
    usages: Sequence[ObjectIdentifier]  # extended key usage
    life: timedelta
    content_commitment: bool = False
    usages_critical: bool = False
    second_key: MLDSA65PublicKey | None = None  # named beside `key`, as subjectAltPublicKeyInfo


def root(
    key: ec.EllipticCurvePrivateKey, organisation: str, now: datetime, generation: int = 1
) -> x509.Certificate:
    """A self-signed root under which one level of issuing authorities may stand.

    Raises:
        ValueError: the organisation's name is empty or longer than 64 (RFC 5280 A.1).
    """
    if not 1 <= len(organisation) <= 64:
        raise ValueError("it must have 1 to 64 characters")
    subject = _name(_numbered("Root CA", generation), organisation)
    builder = _builder(subject, subject, key.public_key(), now, now + ROOT_LIFE)
    return _authority(builder, 1).sign(key, hashes.SHA256())


def issuer(
    key: ec.EllipticCurvePublicKey,
    name: str,
    usages: Sequence[ObjectIdentifier],
    root: x509.Certificate,
    root_key: ec.EllipticCurvePrivateKey,
    now: datetime,
    generation: int = 1,
) -> x509.Certificate:
    """An issuing authority for leaves of the given extended key usages alone."""
    end = min(now + ISSUER_LIFE, root.not_valid_after_utc)
    subject = _name(_numbered(f"{name.capitalize()} CA", generation), _organisation(root))
    builder = _authority(_builder(subject, root.subject, key, now, end), 0)
    builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
    return builder.add_extension(_authority_key(root), critical=False).sign(root_key, hashes.SHA256())


def leaf(
    content: Leaf, issuer: x509.Certificate, issuer_key: ec.EllipticCurvePrivateKey, now: datetime
) -> x509.Certificate:
    """A leaf; it never outlives its issuer. Raises ValueError for names a certificate cannot hold."""
    end = min(now + content.life, issuer.not_valid_after_utc)
    subject = _name(content.name, _organisation(issuer))
    builder = (
        _builder(subject, issuer.subject, content.key, now, end)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(
            _key_usage(digital_signature=True, content_commitment=content.content_commitment), critical=True
        )
        .add_extension(x509.ExtendedKeyUsage(content.usages), critical=content.usages_critical)
        .add_extension(_authority_key(issuer), critical=False)
    )
    if content.names:
        builder = builder.add_extension(x509.SubjectAlternativeName(content.names), critical=False)
    if content.second_key is not None:
        info = content.second_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        builder = builder.add_extension(x509.UnrecognizedExtension(SECOND_KEY, info), critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


def _builder(
    subject: x509.Name, issuer: x509.Name, key: PublicKey, now: datetime, end: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATE)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _authority(builder: x509.CertificateBuilder, path_length: int) -> x509.CertificateBuilder:
    constraints = x509.BasicConstraints(ca=True, path_length=path_length)
    return builder.add_extension(constraints, critical=True).add_extension(
        _key_usage(key_cert_sign=True, crl_sign=True), critical=True
    )


def _key_usage(
    *,
    digital_signature: bool = False,
    content_commitment: bool = False,
    key_cert_sign: bool = False,
    crl_sign: bool = False,
) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=content_commitment,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        encipher_only=False,
        decipher_only=False,
    )


def _authority_key(issuer: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    identifier = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)


def _name(common: str, organisation: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation),
            x509.NameAttribute(NameOID.COMMON_NAME, common),
        ]
    )


def _numbered(name: str, generation: int) -> str:
    """Every generation has a name of its own: chains and revocation lists are found by it."""
    return name if generation == 1 else f"{name} G{generation}"


def organisation(certificate: x509.Certificate) -> str:
    """Whose authority it is."""
    return _organisation(certificate)


def _organisation(issuer: x509.Certificate) -> str:
    return str(issuer.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)[0].value)

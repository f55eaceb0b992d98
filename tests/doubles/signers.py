"""A tiny authority in memory: a root, an issuing authority, and signers of every purpose tests need."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from gateway.trust import HUB_SIGNING, SECOND_KEY, FileSigner, Trust, device_uri, hub_uri

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
_START, _END = NOW - timedelta(days=1), NOW + timedelta(days=30)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _key_usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )


class MemoryAuthority:
    """Issues what a test asks for, good or bad. Its keys die with it."""

    def __init__(self, name: str = "Test") -> None:
        self._root_key = ec.generate_private_key(ec.SECP256R1())
        self._issuer_key = ec.generate_private_key(ec.SECP256R1())
        self.root = self._certify(f"{name} Root", self._root_key.public_key(), None, path_length=1)
        self.issuer = self._certify(f"{name} Issuer", self._issuer_key.public_key(), self.root, path_length=0)
        self.trust = Trust([self.root])

    def _certify(self, name, public, issuer, *, path_length):
        return (
            x509.CertificateBuilder(issuer.subject if issuer else _name(name), _name(name), public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(_START)
            .not_valid_after(_END)
            .add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
            .add_extension(_key_usage(authority=True), critical=True)
            .sign(self._root_key, hashes.SHA256())
        )

    def _leaf(
        self, uri: str, usage: ObjectIdentifier, end: datetime, second: MLDSA65PrivateKey | None = None
    ) -> FileSigner:
        key = ec.generate_private_key(ec.SECP256R1())
        builder = (
            x509.CertificateBuilder(self.issuer.subject, _name("leaf"), key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(_START)
            .not_valid_after(end)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(authority=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri)]), critical=False)
        )
        if second is not None:
            info = second.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
            builder = builder.add_extension(x509.UnrecognizedExtension(SECOND_KEY, info), critical=False)
        certificate = builder.sign(self._issuer_key, hashes.SHA256())
        return FileSigner(key, (certificate, self.issuer), second)

    def device(
        self, site: str = "H001", edge: str = "1", *, end: datetime = _END, double: bool = False
    ) -> FileSigner:
        """An edge's signer; `double`: with an ML-DSA key beside."""
        second = MLDSA65PrivateKey.generate() if double else None
        return self._leaf(device_uri(site, edge), ExtendedKeyUsageOID.CLIENT_AUTH, end, second)

    def hub(self, name: str = "main", *, end: datetime = _END, double: bool = False) -> FileSigner:
        """A hub's receipt signer."""
        return self._leaf(hub_uri(name), HUB_SIGNING, end, MLDSA65PrivateKey.generate() if double else None)

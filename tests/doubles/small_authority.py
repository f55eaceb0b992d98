"""A small certificate authority made on the spot: root, people, time-stamping, hub, device, with CRLs."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from gateway.clock import SystemClock
from gateway.trust import DOCUMENT_SIGNING, HUB_SIGNING, FileSigner, Trust, device_uri, hub_uri
from hub.reports.signature import TrustMaterial
from hub.reports.timestamp import TimestampAuthority


def _usage(*, ca: bool, commit: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca,
        content_commitment=commit,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )


@dataclass
class Issuer:
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey
    revoked: list[int] = field(default_factory=list)

    def crl(self, *, life: timedelta = timedelta(days=7)) -> bytes:
        now = datetime.now(UTC).replace(microsecond=0)
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.certificate.subject)
            .last_update(now - timedelta(minutes=10))
            .next_update(now + life)
            .add_extension(x509.CRLNumber(1), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False
            )
        )
        for serial in self.revoked:
            builder = builder.add_revoked_certificate(
                x509.RevokedCertificateBuilder()
                .serial_number(serial)
                .revocation_date(now - timedelta(minutes=5))
                .build()
            )
        return builder.sign(self.key, hashes.SHA256()).public_bytes(Encoding.DER)


class SmallAuthority:
    """Root → people, time-stamping, hub and device CAs; issues what a test asks for."""

    def __init__(self, name: str = "Test") -> None:
        self.root = self._issuer(f"{name} Root", None)
        self.people = self._issuer(f"{name} People CA", self.root)
        self.stamps = self._issuer(f"{name} Timestamp CA", self.root)
        self.servers = self._issuer(f"{name} Server CA", self.root)
        self.devices = self._issuer(f"{name} Device CA", self.root)

    @property
    def trust(self) -> Trust:
        return Trust([self.root.certificate])

    def crls(self) -> list[bytes]:
        return [issuer.crl() for issuer in (self.root, self.people, self.stamps)]

    def material(self) -> TrustMaterial:
        roots, stamps = (self.root.certificate,), self.timestamps()
        return TrustMaterial(lambda: roots, lambda: stamps, self.crls)

    def person(
        self, name: str = "Dr. Wei Lin", email: str = "wei@example.org", **options: bool
    ) -> FileSigner:
        purposes = [DOCUMENT_SIGNING, ExtendedKeyUsageOID.EMAIL_PROTECTION]
        return self._leaf(name, self.people, purposes, [x509.RFC822Name(email)], commit=True)

    def timestamps(self) -> TimestampAuthority:
        purposes = [ExtendedKeyUsageOID.TIME_STAMPING]
        made = self._leaf("Test TSA", self.stamps, purposes, [], critical=True, years=10)
        return TimestampAuthority(made._key, made.chain, SystemClock())

    def hub(self, name: str = "hub") -> FileSigner:
        names = [x509.UniformResourceIdentifier(hub_uri(name))]
        return self._leaf(name, self.servers, [HUB_SIGNING], names)

    def device(self, site: str = "H001", edge: str = "1") -> FileSigner:
        names = [x509.UniformResourceIdentifier(device_uri(site, edge))]
        return self._leaf(f"{site}-{edge}", self.devices, [ExtendedKeyUsageOID.CLIENT_AUTH], names)

    def server(self) -> FileSigner:
        names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        return self._leaf("localhost", self.servers, [ExtendedKeyUsageOID.SERVER_AUTH], names)

    def _issuer(self, name: str, parent: Issuer | None) -> Issuer:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = self._builder(subject, parent.certificate.subject if parent else subject, key, years=10)
        builder = builder.add_extension(
            x509.BasicConstraints(ca=True, path_length=0 if parent else 1), critical=True
        ).add_extension(_usage(ca=True), critical=True)
        if parent is not None:
            builder = self._issued_by(builder, parent)
        return Issuer(builder.sign((parent.key if parent else key), hashes.SHA256()), key)

    def _leaf(
        self,
        name: str,
        issuer: Issuer,
        purposes: Sequence[x509.ObjectIdentifier],
        names: Sequence[x509.GeneralName],
        *,
        commit: bool = False,
        critical: bool = False,
        years: int = 1,
    ) -> FileSigner:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = (
            self._builder(subject, issuer.certificate.subject, key, years=years)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(ca=False, commit=commit), critical=True)
            .add_extension(x509.ExtendedKeyUsage(purposes), critical=critical)
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        certificate = self._issued_by(builder, issuer).sign(issuer.key, hashes.SHA256())
        return FileSigner(key, (certificate, issuer.certificate))

    @staticmethod
    def _issued_by(builder: x509.CertificateBuilder, issuer: Issuer) -> x509.CertificateBuilder:
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key())
        return builder.add_extension(identifier, critical=False)

    @staticmethod
    def _builder(
        subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, *, years: int
    ) -> x509.CertificateBuilder:
        now = datetime.now(UTC).replace(microsecond=0)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(days=365 * years))
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        )

"""Certificates of a hospital's devices, by a CA of its own; made at run time."""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

LOOPBACK = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])


def hospital_pki(folder: Path, *names: str) -> Path:
    """Writes ``NAME.pem`` and ``NAME.key`` for each, for a CA ``ca`` and for a ``stranger`` of his own.

    One whose name begins with ``old`` expired an hour ago; with ``named`` names 127.0.0.1.
    """
    now = datetime.now(UTC)
    ca = rsa.generate_private_key(65537, 2048)
    for name in ("ca", *names, "stranger"):
        key = ca if name == "ca" else rsa.generate_private_key(65537, 2048)
        own = name in ("ca", "stranger")
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        issuer = subject if own else x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ca")])
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=2))
            .not_valid_after(now + timedelta(hours=-1 if name.startswith("old") else 1))
            .add_extension(x509.BasicConstraints(own, None), True)
        )
        if name.startswith(("named", "old")):
            builder = builder.add_extension(LOOPBACK, False)
        certificate = builder.sign(key if own else ca, hashes.SHA256())
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        (folder / f"{name}.key").write_bytes(private)
        (folder / f"{name}.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return folder

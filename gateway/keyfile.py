"""Private keys in files: PKCS#8, PEM, readable by their owner alone, never overwritten."""

from __future__ import annotations

from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from gateway import durable
from gateway.errors import Malformed, UsageError


def new() -> ec.EllipticCurvePrivateKey:
    """A new P-256 key."""
    return ec.generate_private_key(ec.SECP256R1())


def store(file: Path, key: PrivateKeyTypes) -> None:
    """Write `key` to a new file with mode 0600, durably. Raises FileExistsError if it is there already."""
    durable.create(file, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), mode=0o600)


def load(file: Path) -> PrivateKeyTypes:
    """Read any private key.

    Raises:
        UsageError: others than its owner may read the file, or it cannot be read at all.
        Malformed: it holds no key.
    """
    try:
        mode, data = file.stat().st_mode, file.read_bytes()
    except OSError as error:
        raise UsageError(f"the key {file} cannot be read: {error.strerror}") from error
    if mode & 0o077:
        raise UsageError(f"the key {file} can be read by others; set its mode to 0600 (chmod 600)")
    try:
        return load_pem_private_key(data, None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise Malformed(f"{file} holds no readable private key") from error


def load_p256(file: Path) -> ec.EllipticCurvePrivateKey:
    """Read a P-256 key. Raises as `load`, and Malformed for a key of another kind."""
    key = load(file)
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise Malformed(f"{file} holds no key on the curve P-256")
    return key

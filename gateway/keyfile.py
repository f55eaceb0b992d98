"""Private keys in files: PKCS#8, PEM, readable by their owner alone, never overwritten."""

from __future__ import annotations

import re
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from gateway import durable, token
from gateway.errors import Malformed
from gateway.private_file import read_private

_BLOCK = re.compile(rb"-----BEGIN ([A-Z ]+)-----.*?-----END \1-----", re.DOTALL)
"""RFC 7468; the label in a group."""


def new() -> ec.EllipticCurvePrivateKey:
    """A new P-256 key."""
    return ec.generate_private_key(ec.SECP256R1())


def pem(*keys: PrivateKeyTypes | None) -> bytes:
    """The keys as PKCS#8 in PEM, one after another."""
    return b"".join(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        for key in keys
        if key is not None
    )


def read_pem(data: bytes) -> list[PrivateKeyTypes]:
    """Every private key in a PEM text, in its order. Raises ValueError, TypeError or UnsupportedAlgorithm."""
    blocks = [one[0] for one in _BLOCK.finditer(data) if one[1].endswith(b"PRIVATE KEY")]
    return [load_pem_private_key(block, None) for block in blocks]


def store(file: Path, *keys: PrivateKeyTypes) -> None:
    """Write keys to a new file with mode 0600, durably. Raises FileExistsError if it is there already."""
    durable.create(file, pem(*keys), mode=0o600)


def load(file: Path) -> PrivateKeyTypes:
    """Read any private key.

    Raises:
        UsageError: others than its owner may read the file, or it cannot be read at all.
        Malformed: it holds no key.
    """
    return _parsed(read_private(file), file)


def load_p256(file: Path) -> ec.EllipticCurvePrivateKey:
    """Read a P-256 key, or find it in the token that the file names (`gateway.token`).

    Raises as `load`, and Malformed for a key of another kind.
    """
    data = read_private(file)
    if token.is_uri(data):
        return token.TokenKey(token.TokenUri.parse(data.decode()))
    key = _parsed(data, file)
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise Malformed(f"{file} holds no key on the curve P-256")
    return key


def load_second(file: Path) -> MLDSA65PrivateKey | None:
    """The ML-DSA-65 key in a file that may hold one beside others. Raises as `load`."""
    try:
        keys = read_pem(read_private(file))
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise Malformed(f"{file} holds no readable private key") from error
    return next((key for key in keys if isinstance(key, MLDSA65PrivateKey)), None)


def _parsed(data: bytes, file: Path) -> PrivateKeyTypes:
    try:
        return load_pem_private_key(data, None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise Malformed(f"{file} holds no readable private key") from error

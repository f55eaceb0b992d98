"""Signed statements: a payload, who says it, and a signature over both kind and payload.

The signature covers the pre-authentication encoding of DSSE ("DSSEv1"), so that a statement of
one kind can never be taken for another and nothing is parsed before it is verified but the outer
wrapping. Every signed record of the gateway is such a statement.

A signer whose certificate names a second key (`gateway.trust.SECOND_KEY`) signs with both, and both
must hold. That the second signature must be there is said by the certificate, so taking it off is noticed.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from gateway import canonical
from gateway.certificate import read_der
from gateway.envelope.record import Record, base64_bytes, base64_text
from gateway.errors import Malformed, Unverified
from gateway.model import Sha256
from gateway.trust import DoubleSigner, Identity, Purpose, Signer, Trust, second_key

STATEMENT_LIMIT = 16 << 20
"""Bytes of a whole statement. A parcel of 60 GiB needs about 9 MiB."""

CHAIN_LIMIT = 5
CERTIFICATE_LIMIT = 8 << 10
SIGNATURE_LIMIT = 72
"""Bytes of an ECDSA P-256 signature in DER: two integers of at most 33 bytes, and their headers."""

SECOND_SIGNATURE_SIZE = 3309
"""Bytes of an ML-DSA-65 signature (FIPS 204, table 2)."""

_KEYS = frozenset({"kind", "payload", "chain", "signature"})


@dataclass(frozen=True, slots=True)
class Statement:
    """What a statement claims, before anybody has verified it."""

    kind: str
    payload: bytes
    chain: tuple[bytes, ...]
    signature: bytes
    second_signature: bytes | None = None

    @classmethod
    def from_bytes(cls, data: bytes) -> Statement:
        """Take the wrapping apart. Raises Malformed."""
        record = Record.parse(
            data, "the signed statement", _KEYS, optional={"second_signature"}, limit=STATEMENT_LIMIT
        )
        chain = record.items("chain", 1, CHAIN_LIMIT)
        if not all(isinstance(item, str) and len(item) <= 2 * CERTIFICATE_LIMIT for item in chain):
            raise Malformed("the signed statement: a certificate is not base64 or too large")
        return cls(
            kind=record.text("kind", 64),
            payload=record.binary("payload", STATEMENT_LIMIT),
            chain=tuple(base64_bytes(item) for item in chain),
            signature=record.binary("signature", SIGNATURE_LIMIT),
            second_signature=record.binary("second_signature", SECOND_SIGNATURE_SIZE, exact=True)
            if record.has("second_signature")
            else None,
        )

    def to_bytes(self) -> bytes:
        """Canonical JSON."""
        fields: dict[str, str | list[str]] = {
            "kind": self.kind,
            "payload": base64_text(self.payload),
            "chain": [base64_text(item) for item in self.chain],
            "signature": base64_text(self.signature),
        }
        if self.second_signature is not None:
            fields["second_signature"] = base64_text(self.second_signature)
        return canonical.dump(fields)

    @property
    def digest(self) -> Sha256:
        """SHA-256 of exactly what is signed.

        Not of the wrapping: from one ECDSA signature anybody can make a second valid one, which
        must not become a second statement.
        """
        return Sha256(hashlib.sha256(encoding(self.kind, self.payload)).hexdigest())

    def certificates(self) -> tuple[x509.Certificate, ...]:
        """The chain, parsed. Raises Malformed."""
        return tuple(read_der(item) for item in self.chain)


def encoding(kind: str, payload: bytes) -> bytes:
    """DSSE pre-authentication encoding: ``DSSEv1 <len> <kind> <len> <payload>``, lengths in decimal bytes."""
    name = kind.encode()
    return b"DSSEv1 %d %b %d %b" % (len(name), name, len(payload), payload)


def sign(kind: str, payload: bytes, signer: Signer) -> bytes:
    """Make a statement.

    Args:
        kind: what sort of record it is, such as ``tge1-header``.
        payload: the record's bytes, canonical JSON by custom.
        signer: a P-256 key and its certificate chain.

    Returns:
        The statement as canonical JSON.
    """
    chain = tuple(certificate.public_bytes(Encoding.DER) for certificate in signer.chain)
    signed = encoding(kind, payload)
    first = signer.sign(signed)
    second = signer.sign_second(signed) if isinstance(signer, DoubleSigner) else None
    return Statement(kind, payload, chain, first, second).to_bytes()


def verify(
    statement: bytes, kind: str, trust: Trust, purpose: Purpose, at: datetime
) -> tuple[bytes, Identity]:
    """Check a statement: its kind, its certificate chain, its signature; in this order.

    Args:
        statement: the bytes `sign` made.
        kind: what sort of record it must be.
        trust: the roots.
        purpose: what the signing certificate must be for.
        at: the time the chain must be valid at.

    Returns:
        The payload, and who signed it.

    Raises:
        Malformed: it cannot be read.
        Unverified: another kind, a chain that does not hold, or a wrong signature.
    """
    read = Statement.from_bytes(statement)
    if read.kind != kind:
        raise Unverified(f"this is a signed {read.kind!r}, not a {kind!r}")
    identity = trust.identify(read.certificates(), purpose, at)
    key = identity.certificate.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise Unverified(f"{identity.name} signs with a key that is not on the curve P-256")
    try:
        key.verify(read.signature, encoding(kind, read.payload), ec.ECDSA(hashes.SHA256()))
    except InvalidSignature as error:
        raise Unverified(f"the signature of {identity.name} does not fit: the {kind} was changed") from error
    _check_second(read, identity, trust)
    return read.payload, identity


def _check_second(read: Statement, identity: Identity, trust: Trust) -> None:
    second = second_key(identity.certificate)
    if second is None and trust.both_signatures:
        raise Unverified(
            f"{identity.name} has no ML-DSA key, and only statements signed with both are taken here"
        )
    if (second is None) != (read.second_signature is None):
        words = "lacks" if second is not None else "has"
        raise Unverified(
            f"this {read.kind} of {identity.name} {words} a second signature, by its certificate"
        )
    if second is None or read.second_signature is None:
        return
    try:
        second.verify(read.second_signature, encoding(read.kind, read.payload))
    except InvalidSignature as error:
        raise Unverified(
            f"the ML-DSA signature of {identity.name} does not fit: {read.kind} changed"
        ) from error

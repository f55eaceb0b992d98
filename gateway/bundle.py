"""The roots that a hub's edges are to trust, as a signed statement: how a root is exchanged.

Canonical JSON ``{"hub", "issued_at", "roots": [base64 DER]}``, signed by the hub (`Purpose.HUB`) under the
kind ``trust-bundle``. An edge verifies it under the roots it has, so that only who is trusted already can
name others; and takes it only if its own certificate and the hub's keys still hold under the new ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from gateway import canonical
from gateway.certificate import read_der
from gateway.clock import parse_rfc3339, rfc3339
from gateway.envelope.record import Record, base64_bytes, base64_text
from gateway.envelope.signature import CERTIFICATE_LIMIT, STATEMENT_LIMIT, sign, verify
from gateway.errors import Malformed, Unverified
from gateway.trust import Purpose, Signer, Trust

KIND = "trust-bundle"
MAX_ROOTS = 8


@dataclass(frozen=True, slots=True)
class TrustBundle:
    """Whom to trust, according to which hub, since when."""

    hub: str
    issued_at: datetime
    roots: tuple[x509.Certificate, ...]


def sign_bundle(hub: str, roots: Sequence[x509.Certificate], signer: Signer, now: datetime) -> bytes:
    """Make the statement."""
    listed = [base64_text(root.public_bytes(Encoding.DER)) for root in roots]
    return sign(KIND, canonical.dump({"hub": hub, "issued_at": rfc3339(now), "roots": listed}), signer)


def read_bundle(statement: bytes, trust: Trust, at: datetime) -> TrustBundle:
    """Verify and read a bundle.

    Args:
        statement: what `sign_bundle` made.
        trust: the roots believed so far.
        at: now.

    Raises:
        Malformed: it cannot be read, or names no root.
        Unverified: it was not signed by the hub it names, or names what is no root.
    """
    payload, identity = verify(statement, KIND, trust, Purpose.HUB, at)
    keys = frozenset({"hub", "issued_at", "roots"})
    record = Record.parse(payload, "the trust bundle", keys, limit=STATEMENT_LIMIT)
    if record.text("hub") != identity.name:
        raise Unverified(f"the bundle is of the hub {record.text('hub')!r} but signed by {identity.name!r}")
    listed = record.items("roots", 1, MAX_ROOTS)
    if not all(isinstance(item, str) and len(item) <= 2 * CERTIFICATE_LIMIT for item in listed):
        raise Malformed("the trust bundle: a root is not base64 or too large")
    roots = tuple(read_der(base64_bytes(item)) for item in listed)
    for root in roots:
        constraints = root.extensions.get_extension_for_class(x509.BasicConstraints).value
        if root.subject != root.issuer or not constraints.ca:
            raise Unverified(f"{root.subject.rfc4514_string()!r} in the trust bundle is no root")
    return TrustBundle(identity.name, parse_rfc3339(record.moment("issued_at")), roots)

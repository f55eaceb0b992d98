"""The hub's public keys, as a signed statement: what edges seal their parcels to.

Canonical JSON ``{"hub", "issued_at", "keys": [{"kid", "public", "suite"}]}``, signed by the hub
(`Purpose.HUB`) under the kind ``key-set``. An edge takes only a set issued later than the one it has,
so that an old key cannot be pushed back to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from gateway import canonical
from gateway.clock import parse_rfc3339, rfc3339
from gateway.envelope.kem import KemPublic, known_suite
from gateway.envelope.record import Record, base64_text
from gateway.envelope.signature import STATEMENT_LIMIT, sign, verify
from gateway.errors import Malformed, Unverified
from gateway.trust import Purpose, Signer, Trust

KIND = "key-set"
MAX_KEYS = 16
PUBLIC_LIMIT = 8 << 10
"""Bytes of one public key."""


@dataclass(frozen=True, slots=True)
class KeySet:
    """Who can open parcels, according to which hub, since when."""

    hub: str
    issued_at: datetime
    keys: tuple[KemPublic, ...]


def sign_key_set(hub: str, keys: Sequence[KemPublic], signer: Signer, now: datetime) -> bytes:
    """Make the statement."""
    listed = [{"kid": key.kid, "public": base64_text(key.public), "suite": key.suite} for key in keys]
    payload = canonical.dump({"hub": hub, "issued_at": rfc3339(now), "keys": listed})
    return sign(KIND, payload, signer)


def read_key_set(statement: bytes, trust: Trust, at: datetime) -> KeySet:
    """Verify and read a key set.

    Args:
        statement: what `sign_key_set` made.
        trust: the roots.
        at: when it was received.

    Raises:
        Malformed: it cannot be read, or names no key.
        Unverified: it was not signed by the hub it names.
    """
    payload, identity = verify(statement, KIND, trust, Purpose.HUB, at)
    record = Record.parse(
        payload, "the key set", frozenset({"hub", "issued_at", "keys"}), limit=STATEMENT_LIMIT
    )
    if record.text("hub") != identity.name:
        raise Unverified(f"the key set is of the hub {record.text('hub')!r} but signed by {identity.name!r}")
    try:
        issued_at = parse_rfc3339(record.text("issued_at", 27))
    except ValueError as error:
        raise Malformed("the key set: issued_at is no time") from error
    return KeySet(identity.name, issued_at, tuple(_key(item) for item in record.items("keys", 1, MAX_KEYS)))


def _key(value: object) -> KemPublic:
    record = Record(value, "a key of the key set", frozenset({"kid", "public", "suite"}))
    public = record.binary("public", PUBLIC_LIMIT)
    return KemPublic(record.text("kid", 64), known_suite(record.text("suite", 64)), public)

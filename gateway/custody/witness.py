"""Witnesses: whoever has followed the log since long ago signs that it was only added to. Pure.

A cosignature is C2SP tlog-cosignature's ``cosignature/v1`` (Ed25519, type byte 0x04): a line under the
checkpoint's note, whose signature covers the time and the note's text::

    cosignature/v1
    time <seconds since 1970>
    <the checkpoint's text>

The edges are the witnesses. Each has a witness key of its own and says in a statement signed by its
device certificate that the key is its own, so a cosignature leads to the root like everything else;
and the hub says in the same way which key signs its log.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from gateway import canonical
from gateway.clock import parse_rfc3339, rfc3339
from gateway.custody.checkpoint import KEY_ID_SIZE, Checkpoint, NoteVerifier
from gateway.envelope.record import Record, base64_bytes
from gateway.envelope.signature import Statement, sign, verify
from gateway.errors import Malformed, Unverified
from gateway.trust import Identity, Purpose, Signer, Trust

COSIGNATURE_V1 = b"\x04"
LINE_LIMIT = 512
LOG_KEY_KIND = "custody-log-key"
WITNESS_KEY_KIND = "custody-witness-key"
KEY_LIMIT = 64 << 10

_TIME_SIZE, _SIGNATURE_SIZE = 8, 64
_KEY_KEYS = frozenset({"version", "key", "at"})


@dataclass(frozen=True, slots=True)
class Cosignature:
    """One witness's word on one checkpoint.

    Attributes:
        name: of the witness.
        at: when it looked, by its own clock.
    """

    name: str
    at: datetime


def cosign(checkpoint: Checkpoint, name: str, key: Ed25519PrivateKey, at: datetime) -> str:
    """The cosignature line, without a newline.

    Args:
        checkpoint: that was found to continue the one before.
        name: the witness's, without white space and plus sign.
        key: the witness key.
        at: now.
    """
    seconds = int(at.timestamp())
    signature = key.sign(_message(checkpoint, seconds))
    data = (
        _key_id(name, key.public_key().public_bytes_raw()) + seconds.to_bytes(_TIME_SIZE, "big") + signature
    )
    return f"\u2014 {name} {b64encode(data).decode()}"


def open_cosignature(line: str, checkpoint: Checkpoint, witness: NoteVerifier) -> Cosignature:
    """Verify a cosignature line.

    Args:
        line: as `cosign` made it.
        checkpoint: what it must be about.
        witness: name and public key.

    Raises:
        Malformed: it is no cosignature line.
        Unverified: another witness's, or the signature does not fit this checkpoint.
    """
    parts = line.split(" ")
    if len(line) > LINE_LIMIT or len(parts) != 3 or parts[0] != "\u2014":
        raise Malformed("not a cosignature line (C2SP tlog-cosignature)")
    data = base64_bytes(parts[2])
    if len(data) != KEY_ID_SIZE + _TIME_SIZE + _SIGNATURE_SIZE:
        raise Malformed("a cosignature has 76 bytes")
    if parts[1] != witness.name or data[:KEY_ID_SIZE] != _key_id(witness.name, witness.public):
        raise Unverified(f"the cosignature is not of the witness {witness.name}")
    seconds = int.from_bytes(data[KEY_ID_SIZE : KEY_ID_SIZE + _TIME_SIZE], "big")
    try:
        key = Ed25519PublicKey.from_public_bytes(witness.public)
        key.verify(data[KEY_ID_SIZE + _TIME_SIZE :], _message(checkpoint, seconds))
        at = datetime.fromtimestamp(seconds, UTC)
    except (InvalidSignature, ValueError, OverflowError, OSError) as error:
        raise Unverified(f"the cosignature of {witness.name} does not fit the checkpoint") from error
    return Cosignature(witness.name, at)


def say_key(kind: str, key: NoteVerifier, signer: Signer, at: datetime) -> bytes:
    """A signed statement: this is my key.

    Args:
        kind: `LOG_KEY_KIND` by a hub, `WITNESS_KEY_KIND` by an edge.
        key: the Ed25519 key, with its name.
        signer: whose key it is.
        at: now.
    """
    payload = canonical.dump({"version": 1, "key": str(key), "at": rfc3339(at)})
    return sign(kind, payload, signer)


def open_key(statement: bytes, kind: str, trust: Trust) -> tuple[NoteVerifier, Identity]:
    """Verify such a statement, at the time it states.

    Returns:
        The key, and whose it is.

    Raises:
        Malformed: it cannot be read.
        Unverified: it does not hold.
    """
    claimed = _read(Statement.from_bytes(statement).payload)
    purpose = Purpose.HUB if kind == LOG_KEY_KIND else Purpose.DEVICE
    payload, identity = verify(statement, kind, trust, purpose, parse_rfc3339(claimed.moment("at")))
    return NoteVerifier.parse(_read(payload).text("key", 512)), identity


def _read(payload: bytes) -> Record:
    record = Record.parse(payload, "the statement of a key", _KEY_KEYS, limit=KEY_LIMIT)
    record.integer("version", 1, 1)
    return record


def _message(checkpoint: Checkpoint, seconds: int) -> bytes:
    return f"cosignature/v1\ntime {seconds}\n".encode() + checkpoint.text()


def _key_id(name: str, public: bytes) -> bytes:
    return hashlib.sha256(name.encode() + b"\n" + COSIGNATURE_V1 + public).digest()[:KEY_ID_SIZE]

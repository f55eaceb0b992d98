"""The signed state of the custody log: a C2SP tlog-checkpoint in a C2SP signed-note, Ed25519.

::

    <origin>
    <number of entries>
    <root hash, base64>

    — <name> <base64 of key id (4 bytes) ‖ signature (64 bytes)>

The text up to and including the newline before the empty line is what is signed. Anybody who keeps
an older checkpoint can ask for a consistency proof (`merkle.verify_consistency`) and so see that
nothing was rewritten since.
"""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode
from collections.abc import Iterable
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from gateway.envelope.record import base64_bytes, base64_text
from gateway.errors import Malformed, Unverified

NOTE_LIMIT = 64 << 10
SIGNATURE_LIMIT = 16
ED25519 = b"\x01"
"""Signature type byte of C2SP signed-note."""

KEY_ID_SIZE = 4
_NAME = re.compile(r"[^\s+]{1,128}")
_SIZE = re.compile(r"0|[1-9][0-9]{0,15}")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A log and its state.

    Attributes:
        origin: the log's own name, the same for ever.
        size: how many entries it has.
        root: of their Merkle tree, 32 bytes.
    """

    origin: str
    size: int
    root: bytes

    def text(self) -> bytes:
        """What is signed."""
        return f"{self.origin}\n{self.size}\n{base64_text(self.root)}\n".encode()

    @classmethod
    def from_text(cls, text: bytes) -> Checkpoint:
        """Read it. Raises Malformed. Extension lines, which C2SP allows, are not ours and are refused."""
        try:
            origin, size, root, end = text.decode().split("\n")
        except (UnicodeDecodeError, ValueError) as error:
            raise Malformed("the checkpoint does not have exactly three lines") from error
        digest = base64_bytes(root)
        if not _NAME.fullmatch(origin) or not _SIZE.fullmatch(size) or len(digest) != 32 or end:
            raise Malformed("the checkpoint's origin, size or root is not in its form")
        return cls(origin, int(size), digest)


@dataclass(frozen=True, slots=True)
class NoteVerifier:
    """Whose signature to expect.

    Attributes:
        name: without white space and plus sign.
        public: 32 bytes.
    """

    name: str
    public: bytes

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise Malformed(f"{self.name!r} is no name for a key: white space and + are not allowed")

    @property
    def key_id(self) -> bytes:
        """The first four bytes of SHA-256(name ‖ newline ‖ type ‖ public key)."""
        return hashlib.sha256(self.name.encode() + b"\n" + ED25519 + self.public).digest()[:KEY_ID_SIZE]

    def __str__(self) -> str:
        """The ``vkey`` form: ``name+hex(key id)+base64(type ‖ public key)``."""
        return f"{self.name}+{self.key_id.hex()}+{base64_text(ED25519 + self.public)}"

    @classmethod
    def parse(cls, text: str) -> NoteVerifier:
        """Read the ``vkey`` form. Raises Malformed."""
        name, plus, rest = text.partition("+")
        key_id, _, key = rest.partition("+")
        data = base64_bytes(key)
        if not plus or len(data) != 33 or data[:1] != ED25519:
            raise Malformed("not an Ed25519 verifier key (C2SP signed-note)")
        verifier = cls(name, data[1:])
        if verifier.key_id.hex() != key_id:
            raise Malformed("the verifier key's id does not fit its key")
        return verifier


class NoteSigner:
    """Signs notes.

    Args:
        name: shown beside every signature; usually the log's origin.
        key: the Ed25519 key.
    """

    def __init__(self, name: str, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.verifier = NoteVerifier(name, key.public_key().public_bytes_raw())

    def sign(self, text: bytes) -> bytes:
        """A whole note: the text, an empty line, one signature line."""
        signature = b64encode(self.verifier.key_id + self._key.sign(text))
        return text + b"\n\xe2\x80\x94 " + self.verifier.name.encode() + b" " + signature + b"\n"


def sign_checkpoint(checkpoint: Checkpoint, signer: NoteSigner) -> bytes:
    """The signed note."""
    return signer.sign(checkpoint.text())


def open_checkpoint(note: bytes, verifiers: Iterable[NoteVerifier]) -> Checkpoint:
    """Verify a note. One good signature of a known key is needed; unknown keys' signatures are passed over.

    Raises:
        Malformed: it cannot be read.
        Unverified: no known key signed it, or a known key's signature does not fit.
    """
    text, signatures = _take_apart(note)
    known = {(verifier.name, verifier.key_id): verifier for verifier in verifiers}
    verified = False
    for name, data in signatures:
        verifier = known.get((name, data[:KEY_ID_SIZE]))
        if verifier is None:
            continue
        try:
            Ed25519PublicKey.from_public_bytes(verifier.public).verify(data[KEY_ID_SIZE:], text)
        except InvalidSignature as error:
            raise Unverified(f"the signature of {name} on the checkpoint does not fit") from error
        verified = True
    if not verified:
        raise Unverified("no key that is known here signed the checkpoint")
    return Checkpoint.from_text(text)


def _take_apart(note: bytes) -> tuple[bytes, list[tuple[str, bytes]]]:
    if len(note) > NOTE_LIMIT:
        raise Malformed(f"the note is larger than {NOTE_LIMIT} bytes")
    text, separator, rest = note.rpartition(b"\n\n")
    if not separator or not rest.endswith(b"\n"):
        raise Malformed("the note has no signatures")
    try:
        lines = rest.decode().removesuffix("\n").split("\n")
    except UnicodeDecodeError as error:
        raise Malformed("the note is not UTF-8") from error
    if len(lines) > SIGNATURE_LIMIT:
        raise Malformed(f"the note has more than {SIGNATURE_LIMIT} signatures")
    return text + b"\n", [_signature(line) for line in lines]


def _signature(line: str) -> tuple[str, bytes]:
    parts = line.split(" ")
    if len(parts) != 3 or parts[0] != "\u2014" or not _NAME.fullmatch(parts[1]):
        raise Malformed("a signature line of the note is not in its form")
    data = base64_bytes(parts[2])
    if len(data) <= KEY_ID_SIZE:
        raise Malformed("a signature of the note is too short")
    return parts[1], data

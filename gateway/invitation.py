"""What an edge needs to join a hub, as one code to paste: address, one-time token, pin of the root.

``TG1`` and base 32 (RFC 4648 §6, no padding) of::

    byte(length of the address) ‖ address in ASCII ‖ token, 20 bytes ‖ SHA-256 of the root's key ‖ check

``check`` is the first 4 bytes of SHA-256 over ``"TG1"`` and all before it, so that a typing error is told
before anything is sent. Upper case, digits and dashes alone, which makes the smallest QR code (ISO/IEC
18004, alphanumeric mode). A reader ignores case, spaces, line breaks and dashes.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass
from urllib.parse import urlsplit

import segno

from gateway.errors import UsageError

PREFIX = "TG1"
TOKEN_BYTES = 20
PIN_BYTES = 32
CHECK_BYTES = 4
GROUP = 5
"""Characters between dashes, for whoever must read it out."""

MAX_CODE = 1024
_LOOKALIKES = str.maketrans("018", "OIB")
"""Digits that base 32 does not have, for the letters they are taken for."""


@dataclass(frozen=True, slots=True)
class Invitation:
    """What the hub's administrator gave the operator.

    Attributes:
        hub: the hub's web address.
        token: the one-time token.
        pin: ``sha256:…`` of the root's public key.
    """

    hub: str
    token: str
    pin: str

    def __post_init__(self) -> None:
        """Check the forms. Raises UsageError."""
        try:
            parts = urlsplit(self.hub)
            fit = parts.scheme == "https" and bool(parts.hostname)
        except ValueError:
            fit = False
        if not fit:
            raise UsageError(f"the hub's address must be like https://hub.example.org:8443, not {self.hub!r}")
        digits = self.pin.removeprefix("sha256:")
        if len(digits) != 2 * PIN_BYTES or not set(digits.lower()) <= set("0123456789abcdef"):
            raise UsageError("the pin must be sha256: and 64 hexadecimal digits")

    def code(self) -> str:
        """All of it as one code.

        Raises:
            UsageError: the address is beyond 255 ASCII characters, or the token is none of ours.
        """
        try:
            address, token = self.hub.encode("ascii"), base64.b32decode(self.token.strip().upper())
        except (UnicodeEncodeError, binascii.Error, ValueError) as error:
            raise UsageError(f"no code can be made of this address and token: {error}") from error
        if len(address) > 255 or len(token) != TOKEN_BYTES:
            raise UsageError("no code can be made: the address is too long, or the token of another length")
        pin = bytes.fromhex(self.pin.removeprefix("sha256:"))
        body = bytes([len(address)]) + address + token + pin
        text = base64.b32encode(body + _check(body)).decode().rstrip("=")
        groups = [text[at : at + GROUP] for at in range(0, len(text), GROUP)]
        return "-".join([PREFIX, *groups])

    @classmethod
    def of_code(cls, code: str) -> Invitation:
        """Read what `code` made.

        Raises:
            UsageError: mistyped, cut short, or of another version; in words.
        """
        if len(code) > MAX_CODE:
            raise UsageError(f"the code is longer than {MAX_CODE} characters; paste only the code")
        plain = "".join(code.split()).replace("-", "").upper()
        if not plain.startswith(PREFIX):
            newer = plain.startswith("TG") and plain[2:3].isdigit()
            words = "is of another version of this program" if newer else f"does not begin with {PREFIX}"
            raise UsageError(f"this code {words}; ask the hub's administrator for a new one")
        text = plain.removeprefix(PREFIX).translate(_LOOKALIKES)
        try:
            data = base64.b32decode(text + "=" * (-len(text) % 8))
        except (binascii.Error, ValueError) as error:
            raise UsageError("the code was mistyped or cut off: paste it whole") from error
        body, check = data[:-CHECK_BYTES], data[-CHECK_BYTES:]
        if len(data) <= CHECK_BYTES or check != _check(body):
            raise UsageError("the code was mistyped or cut off (its check digits do not fit): paste it whole")
        end = 1 + body[0]
        if len(body) != end + TOKEN_BYTES + PIN_BYTES:
            raise UsageError("the code is not whole: paste it from the first character to the last")
        token = base64.b32encode(body[end : end + TOKEN_BYTES]).decode().lower()
        return cls(body[1:end].decode("ascii", "replace"), token, f"sha256:{body[end + TOKEN_BYTES :].hex()}")

    def qr(self) -> segno.QRCode:
        """The code as a QR code."""
        return segno.make(self.code(), error="m", micro=False)


def _check(body: bytes) -> bytes:
    return hashlib.sha256(PREFIX.encode() + body).digest()[:CHECK_BYTES]

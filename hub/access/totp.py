"""The second factor: time-based one-time codes (RFC 6238, SHA-1, six digits, 30 seconds).

Pure. SHA-1 because every authenticator app understands it; as an HMAC it is sound here.
"""

from __future__ import annotations

import base64

from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor import InvalidToken
from cryptography.hazmat.primitives.twofactor.totp import TOTP

SECRET_BYTES = 20
"""RFC 4226 §4, R6: 160 bits."""

STEP_SECONDS = 30
DIGITS = 6
WINDOW = 1
"""Steps before and after now that are accepted, for clocks that differ (RFC 6238 §5.2)."""


def accepted_step(secret: bytes, code: str, *, at: float, last_step: int) -> int | None:
    """The time step of a right and unused code.

    Args:
        secret: shared with the app.
        code: as typed; blanks are ignored.
        at: seconds since 1970.
        last_step: the last step that was accepted; it and all before it are used up.

    Returns:
        The step, to be kept as the new `last_step`, or None if the code is wrong or used.
    """
    digits = "".join(code.split())
    if len(digits) != DIGITS or not (digits.isascii() and digits.isdigit()):
        return None
    now = int(at) // STEP_SECONDS
    for step in (now, *(now + sign * away for away in range(1, WINDOW + 1) for sign in (-1, 1))):
        if step > last_step and step >= 0 and _right(secret, digits, step):
            return step
    return None


def generate(secret: bytes, *, at: float) -> str:
    """The code an app shows at `at`, in seconds since 1970."""
    return _totp(secret).generate(int(at)).decode()


def base32(secret: bytes) -> str:
    """The secret as text to type into an app."""
    return base64.b32encode(secret).decode().rstrip("=")


def uri(secret: bytes, *, name: str, issuer: str) -> str:
    """The ``otpauth://`` address for a QR code."""
    return _totp(secret).get_provisioning_uri(name, issuer)


def _right(secret: bytes, digits: str, step: int) -> bool:
    try:
        _totp(secret).verify(digits.encode(), step * STEP_SECONDS)
    except InvalidToken:
        return False
    return True


def _totp(secret: bytes) -> TOTP:
    return TOTP(secret, DIGITS, SHA1(), STEP_SECONDS)  # noqa: S303  # RFC 6238 §1.2: HMAC-SHA-1 is the default

"""The keys of one parcel, made and wrapped before its first byte is there, and the blind of its manifest."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from gateway.envelope.cipher import Context, ParcelCipher
from gateway.envelope.kem import KemPublic, known_suite
from gateway.envelope.layout import SALT_SIZE, KeyWrap
from gateway.errors import Malformed
from gateway.model import ParcelId


@dataclass(frozen=True, slots=True)
class ParcelKeys:
    """A parcel's own key, wrapped for its recipients: most of the work before its first byte, so done ahead.

    Used for one body only. It must never be written anywhere.

    Args:
        recipients: who can open it; all of the one suite.
        parcel_id: fresh and random; never used for another body.
        suite: the name of the algorithms; None: that of the first recipient.
        random: where key, salt and blind come from; handed in by tests alone.

    Raises:
        Unverified: an unknown suite.
        Malformed: no recipient, or one of another suite.
    """

    recipients: Sequence[KemPublic]
    parcel_id: ParcelId
    suite: str | None = None
    random: Callable[[int], bytes] = field(default=os.urandom, repr=False)
    key: bytes = field(init=False, repr=False)
    blind: str = field(init=False, repr=False)
    context: Context = field(init=False)
    cipher: ParcelCipher = field(init=False, repr=False)
    wraps: tuple[KeyWrap, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Make and wrap the key."""
        if self.suite is not None:
            known_suite(self.suite)
        if not self.recipients:
            raise Malformed("a parcel needs at least one recipient")
        suite = known_suite(self.recipients[0].suite) if self.suite is None else self.suite
        if any(recipient.suite != suite for recipient in self.recipients):
            raise Malformed(f"every recipient of a parcel must be of its suite, {suite!r}")
        key, salt, blind = self.random(32), self.random(SALT_SIZE), self.random(16)
        context = Context(suite, self.parcel_id, salt)
        cipher = ParcelCipher(key, context)
        info = context.wrap_info(cipher.commitment)
        object.__setattr__(self, "key", key)
        object.__setattr__(self, "blind", blind.hex())
        object.__setattr__(self, "context", context)
        object.__setattr__(self, "cipher", cipher)
        object.__setattr__(self, "wraps", tuple(one.wrap(key, info) for one in self.recipients))

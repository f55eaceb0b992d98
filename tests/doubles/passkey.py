"""An authenticator in software: makes and answers real WebAuthn, or bends it on purpose."""

from __future__ import annotations

import hashlib
import json
import os
import struct
from typing import Any
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from webauthn.helpers import base64url_to_bytes, bytes_to_base64url

PRESENT, VERIFIED, ATTESTED = 0x01, 0x04, 0x40


class SoftPasskey:
    """One passkey for one page."""

    def __init__(self, origin: str) -> None:
        self.origin, self.rp_id = origin, urlsplit(origin).hostname or ""
        self.id, self.key, self.counter = os.urandom(32), ec.generate_private_key(ec.SECP256R1()), 0

    def create(self, options: dict[str, Any]) -> dict[str, Any]:
        self.user = base64url_to_bytes(options["user"]["id"])
        point = self.key.public_key().public_numbers()
        x, y = (number.to_bytes(32, "big") for number in (point.x, point.y))
        cose = b"\xa5\x01\x02\x03\x26\x20\x01\x21\x58\x20" + x + b"\x22\x58\x20" + y  # RFC 9053 §7.1.1
        held = bytes(16) + struct.pack(">H", len(self.id)) + self.id + cose
        data = self._data(self.rp_id, PRESENT | VERIFIED | ATTESTED) + held
        # CBOR: {"fmt": "none", "attStmt": {}, "authData": bytes}
        attestation = (
            b"\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData\x59" + struct.pack(">H", len(data)) + data
        )
        client = self._client("webauthn.create", options["challenge"], self.origin)
        return self._told(
            {
                "clientDataJSON": bytes_to_base64url(client),
                "attestationObject": bytes_to_base64url(attestation),
            }
        )

    def get(
        self,
        options: dict[str, Any],
        *,
        origin: str | None = None,
        rp_id: str | None = None,
        verified: bool = True,
        challenge: bytes | None = None,
        signature: bytes | None = None,
        kind: str = "webauthn.get",
    ) -> dict[str, Any]:
        if self.counter:
            self.counter += 1
        data = self._data(rp_id or self.rp_id, PRESENT | (VERIFIED if verified else 0))
        asked = options["challenge"] if challenge is None else bytes_to_base64url(challenge)
        client = self._client(kind, asked, origin or self.origin)
        made = self.key.sign(data + hashlib.sha256(client).digest(), ec.ECDSA(SHA256()))
        return self._told(
            {
                "clientDataJSON": bytes_to_base64url(client),
                "authenticatorData": bytes_to_base64url(data),
                "signature": bytes_to_base64url(signature or made),
                "userHandle": bytes_to_base64url(self.user),
            }
        )

    def _data(self, rp_id: str, flags: int) -> bytes:
        return hashlib.sha256(rp_id.encode()).digest() + struct.pack(">BI", flags, self.counter)

    @staticmethod
    def _client(kind: str, challenge: str, origin: str) -> bytes:
        return json.dumps(
            {"type": kind, "challenge": challenge, "origin": origin, "crossOrigin": False}
        ).encode()

    def _told(self, response: dict[str, Any]) -> dict[str, Any]:
        name = bytes_to_base64url(self.id)
        return {
            "id": name,
            "rawId": name,
            "type": "public-key",
            "clientExtensionResults": {},
            "response": response,
        }

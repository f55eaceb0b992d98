"""Signing keys that never leave a hardware token or a security module: PKCS#11, by way of python-pkcs11.

A key is named by a URI (RFC 7512)::

    pkcs11:token=telerad;object=receipt?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=/etc/telerad/pin

It may stand in the configuration, or be the whole content of a ``*.key`` file where a PEM key would be. The
PIN lies in a file of mode 0600, never in the URI. What comes out is a key like any other, which signs.
"""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import parse_qsl, unquote

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from gateway.errors import ResourceError, UsageError
from gateway.private_file import read_private

SCHEME = "pkcs11:"
_PATH = frozenset({"token", "object", "type"})
_QUERY = frozenset({"module-path", "pin-source"})
_HALF = 32
"""Bytes of r and of s on P-256."""


@dataclass(frozen=True, slots=True)
class TokenUri:
    """Where a key is."""

    token: str
    label: str
    module: Path
    pin_file: Path

    @classmethod
    def parse(cls, text: str) -> TokenUri:
        """Read a PKCS#11 URI. Raises UsageError."""
        path, _, query = text.strip().removeprefix(SCHEME).partition("?")
        try:
            found = {name: unquote(value) for name, value in (part.split("=", 1) for part in path.split(";"))}
            found |= dict(parse_qsl(query, strict_parsing=True))
        except ValueError as error:
            raise UsageError(f"the PKCS#11 URI cannot be read: {error} (RFC 7512)") from error
        if unknown := set(found) - _PATH - _QUERY:
            raise UsageError(f"the PKCS#11 URI has {', '.join(sorted(unknown))}, which is not used here")
        if missing := (_PATH | _QUERY) - {"type"} - set(found):
            raise UsageError(f"the PKCS#11 URI lacks {', '.join(sorted(missing))} (RFC 7512)")
        pin = found["pin-source"].removeprefix("file:")
        return cls(found["token"], found["object"], Path(found["module-path"]), Path(pin))

    def pin(self) -> str:
        """The PIN from its file. Raises UsageError."""
        return read_private(self.pin_file, "PIN file").decode().strip()


class TokenKey(ec.EllipticCurvePrivateKey):
    """A P-256 key in a token, which signs and does nothing else. May be shared between threads.

    Raises:
        UsageError: module, token, PIN or key are not as the URI says.
    """

    def __init__(self, uri: TokenUri) -> None:
        self._uri = uri
        self._lock = threading.Lock()
        self._private, self._public = self._find()

    @property
    def curve(self) -> ec.EllipticCurve:
        """P-256."""
        return self._public.curve

    @property
    def key_size(self) -> int:
        """Bits."""
        return self._public.key_size

    def public_key(self) -> ec.EllipticCurvePublicKey:
        """The public half."""
        return self._public

    def sign(self, data: Any, signature_algorithm: ec.EllipticCurveSignatureAlgorithm) -> bytes:
        """ECDSA with SHA-256, as DER; the token sees the digest alone.

        Raises:
            ResourceError: the token does not sign, though asked anew after a pause in its session.
        """
        if not isinstance(signature_algorithm, ec.ECDSA) or not isinstance(
            signature_algorithm.algorithm, hashes.SHA256
        ):
            raise TypeError("a token key signs with ECDSA and SHA-256")
        digest, errors = hashlib.sha256(data).digest(), import_module("pkcs11.exceptions")
        mechanism = import_module("pkcs11").Mechanism.ECDSA
        with self._lock:
            try:
                raw = self._private.sign(digest, mechanism=mechanism)
            except errors.PKCS11Error:  # such as a session that the token has ended
                self._private, _ = self._find()
                try:
                    raw = self._private.sign(digest, mechanism=mechanism)
                except errors.PKCS11Error as error:
                    raise ResourceError(f"the token {self._uri.token!r} does not sign: {error!r}") from error
        return encode_dss_signature(int.from_bytes(raw[:_HALF], "big"), int.from_bytes(raw[_HALF:], "big"))

    def _find(self) -> tuple[Any, ec.EllipticCurvePublicKey]:
        uri = self._uri
        try:
            pkcs11, errors = import_module("pkcs11"), import_module("pkcs11.exceptions")
            ecs = import_module("pkcs11.util.ec")
        except ImportError as error:
            raise UsageError("keys in tokens need the extra: pip install telerad-gateway[pkcs11]") from error
        kind, pin = pkcs11.KeyType.EC, uri.pin()
        try:
            found = pkcs11.lib(str(uri.module)).get_token(token_label=uri.token)
            try:
                session = found.open(user_pin=pin)
            except errors.UserAlreadyLoggedIn:  # by another key of this process: a login is the process's
                session = found.open()
            private = session.get_key(pkcs11.ObjectClass.PRIVATE_KEY, kind, uri.label)
            info = ecs.encode_ec_public_key(session.get_key(pkcs11.ObjectClass.PUBLIC_KEY, kind, uri.label))
        except (errors.PKCS11Error, RuntimeError) as error:
            words = str(error) or type(error).__name__
            where = f"key {uri.label!r} of token {uri.token!r} ({uri.module})"
            raise UsageError(f"the {where} cannot be used: {words}") from error
        public = import_module("cryptography.hazmat.primitives.serialization").load_der_public_key(info)
        if not isinstance(public, ec.EllipticCurvePublicKey) or not isinstance(public.curve, ec.SECP256R1):
            raise UsageError(f"the key {uri.label!r} of token {uri.token!r} is not on the curve P-256")
        return private, public

    def exchange(self, algorithm: ec.ECDH, peer_public_key: ec.EllipticCurvePublicKey) -> NoReturn:
        """Not what it is for."""
        raise TypeError("a token key only signs")

    def private_numbers(self) -> NoReturn:
        """It never leaves."""
        raise TypeError("a token key never leaves its token")

    def private_bytes(self, *_: object, **__: object) -> NoReturn:
        """It never leaves."""
        raise TypeError("a token key never leaves its token")

    def __copy__(self) -> TokenKey:
        """The same key."""
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> TokenKey:
        """The same key."""
        return self


def is_uri(data: bytes) -> bool:
    """Whether the content of a key file names a key in a token."""
    return data.startswith(SCHEME.encode())

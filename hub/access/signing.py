"""A reader's signing key: at rest only under their own passphrase.

The wrapped form is ``TSK1``, the Argon2id cost (three big-endian 32-bit numbers: KiB, passes,
lanes), a 16-byte salt, a 12-byte nonce, and the PKCS #8 key under AES-256-GCM with all before it
as associated data, so that neither cost nor salt can be lowered unseen.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from cryptography import x509
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)
from sqlalchemy import select

from gateway.brake import TooMany
from gateway.clock import Clock, rfc3339
from gateway.database import Database
from gateway.errors import Broken, Malformed, NotAllowed
from hub.access.passwords import SALT_BYTES, Cost, Passwords
from hub.access.throttle import Failures
from hub.standing import Standing
from hub.tables.account import signing_keys

MAGIC = b"TSK1"
NONCE_BYTES = 12
_HEAD = struct.Struct(f">4sIII{SALT_BYTES}s{NONCE_BYTES}s")


class IssuedCertificate(Protocol):
    """What the authority gives for a public key."""

    @property
    def certificate(self) -> x509.Certificate:
        """The leaf."""

    @property
    def chain(self) -> tuple[x509.Certificate, ...]:
        """Leaf first, up to but excluding the root."""


class PeopleAuthority(Protocol):
    """The part of `certs.authority.Authority` that names people."""

    def issue_person(self, public_key: ec.EllipticCurvePublicKey, name: str, email: str) -> IssuedCertificate:
        """A certificate that may sign documents in this person's name."""

    def revoke(self, certificate: x509.Certificate, why: str = "") -> bool:
        """Put it on the revocation list, for good. What it signed before stays signed."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """An unlocked signing key, a `gateway.trust.Signer`. Keep it no longer than one signature.

    Args:
        private_key: EC P-256.
        certificate: the person's own.
        chain: leaf first, up to but excluding the root.
    """

    private_key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate
    chain: tuple[x509.Certificate, ...]

    def sign(self, data: bytes) -> bytes:
        """ECDSA P-256 with SHA-256, DER."""
        return self.private_key.sign(data, ec.ECDSA(SHA256()))


async def wrap(
    key: ec.EllipticCurvePrivateKey,
    passphrase: str,
    passwords: Passwords,
    random: Callable[[int], bytes] = os.urandom,
) -> bytes:
    """Seal `key` under `passphrase`."""
    plain = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    cost, salt, nonce = passwords.cost, random(SALT_BYTES), random(NONCE_BYTES)
    head = _HEAD.pack(MAGIC, cost.memory_kib, cost.iterations, cost.lanes, salt, nonce)
    return head + AESGCM(await passwords.key(passphrase, salt)).encrypt(nonce, plain, head)


async def unwrap(wrapped: bytes, passphrase: str, passwords: Passwords) -> ec.EllipticCurvePrivateKey:
    """Open what `wrap` sealed.

    Raises:
        Malformed: the bytes are no wrapped key.
        NotAllowed: the passphrase is wrong (or the bytes were changed; the two cannot be told apart).
    """
    if len(wrapped) <= _HEAD.size or not wrapped.startswith(MAGIC):
        raise Malformed("not a wrapped signing key")
    head = wrapped[: _HEAD.size]
    _, memory, iterations, lanes, salt, nonce = _HEAD.unpack(head)
    secret = await passwords.key(passphrase, salt, Cost(memory, iterations, lanes))
    try:
        plain = AESGCM(secret).decrypt(nonce, wrapped[_HEAD.size :], head)
    except InvalidTag:
        raise NotAllowed("the signing passphrase is wrong") from None
    key = load_der_private_key(plain, password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise Broken("a wrapped signing key is not an elliptic-curve key")
    return key


class SigningKeys:
    """The table of wrapped keys."""

    def __init__(self, database: Database, passwords: Passwords, clock: Clock, standing: Standing) -> None:
        self._database, self._passwords, self._clock = database, passwords, clock
        self._standing = standing
        self._failures = Failures()

    async def create(
        self, user: str, display_name: str, email: str, passphrase: str, authority: PeopleAuthority
    ) -> x509.Certificate:
        """Make a key, have it certified, keep it sealed. Returns the certificate.

        An older one is replaced, and its certificate revoked: nobody can sign with a copy of that key.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        issued = authority.issue_person(key.public_key(), display_name, email)
        row = {
            "certificate": issued.certificate.public_bytes(Encoding.DER),
            "chain": b"".join(one.public_bytes(Encoding.PEM) for one in issued.chain[1:]),
            "wrapped": await wrap(key, passphrase, self._passwords),
            "created_at": rfc3339(self._clock.now()),
        }
        async with self._database.writing() as connection:
            older = select(signing_keys.c.certificate).where(signing_keys.c.user == user)
            before = (await connection.execute(older)).scalar()
            await connection.execute(signing_keys.delete().where(signing_keys.c.user == user))
            await connection.execute(signing_keys.insert().values(user=user, **row))
            await self._standing.enter(connection, user)
        if before is not None:
            authority.revoke(x509.load_der_x509_certificate(before), "replaced by a new signing key")
        return issued.certificate

    async def unlock(self, user: str, passphrase: str) -> SigningKey:
        """The key of `user`, opened.

        Raises:
            NotAllowed: no key, or a wrong passphrase.
            TooMany: too many wrong ones just now; ``retry_after`` says how long.
        """
        now = self._clock.monotonic()
        wait = self._failures.wait(user, now)
        if wait > 0:
            raise TooMany("too many wrong passphrases; wait before the next", retry_after=wait)
        async with self._database.reading() as connection:
            query = select(signing_keys).where(signing_keys.c.user == user)
            row = (await connection.execute(query)).mappings().first()
        if row is None:
            raise NotAllowed("this account has no signing key")
        try:
            key = await unwrap(row["wrapped"], passphrase, self._passwords)
        except NotAllowed:
            self._failures.wrong(user, now)
            raise
        self._failures.right(user)
        leaf = x509.load_der_x509_certificate(row["certificate"])
        rest = tuple(x509.load_pem_x509_certificates(row["chain"])) if row["chain"] else ()
        return SigningKey(key, leaf, (leaf, *rest))

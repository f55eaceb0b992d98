from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from gateway.brake import TooMany
from gateway.errors import Malformed, NotAllowed
from hub.access.passwords import Passwords
from hub.access.signing import SigningKeys, unwrap, wrap
from hub.access.throttle import FREE_TRIES
from tests.doubles.people import CHEAP, open_hub


class OnePerson:
    """An authority that certifies anybody, with a chain of two."""

    def __init__(self, clock) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.now = clock.now()
        self.certificate = self._make(self.key.public_key(), "people")
        self.revoked: list[x509.Certificate] = []

    def _make(self, public_key, name: str) -> x509.Certificate:
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(public_key)
        builder = builder.serial_number(x509.random_serial_number()).not_valid_before(self.now)
        return builder.not_valid_after(self.now + timedelta(days=1)).sign(self.key, hashes.SHA256())

    def issue_person(self, public_key, name: str, email: str):
        leaf = self._make(public_key, name)
        return SimpleNamespace(certificate=leaf, chain=(leaf, self.certificate))

    def revoke(self, certificate, why: str = "") -> bool:
        self.revoked.append(certificate)
        return True


async def test_a_key_opens_with_its_passphrase_alone() -> None:
    hashing, key = Passwords(CHEAP), ec.generate_private_key(ec.SECP256R1())
    wrapped = await wrap(key, "open sesame", hashing)
    assert (await unwrap(wrapped, "open sesame", hashing)).private_numbers() == key.private_numbers()
    with pytest.raises(NotAllowed):
        await unwrap(wrapped, "open sesamf", hashing)


async def test_no_byte_of_a_wrapped_key_may_change() -> None:
    hashing, key = Passwords(CHEAP), ec.generate_private_key(ec.SECP256R1())
    wrapped = await wrap(key, "p", hashing)
    for place in (16, 30, 40, 60, len(wrapped) - 1):
        changed = bytearray(wrapped)
        changed[place] ^= 1
        with pytest.raises(NotAllowed):
            await unwrap(bytes(changed), "p", hashing)
    for broken in (b"", wrapped[:44], b"XXXX" + wrapped[4:]):
        with pytest.raises(Malformed):
            await unwrap(broken, "p", hashing)


async def test_the_table_keeps_certificate_and_chain(tmp_path: Path) -> None:
    hub = await open_hub(tmp_path)
    await hub.account("chen")
    keys, authority = (
        SigningKeys(hub.database, Passwords(CHEAP), hub.clock, hub.access.standing),
        OnePerson(hub.clock),
    )
    certificate = await keys.create("chen", "Dr Chen", "chen@example.org", "pass phrase", authority)
    opened = await keys.unlock("chen", "pass phrase")
    assert opened.certificate == certificate
    assert opened.chain == (certificate, authority.certificate)
    assert opened.private_key.public_key() == certificate.public_key()
    certificate.public_key().verify(opened.sign(b"text"), b"text", ec.ECDSA(hashes.SHA256()))
    again = await keys.create("chen", "Dr Chen", "chen@example.org", "another phrase", authority)
    assert (await keys.unlock("chen", "another phrase")).certificate == again
    assert authority.revoked == [certificate]
    with pytest.raises(NotAllowed):
        await keys.unlock("nobody", "x")
    await hub.database.close()


async def test_guessing_a_passphrase_is_slowed_down(tmp_path: Path) -> None:
    hub = await open_hub(tmp_path)
    await hub.account("chen")
    keys = SigningKeys(hub.database, Passwords(CHEAP), hub.clock, hub.access.standing)
    await keys.create("chen", "Dr Chen", "c@example.org", "right", OnePerson(hub.clock))
    for _ in range(FREE_TRIES):
        with pytest.raises(NotAllowed):
            await keys.unlock("chen", "wrong")
    with pytest.raises(TooMany) as told:
        await keys.unlock("chen", "right")
    hub.clock.advance(told.value.retry_after)
    await keys.unlock("chen", "right")
    await hub.database.close()

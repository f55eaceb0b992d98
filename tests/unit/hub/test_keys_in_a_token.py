"""Keys in a PKCS#11 token: the hub's receipts and an authority's certificates, judged by openssl."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from certs import rollover
from certs.authority import Authority, Issuer
from gateway import keyfile
from gateway.clock import SystemClock
from gateway.envelope.signature import sign, verify
from gateway.errors import UsageError
from gateway.token import TokenKey, TokenUri
from gateway.trust import Purpose, pem
from hub.config import HubConfig
from hub.identity import HubKeys
from tests.doubles.requests import request
from tests.doubles.softhsm import SoftHsm

CLOCK = SystemClock()


@pytest.fixture(scope="module")
def token(tmp_path_factory: pytest.TempPathFactory) -> SoftHsm:
    return SoftHsm(tmp_path_factory.mktemp("softhsm"))


def test_receipts_are_signed_in_the_token(token: SoftHsm, tmp_path: Path) -> None:
    config = HubConfig(
        tmp_path / "hub", tmp_path / "pki", tmp_path / "rules", receipt_key=token.key("receipt")
    )
    authority = Authority.create(config.pki, CLOCK)
    keys = HubKeys.prepare(config, authority, CLOCK)
    assert not (keys.folder / "receipt.key").exists()
    signed = sign("tge1-receipt", b"{}", keys.receipt_signer)
    assert verify(signed, "tge1-receipt", keys.trust, Purpose.HUB, CLOCK.now())[1].name == "hub"
    again = HubKeys.prepare(
        config, authority, CLOCK
    )  # a restart finds the same key under the same certificate
    assert again.receipt_signer.chain == keys.receipt_signer.chain


def test_an_authority_in_the_token_issues_and_revokes(token: SoftHsm, tmp_path: Path) -> None:
    folder = tmp_path / "pki"
    Authority.create(folder, CLOCK)
    rollover.new_issuer(folder, CLOCK, Issuer.DEVICE, token.key("device-ca"))
    authority = Authority.open(folder, CLOCK)
    assert b"PRIVATE KEY" not in (folder / "device-2.key").read_bytes()
    issued = authority.issue_device(request(keyfile.new()), "H001", "1")
    assert authority.trust.identify(issued.chain, Purpose.DEVICE, CLOCK.now()).site == "H001"
    authority.revoke(issued.certificate, "lost")
    (tmp_path / "crl.der").write_bytes(authority.crl(Issuer.DEVICE))
    (tmp_path / "ca.pem").write_bytes(pem([authority.root, authority.certificate(Issuer.DEVICE)]))
    (tmp_path / "leaf.pem").write_bytes(pem([issued.certificate]))
    good = ["openssl", "verify", "-CAfile", tmp_path / "ca.pem", tmp_path / "leaf.pem"]
    assert subprocess.run(good, capture_output=True, check=False).returncode == 0
    checked = [
        "openssl",
        "crl",
        "-inform",
        "DER",
        "-in",
        tmp_path / "crl.der",
        "-CAfile",
        tmp_path / "ca.pem",
    ]
    assert b"verify OK" in subprocess.run([*checked, "-noout"], capture_output=True, check=False).stderr


def test_the_key_does_not_leave(token: SoftHsm) -> None:
    key = TokenKey(TokenUri.parse(token.key("stays")))
    with pytest.raises(TypeError, match="never leaves"):
        keyfile.pem(key)
    key.public_key().verify(key.sign(b"x", ec.ECDSA(hashes.SHA256())), b"x", ec.ECDSA(hashes.SHA256()))


def test_what_does_not_fit_is_told(token: SoftHsm) -> None:
    uri = TokenUri.parse(token.uri("nothing"))
    with pytest.raises(UsageError, match="'nothing' of token 'telerad-test'"):
        TokenKey(uri)
    with pytest.raises(UsageError, match="cannot be used"):
        TokenKey(replace(uri, token="other"))
    token.pin_file.chmod(0o644)
    with pytest.raises(UsageError, match="can be read by others"):
        TokenKey(uri)
    token.pin_file.chmod(0o600)
    for text, words in (
        ("pkcs11:token=a", "lacks"),
        ("pkcs11:x", "cannot be read"),
        ("pkcs11:serial=1", "serial"),
    ):
        with pytest.raises(UsageError, match=words):
            TokenUri.parse(text)

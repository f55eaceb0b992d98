"""The authority: what it issues holds before our own judge and before OpenSSL."""

from __future__ import annotations

import json
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from certs.authority import Authority, Issued, Issuer
from gateway import keyfile
from gateway.cli import main
from gateway.errors import Refused, ResourceError, Unverified, UsageError
from gateway.trust import Purpose, Trust, pem, read_certificates, spki_pin
from tests.doubles.hand_clock import HandClock
from tests.doubles.requests import request

KEY = keyfile.new()


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def authority(tmp_path: Path, clock: HandClock) -> Authority:
    return Authority.create(tmp_path / "pki", clock, "Test Clinic 测试")


def openssl(authority: Authority, issued: Issued, purpose: str, *, revocation: bool = False) -> str:
    """The verdict of ``openssl verify`` on a chain, as an outside judge."""
    folder = authority.folder
    (folder / "leaf.pem").write_bytes(pem(issued.chain[:1]))
    (folder / "between.pem").write_bytes(pem(issued.chain[1:]))
    words = ["openssl", "verify", "-x509_strict", "-purpose", purpose, "-CAfile", str(folder / "root.pem")]
    if revocation:
        for name in Issuer:
            authority.crl(name)
        lists = b"".join(
            x509.load_der_x509_crl((folder / f"{name.value}.crl").read_bytes()).public_bytes(Encoding.PEM)
            for name in Issuer
        )
        (folder / "lists.pem").write_bytes(lists)
        words += ["-crl_check_all", "-CRLfile", str(folder / "lists.pem")]
    words += ["-untrusted", str(folder / "between.pem"), str(folder / "leaf.pem")]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def issue(authority: Authority, purpose: Purpose) -> Issued:
    public = KEY.public_key()
    match purpose:
        case Purpose.DEVICE:
            return authority.issue_device(
                request(KEY, "I AM H999", "spiffe://telerad/site/H999/edge/9"), "H001", "1"
            )
        case Purpose.SERVER:
            return authority.issue_server(public, ["hub.example.org", "127.0.0.1", "::1"])
        case Purpose.HUB:
            return authority.issue_hub(public, "hub")
        case Purpose.PERSON:
            return authority.issue_person(public, "李 医生", "li@example.org")
        case Purpose.TIMESTAMP:
            return authority.issue_timestamp(rsa.generate_private_key(65537, 3072).public_key())


@pytest.mark.parametrize(
    ("purpose", "judge"),
    [
        (Purpose.DEVICE, "sslclient"),
        (Purpose.SERVER, "sslserver"),
        (Purpose.PERSON, "smimesign"),
        (Purpose.TIMESTAMP, "timestampsign"),
        (Purpose.HUB, "any"),
    ],
)
def test_what_is_issued_holds(authority: Authority, clock: HandClock, purpose: Purpose, judge: str) -> None:
    issued = issue(authority, purpose)
    assert authority.trust.identify(issued.chain, purpose, clock.now()).certificate == issued.certificate
    assert openssl(authority, issued, judge, revocation=True).endswith("leaf.pem: OK\n")
    for other in set(Purpose) - {purpose}:
        with pytest.raises(Unverified):
            authority.trust.identify(issued.chain, other, clock.now())


def test_the_site_comes_from_the_hub_and_never_from_the_request(
    authority: Authority, clock: HandClock
) -> None:
    issued = issue(authority, Purpose.DEVICE)
    assert authority.trust.identify(issued.chain, Purpose.DEVICE, clock.now()).site == "H001"
    assert b"H999" not in issued.certificate.public_bytes(Encoding.DER)


def test_a_request_must_prove_its_key(authority: Authority) -> None:
    good = bytearray(request(KEY).public_bytes(Encoding.DER))
    good[-1] ^= 1
    with pytest.raises(Refused, match="not signed by its own key"):
        authority.issue_device(x509.load_der_x509_csr(bytes(good)), "H001", "1")


@pytest.mark.parametrize(
    "key",
    [rsa.generate_private_key(65537, 2048), ec.generate_private_key(ec.SECP384R1())],
    ids=["RSA", "P-384"],
)
def test_a_request_must_be_for_p256(authority: Authority, key) -> None:
    with pytest.raises(Refused, match="P-256"):
        authority.issue_device(request(key), "H001", "1")


def test_names_that_do_not_fit_are_refused(authority: Authority) -> None:
    public = KEY.public_key()
    with pytest.raises(Refused, match="no name"):
        authority.issue_device(request(KEY), "../x", "1")
    with pytest.raises(Refused, match="no name"):
        authority.issue_hub(public, "a/b")
    with pytest.raises(Refused, match="needs a name"):
        authority.issue_server(public, [])
    with pytest.raises(Refused, match="not a host name"):
        authority.issue_server(public, ["höst"])
    with pytest.raises(Refused, match="not an e-mail"):
        authority.issue_person(public, "x", "ü@example.org")
    with pytest.raises(Refused, match="no certificate can be made"):
        authority.issue_person(public, "x" * 65, "x@example.org")


def test_an_authority_is_never_overwritten(authority: Authority, clock: HandClock) -> None:
    before = authority.root
    with pytest.raises(UsageError, match="never overwritten"):
        Authority.create(authority.folder, clock)
    assert Authority.open(authority.folder, clock).root == before


def test_a_failed_start_leaves_nothing(tmp_path: Path, clock: HandClock) -> None:
    with pytest.raises(UsageError, match="organisation"):
        Authority.create(tmp_path / "pki", clock, "x" * 65)
    assert list(tmp_path.iterdir()) == []


def test_no_authority_is_told(tmp_path: Path, clock: HandClock) -> None:
    with pytest.raises(UsageError, match="telerad certs init --dir"):
        Authority.open(tmp_path, clock)


def test_keys_are_for_their_owner_alone(authority: Authority) -> None:
    assert authority.folder.stat().st_mode & 0o077 == 0
    modes = {file.name: file.stat().st_mode & 0o777 for file in authority.folder.glob("*.key")}
    assert modes == dict.fromkeys([f"{name.value}.key" for name in Issuer], 0o600)


def test_a_leaf_never_outlives_its_issuer(authority: Authority) -> None:
    issued = authority.issue_hub(KEY.public_key(), "hub", life=timedelta(days=9999))
    assert issued.certificate.not_valid_after_utc == issued.chain[1].not_valid_after_utc


def test_revocation_is_on_the_list_and_openssl_sees_it(authority: Authority, clock: HandClock) -> None:
    issued = issue(authority, Purpose.DEVICE)
    before = x509.load_der_x509_crl(authority.crl(Issuer.DEVICE))
    assert authority.revoke(issued.certificate, "stolen")
    assert not authority.revoke(issued.certificate, "again")
    after = x509.load_der_x509_crl(authority.crl(Issuer.DEVICE))
    assert [entry.serial_number for entry in after] == [issued.certificate.serial_number]
    # OpenSSL ignores a list that is not strictly newer, at a resolution of one second
    assert after.last_update_utc > before.last_update_utc
    clock.advance(seconds=5)
    (authority.folder / "device.crl").unlink()
    assert "certificate revoked" in openssl(authority, issued, "sslclient", revocation=True)
    assert len(x509.load_der_x509_crl(authority.crl(Issuer.PEOPLE))) == 0


def test_a_list_is_kept_for_a_day_and_then_renewed(authority: Authority, clock: HandClock) -> None:
    first = authority.crl(Issuer.PEOPLE)
    assert authority.crl(Issuer.PEOPLE) == first
    clock.advance(hours=25)
    second = x509.load_der_x509_crl(authority.crl(Issuer.PEOPLE))
    assert second.last_update_utc == clock.now()
    assert second.is_signature_valid(authority.certificate(Issuer.PEOPLE).public_key())


def test_without_the_roots_key_all_but_its_list_goes_on(authority: Authority, clock: HandClock) -> None:
    stored = authority.crl(Issuer.ROOT)
    (authority.folder / "root.key").unlink()
    clock.advance(days=30)
    offline = Authority.open(authority.folder, clock)
    assert not offline.root_key_is_here
    assert offline.crl(Issuer.ROOT) == stored
    assert offline.crl(Issuer.DEVICE)
    assert issue(offline, Purpose.DEVICE)
    clock.advance(days=400)
    with pytest.raises(ResourceError, match="telerad certs crl"):
        offline.crl(Issuer.ROOT)


def test_a_stranger_cannot_be_revoked(authority: Authority, tmp_path: Path, clock: HandClock) -> None:
    other = Authority.create(tmp_path / "other", clock, "Other")
    with pytest.raises(UsageError, match="was not issued by"):
        authority.revoke(issue(other, Purpose.DEVICE).certificate)


def test_the_command_line(tmp_path: Path, capsys, clock: HandClock) -> None:
    folder = tmp_path / "pki"

    def run(*words: str) -> object:
        assert main(["certs", *words, "--dir", str(folder), "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    made = run("init", "--organisation", "Berg")
    pin = spki_pin(read_certificates(folder / "root.pem")[0])
    assert made == {"dir": str(folder), "pin": pin}
    assert run("pin") == {"pin": pin}
    issued = issue(Authority.open(folder, clock), Purpose.PERSON)
    serial = f"{issued.certificate.serial_number:X}"
    assert run("revoke", "--serial", serial, "--why", "left") == {"serial": serial.lower(), "new": True}
    shown = {row["name"]: row for row in run("show")["authorities"]}
    assert (shown["people"]["issued"], shown["people"]["revoked"]) == (1, 1)
    assert "O=Berg" in shown["root"]["subject"]
    assert {one["name"]: one["revoked"] for one in run("crl")}["people"] == 1
    assert main(["certs", "revoke", "--dir", str(folder), "--serial", "77"]) == 2
    assert "no certificate with the serial number 77" in capsys.readouterr().err
    assert main(["certs", "show", "--dir", str(folder)]) == 0
    assert pin in capsys.readouterr().out


def test_trust_in_one_root_is_not_trust_in_another(
    authority: Authority, tmp_path: Path, clock: HandClock
) -> None:
    other = Authority.create(tmp_path / "other", clock, "Test Clinic 测试")
    with pytest.raises(Unverified, match="not signed by a root that is trusted"):
        Trust([other.root]).identify(issue(authority, Purpose.DEVICE).chain, Purpose.DEVICE, clock.now())

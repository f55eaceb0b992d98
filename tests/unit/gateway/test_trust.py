"""Every rule by which a chain is judged: what passes, and that each breach is refused in its own words."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.x509.oid import ExtendedKeyUsageOID

from certs import profile
from gateway import keyfile
from gateway.errors import Malformed, Unverified, UsageError
from gateway.trust import (
    DOCUMENT_SIGNING,
    HUB_SIGNING,
    FileSigner,
    Purpose,
    Trust,
    device_uri,
    fingerprint,
    hub_uri,
    pem,
    spki_pin,
)

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
LIFE = timedelta(days=30)
CLIENT = ExtendedKeyUsageOID.CLIENT_AUTH
SERVER = ExtendedKeyUsageOID.SERVER_AUTH
STAMP = ExtendedKeyUsageOID.TIME_STAMPING
ROOT_KEY, CA_KEY, LEAF_KEY = keyfile.new(), keyfile.new(), keyfile.new()
ROOT = profile.root(ROOT_KEY, "Test", NOW)
TRUST = Trust([ROOT])
EDGE = x509.UniformResourceIdentifier(device_uri("H001", "1"))
DEVICE = profile.Leaf(LEAF_KEY.public_key(), "edge", [EDGE], [CLIENT], LIFE)


def authority(*usages: x509.ObjectIdentifier) -> x509.Certificate:
    return profile.issuer(CA_KEY.public_key(), "some", usages, ROOT, ROOT_KEY, NOW)


CA = authority(CLIENT, SERVER, STAMP, DOCUMENT_SIGNING, HUB_SIGNING)


def chain(leaf: profile.Leaf, ca: x509.Certificate = CA) -> list[x509.Certificate]:
    return [profile.leaf(leaf, ca, CA_KEY, NOW), ca]


def refuse(words: str, certificates: list[x509.Certificate], purpose: Purpose, at: datetime = NOW) -> None:
    with pytest.raises(Unverified, match=words):
        TRUST.identify(certificates, purpose, at)


def test_an_edge_is_what_its_uri_says() -> None:
    identity = TRUST.identify(chain(replace(DEVICE, name="I AM H999")), Purpose.DEVICE, NOW)
    assert (identity.site, identity.edge, identity.name) == ("H001", "1", "spiffe://telerad/site/H001/edge/1")
    assert identity.email is None


def test_the_root_may_be_sent_along() -> None:
    assert TRUST.identify([*chain(DEVICE), ROOT], Purpose.DEVICE, NOW).site == "H001"


def test_other_purposes_give_their_names() -> None:
    key = LEAF_KEY.public_key()
    hub = profile.Leaf(key, "x", [x509.UniformResourceIdentifier(hub_uri("north"))], [HUB_SIGNING], LIFE)
    assert TRUST.identify(chain(hub), Purpose.HUB, NOW).name == "north"
    person = profile.Leaf(
        key, "李医生", [x509.RFC822Name("li@example.org")], [DOCUMENT_SIGNING], LIFE, content_commitment=True
    )
    found = TRUST.identify(chain(person), Purpose.PERSON, NOW)
    assert (found.name, found.email, found.site) == ("李医生", "li@example.org", None)
    server = profile.Leaf(key, "x", [x509.DNSName("hub.example.org")], [SERVER], LIFE)
    assert TRUST.identify(chain(server), Purpose.SERVER, NOW).name == "hub.example.org"
    stamp = profile.Leaf(
        rsa.generate_private_key(65537, 3072).public_key(), "tsa", [], [STAMP], LIFE, usages_critical=True
    )
    assert TRUST.identify(chain(stamp), Purpose.TIMESTAMP, NOW).name == "tsa"


@pytest.mark.parametrize(("usage", "right"), [(CLIENT, Purpose.DEVICE), (SERVER, Purpose.SERVER)])
def test_a_certificate_serves_its_own_purpose_alone(usage: x509.ObjectIdentifier, right: Purpose) -> None:
    names = [EDGE, x509.DNSName("h"), x509.RFC822Name("a@b.org")]
    made = chain(replace(DEVICE, names=names, usages=[usage], content_commitment=True))
    assert TRUST.identify(made, right, NOW).purpose is right
    for other in set(Purpose) - {right}:
        refuse("extendedKeyUsage", made, other)


def test_an_expired_certificate_is_told_with_both_times() -> None:
    refuse(
        r"expired on 2026-07-01 12:00:00 UTC; this machine's clock says 2026-07-02 12:00:00 UTC",
        chain(DEVICE),
        Purpose.DEVICE,
        NOW + LIFE + timedelta(days=1),
    )


def test_a_certificate_of_tomorrow_asks_for_the_clock() -> None:
    refuse("not valid before .* Is the clock right", chain(DEVICE), Purpose.DEVICE, NOW - timedelta(hours=1))


@pytest.mark.parametrize("at", [NOW - timedelta(minutes=19), NOW + LIFE + timedelta(minutes=9)])
def test_clocks_may_differ_by_ten_minutes(at: datetime) -> None:
    assert TRUST.identify(chain(DEVICE), Purpose.DEVICE, at).site == "H001"


def test_an_expired_issuer_is_refused() -> None:
    soon = NOW + timedelta(days=1)
    old = profile.root(ROOT_KEY, "Test", NOW - profile.ROOT_LIFE + timedelta(hours=1))
    with pytest.raises(Unverified, match=r"Root CA.*expired"):
        Trust([old]).identify(chain(DEVICE), Purpose.DEVICE, soon)


def test_no_certificate_at_all() -> None:
    refuse("no certificate", [], Purpose.DEVICE)


def test_another_root_of_the_same_name() -> None:
    other = profile.root(keyfile.new(), "Test", NOW)
    with pytest.raises(Unverified, match="not signed by a root that is trusted here"):
        Trust([other]).identify(chain(DEVICE), Purpose.DEVICE, NOW)


def test_a_leaf_under_another_issuer() -> None:
    stranger = profile.issuer(keyfile.new().public_key(), "some", [CLIENT], ROOT, ROOT_KEY, NOW)
    refuse("is not signed by", [chain(DEVICE)[0], stranger], Purpose.DEVICE)


def test_a_missing_issuer() -> None:
    refuse("names .* as its issuer", chain(DEVICE)[:1], Purpose.DEVICE)


def test_a_chain_that_is_too_long() -> None:
    refuse("longer than 4", [chain(DEVICE)[0], CA, CA, CA, CA], Purpose.DEVICE)


def test_a_leaf_cannot_issue() -> None:
    leaf = profile.leaf(DEVICE, CA, CA_KEY, NOW)
    below = profile.leaf(replace(DEVICE, key=keyfile.new().public_key()), leaf, LEAF_KEY, NOW)
    refuse("no certificate authority, yet it signed", [below, leaf, CA], Purpose.DEVICE)


def test_the_path_length_holds() -> None:
    sub_key = keyfile.new()
    sub = profile.issuer(sub_key.public_key(), "sub", [CLIENT], CA, CA_KEY, NOW)
    leaf = profile.leaf(DEVICE, sub, sub_key, NOW)
    refuse("may not have 1 further authorities below it", [leaf, sub, CA], Purpose.DEVICE)


def test_an_authority_keeps_to_its_trade() -> None:
    people = authority(DOCUMENT_SIGNING)
    refuse("may not issue certificates for an edge", chain(DEVICE, people), Purpose.DEVICE)


def test_an_authority_is_no_leaf() -> None:
    refuse("is a certificate authority", [CA], Purpose.DEVICE)


def test_a_person_must_be_able_to_commit() -> None:
    person = profile.Leaf(LEAF_KEY.public_key(), "p", [x509.RFC822Name("p@q.org")], [DOCUMENT_SIGNING], LIFE)
    refuse("contentCommitment", chain(person), Purpose.PERSON)
    refuse("exactly one e-mail", chain(replace(person, names=[], content_commitment=True)), Purpose.PERSON)


def test_a_time_stamper_does_nothing_else() -> None:
    refuse("more than time stamps", chain(replace(DEVICE, usages=[STAMP, CLIENT])), Purpose.TIMESTAMP)


@pytest.mark.parametrize(
    "key",
    [
        ec.generate_private_key(ec.SECP384R1()).public_key(),
        rsa.generate_private_key(65537, 2048).public_key(),
    ],
    ids=["P-384", "RSA"],
)
def test_other_keys_are_refused(key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey) -> None:
    refuse("P-256 is", chain(replace(DEVICE, key=key)), Purpose.DEVICE)


@pytest.mark.parametrize(
    "uris",
    [
        [],
        ["spiffe://telerad/site/H001/edge/1", "spiffe://telerad/site/H002/edge/1"],
        ["spiffe://elsewhere/site/H001/edge/1"],
        ["spiffe://telerad/site//edge/1"],
        ["spiffe://telerad/site/H001/edge/1/"],
        ["spiffe://telerad/site/H001/edge/1\n"],
        ["spiffe://telerad/site/../edge/1"],
        ["https://telerad/site/H001/edge/1"],
    ],
)
def test_names_of_another_form_are_refused(uris: list[str]) -> None:
    names = [x509.UniformResourceIdentifier(uri) for uri in uris]
    refuse("exactly one name of the form", chain(replace(DEVICE, names=names)), Purpose.DEVICE)


def test_a_server_without_a_name() -> None:
    refuse("names no host", chain(replace(DEVICE, usages=[SERVER])), Purpose.SERVER)


def _unlike_ours(*, critical: bool, usage: bool = True, digest: hashes.HashAlgorithm) -> x509.Certificate:
    builder = (
        x509.CertificateBuilder()
        .subject_name(ROOT.subject)
        .issuer_name(CA.subject)
        .public_key(LEAF_KEY.public_key())
        .serial_number(7)
        .not_valid_before(NOW)
        .not_valid_after(NOW + LIFE)
        .add_extension(x509.InhibitAnyPolicy(0), critical=critical)
    )
    if usage:
        builder = builder.add_extension(profile._key_usage(digital_signature=True), critical=True)
    return builder.sign(CA_KEY, digest)


def test_an_unknown_critical_extension_is_refused() -> None:
    refuse(
        "critical extension 2.5.29.54",
        [_unlike_ours(critical=True, digest=hashes.SHA256()), CA],
        Purpose.DEVICE,
    )


def test_key_usage_is_required() -> None:
    bare = _unlike_ours(critical=False, usage=False, digest=hashes.SHA256())
    refuse("lacks digitalSignature", [bare, CA], Purpose.DEVICE)


def test_weak_digests_are_refused() -> None:
    weak = _unlike_ours(critical=False, digest=hashes.SHA224())
    refuse("is not signed by", [weak, CA], Purpose.DEVICE)


def test_a_flipped_bit_is_seen() -> None:
    leaf = chain(DEVICE)[0]
    der = bytearray(leaf.public_bytes(keyfile.Encoding.DER))
    der[der.index(b"H001")] ^= 1
    refuse("is not signed by", [x509.load_der_x509_certificate(bytes(der)), CA], Purpose.DEVICE)


def test_device_and_hub_names_have_a_form() -> None:
    for bad in ("", "a/b", "..", "é", "x" * 33):
        with pytest.raises(ValueError, match="no name a certificate here may bear"):
            device_uri(bad, "1")
    with pytest.raises(ValueError, match="no name"):
        hub_uri("a b")


def test_a_pin_outlives_the_certificate() -> None:
    again = profile.root(ROOT_KEY, "Test", NOW + timedelta(days=1))
    assert spki_pin(again) == spki_pin(ROOT)
    assert spki_pin(ROOT).startswith("sha256:")
    assert fingerprint(again) != fingerprint(ROOT)


def test_a_signer_from_files(tmp_path) -> None:
    keyfile.store(tmp_path / "key.pem", LEAF_KEY)
    (tmp_path / "chain.pem").write_bytes(pem(chain(DEVICE)))
    signer = FileSigner.load(tmp_path / "key.pem", tmp_path / "chain.pem")
    signature = signer.sign(b"data")
    decode_dss_signature(signature)
    LEAF_KEY.public_key().verify(signature, b"data", ec.ECDSA(hashes.SHA256()))
    assert TRUST.identify(signer.chain, Purpose.DEVICE, NOW).site == "H001"


def test_a_signer_needs_its_own_certificate(tmp_path) -> None:
    keyfile.store(tmp_path / "key.pem", keyfile.new())
    (tmp_path / "chain.pem").write_bytes(pem(chain(DEVICE)))
    with pytest.raises(Malformed, match="does not belong"):
        FileSigner.load(tmp_path / "key.pem", tmp_path / "chain.pem")


def test_a_key_that_others_can_read_is_not_used(tmp_path) -> None:
    file = tmp_path / "key.pem"
    keyfile.store(file, LEAF_KEY)
    assert file.stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileExistsError):
        keyfile.store(file, LEAF_KEY)
    file.chmod(0o640)
    with pytest.raises(UsageError, match="can be read by others"):
        keyfile.load_p256(file)


def test_other_kinds_of_key_files(tmp_path) -> None:
    (tmp_path / "bad.pem").write_bytes(b"no key")
    (tmp_path / "bad.pem").chmod(0o600)
    with pytest.raises(Malformed, match="no readable private key"):
        keyfile.load_p256(tmp_path / "bad.pem")
    keyfile.store(tmp_path / "big.pem", ec.generate_private_key(ec.SECP384R1()))
    with pytest.raises(Malformed, match="no key on the curve P-256"):
        keyfile.load_p256(tmp_path / "big.pem")
    with pytest.raises(UsageError, match="cannot be read"):
        keyfile.load_p256(tmp_path / "absent.pem")

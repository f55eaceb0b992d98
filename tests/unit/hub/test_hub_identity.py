"""The hub's own keys: made once, kept, and renewed in time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from certs.authority import Authority
from gateway.errors import Malformed, UsageError
from gateway.keyset import read_key_set
from gateway.trust import Purpose, read_certificates
from hub.config import HubConfig, Web
from hub.identity import HubKeys, server_names
from tests.doubles.hand_clock import HandClock


@pytest.fixture
def config(tmp_path: Path) -> HubConfig:
    return HubConfig(
        tmp_path / "hub",
        tmp_path / "pki",
        tmp_path / "rules.yaml",
        web=Web(url="https://hub.example.org:8443"),
    )


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def authority(config: HubConfig, clock: HandClock) -> Authority:
    return Authority.create(config.pki, clock)


def names(config: HubConfig) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in (config.data / "keys").iterdir()}


def test_everything_is_made_once(config: HubConfig, authority: Authority, clock: HandClock) -> None:
    keys = HubKeys.prepare(config, authority, clock)
    first, now = names(config), clock.now()
    assert isinstance(keys.timestamp_key, rsa.RSAPrivateKey)
    assert keys.checkpoint_signer.verifier.name == "telerad/hub"
    assert keys.trust.identify(keys.receipt_signer.chain, Purpose.HUB, now).name == "hub"
    assert keys.trust.identify(keys.timestamp_chain, Purpose.TIMESTAMP, now).certificate.public_key() == (
        keys.timestamp_key.public_key()
    )
    server = read_certificates(keys.folder / "server.pem")
    assert keys.trust.identify(server, Purpose.SERVER, now).name == "hub.example.org"
    assert {
        oct((keys.folder / name).stat().st_mode & 0o077) for name in first if not name.endswith("r.pem")
    } >= {"0o0"}
    assert all(
        (keys.folder / name).stat().st_mode & 0o077 == 0 for name in first if "key" in name or "kem" in name
    )
    HubKeys.prepare(config, authority, clock)
    assert names(config) == first


def test_certificates_are_renewed_after_two_thirds_of_their_life(
    config: HubConfig, authority: Authority, clock: HandClock
) -> None:
    keys = HubKeys.prepare(config, authority, clock)
    first = names(config)
    clock.advance(days=59)
    keys.maintain()
    assert names(config) == first
    clock.advance(days=2)
    keys.maintain()
    second = names(config)
    assert {name for name in second if second[name] != first.get(name)} == {"server.pem"}
    clock.advance(days=310)
    keys.maintain()
    third = names(config)
    assert {name for name in third if third[name] != second.get(name)} >= {"server.pem", "receipt.pem"}


def test_the_newest_key_is_published_and_the_old_one_kept(
    config: HubConfig, authority: Authority, clock: HandClock
) -> None:
    (old,) = HubKeys.prepare(config, authority, clock).kem_keys
    clock.advance(days=200)
    assert tuple(HubKeys.prepare(config, authority, clock).kem_keys) == (old,)
    clock.advance(days=170)
    keys = HubKeys.prepare(config, authority, clock)
    (published,) = read_key_set(keys.signed_key_set(), keys.trust, clock.now()).keys
    assert published.kid > old
    assert set(keys.kem_keys) == {old, published.kid}


def test_another_address_gives_another_certificate(
    config: HubConfig, authority: Authority, clock: HandClock
) -> None:
    HubKeys.prepare(config, authority, clock)
    moved = replace(config, web=Web(url="https://192.0.2.7:8443"))
    keys = HubKeys.prepare(moved, authority, clock)
    server = read_certificates(keys.folder / "server.pem")
    assert "192.0.2.7" in str(server[0].extensions)
    again = HubKeys.prepare(moved, authority, clock)
    assert read_certificates(again.folder / "server.pem") == server


def test_another_authority_gives_other_certificates(
    config: HubConfig, authority: Authority, clock: HandClock, tmp_path: Path
) -> None:
    HubKeys.prepare(config, authority, clock)
    other = Authority.create(tmp_path / "other", clock)
    keys = HubKeys.prepare(config, other, clock)
    assert other.trust.identify(keys.receipt_signer.chain, Purpose.HUB, clock.now()).name == "hub"


def test_a_key_of_another_kind_is_told(config: HubConfig, authority: Authority, clock: HandClock) -> None:
    keys = HubKeys.prepare(config, authority, clock)
    (keys.folder / "checkpoint.key").write_bytes((keys.folder / "server.key").read_bytes())
    with pytest.raises(Malformed, match=r"checkpoint\.key holds a key of another kind"):
        HubKeys.prepare(config, authority, clock)


def test_addresses_must_be_https(config: HubConfig) -> None:
    with pytest.raises(UsageError, match=r"web\.url must be an address such as"):
        server_names(replace(config, web=Web(url="hub.example.org")))

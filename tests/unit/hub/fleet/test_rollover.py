"""Keys and authorities are exchanged while edges run, and no edge is touched by hand."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import select

from certs import rollover
from certs.authority import Authority, Issuer
from edge.enroll import enroll
from edge.hub_client import HubClient
from edge.identity import EdgeIdentity
from edge.renewal import Renewal
from gateway.bundle import sign_bundle
from gateway.clock import SystemClock
from gateway.envelope.kem import P256
from gateway.errors import Unverified, UsageError
from gateway.trust import FileSigner, Purpose, pem, read_certificates, spki_pin
from hub.identity import new_kem
from hub.tables import fleet
from tests.doubles.small_hub import SmallHub, small_hub

CLOCK = SystemClock()


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[SmallHub]:
    async with small_hub(tmp_path) as running:
        yield running


@pytest.fixture
async def client(hub: SmallHub, tmp_path: Path) -> AsyncIterator[HubClient]:
    edge = await enroll(await hub.invitation(), tmp_path / "edge", CLOCK)
    async with HubClient(edge, CLOCK) as opened:
        yield opened


def roll(hub: SmallHub, *names: Issuer) -> None:
    for name in names:
        rollover.new_issuer(hub.authority.folder, CLOCK, name)
    hub.keys.maintain()


async def test_a_new_device_authority_is_in_force_at_once(hub: SmallHub, client: HubClient) -> None:
    old = client.identity.certificate.issuer
    roll(hub, Issuer.DEVICE)
    assert await client.read("GET", "/v1/keys")  # the old certificate is good still
    await Renewal(client, CLOCK).renew()
    assert client.identity.certificate.issuer != old
    assert await client.read("GET", "/v1/keys")  # and the new one, on a new connection
    assert hub.authority.revoke(client.identity.certificate)
    assert len(hub.authority.crls(Issuer.DEVICE)) == 2


async def test_a_new_root_reaches_the_edges_before_anything_stands_under_it(
    hub: SmallHub, client: HubClient, tmp_path: Path
) -> None:
    identity, renewal = client.identity, Renewal(client, CLOCK)
    old = hub.authority.root
    rollover.new_root(hub.authority.folder, CLOCK)
    hub.keys.maintain()
    assert hub.authority.root == old
    assert await renewal.round()
    assert len(identity.roots) == 2
    assert len(EdgeIdentity.load(identity.folder).roots) == 2
    async with hub.database.reading() as connection:
        told = (await connection.execute(select(fleet.edge_status.c.roots))).scalar_one()
    assert told == ",".join(sorted(spki_pin(root) for root in hub.authority.roots))
    roll(hub, Issuer.DEVICE, Issuer.SERVER, Issuer.PEOPLE, Issuer.TIMESTAMP)
    assert hub.authority.root != old
    await client.close()  # a new connection: the hub's port shows its new certificate
    assert await renewal.round()
    await renewal.renew()
    await client.close()
    assert await renewal.round()
    assert identity.trust.identify(identity.signer.chain, Purpose.DEVICE, CLOCK.now()).site == "H001"
    fresh = await enroll(await hub.invitation(), tmp_path / "other", CLOCK)  # with the new root's pin
    assert set(fresh.roots) == set(hub.authority.roots)


async def test_a_stranger_cannot_name_roots(hub: SmallHub, client: HubClient, tmp_path: Path) -> None:
    other = Authority.create(tmp_path / "other-pki", CLOCK)
    mine = [hub.authority.root, other.root]
    chain = other.issue_hub(hub.keys._receipt_key.public_key(), "hub").chain
    with pytest.raises(Unverified, match="not signed by a root"):
        client.identity.replace_roots(
            sign_bundle("hub", mine, FileSigner(hub.keys._receipt_key, chain), CLOCK.now()), CLOCK
        )
    alone = sign_bundle("hub", [other.root], hub.keys.receipt_signer, CLOCK.now())
    with pytest.raises(Unverified, match="not signed by a root"):
        client.identity.replace_roots(alone, CLOCK)
    leaf = sign_bundle(
        "hub", [*mine, hub.authority.certificate(Issuer.DEVICE)], hub.keys.receipt_signer, CLOCK.now()
    )
    with pytest.raises(Unverified, match="is no root"):
        client.identity.replace_roots(leaf, CLOCK)
    assert client.identity.roots == (hub.authority.root,)


async def test_a_new_kem_key_is_taken_up_by_hub_and_edge(hub: SmallHub, client: HubClient) -> None:
    (old,) = client.identity.recipients
    made = new_kem(hub.keys.folder, P256, CLOCK)  # as `telerad hub keys rotate` does beside a running hub
    hub.keys.maintain()
    assert await Renewal(client, CLOCK).round()
    assert [key.kid for key in client.identity.recipients] == [made]
    assert {old.kid, made} <= set(hub.keys.kem_keys)


async def test_a_changed_certificate_is_shown_without_dropping_a_connection(
    hub: SmallHub, client: HubClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hub.identity.WATCH_SECONDS", 0.05)
    running = asyncio.create_task(hub.keys.run())
    session = await client._open()
    try:
        assert await client.read("GET", "/v1/keys")
        before = (hub.keys.folder / "server.pem").read_bytes()
        pinned = next(iter(session.connector._conns.values()))[0][0]  # type: ignore[union-attr]
        await asyncio.to_thread(rollover.new_issuer, hub.authority.folder, CLOCK, Issuer.SERVER)
        for _ in range(200):
            await asyncio.sleep(0.02)
            if (hub.keys.folder / "server.pem").read_bytes() != before:
                break
        await asyncio.sleep(0.2)
        assert await client.read("GET", "/v1/keys")
        assert next(iter(session.connector._conns.values()))[0][0] is pinned  # type: ignore[union-attr]
        served = await asyncio.to_thread(shown, hub)
        assert served == read_certificates(hub.keys.folder / "server.pem")[0].serial_number
    finally:
        running.cancel()


def shown(hub: SmallHub) -> int:
    """The serial of the certificate that the web port shows a new client, by openssl."""
    host = hub.config.web.url.removeprefix("https://")
    said = subprocess.run(
        ["openssl", "s_client", "-connect", host, "-servername", "localhost"],
        input=b"",
        capture_output=True,
        timeout=20,
        check=False,
    ).stdout
    text = subprocess.run(
        ["openssl", "x509", "-noout", "-serial"], input=said, capture_output=True, check=True
    ).stdout
    return int(text.decode().strip().partition("=")[2], 16)


def openssl(*words: str | Path) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([*words], capture_output=True, check=False)


async def test_openssl_holds_every_generation_good(hub: SmallHub, client: HubClient, tmp_path: Path) -> None:
    rollover.new_root(hub.authority.folder, CLOCK)
    hub.keys.maintain()
    assert await Renewal(client, CLOCK).round()
    roll(hub, Issuer.DEVICE, Issuer.SERVER)
    await Renewal(client, CLOCK).renew()
    roots, leaf, issuer = tmp_path / "roots.pem", tmp_path / "leaf.pem", tmp_path / "issuer.pem"
    roots.write_bytes(pem(hub.authority.roots))
    device = client.identity.signer.newest.chain
    for chain, purpose in (
        (device, "sslclient"),
        (read_certificates(hub.keys.folder / "server.pem"), "sslserver"),
    ):
        leaf.write_bytes(pem(chain[:1]))
        issuer.write_bytes(pem(chain[1:]))
        command = [
            "openssl",
            "verify",
            "-x509_strict",
            "-CAfile",
            roots,
            "-untrusted",
            issuer,
            "-purpose",
            purpose,
        ]
        judged = await asyncio.to_thread(openssl, *command, leaf)
        assert judged.returncode == 0, judged.stderr
        wrong = "sslserver" if purpose == "sslclient" else "sslclient"
        command[-1] = wrong
        assert (await asyncio.to_thread(openssl, *command, leaf)).returncode != 0
    leaf.write_bytes(pem(device[:1]))
    text = (await asyncio.to_thread(openssl, "openssl", "x509", "-noout", "-text", "-in", leaf)).stdout
    assert b"URI:spiffe://telerad/site/H001/edge/1" in text
    assert b"TLS Web Client Authentication" in text
    assert b"CA:FALSE" in text


async def test_a_roll_over_wants_the_roots_key(hub: SmallHub) -> None:
    (hub.authority.folder / "root.key").rename(hub.authority.folder.parent / "safe.key")
    with pytest.raises(UsageError, match="bring it from its safe"):
        rollover.new_issuer(hub.authority.folder, CLOCK, Issuer.DEVICE)

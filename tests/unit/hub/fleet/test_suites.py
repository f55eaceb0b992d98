"""Which algorithms an edge and its hub use together: changed at the hub alone, and never to a weaker one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from edge.enroll import enroll
from edge.hub_client import HubClient
from edge.identity import EdgeIdentity
from edge.renewal import Renewal
from gateway.clock import SystemClock
from gateway.envelope.kem import HYBRID, P256
from gateway.envelope.signature import Statement, sign, verify
from gateway.errors import Unverified
from gateway.keyset import sign_key_set
from gateway.trust import Purpose, Trust, second_key
from hub.identity import HubKeys
from tests.doubles.small_hub import SmallHub, small_hub

CLOCK = SystemClock()
BOTH = (HYBRID, P256)


def restarted(hub: SmallHub, *suites: str) -> HubKeys:
    """The hub's keys as a restart with another configuration finds or makes them."""
    return HubKeys.prepare(replace(hub.config, suites=suites), hub.authority, CLOCK)


async def test_a_hybrid_hub_and_edge_sign_twice_and_seal_hybrid(tmp_path: Path) -> None:
    async with small_hub(tmp_path, suites=BOTH) as hub:
        edge = await enroll(await hub.invitation(), tmp_path / "edge", CLOCK)
        assert {key.suite for key in edge.recipients} == {HYBRID}
        assert second_key(edge.certificate) is not None
        signed = sign("k", b"payload", edge.signer)
        assert verify(signed, "k", Trust(hub.keys.roots, both_signatures=True), Purpose.DEVICE, CLOCK.now())
        async with HubClient(edge, CLOCK) as client:  # TLS takes the first key of the file
            await Renewal(client, CLOCK).renew()
            assert await client.read("GET", "/v1/keys")
        assert EdgeIdentity.load(edge.folder).signer.sign_second(b"x") is not None


async def test_the_second_signature_cannot_be_taken_off_changed_or_put_on(tmp_path: Path) -> None:
    async with small_hub(tmp_path, suites=BOTH) as hub:
        edge = await enroll(await hub.invitation(), tmp_path / "edge", CLOCK)
        now, trust = CLOCK.now(), hub.keys.trust
        whole = Statement.from_bytes(sign("k", b"payload", edge.signer))
        stripped = replace(whole, second_signature=None).to_bytes()
        with pytest.raises(Unverified, match="lacks a second signature"):
            verify(stripped, "k", trust, Purpose.DEVICE, now)
        assert whole.second_signature is not None
        bent = bytes([whole.second_signature[0] ^ 1]) + whole.second_signature[1:]
        with pytest.raises(Unverified, match="ML-DSA signature"):
            verify(replace(whole, second_signature=bent).to_bytes(), "k", trust, Purpose.DEVICE, now)


async def test_a_hub_changes_its_edges_to_hybrid_and_then_refuses_the_rest(tmp_path: Path) -> None:
    async with small_hub(tmp_path) as hub:
        edge = await enroll(await hub.invitation(), tmp_path / "edge", CLOCK)
        assert ({key.suite for key in edge.recipients}, second_key(edge.certificate)) == ({P256}, None)
        single = sign("k", b"payload", edge.signer)
        hybrid = restarted(hub, *BOTH)
        assert edge.replace_keys(hybrid.signed_key_set(), CLOCK)
        assert {key.suite for key in edge.recipients} == {HYBRID}
        assert edge.lacks_second_key
        hub.enrolment._second_keys = True
        async with HubClient(edge, CLOCK) as client:
            await Renewal(client, CLOCK).renew()
        assert not edge.lacks_second_key
        double = sign("k", b"payload", edge.signer)
        strict = restarted(hub, HYBRID).trust
        assert verify(double, "k", strict, Purpose.DEVICE, CLOCK.now())
        with pytest.raises(Unverified, match="only statements signed with both"):
            verify(single, "k", strict, Purpose.DEVICE, CLOCK.now())


async def test_an_edge_that_wants_hybrid_alone_never_falls_back(tmp_path: Path) -> None:
    async with small_hub(tmp_path, suites=BOTH) as hub:
        edge = await enroll(await hub.invitation(), tmp_path / "edge", CLOCK)
        strict = EdgeIdentity.load(edge.folder, (HYBRID,))
        weaker = [key for key in hub.keys.kem_keys.publics() if key.suite == P256]
        statement = sign_key_set("hub", weaker, hub.keys.receipt_signer, CLOCK.now())
        with pytest.raises(Unverified, match="the hub offers keys of P256, and only MLKEM768-X25519"):
            strict.replace_keys(statement, CLOCK)
        assert {key.suite for key in strict.recipients} == {HYBRID}
    async with small_hub(tmp_path / "plain") as plain:
        edge = await enroll(await plain.invitation(), tmp_path / "plain-edge", CLOCK)
        with pytest.raises(Unverified, match="no ML-DSA key"):
            EdgeIdentity.load(edge.folder, (HYBRID,))

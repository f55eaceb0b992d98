"""An edge whose certificate expired while it was away: back with a nod, and never without one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from edge.comeback import FILE, ComeBack
from edge.enroll import enroll, pending_keys
from edge.hub_client import HubClient
from edge.identity import EdgeIdentity, device_pem
from edge.renewal import Renewal
from gateway import durable
from gateway.cli import main
from gateway.clock import SystemClock
from gateway.errors import NotAllowed, Refused
from gateway.request import DeviceKeys, return_proof
from gateway.trust import pem
from hub.fleet import devices, returns
from hub.persons import subject_of_person
from hub.record import operator, user
from hub.tables import fleet
from hub.tables.custody import custody
from tests.doubles.requests import request as certificate_request
from tests.doubles.small_hub import SmallHub, small_hub

CLOCK = SystemClock()


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[SmallHub]:
    async with small_hub(tmp_path) as running:
        web, line = running.config.web.url, running.config.line.url
        (tmp_path / "hub.yaml").write_text(
            f"data: hub\npki: pki\nrules: rules.yaml\nweb: {{url: '{web}'}}\nline: {{url: '{line}'}}\n"
        )
        yield running


@pytest.fixture
async def expired(hub: SmallHub, tmp_path: Path) -> EdgeIdentity:
    """An edge of the fleet whose certificate ended a minute ago."""
    identity = await enroll(await hub.invitation(), tmp_path / "edge", CLOCK)
    keys = DeviceKeys.new()
    csr, life = certificate_request(keys.first), timedelta(seconds=-60)
    issued = hub.authority.issue_device(csr, "H001", "1", life=life)
    async with hub.database.writing() as connection:
        await devices.add(connection, "H001", "1", issued.certificate, CLOCK.now())
    durable.replace(identity.device_file, device_pem(keys, issued.chain))
    return EdgeIdentity.load(identity.folder)


async def run(*words: str | Path) -> int:
    return await asyncio.to_thread(main, [str(word) for word in words])


async def test_it_asks_waits_and_is_let_in_by_the_administrator(
    hub: SmallHub, expired: EdgeIdentity, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = expired.fingerprint
    at_hub = ("-c", tmp_path / "hub.yaml")
    async with HubClient(expired, CLOCK) as client:
        renewal = Renewal(client, CLOCK, come_back=ComeBack(expired, CLOCK))
        assert not await renewal.round()
        assert not await renewal.round()  # the same request, not a second one
        assert (expired.folder / FILE).stat().st_mode & 0o777 == 0o600
        capsys.readouterr()
        assert await run("hub", "edge", "list", *at_hub, "--json") == 0
        (asked,) = json.loads(capsys.readouterr().out)["returns"]
        assert (asked["site"], asked["edge"], asked["fingerprint"]) == ("H001", "1", old)
        assert await run("hub", "edge", "approve", *at_hub, "--site", "H001", "--edge", "1") == 0
        assert await renewal.round()
        assert expired.fingerprint != old
        assert not (expired.folder / FILE).exists()
        assert await client.read("GET", "/v1/keys")
    async with hub.database.reading() as connection:
        rows = (await connection.execute(select(fleet.devices))).mappings().all()
        query = select(custody.c.leaf).where(custody.c.event == "edge-return-approved")
        approved = json.loads((await connection.execute(query)).scalar_one())
        by = await subject_of_person(connection, operator())
    assert {row["fingerprint"] for row in rows if not row["revoked"]} == {expired.fingerprint}
    assert approved["subject"] == asked["request"]
    assert approved["detail"] == {"edge": "1", "by": by}
    assert [event for event, _ in hub.events.seen][-2:] == ["edge-return-asked", "edge-returned"]
    assert await run("hub", "edge", "approve", *at_hub, "--site", "H001", "--edge", "1") == 1


async def test_a_lost_answer_is_given_again(hub: SmallHub, expired: EdgeIdentity, tmp_path: Path) -> None:
    keys = pending_keys(expired.folder / FILE)
    body = keys.request()
    proof, old = return_proof(expired.signer, body["csr"]), pem([expired.certificate]).decode()
    desk = returns.Returns(hub.database, hub.authority, hub.events, CLOCK, second_keys=False)
    assert await desk.ask(old, body["csr"], body["proof"], proof) is None
    async with hub.database.writing() as connection:
        (one,) = await returns.waiting(connection)
        row = (one["site"], one["edge"], one["request"])
        await returns.decide(connection, hub.events, row, CLOCK.now(), approve=True, by=user("boss"))
    first = await desk.ask(old, body["csr"], body["proof"], proof)
    assert first is not None  # and the power fails at the edge before it is written
    again = pending_keys(expired.folder / FILE).request()  # signed anew, so other bytes, with the same keys
    second = await desk.ask(old, again["csr"], again["proof"], return_proof(expired.signer, again["csr"]))
    assert second is not None
    assert second.issued.certificate == first.issued.certificate


async def test_without_the_old_key_nothing_is_entered(hub: SmallHub, expired: EdgeIdentity) -> None:
    body = DeviceKeys.new().request()
    desk = returns.Returns(hub.database, hub.authority, hub.events, CLOCK, second_keys=False)
    old = pem([expired.certificate]).decode()
    stranger = DeviceKeys.new()
    forged = return_proof(_Bare(stranger), body["csr"])
    for proof in ("", "x", forged):
        with pytest.raises(Refused, match="not signed by the key of the expired"):
            await desk.ask(old, body["csr"], body["proof"], proof)
    async with hub.database.reading() as connection:
        assert await returns.waiting(connection) == []


class _Bare:
    """A signer without a certificate."""

    chain = ()

    def __init__(self, keys: DeviceKeys) -> None:
        self._keys = keys

    def sign(self, data: bytes) -> bytes:
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec

        return self._keys.first.sign(data, ec.ECDSA(hashes.SHA256()))


async def test_a_revoked_or_a_good_edge_does_not_come_this_way(
    hub: SmallHub, expired: EdgeIdentity, tmp_path: Path
) -> None:
    good = await enroll(await hub.invitation("H002"), tmp_path / "good", CLOCK)
    with pytest.raises(NotAllowed, match="renew it over the line"):
        await ComeBack(good, CLOCK).ask()
    async with hub.database.writing() as connection:
        await devices.revoke(connection, "H001", "1", CLOCK.now(), "stolen")
    with pytest.raises(NotAllowed, match=r"revoked on .* \(stolen\)"):
        await ComeBack(expired, CLOCK).ask()


async def test_two_that_hold_one_key_are_shown_as_two(
    hub: SmallHub, expired: EdgeIdentity, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not await ComeBack(expired, CLOCK).ask()
    (expired.folder / FILE).unlink()  # the thief's copy has no such file
    assert not await ComeBack(expired, CLOCK).ask()
    assert (
        await run("hub", "edge", "approve", "-c", tmp_path / "hub.yaml", "--site", "H001", "--edge", "1") == 2
    )
    assert "one of them holds a copied key" in capsys.readouterr().err

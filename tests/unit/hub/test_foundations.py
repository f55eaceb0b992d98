"""Keys, authorities and rules: what changes beneath the hub is in its custody log, once, as digests."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from certs import rollover
from certs.authority import Issuer
from gateway.clock import SystemClock
from gateway.envelope.kem import P256
from gateway.trust import fingerprint
from hub.custody import CustodyLog
from hub.foundations import Foundations
from hub.identity import new_kem
from hub.tables.custody import custody
from tests.doubles.small_hub import SmallHub, small_hub

CLOCK = SystemClock()


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[SmallHub]:
    async with small_hub(tmp_path) as running:
        yield running


def foundations(hub: SmallHub, rules: str = "0" * 64) -> Foundations:
    told = {"rules-loaded": {"sha256": rules}}
    return Foundations(hub.database, CustodyLog(hub.database, None, CLOCK), lambda: hub.keys.facts() | told)


async def newest(hub: SmallHub, event: str) -> dict[str, Any]:
    async with hub.database.reading() as connection:
        query = select(custody.c.leaf).where(custody.c.event == event).order_by(custody.c.position.desc())
        leaf = (await connection.execute(query.limit(1))).scalar_one()
    detail: dict[str, Any] = json.loads(leaf)["detail"]
    return detail


async def test_the_first_start_tells_all_and_the_next_nothing(hub: SmallHub) -> None:
    assert await foundations(hub).look() == ["authority-changed", "kem-changed", "rules-loaded"]
    assert await foundations(hub).look() == []
    told = await newest(hub, "authority-changed")
    assert told["roots"] == [fingerprint(hub.authority.root)]
    assert len(told["issuers"]) == 4


async def test_other_rules_are_told_also_when_they_were_in_force_before(hub: SmallHub) -> None:
    await foundations(hub).look()
    assert await foundations(hub, "1" * 64).look() == ["rules-loaded"]
    assert await foundations(hub).look() == ["rules-loaded"]
    assert (await newest(hub, "rules-loaded"))["sha256"] == "0" * 64


async def test_a_new_kem_key_is_told_by_a_running_hub(hub: SmallHub) -> None:
    running = foundations(hub)
    await running.look()
    new_kem(hub.keys.folder, P256, CLOCK)
    assert await running.look() == []
    hub.keys.maintain()
    assert await running.look() == ["kem-changed"]
    assert len((await newest(hub, "kem-changed"))["public"]) == 2


async def test_a_new_root_and_a_new_issuer_are_told(hub: SmallHub) -> None:
    running = foundations(hub)
    await running.look()
    rollover.new_root(hub.authority.folder, CLOCK)
    hub.keys.maintain()
    assert await running.look() == ["authority-changed"]
    assert len((await newest(hub, "authority-changed"))["roots"]) == 2
    rollover.new_issuer(hub.authority.folder, CLOCK, Issuer.DEVICE)
    hub.keys.maintain()
    assert await running.look() == ["authority-changed"]
    assert len((await newest(hub, "authority-changed"))["issuers"]) == 5


async def test_a_revocation_is_told_and_a_list_signed_anew_is_not(hub: SmallHub) -> None:
    running = foundations(hub)
    await running.look()
    before = await newest(hub, "authority-changed")
    hub.authority.revoke(hub.keys.receipt_signer.chain[0], "a trial")
    hub.keys.maintain()
    assert await running.look() == ["authority-changed"]
    assert (await newest(hub, "authority-changed"))["revoked"] != before["revoked"]
    hub.authority.crls(Issuer.SERVER)
    hub.keys.maintain()
    assert await running.look() == []

"""Attack 27 on the audit trail, and on what lets edges in."""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from hub import rows_fleet
from hub.fleet import tokens
from hub.record import Deed, operator
from hub.rows import compare
from hub.rows_told import Told
from hub.rows_trail import SETTLED, TrailSeals
from hub.seals import Seals
from hub.tables.custody import custody
from hub.trail import AuditTrail
from tests.doubles.people import Hub, open_hub

SEALS = Seals(b"v" * 32)


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[Hub]:
    hub = await open_hub(tmp_path)
    yield hub
    await hub.database.close()


def by_hand(file: Path, command: str) -> None:
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        assert connection.execute(command).rowcount > 0


def trail_of(hub: Hub) -> TrailSeals:
    return TrailSeals(
        hub.database,
        hub.record,
        SEALS,
        hub.clock,
        Told(hub.database, hub.record, AuditTrail(hub.database, hub.clock), hub.clock),
    )


async def note(hub: Hub, count: int) -> None:
    trail = AuditTrail(hub.database, hub.clock)
    for number in range(count):
        await trail.note(Deed("study-opened", person="chen", patient_id=f"SAMPLE-{number}"))
    hub.clock.advance(SETTLED.total_seconds() + 1)


@pytest.mark.parametrize(
    ("edit", "stretch"),
    [
        ("DELETE FROM audit_events WHERE id = 2", "deeds 1 to 3"),
        ("DELETE FROM audit_events WHERE id = 5", "deeds 4 to 5"),
        ("UPDATE audit_events SET person = 'wei' WHERE id = 4", "deeds 4 to 5"),
        ("UPDATE audit_events SET at = '2020-01-01T00:00:00.000000Z' WHERE id = 1", "deeds 1 to 3"),
    ],
)
async def test_attack_27_a_deed_changed_or_taken_away_is_named(
    hub: Hub, tmp_path: Path, edit: str, stretch: str
) -> None:
    trail = trail_of(hub)
    await note(hub, 3)
    assert await trail.seal() == 3
    await note(hub, 2)
    assert (await trail.seal(), await trail.seal()) == (2, 0)
    assert await trail.compare() == await trail.compare(1) == []
    by_hand(tmp_path / "hub.db", edit)
    found = await trail.compare()
    assert len(found) == 1
    assert stretch in found[0]


async def test_a_deed_that_is_young_waits_and_the_seal_names_nobody(hub: Hub) -> None:
    trail = trail_of(hub)
    await AuditTrail(hub.database, hub.clock).note(Deed("study-opened", person="chen", patient_id="SAMPLE-7"))
    assert await trail.seal() == 0
    hub.clock.advance(SETTLED.total_seconds() + 1)
    assert await trail.seal() == 1
    async with hub.database.reading() as connection:
        leaf = (await connection.execute(select(custody.c.leaf).order_by(custody.c.position.desc()))).scalar()
    assert "trail-sealed" in str(leaf)
    assert "SAMPLE" not in str(leaf)
    other = TrailSeals(
        hub.database,
        hub.record,
        Seals(b"w" * 32),
        hub.clock,
        Told(hub.database, hub.record, AuditTrail(hub.database, hub.clock), hub.clock),
    )
    assert len(await other.compare()) == 1  # without the key nothing fits, nor can be made to fit


async def token_made(hub: Hub) -> str:
    """An enrolment code as the desk makes it; its digest."""
    life, detail = timedelta(hours=2), {"edge": "", "seconds": 7200, "by": operator()}
    async with hub.database.writing() as connection:
        token = await tokens.create(connection, "H001", None, hub.clock.now(), life, secrets.token_bytes(20))
        subject = tokens.digest_of(token)
        await hub.record.append(connection, "token-created", site="H001", subject=subject, detail=detail)
    return subject


async def test_attack_27_a_token_or_nod_put_in_by_hand_is_named(hub: Hub, tmp_path: Path) -> None:
    await token_made(hub)
    assert await rows_fleet.look(hub.database) == []
    file = tmp_path / "hub.db"
    by_hand(file, "UPDATE tokens SET site = 'H002'")
    assert "made for another site" in (await rows_fleet.look(hub.database))[0]
    by_hand(file, "UPDATE tokens SET site = 'H001', expires_at = '2099-01-01T00:00:00.000000Z'")
    assert "made for another site, edge or time" in (await rows_fleet.look(hub.database))[0]
    by_hand(file, "UPDATE tokens SET token_sha256 = 'ab'")
    assert "token ab… of H001: it is there, and nobody made it" in (await rows_fleet.look(hub.database))[0]
    by_hand(file, "DELETE FROM tokens")
    by_hand(
        file,
        "INSERT INTO edge_returns VALUES ('cd', 'ef', 'H001', '1', '', 'approved', '', NULL)",
    )
    assert await rows_fleet.look(hub.database) == ["return cd… of H001/1: approved, and nobody did it"]


async def test_attack_27_a_withdrawn_token_that_is_made_good_again_is_named(hub: Hub, tmp_path: Path) -> None:
    subject = await token_made(hub)
    async with hub.database.writing() as connection:
        await tokens.withdraw(connection, subject, hub.clock.now())
        told = {"edge": "", "by": operator()}
        await hub.record.append(connection, "token-withdrawn", site="H001", subject=subject, detail=told)
    assert await rows_fleet.look(hub.database) == []
    for edit in ("used_at = NULL", "device = 'ab'"):  # good again, and used after that
        by_hand(tmp_path / "hub.db", f"UPDATE tokens SET {edit}")
        (found,) = await rows_fleet.look(hub.database)
        assert "it was withdrawn, and is good again" in found


async def test_attack_27_an_edge_let_in_by_a_token_that_was_put_in_and_taken_away_is_named(hub: Hub) -> None:
    async with hub.database.writing() as connection:
        detail = {"edge": "1", "token": "ab" * 32}
        await hub.record.append(connection, "edge-enrolled", site="H001", subject="cd" * 32, detail=detail)
    found = await compare(hub.database, None)
    assert "edge H001/1: let in by a token nobody made" in found

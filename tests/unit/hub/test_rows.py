"""Rows edited behind the program's back: attack 27 on the rows that others act on, by hand with SQLite."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from gateway.custody import merkle
from gateway.errors import Broken
from hub.custody import CustodyLog
from hub.fleet import devices
from hub.rows import Audit, compare
from tests.doubles.lines import CLOCK, LineHub, enrolled, line_hub, say, sealed

CANONICAL = "{}"
CANONICAL_SHA = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[LineHub]:
    async with line_hub(tmp_path) as running:
        running.small.enrolment._custody = running.archive.custody
        yield running


@pytest.fixture
async def filled(hub: LineHub, tmp_path: Path) -> Path:
    """A hub with a stored parcel, a signed report, and an edge in and one out. Returns its database."""
    async with enrolled(hub, tmp_path / "edge") as edge, enrolled(hub, tmp_path / "two", "H002") as out:
        one = sealed(hub, edge.identity, 1, [os.urandom(900), os.urandom(901)])
        await say(edge, one.all())
        mark = out.identity.fingerprint
    detail = {"version": 1, "canonical_sha256": CANONICAL_SHA, "pdf_sha256": "a" * 64}
    async with hub.small.database.writing() as connection:
        await devices.revoke(connection, "H002", None, CLOCK.now(), "stolen")
        custody = hub.archive.custody
        await custody.append(connection, "edge-revoked", site="H002", subject=mark, detail={"why": ""})
        await custody.append(connection, "report-signed", site="H001", subject="r" * 32, detail=detail)
    file = hub.small.config.data / "hub.db"
    by_hand(
        file,
        f"""INSERT INTO reports VALUES ('{"r" * 32}', 1, 1, 'signed', 'report', '{CANONICAL}', '{CANONICAL_SHA}',
            '{"a" * 64}', '1.2', '1.3', 'wei', '2026-11-26T00:00:00.000000Z', NULL)""",
    )
    assert await compare(hub.small.database, hub.small.keys.trust) == []
    return file


def by_hand(file: Path, command: str) -> None:
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        assert connection.execute(command).rowcount > 0


EDITS = [
    ("UPDATE arrivals SET site = 'H009'", "site, number or header digest"),
    ("UPDATE arrivals SET sequence = 7", "site, number or header digest"),
    ("UPDATE arrivals SET receipt = NULL", "receipt is gone"),
    ("UPDATE arrivals SET receipt = header", "receipt does not hold"),
    ("UPDATE arrivals SET header = receipt", "signed header"),
    ("DELETE FROM arrivals", "its row is gone"),
    ("UPDATE instances SET sha256 = '" + "0" * 64 + "' WHERE id = 1", "which it did not hold"),
    ("DELETE FROM instances WHERE id = 1", "has no row"),
    ("UPDATE instances SET parcel_id = 'never'", "never stored"),
    ("UPDATE studies SET site = 'H002'", "stands under the site 'H002'"),
    ("UPDATE reports SET canonical = '{\"a\":1}'", "text was changed after it was signed"),
    ("UPDATE reports SET pdf_sha256 = '" + "b" * 64 + "'", "digests or version"),
    ("DELETE FROM reports", "its row is gone"),
    (
        (
            "INSERT INTO reports SELECT 'x', 2, 1, state, kind, canonical, canonical_sha256, pdf_sha256, '1', '2',"
            " signed_by, signed_at, NULL FROM reports"
        ),
        "2 rows, and the log knows 1",
    ),
    ("UPDATE devices SET revoked = 0", "was revoked, and is in again"),
    ("UPDATE devices SET site = 'H002' WHERE site = 'H001'", "was let in as H001/1"),
    ("UPDATE devices SET fingerprint = '" + "0" * 64 + "' WHERE site = 'H001'", "nobody let it in"),
    ("DELETE FROM devices WHERE site = 'H001'", "its row is gone"),
    (
        (
            "UPDATE devices SET certificate = (SELECT certificate FROM devices WHERE site = 'H002')"
            " WHERE site = 'H001'"
        ),
        "certificate was exchanged",
    ),
]


@pytest.mark.parametrize(
    ("command", "words"), EDITS, ids=[f"{n}-{words[:20]}" for n, (_, words) in enumerate(EDITS)]
)
async def test_attack_27_an_edited_row_is_found(hub: LineHub, filled: Path, command: str, words: str) -> None:
    by_hand(filled, command)
    audit = Audit(
        hub.small.database, CustodyLog(hub.small.database, None, CLOCK), hub.small.keys.trust, CLOCK
    )
    assert any(words in fault for fault in await audit.look())
    with closing(sqlite3.connect(filled)) as connection:
        events = [event for (event,) in connection.execute("SELECT event FROM custody ORDER BY position")]
    assert events[-1] == "rows-edited"


async def test_attack_27_a_leaf_made_to_fit_is_found_by_the_signed_checkpoint(
    hub: LineHub, filled: Path
) -> None:
    custody = CustodyLog(hub.small.database, hub.small.keys.checkpoint_signer, CLOCK)
    assert await custody.checkpoint()
    with closing(sqlite3.connect(filled)) as connection:
        query = "SELECT position, leaf FROM custody WHERE event = 'parcel-stored'"
        position, leaf = connection.execute(query).fetchone()
    forged = leaf.replace('"site":"H001"', '"site":"H009"')
    assert forged != leaf
    mark = merkle.leaf_hash(forged.encode()).hex()
    by_hand(filled, f"UPDATE custody SET leaf = '{forged}', leaf_hash = '{mark}' WHERE position = {position}")
    with pytest.raises(Broken, match="was changed before"):
        await custody.audit()

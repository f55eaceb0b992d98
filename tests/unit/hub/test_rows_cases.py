"""Attack 27 on who reads what: a case given away, put in or moved to another group with SQL is named."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from hub import rows_cases
from hub.assign.dispatcher import Dispatcher
from hub.assign.worklist import Worklist
from hub.people import Account, Role
from hub.rules.book import RuleBook
from tests.doubles.people import Hub, open_hub
from tests.doubles.studies import Studies

RULES = b"rules: []\ndefault: {group: neuro, deadline: 1h}\n"
ANN = Account("ann", "Dr Ann", Role.READER)


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[Hub]:
    """Two readers, two studies, a case each; ann has opened hers."""
    hub = await open_hub(tmp_path)
    for name in ("ann", "bob"):
        await hub.account(name, groups=["neuro"])
    found = Studies(hub.database, hub.clock)
    for number in range(2):
        await found.add(patient=f"P{number}")
        hub.clock.advance(1)
    book = RuleBook.parse(RULES, Path("rules.yaml"))
    await Dispatcher(hub.database, book, hub.record, hub.clock).turn()
    await Worklist(hub.database, hub.record, hub.clock).open(ANN, 1)
    assert await look(hub) == []
    yield hub
    await hub.database.close()


async def look(hub: Hub, before: int = 0) -> list[str]:
    return await rows_cases.look(hub.database, before, hub.clock.now())


def by_hand(folder: Path, command: str) -> None:
    with closing(sqlite3.connect(folder / "hub.db")) as connection, connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        assert connection.execute(command).rowcount > 0


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        ("UPDATE cases SET assignee = 'bob' WHERE id = 1", "case 1: it is bob's, and nobody gave it so"),
        ("UPDATE cases SET assignee = NULL WHERE id = 1", "case 1: it is nobody's, and nobody gave it so"),
        ("UPDATE cases SET \"group\" = 'chest' WHERE id = 2", "case 2: it stands in the group 'chest'"),
        ("UPDATE cases SET id = 9 WHERE id = 2", "case 9: it is there, and nobody made it"),
        (
            "UPDATE cases SET reported_at = '2026-11-01T00:00:00.000000Z', assignee = 'bob' WHERE id = 1",
            "case 1: it is bob's",
        ),
    ],
)
async def test_attack_27_a_case_given_away_with_sql_is_named(
    hub: Hub, tmp_path: Path, edit: str, words: str
) -> None:
    by_hand(tmp_path, edit)
    (found,) = await look(hub)
    assert words in found


async def test_cases_from_before_the_log_knew_of_them_are_left_alone(hub: Hub, tmp_path: Path) -> None:
    by_hand(tmp_path, "UPDATE custody SET event = 'x' WHERE event = 'case-reach'")
    assert len(await look(hub)) == 2
    assert await look(hub, before=2) == []


async def test_a_reader_who_is_barred_and_erased_is_no_fault(hub: Hub, tmp_path: Path) -> None:
    by_hand(tmp_path, "UPDATE users SET disabled = 1 WHERE name = 'ann'")
    by_hand(tmp_path, "DELETE FROM person_salts WHERE name = 'ann'")
    assert await look(hub) == []

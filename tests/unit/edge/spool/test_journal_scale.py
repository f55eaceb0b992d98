"""The index with very many rows: no query walks them. ``TELERAD_INDEX_ROWS=1000000`` for the whole size."""

import os
import time
from collections import Counter

import pytest

from edge.spool.item import SpoolItem
from edge.spool.journal import _PENDING, Journal
from edge.spool.states import UNSENT, WAITING, State
from gateway.model import ParcelId, Priority, Sha256

ROWS = int(os.environ.get("TELERAD_INDEX_ROWS", "20000"))
STATES = (State.RECEIVED, State.SEALED, State.SEALED, State.SENDING, State.HELD, State.PURGED)


def row(number):
    state = STATES[number % len(STATES)]
    signed = state not in (State.RECEIVED, State.HELD)
    return SpoolItem(
        parcel_id=ParcelId(f"{number:032x}"),
        state=state,
        sealed_size=1000,
        chunk_count=1,
        instances=1,
        priority=Priority(sorted(Priority)[number % len(Priority)]),
        modality="CT",
        received_at=f"2026-01-{1 + number * 27 // ROWS:02}T{number % 24:02}:00:00Z",
        sequence=number if signed else None,
        digest=Sha256("0" * 64) if signed else None,
        next_try="2026-02-01T00:00:00Z" if number % 7 == 0 else None,
    )


@pytest.fixture(scope="module")
def journal(tmp_path_factory):
    journal = Journal(tmp_path_factory.mktemp("index") / "index.sqlite")
    journal.put_all(row(number) for number in range(ROWS))
    yield journal
    journal.close()


QUESTIONS = {
    "to_pack": lambda journal: journal.to_pack(128),
    "waiting": lambda journal: journal.in_states(UNSENT, 1000),
    "first": lambda journal: journal.in_states(WAITING, 100),
    "held": lambda journal: journal.in_states((State.HELD,), 100),
    "unsent": lambda journal: journal.unsent(),
    "ahead": lambda journal: journal.ahead(Priority.ROUTINE),
    "counts": lambda journal: journal.counts(),
    "oldest": lambda journal: journal.oldest(WAITING),
    "received_since": lambda journal: journal.received_since("2026-01-20T00:00:00Z"),
    "newest_signed": lambda journal: journal.newest_signed(),
    "get": lambda journal: journal.get(ParcelId(f"{ROWS // 2:032x}")),
    "purged_before": lambda journal: journal.purged_before("2026-01-02T00:00:00Z", 100),
    "put": lambda journal: journal.put(row(ROWS // 3)),
}


@pytest.mark.parametrize("question", QUESTIONS)
def test_nothing_walks_or_sorts_the_rows(journal, question):
    asked = []
    journal._connection.set_trace_callback(asked.append)
    began = time.perf_counter()
    QUESTIONS[question](journal)
    took = time.perf_counter() - began
    journal._connection.set_trace_callback(None)
    print(f"{question}: {took * 1000:.2f} ms with {ROWS} rows")
    for statement in asked:
        if statement.startswith("SELECT"):
            plan = [line[3] for line in journal._connection.execute("EXPLAIN QUERY PLAN " + statement)]
            assert not [line for line in plan if "TEMP B-TREE" in line], (statement, plan)
            assert not [line for line in plan if line.startswith("SCAN items")], (statement, plan)
    assert took < 0.5


def test_taking_an_instance_asks_the_index_for_nothing(journal):
    """Receiving writes rows, many in one transaction, and reads none."""
    asked = []
    journal._connection.set_trace_callback(asked.append)
    journal.put_soon([row(ROWS + n) for n in range(_PENDING - 1)])
    assert asked == []
    journal.put_soon([row(ROWS + _PENDING)])
    journal._connection.set_trace_callback(None)
    words = Counter(statement.split()[0] for statement in asked if not statement.startswith("--"))
    assert set(words) <= {"BEGIN", "INSERT", "COMMIT", "UPDATE"}  # with those of the triggers
    assert words["BEGIN"] == words["COMMIT"] == 1
    journal.forget([row(ROWS + n).parcel_id for n in range(_PENDING + 1)])


def test_the_totals_are_what_counting_would_give(journal):
    journal.put(row(0))
    changed = row(1)
    journal.put_all([changed, SpoolItem(**{**_fields(changed), "state": State.CONFIRMED, "sealed_size": 7})])
    journal.forget([ParcelId(f"{number:032x}") for number in (2, 3, 10**9)])
    counted = journal._query(
        "SELECT state, COUNT(*), SUM(instances), SUM(sealed_size) FROM items GROUP BY state", ()
    )
    assert journal.counts() == {
        State(state): (items, instances, size) for state, items, instances, size in counted
    }
    (total,) = journal._query("SELECT SUM(sealed_size) FROM items WHERE received_at >= '2026-01-10'", ())
    assert journal.received_since("2026-01-10T00:00:00Z") == total[0]


def test_what_is_put_off_is_there_when_asked_for(tmp_path):
    journal = Journal(tmp_path / "index.sqlite")
    for number in range(0, 600, 6):  # all of them RECEIVED
        journal.put_soon([row(number)])
    assert len(journal.to_pack(1000)) == 100
    journal.put_soon([row(600)])
    journal.close()
    again = Journal(tmp_path / "index.sqlite")
    assert len(again.all()) == 101
    again.close()


@pytest.mark.parametrize("version", [1, 2])
def test_an_index_of_an_earlier_version_is_taken_over(tmp_path, version):
    path = tmp_path / "index.sqlite"
    journal = Journal(path)
    journal.put_all(row(number) for number in range(60))
    counts, since = journal.counts(), journal.received_since("2026-01-01T00:00:00Z")
    journal._connection.executescript(
        "DROP TRIGGER items_added; DROP TRIGGER items_changed; DROP TRIGGER items_removed;"
        f"DROP TABLE totals; DROP TABLE hours; PRAGMA user_version={version};"
        + "ALTER TABLE items DROP COLUMN lead;"
        * (version == 1)
    )
    journal.close()
    again = Journal(path)
    assert (again.counts(), again.received_since("2026-01-01T00:00:00Z")) == (counts, since)
    again.close()


def _fields(item):
    return {name: getattr(item, name) for name in item.__dataclass_fields__}


def test_what_is_signed_goes_before_what_is_not_however_much_of_that_waits(journal):
    first = journal.in_states(WAITING, 100)
    assert {one.priority for one in first} == {min(Priority)}
    signed = [one.sequence is not None for one in first]
    assert signed == sorted(signed, reverse=True)
    assert signed[0]

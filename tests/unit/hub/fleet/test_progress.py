"""What an edge's heartbeat may say, and what is made of it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from gateway.database import open_database, sqlite_url
from gateway.model import Priority
from hub.fleet.progress import KNOWN, MOST_STUDIES, keep, status_of, studies_of
from hub.tables import VERSION, metadata
from hub.tables.told import study_progress

NOW = datetime(2026, 11, 22, 9, tzinfo=UTC)
ONE = {
    "study_uid": "1.2.3",
    "received": 940,
    "confirmed": 312,
    "waiting_bytes": 331_000_000,
    "eta_seconds": 250.7,
    "priority": "stat",
}

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=400)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
)
ITEMS = st.dictionaries(st.sampled_from([*ONE, "unknown"]), JSON | st.just("1.2.3"), max_size=7)


def test_a_study_on_its_way() -> None:
    (one,) = studies_of({"studies": [ONE | {"later": "versions tell more"}]})
    assert (one.study_uid, one.received, one.confirmed, one.eta_seconds) == ("1.2.3", 940, 312, 250)
    assert one.priority is Priority.STAT


def test_what_is_no_study_is_left_out() -> None:
    bad: list[Any] = [
        None, 7, {}, ONE | {"study_uid": "1.2; drop"}, ONE | {"study_uid": "1" * 65},
        ONE | {"received": -1}, ONE | {"received": True}, ONE | {"received": float("nan")},
    ]  # fmt: skip
    assert studies_of({"studies": bad}) == []
    assert studies_of({"studies": "all"}) == []
    (one,) = studies_of({"studies": [ONE | {"confirmed": 9999, "eta_seconds": -1, "priority": "soon"}]})
    assert (one.confirmed, one.eta_seconds, one.priority) == (940, None, Priority.ROUTINE)


def test_too_many_studies_leave_the_urgent_ones() -> None:
    many = [ONE | {"study_uid": f"1.{n}", "priority": "routine"} for n in range(MOST_STUDIES)]
    found = studies_of({"studies": [*many, ONE]})
    assert len(found) == MOST_STUDIES
    assert found[0].study_uid == "1.2.3"


def test_a_status_keeps_what_is_known_and_fits() -> None:
    told = {
        "rate": 1.5e6,
        "round_trip": 0.12,
        "congestion": "bbr",
        "streams": 4,
        "stalled": "no byte for 40 s",
        "accepting": True,
        "version": {"much": "too"},
        "congestion_window": 7,
        "disk_free": float("inf"),
        "held": None,
        "studies": [ONE],
    }
    names = ("rate", "round_trip", "congestion", "streams", "stalled", "accepting", "held")
    assert status_of(told, NOW) == {name: told[name] for name in names}
    assert status_of({"congestion": "x" * 301, "stalled": False}, NOW) == {"stalled": False}
    since = "2026-11-22T09:00:00.000000Z"
    assert status_of({"stalled_since": since}, NOW) == {"stalled": since}
    assert status_of({"stalled_since": None}, NOW) == {"stalled": None}


@pytest.mark.parametrize(
    ("told", "ahead"),
    [
        ({"now": "2026-11-22T09:07:00.000000Z"}, {"clock_ahead": 420.0}),
        ({"now": "2026-11-21T09:00:00.000000Z"}, {"clock_ahead": -86400.0}),
        ({"now": "nine o'clock"}, {}),
        ({"now": 7}, {}),
        ({"clock_ahead": 7000}, {}),  # that is for the hub to say
        ({"now": "2026-11-22T09:00:30.000000Z", "clock_ahead": 7000}, {"clock_ahead": 30.0}),
    ],
)
def test_how_far_a_clock_is_ahead_is_reckoned_here(told: dict[str, Any], ahead: dict[str, Any]) -> None:
    assert status_of(told, NOW) == ahead


@settings(deadline=None)
@given(
    st.dictionaries(st.sampled_from([*KNOWN, "studies", "now", "else"]), JSON, max_size=6),
    st.lists(ITEMS, max_size=5),
)
def test_nothing_an_edge_says_raises_or_is_too_large(told: dict[str, Any], items: list[Any]) -> None:
    kept = status_of(told, NOW)
    assert set(kept) <= set(KNOWN)
    assert len(json.dumps(kept, allow_nan=False, ensure_ascii=False)) < 8000
    for one in [*studies_of(told), *studies_of({"studies": items})]:
        assert 0 <= one.confirmed <= one.received < 2**31
        assert 0 <= one.waiting_bytes <= 2**53
        assert one.eta_seconds is None or 0 <= one.eta_seconds < 2**31


async def test_an_edge_replaces_its_own_rows_alone(tmp_path: Path) -> None:
    database = await open_database(sqlite_url(tmp_path / "hub.db"), metadata, version=VERSION)
    two = studies_of({"studies": [ONE, ONE | {"study_uid": "1.2.4"}]})
    async with database.writing() as connection:
        await keep(connection, "H001", "1", two, NOW)
        await keep(connection, "H002", "1", two[:1], NOW)
        await keep(connection, "H001", "1", two[1:], NOW)
    async with database.reading() as connection:
        rows = (await connection.execute(select(study_progress.c.site, study_progress.c.study_uid))).all()
    assert sorted(map(tuple, rows)) == [("H001", "1.2.4"), ("H002", "1.2.3")]
    await database.close()

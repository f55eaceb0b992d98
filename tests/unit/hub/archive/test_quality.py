"""What the hub keeps of an edge's word on the quality of a study."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.envelope.layout import Notice
from hub.archive.quality import MOST_WARNINGS, kinds, of_study, word_of
from tests.doubles.instances import Hub

EARLY, LATE = "2026-11-22T12:00:00.000000Z", "2026-11-22T12:00:05.000000Z"
MISSING = {
    "kind": "slices-missing",
    "severity": "warning",
    "series": "1.2.3.1",
    "parameters": {"missing": "2"},
}
LIKELY = {"kind": "burned-in-likely", "severity": "note", "series": "", "parameters": {"modality": "US"}}


def notice(at: str, *warnings: Any, **more: Any) -> tuple[str, Notice]:
    return "H001", Notice("quality", {"study": "1.2.3", "at": at, "warnings": list(warnings)} | more)


async def kept(hub: Hub) -> list[str]:
    async with hub.database.reading() as connection:
        warnings, _ = await of_study(connection, "H001", "1.2.3")
    return [one["kind"] for one in warnings]


async def test_the_newest_word_stands_in_whatever_order_they_come(hub: Hub) -> None:
    await hub.archive.ingest([], [notice(EARLY, MISSING)])
    assert await kept(hub) == ["slices-missing"]
    await hub.archive.ingest([], [notice(LATE, LIKELY)])
    await hub.archive.ingest([], [notice(EARLY, MISSING)])
    assert await kept(hub) == ["burned-in-likely"]
    await hub.archive.ingest([], [notice(LATE)])
    assert await kept(hub) == []
    async with hub.database.reading() as connection:
        assert await of_study(connection, "H002", "1.2.3") == ([], []), "an edge speaks for its own site"


@pytest.mark.parametrize(
    "bad",
    [
        None, 7, {}, MISSING | {"kind": "a b"}, MISSING | {"kind": "x" * 65}, MISSING | {"severity": "fatal"},
        MISSING | {"series": "<b>"}, MISSING | {"series": 1},
    ],
)  # fmt: skip
def test_what_is_no_warning_is_left_out(bad: Any) -> None:
    found = word_of(notice(EARLY, bad, MISSING)[1])
    assert found is not None
    assert [one["kind"] for one in found[2]] == ["slices-missing"]


def test_a_word_is_bounded() -> None:
    long = MISSING | {"parameters": {f"p{n}": "x" * 500 for n in range(100)}}
    taken = [{"series": "1.2", "parameters": {"KVP": 120}}, {"series": "1.2"}, 7]
    found = word_of(notice(EARLY, *[long] * 500, acquisition=taken)[1])
    assert found is not None
    assert len(found[2]) == MOST_WARNINGS
    assert {len(one["parameters"]) for one in found[2]} == {32}
    assert found[3] == [{"series_uid": "1.2", "parameters": {"KVP": "120"}}]


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=70),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(["study", "at", "warnings", "acquisition"]), VALUES | st.just(EARLY)))
def test_no_body_raises(body: dict[str, Any]) -> None:
    word_of(Notice("quality", body))


def test_a_list_has_one_line_a_kind_and_warnings_first() -> None:
    found = kinds([LIKELY, MISSING, MISSING])
    assert [(one["kind"], one["number"]) for one in found] == [("slices-missing", 2), ("burned-in-likely", 1)]

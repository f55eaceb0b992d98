"""Query strings: what each means, and that nothing breaks the reader."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import Malformed
from hub.archive.matching import BY_NAME, LIMIT, TABLE, Between, Exact, Kind, Wildcard
from hub.dicomweb.query import MAX_LIMIT, NOT_FUZZY, parse


def test_what_ohif_asks() -> None:
    asked = (
        "limit=101&offset=0&fuzzymatching=false&includefield=00081030,00080060,00080090,00100030"
        "&StudyInstanceUID=1.2%5C3.4&PatientName=*Sm%3Fth*&StudyDate=20260101-20261231"
    )
    query = parse(parse_qsl(asked))
    assert (query.search.limit, query.search.offset, query.warnings) == (101, 0, ())
    assert query.fields == {"00081030", "00080060", "00080090", "00100030"}
    assert query.search.matches == {
        BY_NAME["StudyInstanceUID"]: Exact(("1.2", "3.4")),
        BY_NAME["PatientName"]: Wildcard("*Sm?th*"),
        BY_NAME["StudyDate"]: Between("20260101", "20261231"),
    }


def test_defaults_and_bounds() -> None:
    assert parse([]).search.limit == LIMIT
    assert parse([("limit", "999999999")]).search.limit == MAX_LIMIT
    assert parse([("fuzzymatching", "TRUE")]).warnings == (NOT_FUZZY,)
    assert parse([("includefield", "all"), ("accept", "x")]).every_field
    assert parse([("PatientComments", "x")]).warnings[0].startswith("PatientComments")
    assert parse([("0040A730.00080100", "x")]).warnings
    assert parse([("0008103e", "x")]).search.matches == {BY_NAME["SeriesDescription"]: Exact(("x",))}


@pytest.mark.parametrize(
    "pair",
    [
        ("limit", ""),
        ("limit", "٣"),
        ("offset", "1e3"),
        ("Bogus", "1"),
        ("0010", "1"),
        ("includefield", "x y"),
        ("StudyInstanceUID", "1" * 65),
        ("StudyDate", "20260101-x"),
    ],
)
def test_refused(pair: tuple[str, str]) -> None:
    with pytest.raises(Malformed):
        parse([pair])


def test_too_long_is_refused() -> None:
    with pytest.raises(Malformed, match="too long"):
        parse([("PatientID", "x" * 70_000)])
    with pytest.raises(Malformed, match="too long"):
        parse([("includefield", "all")] * 201)


names = st.sampled_from(
    [a.keyword for a in TABLE] + [a.tag for a in TABLE] + ["limit", "offset", "includefield"]
)


@given(st.lists(st.tuples(st.one_of(names, st.text(max_size=12)), st.text(max_size=30)), max_size=6))
def test_any_query_is_read_or_refused(pairs: list[tuple[str, str]]) -> None:
    try:
        query = parse(parse_qsl(urlencode(pairs), keep_blank_values=True))
    except Malformed:
        return
    assert 0 <= query.search.limit <= MAX_LIMIT
    for attribute, match in query.search.matches.items():
        assert isinstance(match, (Exact, Wildcard, Between))
        if attribute.kind is Kind.UID:
            assert isinstance(match, Exact)
            assert all(0 < len(value) <= 64 for value in match.values)


uids = st.lists(st.from_regex(r"1\.[1-9][0-9]{0,20}", fullmatch=True), min_size=1, max_size=5)


@given(uids, st.sampled_from([",", "\\"]))
def test_lists_of_uids(values: list[str], divider: str) -> None:
    query = parse([("SOPInstanceUID", divider.join(values))])
    assert query.search.matches == {BY_NAME["SOPInstanceUID"]: Exact(tuple(values))}

"""Every kind of match, the order, and that a scope hides what it should."""

from __future__ import annotations

import pytest

from gateway.errors import Malformed
from hub.archive import search
from hub.archive.matching import BY_NAME, Between, Exact, Search, Wildcard, match_of
from hub.archive.scope import NOTHING, Scope
from tests.doubles.instances import Hub, ct

ALL = Scope(all=True)


async def fill(hub: Hub) -> None:
    """Three studies: two of one patient at H001, one at H002 with the same Study Instance UID as the first."""
    one = [ct(n, size=2) for n in (2, 1)] + [ct(1, series="1.2.3.5", Modality="SR", size=2, SeriesNumber=1)]
    two = [
        ct(
            1,
            study="1.2.4",
            series="1.2.4.1",
            size=2,
            StudyDate="20261105",
            StudyTime="23",
            AccessionNumber="B_1",
            PatientName="Тест^Анна=測試^安娜",
            SpecificCharacterSet="ISO_IR 192",
            StudyDescription="50% dose",
        )
    ]
    for dataset in one + two:
        await hub.archive.ingest([hub.instance(dataset)])
    hub.clock.move(10)
    await hub.archive.ingest([hub.instance(ct(size=2, PatientID="P_9"), site="H002")])


async def found(hub: Hub, scope: Scope = ALL, **texts: str) -> list[tuple[str, str]]:
    matches = {}
    for keyword, text in texts.items():
        match = match_of(BY_NAME[keyword], text)
        if match is not None:
            matches[BY_NAME[keyword]] = match
    async with hub.database.reading() as connection:
        rows = await search.find_studies(connection, Search(matches), scope)
    return [(row["site"], row["study_uid"]) for row in rows]


A, B, C = ("H001", "1.2.3"), ("H001", "1.2.4"), ("H002", "1.2.3")


@pytest.mark.parametrize(
    ("keyword", "text", "expected"),
    [
        ("StudyInstanceUID", "1.2.3", [C, A]),
        ("StudyInstanceUID", "1.2.3\\1.2.4", [B, C, A]),
        ("StudyInstanceUID", "1.2.4,1.2.9", [B]),
        ("StudyDate", "20261105", [B]),
        ("StudyDate", "20261102-", [B]),
        ("StudyDate", "-20261104", [C, A]),
        ("StudyDate", "20261101-20261105", [B, C, A]),
        ("StudyTime", "08", [C, A]),
        ("StudyTime", "0800-0815", [C, A]),
        ("StudyTime", "2200-", [B]),
        ("PatientName", "TEST^a*", [C, A]),
        ("PatientName", "тест*", [B]),
        ("PatientName", "測試^安?", [B]),
        ("PatientName", "Test^Anna", [C, A]),
        ("PatientName", "Test", []),
        ("PatientID", "P?9", [C]),
        ("PatientID", "P_9", [C]),
        ("PatientID", "*1*", [B, A]),
        ("AccessionNumber", "B_*", [B]),
        ("AccessionNumber", "_*", []),
        ("StudyDescription", "50% *", [B]),
        ("StudyDescription", "*%*", [B]),
        ("ModalitiesInStudy", "SR", [A]),
        ("ModalitiesInStudy", "SR\\MR", [A]),
        ("ModalitiesInStudy", "S", []),
        ("Modality", "SR", [A]),
        ("SeriesInstanceUID", "1.2.4.1", [B]),
        ("SOPInstanceUID", "1.2.3.1.2", [A]),
        ("Rows", "2", [B, C, A]),
        ("NumberOfStudyRelatedInstances", "3", [A]),
        ("PatientName", "*", [B, C, A]),
        ("IssuerOfPatientID", "X", []),
    ],
)
async def test_matches(hub: Hub, keyword: str, text: str, expected: list[tuple[str, str]]) -> None:
    await fill(hub)
    assert await found(hub, **{keyword: text}) == expected


@pytest.mark.parametrize(
    ("scope", "expected"),
    [
        (Scope(all=True), [B, C, A]),
        (NOTHING, []),
        (Scope(), []),
        (Scope(sites=frozenset({"H002"})), [C]),
        (Scope(sites=frozenset()), []),
        (Scope(studies=frozenset({1})), [A]),
        (Scope(sites=frozenset({"H002"}), studies=frozenset({1})), []),
    ],
)
async def test_scope(hub: Hub, scope: Scope, expected: list[tuple[str, str]]) -> None:
    await fill(hub)
    assert await found(hub, scope) == expected
    async with hub.database.reading() as connection:
        rows = await search.find_instances(connection, Search(), scope)
        assert {(row["site"], row["study_uid"]) for row in rows} == set(expected)
        seen = [
            row
            for number in (1, 2, 3)
            if (row := await search.study_by_id(connection, number, scope)) is not None
        ]
        assert {(row["site"], row["study_uid"]) for row in seen} == set(expected)


async def test_lower_levels_are_in_order_of_numbers(hub: Hub) -> None:
    await fill(hub)
    async with hub.database.reading() as connection:
        some = await search.find_series(connection, Search(), ALL, study=1)
        assert [row["series_series_uid"] for row in some] == ["1.2.3.5", "1.2.3.1"]
        rows = await search.find_instances(connection, Search(), ALL, study=1)
        assert [row["instance_sop_instance_uid"] for row in rows] == ["1.2.3.5.1", "1.2.3.1.1", "1.2.3.1.2"]
        assert "metadata" not in rows[0]
        assert [
            row["id"] for row in await search.find_studies(connection, Search(limit=1, offset=1), ALL)
        ] == [3]


@pytest.mark.parametrize(
    ("keyword", "text", "series_uids", "instance_uids"),
    [
        ("SeriesInstanceUID", "1.2.3.5", ["1.2.3.5"], ["1.2.3.5.1"]),
        ("Modality", "SR", ["1.2.3.5"], ["1.2.3.5.1"]),
        ("SOPInstanceUID", "1.2.3.1.2", ["1.2.3.1"], ["1.2.3.1.2"]),
        ("InstanceNumber", "2", ["1.2.3.1"], ["1.2.3.1.2"]),
        ("StudyInstanceUID", "1.2.9", [], []),
    ],
)
async def test_matches_at_lower_levels(
    hub: Hub, keyword: str, text: str, series_uids: list[str], instance_uids: list[str]
) -> None:
    await fill(hub)
    match = match_of(BY_NAME[keyword], text)
    assert match is not None
    wanted = Search({BY_NAME[keyword]: match})
    async with hub.database.reading() as connection:
        found = await search.find_series(connection, wanted, ALL)
        assert [row["series_series_uid"] for row in found] == series_uids
        found = await search.find_instances(connection, wanted, ALL)
        assert [row["instance_sop_instance_uid"] for row in found] == instance_uids


async def test_newest_study_of_a_shared_uid_unless_the_site_is_named(hub: Hub) -> None:
    await fill(hub)
    async with hub.database.reading() as connection:
        newest = await search.study_by_uid(connection, "1.2.3", ALL)
        named = await search.study_by_uid(connection, "1.2.3", ALL, site="H001")
        hidden = await search.study_by_uid(connection, "1.2.3", Scope(sites=frozenset({"H003"})))
    assert newest is not None
    assert newest["site"] == "H002"
    assert named is not None
    assert named["site"] == "H001"
    assert hidden is None


async def test_priors_are_of_the_same_patient_at_the_same_site(hub: Hub) -> None:
    await fill(hub)
    async with hub.database.reading() as connection:
        rows = await search.priors(connection, 1, ALL)
        assert [(row["site"], row["study_uid"]) for row in rows] == [B]
        assert await search.priors(connection, 3, ALL) == []
        assert await search.priors(connection, 1, Scope(studies=frozenset({1}))) == []


async def test_versions_of_a_conflict_can_be_listed(hub: Hub) -> None:
    await hub.archive.ingest(
        [hub.instance(ct(1)), hub.instance(ct(2)), hub.instance(ct(2, PatientAge="050Y"))]
    )
    async with hub.database.reading() as connection:
        rows = await search.versions(connection, 1)
        assert [(row["sop_instance_uid"], row["current"]) for row in rows] == [
            ("1.2.3.1.2", True),
            ("1.2.3.1.2", False),
        ]
        [second] = await search.stored_instances(
            connection, 1, sop_instance_uid="1.2.3.1.2", sha256=rows[1]["sha256"]
        )
        assert second["id"] == rows[1]["id"]
        assert len(await search.stored_instances(connection, 1)) == 2


def test_text_becomes_the_match_it_means() -> None:
    assert match_of(BY_NAME["00100010"], "A*") == Wildcard("A*")
    assert match_of(BY_NAME["StudyTime"], "08:15") == Between("0815", "0815~")
    assert match_of(BY_NAME["Rows"], "5") == Exact(("5",))
    assert match_of(BY_NAME["StudyDate"], "**") is None


@pytest.mark.parametrize(
    ("keyword", "text"),
    [
        ("StudyDate", "2026"),
        ("StudyDate", "-"),
        ("StudyTime", "noon"),
        ("StudyInstanceUID", "1" * 65),
        ("Rows", "many"),
    ],
)
def test_text_that_cannot_be_a_value_is_refused(keyword: str, text: str) -> None:
    with pytest.raises(Malformed, match=keyword):
        match_of(BY_NAME[keyword], text)

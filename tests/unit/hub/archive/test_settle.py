"""When a study is complete, by which evidence, and how it is reopened."""

from __future__ import annotations

import itertools

import pytest
from sqlalchemy import select

from gateway.envelope.layout import Notice
from gateway.errors import Broken, NotFound, Refused
from hub.archive.judgement import Evidence, Patience, Tags, judge
from hub.archive.procedures import step_of, sum_up
from hub.archive.settle import Settler, force
from hub.archive.states import TRANSITIONS, StudyEvent, StudyState, step
from hub.tables.study import studies
from tests.doubles.instances import Hub, ct

PATIENCE = Patience(after_association=3, quiet=120)


def evidence(
    received: int, announced: int | None, still: float, *, associations: int = 1, single: bool = False
) -> Evidence:
    return Evidence(received, received, announced, associations, single, still)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (evidence(5, None, 119), None),
        (evidence(5, None, 120), "nothing was announced"),
        (evidence(5, 5, 2), None),
        (evidence(5, 5, 3), "all 5"),
        (evidence(1, 1, 3, single=True), "all 1"),
        (evidence(5, 5, 119, associations=5, single=True), None),
        (evidence(5, 5, 120, associations=5, single=True), "5 associations"),
        (evidence(4, 5, 1199), None),
        (evidence(4, 5, 1200), "1 of 5"),
        (evidence(6, 5, 119), None),
        (evidence(6, 5, 120), "more came"),
    ],
)
def test_judgement(given: Evidence, words: str | None) -> None:
    found = judge(given, PATIENCE)
    assert found is None if words is None else words in (found or "")


def test_every_state_and_event() -> None:
    for state, event in itertools.product(StudyState, StudyEvent):
        if state is StudyState.COMPLETE and event is not StudyEvent.ARRIVED:
            with pytest.raises(Broken, match="complete"):
                step(state, event)
        else:
            assert step(state, event) is TRANSITIONS[state, event]
    assert all(
        step(state, StudyEvent.FORCED) is StudyState.COMPLETE
        for state in (StudyState.ARRIVING, StudyState.REOPENED)
    )
    assert all(step(state, StudyEvent.ARRIVED) is not StudyState.COMPLETE for state in StudyState)


async def state(hub: Hub) -> tuple[str, str]:
    async with hub.database.reading() as connection:
        row = (await connection.execute(select(studies.c.state, studies.c.completeness))).one()
    return row[0], row[1]


def closed(name: str, count: int) -> tuple[str, Notice]:
    return "H001", Notice("association-closed", {"association": name, "studies": {"1.2.3": count}})


async def test_life_of_a_study(hub: Hub) -> None:
    settler = Settler(hub.database, hub.custody, hub.clock, PATIENCE)
    await hub.archive.ingest([hub.instance(ct(1))])
    hub.clock.move(5)
    assert await settler.look() == 0
    await hub.archive.ingest([hub.instance(ct(2))], [closed("a", 2)])
    hub.clock.move(5)
    assert await settler.look() == 1
    assert await settler.look() == 0
    assert await state(hub) == ("complete", "2 instances; all 2 that the association carried are here")
    [(event, site, _, detail)] = hub.custody.events
    assert (event, site, detail["instances"]) == ("study-complete", "H001", 2)

    await hub.archive.ingest([hub.instance(ct(1))])  # a copy changes nothing
    assert (await state(hub))[0] == "complete"
    await hub.archive.ingest([hub.instance(ct(3))], [closed("b", 2)])
    assert (await state(hub))[0] == "reopened"
    hub.clock.move(5)
    assert await settler.look() == 1
    assert await state(hub) == ("complete", "3 instances; all 4 that 2 associations carried are here")


async def test_a_clock_that_was_put_back_by_a_year_keeps_no_study_open(hub: Hub) -> None:
    settler = Settler(hub.database, hub.custody, hub.clock, PATIENCE)
    await hub.archive.ingest([hub.instance(ct(1))], [closed("a", 1)])
    hub.clock.put_back(365 * 86_400)
    assert await settler.look() == 0
    hub.clock.move(1)
    assert await settler.look() == 0
    hub.clock.move(5)
    assert await settler.look() == 1
    assert await state(hub) == ("complete", "1 instances; all 1 that the association carried are here")


async def test_report_made_here_does_not_reopen(hub: Hub) -> None:
    settler = Settler(hub.database, hub.custody, hub.clock, PATIENCE)
    await hub.archive.ingest([hub.instance(ct(1))], [closed("a", 1)])
    hub.clock.move(5)
    await settler.look()
    await hub.archive.ingest([hub.instance(ct(9, series="1.2.3.9", Modality="SR"), origin="hub")])
    assert (await state(hub))[0] == "complete"


def told(
    *steps: tuple[str, dict[str, int]], here: dict[str, int], still: float, announced: int | None = None
) -> str | None:
    """What is judged of a study of which the modality tells."""
    count = sum(here.values())
    given = Evidence(count, count, announced, 1, False, still, len(here), sum_up(steps, here))
    return judge(given, PATIENCE)


DONE, RUNNING, BROKEN = "COMPLETED", "IN PROGRESS", "DISCONTINUED"


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (
            told((DONE, {"a": 5}), here={"a": 5}, still=3),
            "5 instances; all 5 that its procedure step made are here",
        ),
        (told((DONE, {"a": 5}), here={"a": 5}, still=2), None),
        (told((DONE, {"a": 5}), here={"a": 4}, still=1199, announced=4), None),
        (told((DONE, {"a": 5}), here={"a": 4}, still=1200, announced=4), "incomplete: 1 of 5 images"),
        (told((DONE, {"a": 5}), here={"a": 5, "b": 1}, still=3), "all 5"),
        (told((RUNNING, {}), here={"a": 5}, still=1199, announced=5), None),
        (told((RUNNING, {}), here={"a": 5}, still=1200, announced=5), "still in progress"),
        (told((DONE, {"a": 5}), (RUNNING, {}), here={"a": 5}, still=60), None),
        (
            told((DONE, {"a": 5}), (BROKEN, {"b": 1}), here={"a": 5, "b": 1}, still=3),
            "1 of them discontinued",
        ),
        (told((BROKEN, {"a": 2}), here={"a": 2}, still=3), "its discontinued procedure step"),
        (told((DONE, {}), here={"a": 5}, still=3, announced=5), "the association carried"),
        (told((DONE, {}), here={"a": 5}, still=119), None),
        (told((DONE, {"a": 5}), here={"a": 5}, still=60, announced=6), None),
    ],
)
def test_what_the_modality_says_comes_first(found: str | None, words: str | None) -> None:
    assert found is None if words is None else words in (found or "")


@pytest.mark.parametrize(
    ("tags", "still", "words"),
    [
        (Tags(1, 1), 30, "as large as its tags say"),
        (Tags(1, 1), 29, None),
        (Tags(1, 0), 119, None),
        (Tags(1, 0), 120, "1 series are not as large"),
        (Tags(0, 0), 30, None),
    ],
)
def test_tags_are_believed_where_nothing_else_is_told(tags: Tags, still: float, words: str | None) -> None:
    found = judge(Evidence(5, 5, None, 0, True, still, tags=tags), PATIENCE)
    assert found is None if words is None else words in (found or "")


def step_notice(status: str, series: dict[str, int], **more: str) -> tuple[str, Notice]:
    body = {"study": "1.2.3", "status": status, "series": series, "station": "CT1"}
    return "H001", Notice("mpps", body | more)


async def test_a_step_in_progress_holds_a_study_open_until_it_has_ended(hub: Hub) -> None:
    settler = Settler(hub.database, hub.custody, hub.clock, PATIENCE)
    await hub.archive.ingest([], [step_notice("IN PROGRESS", {})])
    await hub.archive.ingest([hub.instance(ct(1)), hub.instance(ct(2))], [closed("a", 2)])
    hub.clock.move(60)
    assert await settler.look() == 0
    await hub.archive.ingest([], [step_notice("COMPLETED", {"1.2.3.1": 3})])
    await hub.archive.ingest([], [step_notice("IN PROGRESS", {})])  # overtaken on its way
    assert await settler.look() == 0
    await hub.archive.ingest([hub.instance(ct(3))], [closed("b", 1)])
    hub.clock.move(3)
    assert await settler.look() == 1
    assert await state(hub) == ("complete", "3 instances; all 3 that its procedure step made are here")


@pytest.mark.parametrize(
    "body",
    [
        {}, {"study": "1.2.3"}, {"study": 7, "status": "COMPLETED"}, {"study": "1.2.3", "status": "DONE"},
        {"study": "", "status": "COMPLETED"},
    ],
)  # fmt: skip
async def test_a_notice_that_tells_of_no_step_is_passed_over(hub: Hub, body: dict[str, object]) -> None:
    assert step_of(Notice("mpps", body)) is None
    await hub.archive.ingest([], [("H001", Notice("mpps", body))])


async def test_counts_that_are_none_are_left_out() -> None:
    body = {"study": "1.2.3", "status": "COMPLETED", "series": {"a": 1, "b": -1, "c": "2", "d": True}}
    found = step_of(Notice("mpps", body))
    assert found is not None
    assert found.series == {"a": 1}


async def test_a_series_that_says_how_large_it_is(hub: Hub) -> None:
    settler = Settler(hub.database, hub.custody, hub.clock, PATIENCE)
    await hub.archive.ingest([hub.instance(ct(n, NumberOfSeriesRelatedInstances=2)) for n in (1, 2)])
    hub.clock.move(30)
    assert await settler.look() == 1
    assert "as large as its tags say" in (await state(hub))[1]


async def test_a_person_completes_a_study_and_a_late_instance_reopens_it(hub: Hub) -> None:
    await hub.archive.ingest([hub.instance(ct(1))], [closed("a", 3)])
    async with hub.database.writing() as connection:
        await force(connection, hub.custody, 1, by="root", reason="enough", now=hub.clock.now())
    assert await state(hub) == ("complete", "1 of 3 known instances; taken as complete by root: enough")
    async with hub.database.writing() as connection:
        with pytest.raises(Refused, match="complete already"):
            await force(connection, hub.custody, 1, by="root", reason="", now=hub.clock.now())
        with pytest.raises(NotFound):
            await force(connection, hub.custody, 2, by="root", reason="", now=hub.clock.now())
    assert [event[0] for event in hub.custody.events] == ["study-complete"]
    await hub.archive.ingest([hub.instance(ct(2))])
    assert (await state(hub))[0] == "reopened"

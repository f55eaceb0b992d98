"""When a study is complete, by which evidence, and how it is reopened."""

from __future__ import annotations

import itertools

import pytest
from sqlalchemy import select

from gateway.envelope.layout import Notice
from gateway.errors import Broken
from hub.archive.judgement import Evidence, Patience, judge
from hub.archive.settle import Settler
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


async def test_report_made_here_does_not_reopen(hub: Hub) -> None:
    settler = Settler(hub.database, hub.custody, hub.clock, PATIENCE)
    await hub.archive.ingest([hub.instance(ct(1))], [closed("a", 1)])
    hub.clock.move(5)
    await settler.look()
    await hub.archive.ingest([hub.instance(ct(9, series="1.2.3.9", Modality="SR"), origin="hub")])
    assert (await state(hub))[0] == "complete"

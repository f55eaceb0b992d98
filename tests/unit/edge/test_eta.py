"""When studies will be at the hub: in their order, at the rate of late, hour by hour within the budgets."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest

from edge import eta
from edge.budget import Budgets
from edge.spool.view import StudyFacts, StudyProgress
from gateway.model import Priority
from tests.unit.edge.test_budget import at, budgets

RATE = 1_000_000.0
NOON = at("12:00")


def line(known: Budgets, local: datetime = NOON, rate: float = RATE) -> eta.Takes:
    def takes(priority: Priority, size: int, after: float = 0.0) -> float | None:
        seconds = known.through(priority, size, rate, local + timedelta(seconds=after))
        return None if seconds is None else after + seconds

    return takes


def study(uid: str, priority: Priority, size: int, first_at: str = "2026-11-22T04:00:00Z") -> StudyProgress:
    return StudyProgress(StudyFacts(uid), priority, first_at, first_at, 9, 1, size)


def of_all(studies: Sequence[StudyProgress], size: int, takes: eta.Takes) -> float | None:
    return eta.of_all(eta.by_study(studies, takes), studies, size, takes)


def test_without_budgets_it_is_what_goes_before_at_the_rate() -> None:
    found = [
        study("3", Priority.PRIOR, 6_000_000),
        study("2", Priority.ROUTINE, 4_000_000, "2026-11-22T04:00:02Z"),
        study("1", Priority.ROUTINE, 3_000_000, "2026-11-22T04:00:01Z"),
        study("0", Priority.STAT, 2_000_000),
    ]
    assert eta.by_study(found, line(Budgets())) == {"0": 2, "1": 5, "2": 9, "3": 15}
    assert of_all(found, 15_000_000, line(Budgets())) == 15
    assert of_all(found, 18_000_000, line(Budgets())) == 18  # of no study that is known


def test_a_budget_of_less_than_the_line_is_what_counts_for_its_priorities() -> None:
    some = budgets("[{rate: 800 kbit, priorities: [routine, prior]}]")  # a tenth of the line
    found = [study("0", Priority.STAT, 2_000_000), study("1", Priority.ROUTINE, 3_000_000)]
    assert eta.by_study(found, line(some)) == {"0": 2, "1": 32}


def test_what_waits_for_an_hour_is_there_after_it_and_lets_others_by() -> None:
    some = budgets("[{from: 08:00, to: 18:00, rate: 0, priorities: [routine]}]")
    found = [study("1", Priority.ROUTINE, 3_000_000), study("2", Priority.PRIOR, 5_000_000)]
    assert eta.by_study(found, line(some)) == {"1": 6 * 3600 + 3, "2": 5}


def test_a_study_may_need_both_hours() -> None:
    some = budgets("[{from: 08:00, to: 18:00, rate: 800 kbit}]")
    size = 360_000_000 + 5_000_000  # an hour by day, and five seconds of the night
    found = [study("1", Priority.ROUTINE, size)]
    assert eta.by_study(found, line(some, at("17:00"))) == {"1": pytest.approx(3605)}


def test_of_two_entries_the_stricter_counts_and_days_are_looked_at() -> None:
    some = budgets("[{rate: 4 Mbit}, {rate: 800 kbit, days: [sun]}]")
    assert some.through(Priority.ROUTINE, 1_000_000, RATE, at("12:00", 22)) == pytest.approx(10)
    assert some.through(Priority.ROUTINE, 1_000_000, RATE, at("12:00", 23)) == pytest.approx(2)
    over = some.through(Priority.ROUTINE, 6_000_000 + 500_000, RATE, at("23:59", 22))
    assert over == pytest.approx(60 + 1)


def test_nobody_knows_of_what_may_never_go_or_of_a_dead_line() -> None:
    some = budgets("[{rate: 0, priorities: [prior]}]")
    found = [study("1", Priority.ROUTINE, 3_000_000), study("2", Priority.PRIOR, 5_000_000)]
    assert eta.by_study(found, line(some)) == {"1": 3}
    assert of_all(found, 8_000_000, line(some)) is None
    assert eta.by_study(found, lambda *_, **__: None) == {}


def test_what_is_at_the_hub_has_no_time_left() -> None:
    done = StudyProgress(StudyFacts("1"), Priority.ROUTINE, "", "", 9, 9, 0)
    assert eta.by_study([done], line(Budgets())) == {}
    assert of_all([done], 0, line(Budgets())) == 0

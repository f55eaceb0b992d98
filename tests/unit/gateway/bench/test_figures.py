from __future__ import annotations

import pytest

from gateway.bench.figures import Sample, rates, steady, work_out
from gateway.bench.link import Shape
from gateway.bench.scenarios import NAMES, SCENARIOS, Goal

LINE = Shape(8_000_000, 0.5)  # a megabyte a second


def even(seconds: int, a_second: int, start: float = 0.0) -> list[Sample]:
    return [Sample(start + at, at * a_second, 0, 0, 1, 0) for at in range(seconds + 1)]


def test_a_full_line_is_used_whole() -> None:
    found = work_out(LINE, even(10, 1_000_000), original=40_000_000, coded=10_000_000, wire=0, seconds=10)
    assert found.utilisation == pytest.approx(1.0)
    assert found.steady == pytest.approx(1.0)
    assert found.effective == pytest.approx(4.0)
    assert found.limit == pytest.approx(10.5)
    assert found.ratio == pytest.approx(10 / 10.5)


def test_headers_and_repeats_are_no_payload() -> None:
    assert steady(even(10, 1_000_000), 9_000_000, LINE.rate) == pytest.approx(0.9)


def test_a_slow_beginning_and_end_do_not_count_as_steady() -> None:
    slow = [Sample(float(at), at * 10_000, 0, 0, 1, 0) for at in range(10)]
    full = [Sample(10.0 + at, 100_000 + at * 1_000_000, 0, 0, 1, 0) for at in range(21)]
    found = steady(slow + full, 20_100_000, LINE.rate)
    assert found == pytest.approx(1.0)
    whole = work_out(LINE, slow + full, original=1, coded=20_100_000, wire=0, seconds=30)
    assert whole.utilisation == pytest.approx(0.67)


def test_nothing_is_said_of_a_line_that_was_not_there() -> None:
    found = work_out(None, (), original=5, coded=4, wire=0, seconds=1.0, first_image=0.5)
    assert (found.utilisation, found.steady, found.effective, found.limit, found.ratio) == (None,) * 5
    assert found.first_image == 0.5


def test_nothing_is_said_of_what_did_not_finish() -> None:
    found = work_out(LINE, (), original=5, coded=4, wire=0, seconds=9.0, finished=False)
    assert found.ratio is None
    assert not found.finished


@pytest.mark.parametrize("samples", [[], even(0, 1), even(3, 0)])
def test_too_little_is_not_steady(samples) -> None:
    assert steady(samples, 1, LINE.rate) is None


def test_rates_are_over_a_second_or_more() -> None:
    samples = [Sample(at / 4, at * 250_000, 0, 0, 1, 0) for at in range(13)]
    assert rates(samples) == [(1.0, 8e6), (2.0, 8e6), (3.0, 8e6)]


def test_a_goal_is_judged_by_its_own_figure() -> None:
    found = work_out(LINE, (), original=40, coded=10, wire=0, seconds=1e-5, first_image=2.0)
    assert Goal("first_image", 3.0, "", least=False).reached(found) is True
    assert Goal("first_image", 1.0, "", least=False).reached(found) is False
    assert Goal("effective", 4.0, "").reached(found) is True
    assert Goal("steady", 0.9, "").reached(found) is None


def test_every_scenario_has_a_name_of_its_own_and_a_known_figure() -> None:
    assert len(set(NAMES)) == len(SCENARIOS)
    figures = work_out(LINE, (), original=1, coded=1, wire=1, seconds=1)
    for scenario in SCENARIOS:
        assert scenario.goal is None or hasattr(figures, scenario.goal.figure)

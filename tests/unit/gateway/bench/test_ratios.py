"""Receivers are compared round by round, so that a slow minute is nobody's."""

from __future__ import annotations

import pytest

from gateway.bench.ingest import Round, Spread, ratios


def of(receiver: str, rate: float, associations: int = 4) -> Round:
    return Round(receiver, associations, 100 / rate, 200 / rate, 100, 100, 0)


def test_neighbours_are_compared_though_the_machine_changes() -> None:
    rounds = [
        *(of("edge", 1000), of("peer", 500)),
        *(of("peer", 50), of("edge", 150)),  # a slow minute
        *(of("edge", 1000), of("peer", 1000)),
        *(of("edge", 7, 1), of("peer", 7, 1)),
    ]
    assert ratios(rounds, 4) == {"peer": Spread(1.5, 2.0, 2.5)}
    assert ratios(rounds, 4, settled=True)["peer"].median == pytest.approx(2.0)
    assert ratios(rounds, 1) == {"peer": Spread(1.0, 1.0, 1.0)}


def test_one_alone_is_compared_with_nobody() -> None:
    assert ratios([of("edge", 1000)], 4) == {}


def test_a_round_that_is_missing_is_no_comparison() -> None:
    with pytest.raises(ValueError, match="zip"):
        ratios([of("edge", 1000), of("peer", 500), of("edge", 900)], 4)

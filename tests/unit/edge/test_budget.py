"""Budgets: hours, days, midnight, shared buckets, rates kept over time, entries swapped while running."""

from __future__ import annotations

from datetime import datetime
from math import inf

import pytest

from edge.budget import Budgets, shortest
from edge.config import Budget, Day, EdgeConfig
from gateway.config import parse
from gateway.errors import ConfigError
from gateway.model import Priority

SUNDAY = datetime.fromisoformat("2026-11-22T12:00:00+08:00")


def budgets(text: str) -> Budgets:
    made = Budgets()
    made.replace(entries(text))
    return made


def entries(text: str) -> tuple[Budget, ...]:
    return parse(f"data: x\nuplink:\n  budget: {text}\n".encode(), EdgeConfig).uplink.budget


def at(hours: str, day: int = 22) -> datetime:
    return datetime.fromisoformat(f"2026-11-{day:02}T{hours}:00+08:00")


def test_it_is_read_as_it_is_written() -> None:
    (entry,) = entries("[{from: 08:00, to: 18:30, days: [mon, sun], rate: 2.5 Mbit/s, priorities: [prior]}]")
    assert entry == Budget(2_500_000, 480, 1110, (Day.MON, Day.SUN), (Priority.PRIOR,))
    assert entries("[{rate: 512 kbit}]") == (Budget(512_000),)
    assert entries("[{rate: 0, to: '24:00'}]") == (Budget(0),)


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ("rate: 2 MB", "must be a rate such as 512 kbit"),
        ("{rate: 1 Mbit, from: 8}", "must be a time such as 08:00"),
        ("{rate: 1 Mbit, from: '24:30'}", "must be a time"),
        ("{rate: 1 Mbit, from: 08:00, to: 08:00}", "the same time"),
        ("{rate: 1 Mbit, priorities: [soon]}", "must be one of stat"),
        ("{rate: 1 Mbit, from_: 08:00}", "not a known key"),
        ("{from: 08:00}", "rate: is missing"),
    ],
)
def test_faults_are_told_with_their_line(entry: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        parse(f"data: x\nuplink:\n  budget:\n    - {entry}\n".encode(), EdgeConfig)
    assert caught.value.line == 4


def test_hours_days_and_midnight() -> None:
    night = budgets("[{from: 22:00, to: 06:00, days: [sat], rate: 0}]")

    def closed(local: datetime) -> bool:
        return night.blocked(Priority.ROUTINE, local, 0) is not None

    assert closed(at("23:00", 21))
    assert closed(at("05:59", 22))  # Sunday morning belongs to Saturday's night
    assert not closed(at("06:00", 22))
    assert not closed(at("23:00", 22))
    assert not closed(at("05:00", 21))
    blocked = night.blocked(Priority.ROUTINE, at("23:00", 21), 0)
    assert blocked is not None
    assert blocked.seconds == 7 * 3600
    assert blocked.words == "budget 22:00–06:00: nothing"


def test_a_rate_is_kept_over_time() -> None:
    one = budgets("[{rate: 800 kbit}]")  # 100,000 bytes a second
    now, sent = 0.0, 0
    while now < 100:
        blocked = one.blocked(Priority.ROUTINE, SUNDAY, now)
        if blocked is None:
            one.spend(Priority.ROUTINE, 1 << 20, SUNDAY, now)
            sent += 1 << 20
            now += 0.1
        else:
            now += blocked.seconds
    assert 9_900_000 < sent < 11_500_000
    now += 1000  # silence saves up one second's worth, no more
    assert one.blocked(Priority.ROUTINE, SUNDAY, now) is None
    one.spend(Priority.ROUTINE, 200_000, SUNDAY, now)
    blocked = one.blocked(Priority.ROUTINE, SUNDAY, now)
    assert blocked is not None
    assert blocked.seconds == pytest.approx(1.0)


def test_named_priorities_share_one_bucket_and_others_are_free() -> None:
    one = budgets("[{rate: 8 kbit, priorities: [routine, prior]}]")
    one.spend(Priority.ROUTINE, 5000, SUNDAY, 0)
    assert one.blocked(Priority.PRIOR, SUNDAY, 0) is not None
    assert one.blocked(Priority.STAT, SUNDAY, 0) is None
    one.spend(Priority.STAT, 10**9, SUNDAY, 0)
    blocked = one.blocked(Priority.ROUTINE, SUNDAY, 1)
    assert blocked is not None
    assert blocked.seconds == pytest.approx(4)
    assert shortest([None, blocked]) == blocked.seconds


def test_of_two_entries_the_stricter_counts() -> None:
    both = budgets("[{rate: 80 kbit}, {rate: 8 kbit, priorities: [prior]}]")
    both.spend(Priority.PRIOR, 10_000, SUNDAY, 0)
    routine, prior = (both.blocked(one, SUNDAY, 0) for one in (Priority.ROUTINE, Priority.PRIOR))
    assert routine is not None
    assert prior is not None
    assert (routine.seconds, prior.seconds) == (pytest.approx(1), pytest.approx(10))


def test_an_entry_that_stays_keeps_what_it_has_spent() -> None:
    one = budgets("[{rate: 8 kbit}, {rate: 0, priorities: [prior]}]")
    one.spend(Priority.ROUTINE, 5000, SUNDAY, 0)
    one.replace(entries("[{rate: 8 kbit}]"))
    assert one.blocked(Priority.ROUTINE, SUNDAY, 0) is not None
    one.replace(())
    assert one.blocked(Priority.PRIOR, SUNDAY, 0) is None


def test_when_something_goes_again_is_when_no_entry_says_no_any_more() -> None:
    def seconds(text: str, local: datetime) -> float:
        blocked = budgets(text).blocked(Priority.ROUTINE, local, 0)
        assert blocked is not None
        return blocked.seconds

    assert seconds("[{rate: 0}]", SUNDAY) == inf
    assert seconds("[{rate: 0, from: 08:00, to: 18:00}]", SUNDAY) == 6 * 3600
    both = "[{rate: 0, from: 08:00, to: 18:00}, {rate: 0, from: 18:00, to: 06:00}]"
    assert seconds(both, SUNDAY) == 18 * 3600
    assert seconds("[{rate: 0, days: [sun, mon]}]", SUNDAY) == 36 * 3600

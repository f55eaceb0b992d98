from __future__ import annotations

from hub.access import throttle
from hub.access.throttle import Buckets, Failures, wait_after


def test_a_wait_doubles_and_stays_short() -> None:
    assert [wait_after(n) for n in (0, 4, 5, 6, 7)] == [0, 0, 30, 60, 120]
    assert wait_after(10_000) == 15 * 60


def test_a_bucket_runs_dry_and_fills_again() -> None:
    buckets = Buckets(rate=0.5, burst=3)
    assert [buckets.take("a", 0.0) for _ in range(3)] == [0, 0, 0]
    assert buckets.take("a", 0.0) == 2.0
    assert buckets.take("b", 0.0) == 0
    assert buckets.take("a", 2.0) == 0
    assert buckets.take("a", 2.0) > 0


def test_old_keys_are_forgotten(monkeypatch) -> None:
    monkeypatch.setattr(throttle, "REMEMBERED", 2)
    buckets = Buckets(rate=0.001, burst=1)
    for key in "abc":
        buckets.take(key, 0.0)
    assert buckets.take("c", 0.0) > 0
    assert buckets.take("a", 0.0) == 0


def test_failures_of_strangers_wait_like_those_of_accounts() -> None:
    failures = Failures()
    for _ in range(4):
        failures.wrong("x", 0.0)
        assert failures.wait("x", 0.0) == 0
    failures.wrong("x", 0.0)
    assert failures.wait("x", 10.0) == 20.0
    assert failures.wait("y", 10.0) == 0
    failures.right("x")
    assert failures.wait("x", 10.0) == 0

from __future__ import annotations

import pytest

from gateway import brake
from gateway.brake import Brake, Buckets, TooMany, asker
from hub.access.throttle import Failures, wait_after
from tests.doubles.clock import SetClock


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
    monkeypatch.setattr(brake, "REMEMBERED", 2)
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


def test_an_ipv6_network_is_one_asker_and_ipv4_addresses_are_many() -> None:
    assert asker("2001:db8:1:2::1") == asker("2001:db8:1:2:ffff::9") != asker("2001:db8:1:3::1")
    assert asker("fe80::1%eth0") == asker("fe80::2")
    assert asker("192.0.2.1") == asker("::ffff:192.0.2.1") != asker("192.0.2.2")
    assert (asker("unix"), asker(None)) == ("unix", "")


def test_a_brake_says_how_long_to_wait() -> None:
    clock = SetClock()
    held = Brake(clock, "tries", rate=0.5, burst=2)
    for _ in range(2):
        held.check("a")
    with pytest.raises(TooMany, match=r"too many tries .* wait 2 s") as caught:
        held.check("a")
    assert caught.value.retry_after == 2.0
    held.check("b")
    clock.advance(2)
    held.check("a")

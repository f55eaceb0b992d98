"""Identifiers, priorities, time and back-off."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.backoff import Backoff
from gateway.clock import SystemClock, parse_rfc3339, rfc3339
from gateway.errors import Malformed
from gateway.model import Priority, parcel_id, sha256_hex, site_id, uid


@pytest.mark.parametrize("text", ["1.2.840.10008.1.1", "2.25.0", "0.0", "1." + "9" * 62])
def test_uids_of_ps3_5_are_taken(text: str) -> None:
    assert uid(text) == text


@pytest.mark.parametrize(
    "text", ["", "1", "1.02", "1..2", "../1", "1.2\0", "1." + "9" * 63, "1.2 ", "1.2\n", "a.b", "１.２"]
)
def test_hostile_uids_are_refused(text: str) -> None:
    with pytest.raises(Malformed):
        uid(text)


@pytest.mark.parametrize("check", [site_id, parcel_id, sha256_hex])
@pytest.mark.parametrize("text", ["", "../x", "a b", "x" * 65, "é", "H001\n"])
def test_other_identifiers_are_checked(check: object, text: str) -> None:
    with pytest.raises(Malformed):
        check(text)  # type: ignore


def test_priorities_sort_by_haste() -> None:
    assert min(Priority.parse(w) for w in ("Prior", "routine", "STAT", "urgent")) is Priority.STAT
    assert [p.word for p in Priority] == ["stat", "urgent", "routine", "prior"]
    with pytest.raises(Malformed):
        Priority.parse("soon")


@given(st.datetimes(min_value=datetime(1970, 1, 1)), st.integers(-720, 720))
def test_time_as_text_round_trips_and_sorts(moment: datetime, offset: int) -> None:
    local = moment.replace(tzinfo=timezone(timedelta(minutes=offset)))
    if not datetime(1971, 1, 1) < moment < datetime(9998, 1, 1):
        return
    text = rfc3339(local)
    assert parse_rfc3339(text) == local
    assert len(text) == 27
    later = rfc3339(local + timedelta(microseconds=1))
    assert text < later


def test_the_system_clock_is_aware_and_grows() -> None:
    clock = SystemClock()
    assert clock.now().tzinfo is UTC
    assert clock.monotonic() <= clock.monotonic()


@given(st.integers(0, 10_000), st.floats(0, 1, exclude_max=True))
def test_backoff_is_capped_never_zero_and_never_gives_up(failures: int, chance: float) -> None:
    backoff = Backoff(first=1, cap=60)
    delay = backoff.delay(failures, chance)
    assert 0.5 <= delay <= 60
    assert backoff.delay(failures + 1, chance) >= delay

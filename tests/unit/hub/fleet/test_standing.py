"""How edges stand, as a table: certificate, requests, what they told and when."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway.clock import rfc3339
from hub.fleet.standing import KINDS, conditions, is_late, state

NOW = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)


def at(days: float) -> str:
    return rfc3339(NOW + days * DAY)


def edge(begun: float = -18, seen: float | None = 0, revoked: bool = False, **status: Any) -> dict[str, Any]:
    return {
        "site": "H001",
        "edge": "1",
        "issued_at": at(begun),
        "not_after": at(begun + 30),
        "revoked": revoked,
        "last_seen": None if seen is None else at(seen),
        "status": json.dumps(status) if status else None,
    }


def asked(decision: str = "asked", request: str = "a1" * 32, site: str = "H001") -> dict[str, Any]:
    return {"site": site, "edge": "1", "request": request, "decision": decision, "asked_at": at(-1)}


@pytest.mark.parametrize(
    ("row", "returns", "expected"),
    [
        (edge(), [], "enrolled"),
        (edge(), [asked()], "enrolled"),  # an old request; its certificate is good
        (edge(-30), [], "enrolled"),  # to its very end
        (edge(-31), [], "expired"),
        (edge(-31), [asked()], "returning"),
        (edge(-31), [asked("approved")], "approved"),
        (edge(-31), [asked("approved"), asked(request="b2" * 32)], "returning"),
        (edge(-31), [asked("refused")], "expired"),
        (edge(-31), [asked(site="H002")], "expired"),
        (edge(-31, revoked=True), [asked()], "revoked"),
    ],
)
def test_states(row: dict[str, Any], returns: list[dict[str, Any]], expected: str) -> None:
    assert state(row, returns, NOW) == expected


@pytest.mark.parametrize(("begun", "late"), [(-20, False), (-23.9, False), (-24.1, True), (-30.1, False)])
def test_a_certificate_is_late_long_after_it_should_have_renewed_itself(begun: float, late: bool) -> None:
    assert is_late(edge(begun), NOW) is late


STANDS = (NOW - timedelta(minutes=6)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
BRIEFLY = (NOW - timedelta(minutes=4)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


@pytest.mark.parametrize(
    ("row", "returns", "kinds"),
    [
        (edge(), [], []),
        (edge(-25), [], ["certificate-late"]),
        (edge(-31), [], ["certificate-ended"]),
        (edge(-31), [asked("approved")], ["certificate-ended"]),
        (edge(-31), [asked()], ["return-asked"]),
        (edge(-31), [asked(), asked(request="b2" * 32)], ["return-twice"]),
        (edge(seen=-1), [], ["edge-silent"]),
        (edge(seen=-1 / 72), [], []),  # twenty minutes
        (edge(seen=None), [], ["edge-silent"]),  # never heard since it joined
        (edge(begun=0, seen=None), [], []),
        (edge(seen=-1, held=1), [], ["edge-silent"]),  # what it told is old
        (edge(-31, seen=-5), [], ["certificate-ended"]),  # it cannot be heard
        (edge(seen=-5, revoked=True, held=1), [], []),
        (edge(stalled=STANDS), [], ["line-stalled"]),
        (edge(stalled=BRIEFLY), [], []),
        (edge(stalled="no byte for 42 s"), [], ["line-stalled"]),
        (edge(stalled=True), [], ["line-stalled"]),
        (edge(stalled=None), [], []),
        (edge(accepting=False), [], ["edge-refuses"]),
        (edge(disk_days_left=2), [], ["edge-disk"]),
        (edge(disk_days_left=3), [], []),
        (edge(held=2), [], ["edge-held"]),
        (edge(clock_ahead=301), [], ["clock-ahead"]),
        (edge(clock_ahead=-301), [], ["clock-behind"]),
        (edge(clock_ahead=-299), [], []),
        (edge(clock_ahead="much"), [], []),
        (edge(seen=-1, clock_ahead=900), [], ["edge-silent"]),
        (edge(held=True, disk_days_left="soon", accepting=None), [], []),
        (edge() | {"status": "no JSON"}, [], []),
        (edge() | {"status": "[1]"}, [], []),
        (edge() | {"not_after": "edited"}, [], []),  # `hub.rows` tells of that
    ],
)
def test_what_a_person_must_look_at(
    row: dict[str, Any], returns: list[dict[str, Any]], kinds: list[str]
) -> None:
    found = conditions([row], returns, NOW)
    assert [one.kind for one in found] == kinds
    assert set(kinds) <= set(KINDS)
    assert all((one.site, one.edge) == ("H001", "1") for one in found)


def test_a_clock_that_was_off_must_be_nearly_right_to_be_right() -> None:
    stood: set[tuple[str, str, str]] = set()
    kinds = []
    for ahead in (240, 330, 280, 70, -70, 59, 240, -400, -61, -30):
        found = conditions([edge(clock_ahead=ahead)], [], NOW, stood)
        stood = {(one.kind, one.site, one.edge) for one in found}
        kinds.append([one.kind.removeprefix("clock-") for one in found])
    assert kinds == [[], ["ahead"], ["ahead"], ["ahead"], [], [], [], ["behind"], ["behind"], []]


@pytest.mark.parametrize(
    ("ahead", "words"),
    [
        (420, "its clock is 7 min ahead of this hub's"),
        (-2 * 86400 - 3 * 3600, "its clock is 2 d 3 h behind this hub's"),
    ],
)
def test_by_how_much_a_clock_is_off(ahead: int, words: str) -> None:
    (alert,) = conditions([edge(clock_ahead=ahead)], [], NOW)
    assert (alert.words, alert.facts) == (words, {"seconds": abs(ahead)})


def test_a_third_key_is_told_anew() -> None:
    two = [asked(), asked(request="b2" * 32)]
    (before,) = conditions([edge(-31)], two, NOW)
    (after,) = conditions([edge(-31)], [*two, asked(request="c3" * 32)], NOW)
    assert before.key != after.key

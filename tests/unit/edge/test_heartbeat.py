"""What the hub is told of each study: unfinished first, bounded, with no patient in it."""

from __future__ import annotations

import json
from pathlib import Path

from edge.heartbeat import STUDIES, Heartbeat, studies
from edge.spool.item import LinkState
from edge.spool.view import StudyFacts, StudyView
from gateway.clock import rfc3339
from gateway.model import ParcelId, Priority
from hub.fleet.progress import status_of, studies_of
from hub.fleet.standing import STALLED, conditions
from tests.doubles.spools import SpoolWorld


def _view() -> StudyView:
    view = StudyView()
    for study, count, priority in (
        ("1", 3, Priority.ROUTINE),
        ("2", 2, Priority.STAT),
        ("3", 1, Priority.STAT),
    ):
        facts = StudyFacts(f"2.25.{study}", "Sample^Patient", "PID-4711", "ACC-0815", "HEAD", "CT")
        for number in range(count):
            parcel = ParcelId(f"{study}{number}".rjust(32, "0"))
            view.received(parcel, facts, priority, f"2026-11-26T00:00:0{study}Z", 1000)
    view.confirmed(ParcelId("30".rjust(32, "0")))
    view.confirmed(ParcelId("10".rjust(32, "0")))
    return view


def takes(_priority: Priority, size: int, after: float = 0.0) -> float:
    """A line of 500 bytes a second."""
    return after + size / 500


def test_each_study_with_what_is_here_there_and_still_to_go() -> None:
    told = studies(_view().studies(), takes)
    assert told == [
        {
            "study_uid": "2.25.2",
            "received": 2,
            "confirmed": 0,
            "waiting_bytes": 2000,
            "eta_seconds": 4,
            "priority": "stat",
        },
        {
            "study_uid": "2.25.1",
            "received": 3,
            "confirmed": 1,
            "waiting_bytes": 2000,
            "eta_seconds": 8,
            "priority": "routine",
        },
        {
            "study_uid": "2.25.3",
            "received": 1,
            "confirmed": 1,
            "waiting_bytes": 0,
            "eta_seconds": None,
            "priority": "stat",
        },
    ]
    assert "Sample" not in json.dumps(told)
    assert "4711" not in json.dumps(told)


def test_nobody_knows_when_while_the_line_is_down_and_the_list_is_bounded() -> None:
    told = studies(_view().studies() * 50, lambda *_, **__: None)
    assert len(told) == STUDIES
    assert all(one["eta_seconds"] is None for one in told)


async def test_a_line_that_stands_still_at_the_edge_is_an_alert_at_the_hub(tmp_path: Path) -> None:
    """What the edge tells, as the hub keeps and judges it."""
    world = SpoolWorld(tmp_path / "data")
    world.receive(priority=Priority.STAT)
    now = world.clock.now()
    for stuck, kinds in ((now - 2 * STALLED, {"line-stalled"}), (None, set())):
        link = LinkState(True, now, rate=500.0, stalled_since=stuck)
        told = await Heartbeat(world.spool, None, lambda link=link: link, takes, world.clock).status()
        row = {"site": "H001", "edge": "1", "revoked": False, "status": json.dumps(status_of(told, now))}
        times = {
            "issued_at": rfc3339(now),
            "last_seen": rfc3339(now),
            "not_after": rfc3339(now + STALLED * 99),
        }
        found = conditions([row | times], [], now)
        assert {one.kind for one in found} == kinds
        assert status_of(told, now).keys() >= {
            "rate",
            "waiting",
            "waiting_bytes",
            "oldest_waiting",
            "disk_free",
        }
        assert [one.eta_seconds for one in studies_of(told)] == [
            round(status_of(told, now)["waiting_bytes"] / 500)
        ]
    world.spool.close()


def test_what_is_still_to_go_is_counted_as_it_is_coded() -> None:
    """A study that shrinks to a fifth is there five times as soon, also what of it is not coded yet."""
    view, facts = StudyView(), StudyFacts("2.25.1")
    parcels = [ParcelId(f"{number:032x}") for number in range(10)]
    for parcel in parcels:
        view.received(parcel, facts, Priority.ROUTINE, "2026-11-26T00:00:00Z", 500_000)
    view.merged(ParcelId("a" * 32), tuple(parcels[:4]), 400_000)
    (one,) = view.studies()
    assert one.waiting_bytes == 400_000 + 6 * 100_000
    view.confirmed(ParcelId("a" * 32))
    view.merged(ParcelId("b" * 32), (parcels[4],), 300_000)
    (one,) = view.studies()
    assert (one.sent, one.waiting_bytes) == (4, 300_000 + 5 * round(500_000 * 700 / 2500))
    for parcel in parcels[5:]:
        view.confirmed(parcel)
    view.confirmed(ParcelId("b" * 32))
    (one,) = view.studies()
    assert (one.sent, one.waiting_bytes) == (10, 0)

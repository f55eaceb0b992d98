from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.downlink.inbox import Entry, Inbox
from edge.downlink.states import Event, Stage, State
from gateway.errors import Broken

AT = "2026-11-22T15:00:00.000000Z"
NEW = Entry("a" * 32, AT, "b" * 32)


def opened() -> Entry:
    return NEW.accept("c" * 64, {"folder": "folder", "pacs": "dicom"})


def test_one_word_a_change_and_none_for_the_same_again() -> None:
    entry = opened()
    assert (entry.state, entry.revision) == (State.VERIFIED, 1)
    entry = entry.tried("pacs", Event.FAIL, "not there", AT)
    assert (entry.state, entry.revision) == (State.VERIFIED, 2)
    entry = entry.tried("pacs", Event.FAIL, "not there", AT)
    assert (entry.revision, entry.destinations["pacs"].tries) == (2, 2)
    entry = entry.tried("folder", Event.DELIVER, "a.pdf", AT)
    assert (entry.state, entry.revision) == (State.DELIVERED, 3)
    entry = entry.tried("pacs", Event.REFUSE, "0xC000", AT)
    assert entry.destinations["pacs"].stage is Stage.REFUSED
    entry = entry.tried("pacs", Event.DELIVER, "stored", AT)
    assert (entry.state, entry.revision) == (State.ACKNOWLEDGED, 5)
    assert not entry.finished
    assert replace(entry, told=5).finished


def test_what_is_kept_is_there_after_a_restart_and_moves_when_done(tmp_path: Path) -> None:
    entry = opened().tried("folder", Event.DELIVER, "原 a.pdf", AT)
    Inbox(tmp_path).put(entry)
    inbox = Inbox(tmp_path)
    assert inbox.open() == [entry]
    entry = entry.tried("pacs", Event.DELIVER, "stored", AT)
    inbox.put(replace(entry, told=entry.revision))
    assert inbox.open() == []
    assert inbox.is_done(entry.delivery_id)
    again = Inbox(tmp_path)
    assert again.open() == []
    assert again.is_done(entry.delivery_id)
    assert again.reopen(entry.delivery_id, 0).revision == entry.revision + 1


def test_a_crash_before_the_last_move_is_mended_at_start(tmp_path: Path) -> None:
    entry = opened().tried("folder", Event.DELIVER, "", AT).tried("pacs", Event.DELIVER, "", AT)
    entry = replace(entry, told=entry.revision)
    Inbox(tmp_path)
    (tmp_path / f"{entry.delivery_id}.json").write_bytes(entry.to_bytes())
    assert Inbox(tmp_path).is_done(entry.delivery_id)


@given(st.lists(st.tuples(st.sampled_from(["folder", "pacs"]), st.sampled_from(Event), st.text(max_size=5))))
def test_any_course_survives_the_disk_and_never_forgets_a_delivery(
    tries: list[tuple[str, Event, str]],
) -> None:
    entry = opened()
    taken = set()
    for name, event, words in tries:
        before = entry
        entry = entry.tried(name, event, words, AT)
        taken |= {name} if event is Event.DELIVER else set()
        assert entry.revision >= before.revision
        assert {n for n, one in entry.destinations.items() if one.stage is Stage.DELIVERED} == taken
        assert Entry.from_bytes(entry.to_bytes()) == entry


def test_a_package_that_does_not_hold_is_refused_and_may_hold_later() -> None:
    entry = NEW.reject("the PDF was changed")
    assert (entry.state, entry.reason) == (State.REFUSED, "the PDF was changed")
    assert entry.accept("c" * 64, {"folder": "folder"}).reason == ""


def test_rubbish_is_no_record(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_bytes(b"{}")
    with pytest.raises(Broken):
        Inbox(tmp_path)

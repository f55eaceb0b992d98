"""When a study is looked at, and what is told of it."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from edge.quality import inspector
from edge.quality.checks import judge
from edge.quality.glimpse import glimpse
from edge.quality.inspector import Inspector
from edge.quality.warning import Study
from edge.quality.words import WORDS
from gateway.dicom import part10, transfer
from gateway.envelope.inner import Notice
from gateway.errors import StorageFull
from gateway.model import ParcelId, Priority
from tests.doubles.datasets import encode, shared_data, shared_files
from tests.doubles.hand_clock import HandClock
from tests.doubles.instances import ct
from tests.doubles.listeners import ExactSender, listening

CT = "1.2.840.10008.5.1.4.1.1.2"
LITTLE = transfer.EXPLICIT_LITTLE


def slice_of(number: int, **changes: Any) -> bytes:
    made = ct(
        number, ImageType=["ORIGINAL", "PRIMARY", "AXIAL"], **({"KVP": "120.0", "CTDIvol": 41.5} | changes)
    )
    made.ImageOrientationPatient, made.PixelSpacing = [1, 0, 0, 0, 1, 0], [0.5, 0.5]
    return encode(made)


def offer(at_work: Inspector, number: int, study: str) -> None:
    at_work.offer(ParcelId(f"{number:032x}"), lambda: slice_of(number), LITTLE, study)


class Told(list[Notice]):
    """Notices told; may be full."""

    full = False

    def __call__(self, notice: Notice) -> None:
        if self.full:
            raise StorageFull("no room")
        self.append(notice)

    @property
    def kinds(self) -> list[list[str]]:
        return [[one["kind"] for one in notice.body["warnings"]] for notice in self]


def test_a_study_is_judged_when_it_rests_and_told_when_something_changed() -> None:
    clock, told = HandClock(), Told()
    at_work = Inspector(clock, told)
    for number in (n for n in range(1, 25) if n != 9):
        offer(at_work, number, "1.2.3")
    at_work.turn()
    assert told == [], "it may still be coming"
    at_work.closed(["1.2.3", "9.9"])
    clock.advance(seconds=1)
    at_work.turn()
    assert told == []
    clock.advance(seconds=1)
    at_work.turn()
    assert told.kinds == [["slices-missing"]]
    assert [one.kind for one in at_work.warnings("1.2.3")] == ["slices-missing"]
    assert [one.kind for one in at_work.warnings()] == ["slices-missing"]
    (shown,) = at_work.on_the_page()
    assert (shown.study_uid, shown.kind, shown.at) == ("1.2.3", "slices-missing", told[0].body["at"])
    assert "1 slice(s) seem to be missing" in shown.words["en"]
    assert "疑似缺少 1 层" in shown.words["zh"]
    body = dict(told[0].body)
    assert body["study"] == "1.2.3"
    assert body["acquisition"][0]["parameters"] == {"KVP": "120", "CTDIvol": "41.5"}
    assert "Anna" not in json.dumps(body)

    at_work.seen("1.2.3", slice_of(9), LITTLE)
    at_work.seen("1.2.3", slice_of(9), LITTLE)
    clock.advance(seconds=4)
    at_work.turn()
    assert len(told) == 1
    clock.advance(seconds=2)
    at_work.turn()
    assert told.kinds == [["slices-missing"], []], "what was missing came"
    assert told[1].body["at"] > told[0].body["at"]
    at_work.turn()
    assert len(told) == 2


def test_nothing_to_say_is_not_said() -> None:
    clock, told = HandClock(), Told()
    at_work = Inspector(clock, told)
    for number in range(1, 25):
        at_work.seen("1.2.3", slice_of(number, KVP=None, CTDIvol=None), LITTLE)
    at_work.seen("", slice_of(1), LITTLE)
    clock.advance(seconds=6)
    at_work.turn()
    assert told == []
    assert at_work.warnings("1.2.3") == at_work.warnings("7") == at_work.acquisition("7") == []


def test_a_full_disk_leaves_the_page_its_warnings() -> None:
    clock, told = HandClock(), Told()
    told.full = True
    at_work = Inspector(clock, told)
    at_work.seen("1.2.3", slice_of(1), LITTLE)
    clock.advance(seconds=6)
    at_work.turn()
    assert [one.kind for one in at_work.warnings("1.2.3")] == ["too-few"]


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspector, "MOST_STUDIES", 3)
    monkeypatch.setattr(inspector, "MOST_IMAGES", 4)
    monkeypatch.setattr(inspector, "WAITING", 5)
    clock, told = HandClock(), Told()
    at_work = Inspector(clock, told)
    for study in range(5):
        for number in range(1, 8):
            at_work.seen(str(study), slice_of(number), LITTLE)
    assert list(at_work._studies) == ["2", "3", "4"]
    assert {len(one.instances) for one in at_work._studies.values()} == {4}
    for number in range(20):
        offer(at_work, number, "9")
    assert len(at_work._queue) == 5
    at_work.turn()
    assert not at_work._queue
    assert not at_work._waiting


def test_studies_that_rest_let_their_images_go_and_keep_what_was_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(inspector, "MOST_IN_ALL", 10)
    clock, told = HandClock(), Told()
    at_work = Inspector(clock, told)
    for study in ("1", "2", "3"):
        for number in range(1, 7):
            at_work.seen(study, slice_of(number), LITTLE)
        clock.advance(seconds=6)
        at_work.turn()
    assert [len(one.instances) for one in at_work._studies.values()] == [0, 0, 6]
    assert at_work._images == 6
    first = at_work._studies["1"]
    before, warnings, taken = len(told), at_work.warnings("1"), at_work.taken("1")
    assert [one.kind for one in warnings] == ["too-few"]
    assert taken.brief == ("120 kVp", "CTDIvol 41.5 mGy")
    assert at_work.said("1")["PatientBirthDate"] == "19700102"
    at_work.seen("1", slice_of(99), LITTLE)  # nothing is said of one image, as if the others had not been
    clock.advance(seconds=6)
    at_work.turn()
    assert (len(told), at_work.warnings("1"), first.instances) == (before, warnings, set())


def test_what_is_alike_is_held_once() -> None:
    at_work = Inspector(HandClock(), Told())
    for number in (1, 2):
        at_work.seen("1.2.3", slice_of(number), LITTLE)
    one, other = next(iter(at_work._studies["1.2.3"].series.values()))
    assert one.sop_instance_uid != other.sop_instance_uid
    for name in ("taken", "study", "patient", "image_type", "orientation"):
        assert getattr(one, name) is getattr(other, name)


FALSE_ALARMS = frozenset(WORDS) - {"burned-in-likely"}
WHOLE = (
    "ct-series-philips-head",
    "mr-series-ge-brain",
    "mr-many-slices-ge-fmri",
    "mr-enhanced",
    "pt",
    "nm",
    "seg",
    "rt",
)


@pytest.mark.skipif(shared_data() is None, reason="the real files are not here")
def test_real_examinations_give_no_false_alarm() -> None:
    root = shared_data()
    assert root is not None
    studies: dict[tuple[str, str], dict[str, list[Any]]] = {}
    for file in shared_files():
        folder = file.relative_to(root).parts[0]
        if folder in WHOLE:
            read = part10.split(Path(file).read_bytes())
            seen = glimpse(read.dataset, read.transfer_syntax_uid)
            studies.setdefault((folder, seen.study_uid), {}).setdefault(seen.series_uid, []).append(seen)
    assert len(studies) >= len(WHOLE)
    found = {
        (folder, one.kind) for (folder, uid), series in studies.items() for one in judge(Study(uid, series))
    }
    assert {(folder, kind) for folder, kind in found if kind in FALSE_ALARMS} == set()


def test_what_a_scanner_sends_is_looked_at_and_the_hub_is_told_under_seal(tmp_path: Path) -> None:
    with listening(tmp_path) as world:
        clock = HandClock()
        at_work = Inspector(clock, lambda notice: world.spool.notify(notice, priority=Priority.URGENT))
        world.spool.inspector = at_work
        sender = ExactSender(world.listener.port, [(CT, LITTLE)])
        for number in (n for n in range(1, 25) if n != 9):
            assert sender.send(CT, f"1.2.3.1.{number}", LITTLE, slice_of(number)) == 0
        sender.release()
        deadline = time.monotonic() + 20
        while not world.closed and time.monotonic() < deadline:
            time.sleep(0.02)
        at_work.closed(world.closed[0]["studies"])
        at_work.turn()
        clock.advance(seconds=2)
        at_work.turn()
        notices = [one for parcel in world.seal_all() for one in world.content(parcel)[0].notices]
    told = {notice.kind: notice.body for notice in notices}
    assert set(told) == {"association-closed", "quality"}
    assert [one["kind"] for one in told["quality"]["warnings"]] == ["slices-missing"]


def test_while_much_comes_in_little_is_looked_at_and_nothing_is_judged_half_seen() -> None:
    clock, told, busy = HandClock(), Told(), [True]
    at_work = Inspector(clock, told, lambda: busy[0])
    for number in (n for n in range(1, 25) if n != 9):
        offer(at_work, number, "1.2.3")
    at_work.closed(["1.2.3"])
    at_work.turn()
    assert len(at_work._queue) == 23 + 1 - inspector.AT_LEAST
    clock.advance(seconds=60)
    assert at_work._due() == []
    busy[0] = False
    at_work.turn()
    clock.advance(seconds=6)
    at_work.turn()
    assert told.kinds == [["slices-missing"]]


def test_what_is_packed_is_looked_at_first(tmp_path: Path) -> None:
    with listening(tmp_path) as world:
        at_work = Inspector(HandClock(), Told(), lambda: True)
        world.spool.inspector = at_work
        sender = ExactSender(world.listener.port, [(CT, LITTLE)])
        for number in range(1, 25):
            assert sender.send(CT, f"1.2.3.1.{number}", LITTLE, slice_of(number)) == 0
        sender.release()
        while (found := world.packer._look()) is not None:
            world.packer.seal(world.packer.gather(found[0]).item)
        assert not at_work._queue
        (seen,) = at_work._studies.values()
    assert {len(images) for images in seen.series.values()} == {24}
    assert all(image.pixels is not None for images in seen.series.values() for image in images)

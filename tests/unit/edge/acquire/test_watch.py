import os
from dataclasses import replace
from pathlib import Path

import pytest

from edge.acquire.watch import Watch
from edge.config import After, Folder
from gateway.config import Seconds
from gateway.model import Priority
from tests.doubles.acquired import dataset, kept, notices, part10


@pytest.fixture
def place(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    return folder


def watching(world, place, **changes):
    config = replace(Folder(path=place, name="XRAY", stable=Seconds(10)), **changes)
    return Watch(world.spool, world.clock, config, world.data / "acquire")


def look(watch, world, times=2):
    found = 0
    for _ in range(times):
        found += watch.sweep()
        world.clock.advance(11)
    return found


def test_a_file_is_taken_when_it_has_stopped_growing(world, place):
    watch = watching(world, place, priority=Priority.URGENT, charset="GB18030")
    file = place / "a.dcm"
    file.write_bytes(part10()[:600])
    assert watch.sweep() == 0
    world.clock.advance(11)
    file.write_bytes(part10())
    assert watch.sweep() == 0
    world.clock.advance(9)
    assert watch.sweep() == 0
    world.clock.advance(2)
    assert watch.sweep() == 1
    ((entry, data),) = kept(world)
    assert (data, entry.calling_ae, entry.parameters["charset"]) == (dataset(), "XRAY", "GB18030")
    assert notices(world)[0].body["studies"] == {"1.2.3": 1}
    assert not file.exists()
    assert (place / "done" / "a.dcm").read_bytes() == part10()
    assert look(watch, world) == 0


def test_bare_datasets_and_folders_below_are_taken(world, place):
    (place / "x" / "y").mkdir(parents=True)
    (place / "x" / "y" / "IM0").write_bytes(dataset())
    assert look(watching(world, place), world) == 1
    assert (place / "done" / "x" / "y" / "IM0").exists()
    assert kept(world)[0][1] == dataset()


def test_what_is_no_dicom_goes_aside_with_the_reason(world, place):
    (place / "a.jpg").write_bytes(b"\xff\xd8\xff" + b"x" * 200)
    (place / "empty.dcm").write_bytes(b"")
    (place / "a.dcm").write_bytes(b"\0" * 128 + b"DICM" + b"\xff" * 60)
    watch = watching(world, place)
    assert look(watch, world) == 0
    assert "no DICOM" in (place / "refused" / "a.jpg.why").read_text()
    assert "no SOP Instance UID" in (place / "refused" / "a.dcm.why").read_text()
    assert (place / "refused" / "empty.dcm.why").exists()
    (place / "a.jpg").write_bytes(b"\xff\xd8\xff other")
    look(watch, world)
    assert (place / "refused" / "a~2.jpg").read_bytes() == b"\xff\xd8\xff other"
    assert (place / "refused" / "a.jpg").read_bytes() == b"\xff\xd8\xff" + b"x" * 200
    assert kept(world) == []


def test_files_left_in_place_are_taken_once_even_after_a_restart(world, place):
    (place / "patient zhang.dcm").write_bytes(part10())
    (place / "b.txt").write_text("x" * 200)
    before = {file: file.stat() for file in place.iterdir()}
    assert look(watching(world, place, after=After.LEAVE), world) == 1
    watch = watching(world, place, after=After.LEAVE)
    assert look(watch, world, 3) == 0
    assert {file: file.stat() for file in place.iterdir()} == before
    assert b"zhang" not in world.everything_on_disk()
    (place / "patient zhang.dcm").write_bytes(part10("1.2.3.9"))
    os.utime(place / "patient zhang.dcm", ns=(1, 1))
    assert look(watch, world) == 1


def test_unfinished_names_links_and_pipes_are_left_alone(world, place, tmp_path):
    outside = tmp_path / "secret.dcm"
    outside.write_bytes(part10())
    (place / "link.dcm").symlink_to(outside)
    (place / "folder").symlink_to(tmp_path)
    os.mkfifo(place / "pipe.dcm")
    for name in ("a.dcm.tmp", "a.part", ".hidden.dcm", "~a.dcm"):
        (place / name).write_bytes(part10())
    names = sorted(place.iterdir())
    assert look(watching(world, place), world) == 0
    assert sorted(place.iterdir()) == names


def test_a_full_disk_leaves_the_file_for_later(world, place):
    (place / "a.dcm").write_bytes(part10())
    watch, budget = watching(world, place), world.spool._budget
    world.spool._budget = type(budget)(10**18)
    assert look(watch, world) == 0
    assert (place / "a.dcm").exists()
    world.spool._budget = budget
    assert look(watch, world, 1) == 1


def test_a_share_that_is_away_is_told_and_comes_back(world, place):
    watch = watching(world, place)
    place.rename(place.with_name("away"))
    assert look(watch, world) == 0
    assert "No such file" in watch.fault
    Path(place.with_name("away")).rename(place)
    (place / "a.dcm").write_bytes(part10())
    assert look(watch, world) == 1
    assert watch.fault == ""


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_is_remembered(world, place):
    (place / "a.dcm").write_bytes(part10())
    place.chmod(0o500)
    watch = watching(world, place)
    assert look(watch, world) == 1
    assert look(watch, world) == 0
    place.chmod(0o700)


def test_a_crash_after_keeping_and_before_moving_repeats_harmlessly(world, place):
    (place / "a.dcm").write_bytes(part10())
    assert look(watching(world, place), world) == 1
    (place / "done" / "a.dcm").rename(place / "a.dcm")
    assert look(watching(world, place), world) == 1
    assert len({entry.sha256 for entry, _ in kept(world)}) == 1

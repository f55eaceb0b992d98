"""Which failures of a disk a person must look at, and when they are over."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from gateway import durable
from gateway.errors import StorageFull
from gateway.model import ParcelId
from hub.intake import disk_alerts
from hub.intake.faults import (
    DENIED,
    FAILS,
    FULL,
    KINDS,
    LEFT_SECONDS,
    READ_ONLY,
    REST_SECONDS,
    Fault,
    Faults,
)
from tests.doubles.clock import SetClock

INTAKE, ARCHIVE = Path("/hub/intake"), Path("/hub/archive")
ONE, TWO = ParcelId("1" * 32), ParcelId("2" * 32)


def failed(code: int, name: str | None = None) -> OSError:
    return OSError(code, os.strerror(code), name)


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def faults(clock: SetClock) -> Faults:
    return Faults((INTAKE, ARCHIVE), clock)


@pytest.mark.parametrize(
    ("code", "kind"),
    [(errno.EIO, FAILS), (errno.EUCLEAN, FAILS), (errno.ENODEV, FAILS), (errno.EROFS, READ_ONLY)],
)
def test_a_broken_disk_is_told_at_once(faults: Faults, code: int, kind: str) -> None:
    faults.note([ONE], failed(code, "/hub/archive/incoming/ab"))
    assert faults.standing() == {Fault(ARCHIVE, code): {ONE}}
    assert Fault(ARCHIVE, code).kind == kind


@pytest.mark.parametrize(
    ("code", "kind"),
    [(errno.ENOSPC, FULL), (errno.EDQUOT, FULL), (errno.EACCES, DENIED), (errno.EMFILE, DENIED)],
)
def test_what_may_be_an_accident_is_told_when_the_same_parcel_fails_again(
    faults: Faults, code: int, kind: str
) -> None:
    faults.note([ONE], failed(code))
    faults.note([TWO], failed(code))
    assert faults.standing() == {}
    faults.note([ONE], failed(code))
    assert faults.standing() == {Fault(INTAKE, code): {ONE, TWO}}
    assert Fault(INTAKE, code).kind == kind


def test_a_full_disk_in_the_words_of_the_program_and_of_the_database(faults: Faults) -> None:
    for _ in range(2):
        with pytest.raises(StorageFull) as told, durable.telling_full(INTAKE):
            raise failed(errno.EDQUOT, "/hub/archive/00")
        faults.note([ONE], told.value)
    for _ in range(2):
        faults.note([TWO], StorageFull("no room for the database"))
    assert faults.standing() == {Fault(ARCHIVE, errno.EDQUOT): {ONE}, Fault(INTAKE, errno.ENOSPC): {TWO}}


def test_a_database_that_is_away_is_no_disk(faults: Faults) -> None:
    faults.note([ONE], ConnectionRefusedError(errno.ECONNREFUSED, "refused"))
    faults.note([ONE], TimeoutError(errno.ETIMEDOUT, "timed out"))
    assert faults.standing() == {}


def test_it_is_over_when_all_have_gone_on_and_nothing_failed_for_a_while(
    faults: Faults, clock: SetClock
) -> None:
    faults.note([ONE, TWO], failed(errno.EIO))
    faults.over([ONE])
    clock.advance(REST_SECONDS)
    assert faults.standing() == {Fault(INTAKE, errno.EIO): {TWO}}
    faults.note([TWO], failed(errno.EIO))
    faults.over([TWO])
    clock.advance(REST_SECONDS - 1)
    assert faults.standing() == {Fault(INTAKE, errno.EIO): set()}, "it may strike again at once"
    clock.advance(1)
    assert faults.standing() == {}


def test_a_parcel_that_fails_otherwise_now_waits_for_that(faults: Faults) -> None:
    faults.note([ONE], failed(errno.EIO))
    faults.note([ONE], failed(errno.EROFS))
    assert faults.standing() == {Fault(INTAKE, errno.EIO): set(), Fault(INTAKE, errno.EROFS): {ONE}}


def test_a_parcel_whose_edge_is_gone_is_not_waited_for_if_others_go(faults: Faults, clock: SetClock) -> None:
    faults.note([ONE], failed(errno.EIO))
    clock.advance(LEFT_SECONDS)
    assert faults.standing() == {Fault(INTAKE, errno.EIO): {ONE}}, "nothing has shown that the disk is well"
    faults.over([TWO])
    assert faults.standing() == {}


def test_where_a_write_to_an_open_file_failed(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=str(tmp_path)) as told, durable.naming(tmp_path):
        raise failed(errno.EIO)
    with pytest.raises(OSError, match="elsewhere"), durable.naming(tmp_path):
        raise failed(errno.EIO, "elsewhere")
    assert told.value.filename == str(tmp_path)


def test_the_volume_of_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    line = "36 35 98:0 / {} rw,noatime shared:1 - ext4 /dev/sda1 rw\n"
    (tmp_path / "mountinfo").write_text(
        "".join(map(line.format, ("/", "/srv", "/srv/hub\\040data/archive", "/srv/hub")))
    )
    monkeypatch.setattr(disk_alerts, "MOUNTS", tmp_path / "mountinfo")
    assert disk_alerts.volume(Path("/srv/hub data/archive/incoming")) == Path("/srv/hub data/archive")
    assert disk_alerts.volume(Path("/srv/hub data/intake")) == Path("/srv")
    assert disk_alerts.volume(Path("/var")) == Path("/")
    monkeypatch.setattr(disk_alerts, "MOUNTS", tmp_path / "nowhere")
    assert disk_alerts.volume(Path("/srv/hub")) == Path("/")


CODES = (errno.EIO, errno.EROFS, errno.ENOSPC, errno.EACCES)
PARCELS = st.sets(st.sampled_from([ParcelId(f"{n:032x}") for n in range(4)]))


class Courses(RuleBasedStateMachine):
    """Whatever happens: what has gone on is not waited for, and all ends when all has."""

    @initialize()
    def begin(self) -> None:
        self.clock = SetClock()
        self.faults = Faults((INTAKE, ARCHIVE), self.clock)
        self.failing: dict[ParcelId, int] = {}

    @rule(parcels=PARCELS, code=st.sampled_from(CODES))
    def fail(self, parcels: set[ParcelId], code: int) -> None:
        self.faults.note(parcels, failed(code))
        self.failing |= dict.fromkeys(parcels, code)

    @rule(parcels=PARCELS)
    def go_on(self, parcels: set[ParcelId]) -> None:
        self.faults.over(parcels)
        for parcel in parcels:
            self.failing.pop(parcel, None)

    @rule(seconds=st.sampled_from([1.0, REST_SECONDS / 2]))
    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule()
    def all_go_on(self) -> None:
        self.go_on(set(self.failing))
        self.clock.advance(REST_SECONDS)
        assert self.faults.standing() == {}

    @invariant()
    def only_what_fails_is_waited_for(self) -> None:
        for fault, parcels in self.faults.standing().items():
            assert fault.kind in KINDS
            assert parcels <= {one for one, code in self.failing.items() if code == fault.code}
        told = {one for parcels in self.faults.standing().values() for one in parcels}
        at_once = {one for one, code in self.failing.items() if code in (errno.EIO, errno.EROFS)}
        assert at_once <= told or self.clock.monotonic() >= 1000 + LEFT_SECONDS


Courses.TestCase.settings = settings(max_examples=60, deadline=None, stateful_step_count=25)
TestCourses = Courses.TestCase

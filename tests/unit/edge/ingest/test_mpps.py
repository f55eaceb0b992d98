"""MPPS: every state with every event, every status, and what survives a restart without clear text."""

from dataclasses import replace

import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE

from edge.config import Ingest
from edge.ingest.listener import DicomListener
from edge.ingest.mpps import FIXED, MPPS, NO_LONGER, TABLE, Event, State, Status, Step, change, create
from edge.ingest.offered import Offered
from hub.archive.procedures import step_of
from tests.doubles.spools import SpoolWorld

STUDY, SERIES, STEP = "1.2.826.0.1.9.7391.1", "1.2.826.0.1.9.7391.2", "1.2.826.0.1.9.7391.3"


def created(status="IN PROGRESS", studies=(STUDY,)):
    data = Dataset()
    data.PerformedProcedureStepStatus = status
    data.PerformedStationAETitle = "CT1"
    data.PerformedSeriesSequence = []
    data.PatientName = "Zzyzx^Quirinius"
    data.ScheduledStepAttributesSequence = [Dataset() for _ in studies]
    for item, study in zip(data.ScheduledStepAttributesSequence, studies, strict=True):
        item.StudyInstanceUID = study
    return data


def ended(status="COMPLETED", images=3, others=1):
    data, series = Dataset(), Dataset()
    if status:
        data.PerformedProcedureStepStatus = status
    series.SeriesInstanceUID = SERIES
    series.ReferencedImageSequence = [Dataset() for _ in range(images)]
    series.ReferencedNonImageCompositeSOPInstanceSequence = [Dataset() for _ in range(others)]
    data.PerformedSeriesSequence = [series]
    return data


DONE = {
    Event.CREATE: created(),
    Event.SET: ended(""),
    Event.COMPLETE: ended("COMPLETED"),
    Event.DISCONTINUE: ended("DISCONTINUED"),
}


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("event", Event)
def test_every_state_and_event(state, event):
    step = Step(state, (STUDY,), "CT1")
    outcome = (create if event is Event.CREATE else change)(step, DONE[event])
    expected = TABLE[state, event]
    if isinstance(expected, State):
        assert outcome.status is Status.SUCCESS
        assert outcome.step is not None
        assert outcome.step.state is expected
        assert Step.from_bytes(outcome.step.to_bytes()) == outcome.step
    else:
        assert (outcome.status, outcome.step) == (expected, None)
        over = state in (State.COMPLETED, State.DISCONTINUED) and event is not Event.CREATE
        assert outcome.error == (NO_LONGER if over else None)


def test_the_table_is_the_standards():
    """PS3.4 F.7.1: what has ended is never changed, and nothing but an N-CREATE begins a step."""
    assert set(TABLE) == {(state, event) for state in State for event in Event}
    assert {key for key, after in TABLE.items() if isinstance(after, State)} == {
        (State.ABSENT, Event.CREATE),
        *((State.IN_PROGRESS, event) for event in (Event.SET, Event.COMPLETE, Event.DISCONTINUE)),
    }


@pytest.mark.parametrize(
    ("spoil", "status"),
    [
        (lambda d: d.pop("PerformedProcedureStepStatus"), Status.MISSING_ATTRIBUTE),
        (lambda d: d.pop("ScheduledStepAttributesSequence"), Status.MISSING_ATTRIBUTE),
        (lambda d: setattr(d, "ScheduledStepAttributesSequence", []), Status.MISSING_ATTRIBUTE),
        (lambda d: setattr(d, "PerformedProcedureStepStatus", ""), Status.MISSING_VALUE),
        (
            lambda d: setattr(d.ScheduledStepAttributesSequence[0], "StudyInstanceUID", ""),
            Status.MISSING_VALUE,
        ),
        (lambda d: setattr(d, "PerformedProcedureStepStatus", "COMPLETED"), Status.INVALID_VALUE),
        (lambda d: setattr(d, "PerformedProcedureStepStatus", "DONE"), Status.INVALID_VALUE),
    ],
)
def test_what_a_create_must_have(spoil, status):
    data = created()
    spoil(data)
    assert create(Step(), data).status is status


@pytest.mark.parametrize("word", FIXED)
def test_a_set_does_not_change_what_is_fixed(word):
    data = ended()
    setattr(data, word, created()[word].value if word in created() else "20200101")
    outcome = change(Step(State.IN_PROGRESS, (STUDY,), "CT1"), data)
    assert outcome.status is Status.ATTRIBUTE_LIST
    assert outcome.step is not None
    assert (outcome.step.studies, outcome.step.station) == ((STUDY,), "CT1")


def test_an_unknown_status_in_a_set():
    assert change(Step(State.IN_PROGRESS, (STUDY,)), ended("FINISHED")).status is Status.INVALID_VALUE


class World(SpoolWorld):
    def serve(self):
        config = Ingest(open=True, host="127.0.0.1", port=0, secret=self.data.parent / "secret", processes=0)
        self.offered = Offered(config, self.data, self.spool, self.clock)
        self.listener = DicomListener(config, self.spool, self.clock, services=self.offered.services)
        self.listener.start()
        entity = AE(ae_title="CT1")
        entity.add_requested_context(MPPS)
        self.scu = entity.associate("127.0.0.1", self.listener.port)
        return self.scu

    def stop(self):
        self.scu.release()
        self.listener.stop(5)
        self.offered.close()
        self.spool.close()

    def notices(self):
        found = []
        while waiting := self.spool.to_pack(1):
            parcel = self.packer.seal(waiting[0]).parcel_id
            found += self.content(parcel)[0].notices
        return found


def test_a_step_over_the_wire_and_over_a_restart(tmp_path):
    world = World(tmp_path / "data")
    scu = world.serve()
    assert scu.send_n_create(created(), MPPS, STEP)[0].Status == 0
    assert scu.send_n_create(created(), MPPS, STEP)[0].Status == Status.DUPLICATE
    assert scu.send_n_set(ended(""), MPPS, f"{STEP}.9")[0].Status == Status.NO_SUCH_INSTANCE
    (running,) = world.notices()
    assert step_of(running).status == "IN PROGRESS"
    world.stop()
    disk = world.everything_on_disk()
    assert not [word for word in (STUDY, SERIES, STEP, "Zzyzx") if word.encode() in disk]
    (tmp_path / "secret").unlink()  # the power is cut: what is in memory is gone
    world.open()
    scu = world.serve()
    assert scu.send_n_set(ended(), MPPS, STEP)[0].Status == 0
    answer = scu.send_n_set(ended("DISCONTINUED"), MPPS, STEP)[0]
    assert (answer.Status, answer.ErrorID) == (Status.PROCESSING_FAILURE, NO_LONGER)
    (notice,) = world.notices()
    assert notice.body == {
        "uid": STEP, "study": STUDY, "status": "COMPLETED", "series": {SERIES: 4}, "station": "CT1",
    }  # fmt: skip
    assert step_of(notice).series == {SERIES: 4}
    world.stop()


def test_a_step_of_several_studies_is_told_for_each_and_without_series(tmp_path):
    world = World(tmp_path / "data")
    scu = world.serve()
    assert scu.send_n_create(created(studies=("1.2.3", "1.2.4", "1.2.3")), MPPS, STEP)[0].Status == 0
    assert scu.send_n_set(ended(), MPPS, STEP)[0].Status == 0
    told = [(one.body["study"], one.body["status"], one.body["series"]) for one in world.notices()]
    assert sorted(told) == sorted(
        (study, status, {}) for study in ("1.2.3", "1.2.4") for status in ("IN PROGRESS", "COMPLETED")
    )
    world.stop()


def test_a_full_disk_says_so_and_the_modality_may_try_again(tmp_path):
    world = World(tmp_path / "data")
    scu = world.serve()
    budget = world.spool._budget
    world.spool._budget = replace(budget, reserve=1 << 60)
    assert scu.send_n_create(created(), MPPS, STEP)[0].Status == Status.OUT_OF_RESOURCES
    world.spool._budget = budget
    assert scu.send_n_create(created(), MPPS, STEP)[0].Status == 0
    assert scu.send_n_get([0x00400252], MPPS, STEP)[0].Status == Status.UNRECOGNIZED
    world.stop()

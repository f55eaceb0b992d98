"""Orders asked for at a RIS, in true associations, and kept when it is away."""

import gc
from datetime import timedelta
from io import BytesIO

import pytest
from pydicom import dcmread
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag

from edge.acquire import worklist
from edge.acquire.made import Maker
from edge.acquire.worklist import Worklist
from edge.config import Acquire, EdgeConfig, OrderList
from edge.importing import Form
from edge.known import known
from gateway import config
from gateway.dicom.part10 import wrap
from tests.doubles.hand_clock import HandClock
from tests.doubles.ports import free_ports
from tests.doubles.ris import order, ris

# pynetdicom leaves the socket of a connection that was refused to the collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(autouse=True)
def collected():
    """What pynetdicom leaves to the collector is collected here, and not in the next module's tests."""
    yield
    gc.collect()


def asking(port, **options):
    return Worklist(OrderList("127.0.0.1", "RIS", port, **options), "EDGE", HandClock())


def test_orders_are_heard_in_their_order_with_names_in_any_script():
    questions = []
    with ris(
        [order(2), order(1)], seen=lambda event: questions.append((event.assoc, event.identifier))
    ) as port:
        asked = asking(port, days=2)
        asked.look()
        first, second = asked.orders()
    assert asked.fault == ""
    assert (first.study_uid, first.patient_id, first.patient_name) == ("2.25.7001", "P-1", "王^小东1")
    assert (first.accession, first.description, first.modality) == ("A1", "手正位", "DX")
    assert (first.birth_date, first.sex, first.referring) == ("19700102", "F", "Ref^Er")
    assert (first.requested_procedure, first.scheduled_step, first.order) == ("RP1", "SPS1", True)
    assert second.at > first.at
    ((association, question),) = questions
    assert association.requestor.ae_title == "EDGE"
    (step,) = question.ScheduledProcedureStepSequence
    today, two = HandClock().now().astimezone(), timedelta(days=2)
    assert step.ScheduledProcedureStepStartDate == f"{today - two:%Y%m%d}-{today + two:%Y%m%d}"
    assert question.PatientName == ""


@pytest.mark.parametrize(
    ("declared", "default", "raw"),
    [("GB18030", None, "李^娜".encode("gb18030")), ("", "GB18030", "李^娜".encode("gb18030"))],
)
def test_names_are_read_as_declared_or_as_the_configuration_says(declared, default, raw):
    one = order(1)
    one.SpecificCharacterSet = declared
    one.RequestedProcedureDescription = "Hand"
    name = Tag("PatientName")
    one[name] = RawDataElement(name, "PN", len(raw), raw, 0, is_implicit_VR=False, is_little_endian=True)
    with ris([one]) as port:
        asked = asking(port, charset=default)
        asked.look()
    assert [found.patient_name for found in asked.orders()] == ["李^娜"]


def test_odd_answers_are_shown_as_far_as_they_go():
    odd = order(
        1,
        StudyInstanceUID="",
        PatientSex="X",
        ScheduledProcedureStepStartDate="",
        RequestedProcedureDescription="",
    )
    bare = order(2, PatientName="", PatientID="")
    alone = order(3)
    del alone.ScheduledProcedureStepSequence
    with ris([odd, bare, alone]) as port:
        asked = asking(port)
        asked.look()
    found = {one.patient_id: one for one in asked.orders()}
    assert set(found) == {"P-1", "P-3"}
    assert (found["P-1"].study_uid, found["P-1"].sex, found["P-1"].description) == ("", "", "Step")
    assert found["P-1"].key == "P-1/A1/SPS1"
    assert found["P-3"].modality == ""


def test_more_orders_than_are_kept_are_cut_off(monkeypatch):
    monkeypatch.setattr(worklist, "MOST", 3)
    with ris([order(number) for number in range(9)]) as port:
        asked = asking(port)
        asked.look()
    assert len(asked.orders()) == 3
    assert asked.fault == ""


def test_what_was_heard_stays_when_the_ris_is_away_or_refuses():
    with ris([order(1)]) as port:
        asked = asking(port)
        asked.look()
    asked.look()
    assert asked.fault == (
        f"the worklist of orders cannot be asked: RIS at 127.0.0.1:{port} cannot be reached: the machine at"
        f" 127.0.0.1:{port} answers, but nothing listens on that port (is the program running there? is the port right?)"
    )
    assert len(asked.orders()) == 1
    with ris([], status=0xA700) as port:
        refused = asking(port)
        refused.look()
    assert "0xA700" in refused.fault


def test_an_order_is_offered_until_its_first_image_is_here():
    (port,) = free_ports(1)
    asked = asking(port)
    with ris([order(1)]) as port:
        asked = asking(port)
        asked.look()
    assert [one.patient_id for one in known((), lambda _: {}, asked.orders())] == ["P-1"]

    class Came:
        class facts:  # stands for a study of the spool's view
            study_uid, patient_name, patient_id, accession, description, modality = (
                "2.25.7001",
                "",
                "",
                "",
                "",
                "",
            )

        last_at = "2025-03-03T00:00:00Z"

    assert [one.order for one in known([Came()], lambda _: {}, asked.orders())] == [False]


def test_what_is_made_for_an_order_names_it():
    form = Form(patient_name="A^B", patient_id="1", requested_procedure="RP1", scheduled_step="SPS1")
    clock = HandClock()
    (made,) = Maker(form, clock.now()).make(b"%PDF-1.4\n" + b"x" * 100 + b"\n%%EOF\n")
    read = dcmread(BytesIO(wrap("1.2", "1.2.3", made.transfer_syntax_uid) + made.data))
    (requested,) = read.RequestAttributesSequence
    assert (requested.RequestedProcedureID, requested.ScheduledProcedureStepID) == ("RP1", "SPS1")


def test_the_configuration(tmp_path):
    file = tmp_path / "edge.yaml"
    file.write_text("data: data\nacquire: {worklist: {host: ris, ae_title: RIS, days: 0, poll: 5m}}\n")
    found = config.load(file, EdgeConfig).acquire.worklist
    assert found == OrderList("ris", "RIS", 104, None, config.Seconds(300), 0)
    assert Acquire().worklist is None

"""What the page shows of studies and orders after a restart of the edge, and what of it lies on the disk."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge import remembered as module
from edge.acquire.worklist import Worklist
from edge.config import OrderList
from edge.importing import KnownStudy
from edge.ingest.vault import Vault
from edge.remembered import Remembered
from edge.spool.view import StudyFacts, StudyView
from gateway.clock import rfc3339
from gateway.model import ParcelId, Priority
from tests.doubles.hand_clock import HandClock
from tests.doubles.spools import SpoolWorld


class Edge:
    """A spool and the page's memory, restarted at will."""

    def __init__(self, folder):
        self.folder = folder
        self.secret = folder / "secret"
        self.world = SpoolWorld(folder / "data")
        self.orders, self.heard = [], []
        self._begin()

    def _begin(self):
        vault = Vault.open(self.folder / "data", self.secret)
        self.memory = Remembered(
            vault,
            self.world.spool,
            self.world.clock,
            lambda: self.orders,
            self.heard.extend,
        )
        self.memory.load()

    def restart(self, save=True):
        if save:
            self.memory.save()
        self.world.spool.close()
        self.orders, self.heard = [], []
        self.world.open()
        self._begin()

    def shown(self):
        return {
            one.facts.study_uid: (one.facts.patient_name, one.received, one.sent)
            for one in self.world.spool.view.studies()
        }

    def confirm_all(self):
        """Signed, sent and confirmed."""
        while waiting := self.world.spool.to_pack(1):
            parcel = self.world.packer.seal(waiting[0]).parcel_id
            self.world.spool.confirmed.confirm(parcel, self.world.receipt(parcel))


@pytest.fixture
def edge(tmp_path):
    made = Edge(tmp_path)
    yield made
    made.world.spool.close()


NAME = "Sample^Patient"


def an_order(edge):
    at = rfc3339(edge.world.clock.now())
    return KnownStudy(
        study_uid="2.25.7001", at=at, patient_name="Order^Patient", patient_id="P-99", order=True
    )


def test_studies_that_were_sent_and_those_that_wait_are_shown_after_a_restart(edge):
    for number in range(3):
        edge.world.receive(number=number)
    edge.confirm_all()
    other = replace(edge.world.study(), study_uid="2.25.999", patient_name="Other^Patient")
    edge.world.receive(number=9, study=other)
    before = edge.shown()
    assert before == {"2.25.888": (NAME, 3, 3), "2.25.999": ("Other^Patient", 1, 0)}
    edge.restart()
    assert edge.shown() == before
    edge.confirm_all()
    assert edge.shown()["2.25.999"] == ("Other^Patient", 1, 1)
    edge.world.receive(number=10)
    assert edge.shown()["2.25.888"] == (NAME, 4, 3)


def test_what_was_confirmed_between_the_last_save_and_a_crash_is_counted_as_sent(edge):
    for number in range(3):
        edge.world.receive(number=number)
    edge.memory.save()
    edge.confirm_all()  # merged into one parcel or not
    edge.restart(save=False)
    edge.memory.turn()
    assert edge.shown() == {"2.25.888": (NAME, 3, 3)}


def test_what_nobody_knows_is_no_more_called_sent_than_it_is(edge):
    for number in range(3):
        edge.world.receive(number=number)
    edge.memory.save()
    journal = edge.world.spool._journal
    journal.forget([item.parcel_id for item in edge.world.spool.to_pack(9)][:2])
    edge.restart(save=False)
    edge.memory.turn()
    assert edge.shown()["2.25.888"][2] < 3
    edge.confirm_all()
    edge.memory.turn()
    assert edge.shown() == {"2.25.888": (NAME, 3, 3)}


def test_nothing_of_it_can_be_read_on_the_disk(edge):
    edge.world.receive()
    edge.orders = [an_order(edge)]
    edge.memory.save()
    (file,) = (edge.folder / "data" / "services").glob(module.NAME)
    assert file.stat().st_mode & 0o077 == 0
    for word in (b"Sample", b"PID-4711", b"ACC-0815", b"2.25.888", b"Order", b"P-99"):
        assert word not in edge.world.everything_on_disk()


def test_after_a_power_cut_the_page_begins_anew(edge, capsys):
    edge.world.receive()
    edge.memory.save()
    edge.secret.unlink()  # the machine's memory is gone
    edge.restart(save=False)
    assert edge.shown() == {}
    assert "the page begins anew" in "".join(capsys.readouterr())


def test_a_file_that_was_damaged_is_no_harm(edge):
    edge.world.receive()
    edge.memory.save()
    file = edge.folder / "data" / "services" / module.NAME
    file.write_bytes(file.read_bytes()[:-3])
    edge.restart(save=False)
    assert edge.shown() == {}
    file.write_bytes(b"")
    edge.restart(save=False)
    assert edge.shown() == {}


def test_what_is_old_is_forgotten(edge):
    edge.world.receive()
    edge.orders = [an_order(edge)]
    edge.restart()
    assert [one.patient_id for one in edge.heard] == ["P-99"]
    edge.orders = edge.heard
    edge.memory.save()
    edge.world.clock.advance((module.ORDER_AGE + timedelta(minutes=1)).total_seconds())
    edge.restart(save=False)
    assert edge.heard == []
    assert len(edge.shown()) == 1
    edge.world.clock.advance(module.STUDY_AGE.total_seconds())
    edge.restart(save=False)
    assert edge.shown() == {}


def test_it_is_written_when_something_is_new(edge):
    edge.world.receive()
    edge.memory.turn()
    file = edge.folder / "data" / "services" / module.NAME
    before = file.read_bytes()
    edge.memory.turn()
    assert file.read_bytes() == before
    edge.world.receive(number=2)
    edge.memory.turn()
    assert file.read_bytes() != before


def test_orders_of_before_are_shown_until_the_ris_is_heard():
    one = KnownStudy(study_uid="2.25.1", at="2026-01-01T00:00:00Z", order=True)
    asked = Worklist(OrderList("127.0.0.1", "RIS", 1), "EDGE", HandClock())
    asked.remember([one])
    assert asked.orders() == (one,)
    asked.remember([])
    assert asked.orders() == (one,)


steps = st.lists(
    st.tuples(st.sampled_from(["come", "merge", "confirm"]), st.integers(0, 3), st.integers(1, 4)),
    max_size=30,
)


@settings(max_examples=150)
@given(steps, st.integers(0, 40))
def test_counts_are_the_same_as_without_a_restart(steps, most):
    views, single, carriers, number = [StudyView(), StudyView()], [], [], 0
    known: dict[ParcelId, float] = {}

    def restarted(view):
        fresh = StudyView()
        fresh.remember(view.memories(most + 1000), lambda parcel: known.get(parcel, 0.0))
        return fresh

    for what, which, count in steps:
        if what == "come":
            number += 1
            parcel = ParcelId(f"{number:032x}")
            single.append(parcel)
            known[parcel] = 10.0
            for view in views:
                view.received(
                    parcel, StudyFacts(f"1.{which}"), Priority.ROUTINE, f"2026-01-01T00:00:{number:02}Z", 10
                )
        elif what == "merge" and len(single) >= count:
            taken, single[:] = tuple(single[:count]), single[count:]
            number += 1
            new = ParcelId(f"{number:032x}")
            carriers.append(new)
            known[new] = 8.0
            for view in views:
                view.merged(new, taken, 8)
        elif what == "confirm" and carriers:
            gone = carriers.pop(which % len(carriers))
            known[gone] = 0.0
            for view in views:
                view.confirmed(gone)
        views[1] = restarted(views[1])
        counts = [{one.facts.study_uid: (one.received, one.sent) for one in view.studies()} for view in views]
        assert counts[0] == counts[1]


def test_parcels_beyond_the_bound_are_waited_for_all_the_same():
    view, fresh = StudyView(), StudyView()
    for number in range(6):
        parcel = ParcelId(f"{number:032x}")
        view.received(parcel, StudyFacts(f"1.{number // 3}"), Priority.ROUTINE, "2026-01-01T00:00:00Z", 10)
    memories = view.memories(4)
    assert [(len(one.carriers), one.unknown) for one in memories] == [(3, 0), (0, 3)]
    fresh.remember(memories, lambda _: 10.0)
    assert [(one.received, one.sent) for one in fresh.studies()] == [(3, 0), (3, 0)]
    fresh.settle("2025-12-31T00:00:00Z")
    assert [one.sent for one in fresh.studies()] == [0, 0]
    fresh.settle(None)
    assert sorted(one.sent for one in fresh.studies()) == [0, 3]

"""DIMSE-N services: a registered handler is asked, and its answer reaches the sender."""

from contextlib import contextmanager
from dataclasses import replace

import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE
from pynetdicom.dimse_primitives import N_ACTION, N_CREATE
from pynetdicom.dsutils import decode

from edge.config import Ingest
from edge.ingest.acceptor import house
from edge.ingest.listener import DicomListener
from gateway.dicom import transfer
from tests.doubles.datasets import encode, sample
from tests.doubles.listeners import ExactSender, until
from tests.doubles.spools import SpoolWorld

MPPS, COMMITMENT, CT = "1.2.840.10008.3.1.2.3.3", "1.2.840.10008.1.20.1", "1.2.840.10008.5.1.4.1.1.2"
ACTION_INSTANCE = "1.2.840.10008.1.20.1.1"


def success(answer, request, named):
    """`answer`, completed, to a request that has its instance as Affected or as Requested one."""
    answer.MessageIDBeingRespondedTo = request.primitive.MessageID
    answer.AffectedSOPClassUID = getattr(request.primitive, f"{named}SOPClassUID")
    answer.AffectedSOPInstanceUID = getattr(request.primitive, f"{named}SOPInstanceUID")
    answer.Status = 0x0000
    return answer


def done(request):
    """The answer of success to an N-ACTION."""
    return success(N_ACTION(), request, "Requested")


@contextmanager
def serving(world, processes, services):
    """A listener in front of this spool, which it closes."""
    config = replace(Ingest(open=True, processes=processes), host="127.0.0.1", port=0)
    listener = DicomListener(config, world.spool, world.clock, services=services)
    listener.start()
    try:
        yield listener
    finally:
        listener.stop(5)
        world.spool.close()


@pytest.fixture
def served(tmp_path, both_ways):
    world = SpoolWorld(tmp_path / "data")
    asked = []

    def create(request):
        asked.append(request)
        return success(N_CREATE(), request, "Affected")

    def action(request):
        asked.append(request)
        return done(request)

    with serving(world, both_ways, {MPPS: create, COMMITMENT: action}) as listener:
        yield listener, asked


def test_mpps_and_storage_commitment_reach_their_handlers(served):
    listener, asked = served
    entity = AE(ae_title="CT1")
    entity.add_requested_context(MPPS)
    entity.add_requested_context(COMMITMENT)
    association = entity.associate("127.0.0.1", listener.port)
    step, wanted = Dataset(), Dataset()
    step.PerformedProcedureStepStatus = "IN PROGRESS"
    wanted.TransactionUID = "1.2.3"
    status, _ = association.send_n_create(step, MPPS, "1.2.3.9")
    assert status.Status == 0
    status, _ = association.send_n_action(wanted, 1, COMMITMENT, ACTION_INSTANCE)
    assert status.Status == 0
    association.release()
    created, committed = asked
    assert created.sender.ae_title == "CT1"
    assert str(created.primitive.AffectedSOPInstanceUID) == "1.2.3.9"
    assert created.primitive.AttributeList.getvalue() == created.dataset
    assert committed.primitive.ActionTypeID == 1
    implicit = committed.transfer_syntax == transfer.IMPLICIT_LITTLE
    found = decode(committed.primitive.ActionInformation, implicit, True)
    assert found.TransactionUID == "1.2.3"


def test_a_request_finds_what_another_association_has_sent_before_it(tmp_path, monkeypatch):
    monkeypatch.setattr(house, "QUIET_SECONDS", 60.0)
    monkeypatch.setattr(house, "HOLD_SECONDS", 60.0)
    world, found = SpoolWorld(tmp_path / "data"), []

    def action(request):
        found.append(len(world.spool.to_pack(10)))
        return done(request)

    with serving(world, 2, {COMMITMENT: action}) as listener:
        sender = ExactSender(listener.port, [(CT, transfer.EXPLICIT_LITTLE)])
        for number in range(3):
            data = encode(sample(instance=f"1.2.3.{number}"))
            assert sender.send(CT, f"1.2.3.{number}", transfer.EXPLICIT_LITTLE, data) == 0
            until(lambda: world.spool.to_pack(10))  # the first one is not held
        places = listener._acceptors._places
        until(lambda: sorted(len(one._house._held) for one in places) == [0, 2])
        entity = AE(ae_title="CT1")
        entity.add_requested_context(COMMITMENT)
        association = entity.associate("127.0.0.1", listener.port)
        assert [one.connections for one in places] == [1, 1]
        wanted = Dataset()
        wanted.TransactionUID = "1.2.3"
        assert association.send_n_action(wanted, 1, COMMITMENT, ACTION_INSTANCE)[0].Status == 0
        assert found == [3]
        association.release()
        sender.release()


def test_without_a_handler_they_are_not_negotiated_and_storage_still_is(tmp_path):
    with serving(SpoolWorld(tmp_path / "data"), 0, {}) as listener:
        sender = ExactSender(
            listener.port, [(MPPS, transfer.EXPLICIT_LITTLE), (CT, transfer.EXPLICIT_LITTLE)]
        )
        assert [one.abstract_syntax for one in sender.association.accepted_contexts] == [CT]
        assert sender.send(CT, "1.2.3.4", transfer.EXPLICIT_LITTLE, encode(sample())) == 0
        sender.release()

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.config import Ingest, Sender
from edge.ingest.admission import Admitted, Doorkeeper, Rejection, Status, judge, status_of, urgency
from gateway.errors import Broken, ConfigError, Malformed, StorageFull
from gateway.model import Priority

SENDERS = (
    Sender("CT1", "192.0.2.10", "urgent", "GB18030"),
    Sender("NET", "198.51.100.0/24"),
    Sender("ANY"),
)


@pytest.mark.parametrize(
    ("calling", "called", "address", "answer"),
    [
        ("CT1", "TELERAD", "192.0.2.10", Admitted("CT1", Priority.URGENT, "GB18030")),
        (" CT1 ", "TELERAD ", "::ffff:192.0.2.10", Admitted("CT1", Priority.URGENT, "GB18030")),
        ("CT1", "TELERAD", "192.0.2.11", Rejection.CALLING_AE_NOT_RECOGNIZED),
        ("ct1", "TELERAD", "192.0.2.10", Rejection.CALLING_AE_NOT_RECOGNIZED),
        ("CT1", "OTHER", "192.0.2.10", Rejection.CALLED_AE_NOT_RECOGNIZED),
        ("NET", "TELERAD", "198.51.100.77", Admitted("NET", Priority.ROUTINE, None)),
        ("NET", "TELERAD", "198.51.101.1", Rejection.CALLING_AE_NOT_RECOGNIZED),
        ("ANY", "TELERAD", "2001:db8::1", Admitted("ANY", Priority.ROUTINE, None)),
        ("NOBODY", "TELERAD", "192.0.2.10", Rejection.CALLING_AE_NOT_RECOGNIZED),
        ("ANY", "TELERAD", "not an address", Admitted("ANY", Priority.ROUTINE, None)),
        ("CT1", "TELERAD", "not an address", Rejection.CALLING_AE_NOT_RECOGNIZED),
    ],
)
def test_who_may_send(calling, called, address, answer):
    assert Doorkeeper(Ingest(senders=SENDERS)).admit(calling, called, address) == answer


@given(st.text(max_size=16), st.text(max_size=16), st.ip_addresses().map(str))
def test_nobody_unknown_is_admitted_and_everybody_when_open(calling, called, address):
    assert isinstance(
        Doorkeeper(Ingest(senders=SENDERS[:1])).admit(calling + "?", called, address), Rejection
    )
    assert isinstance(Doorkeeper(Ingest(open=True)).admit(calling, called, address), Admitted)


def test_an_open_door_still_knows_its_senders():
    door = Doorkeeper(Ingest(open=True, senders=SENDERS))
    assert door.admit("CT1", "X", "192.0.2.10") == Admitted("CT1", Priority.URGENT, "GB18030")


@pytest.mark.parametrize("sender", [Sender("A", "300.1.1.1"), Sender("A", priority="soon")])
def test_a_wrong_sender_is_told_at_start(sender):
    with pytest.raises(ConfigError, match=r"ingest\.senders"):
        Doorkeeper(Ingest(senders=(sender,)))


CT, ONE = "1.2.840.10008.5.1.4.1.1.2", "1.2.3"


@pytest.mark.parametrize(
    ("command", "dataset", "study", "series", "flaw", "status", "keep"),
    [
        ((CT, ONE), (CT, ONE), "1", "2", "", Status.SUCCESS, True),
        ((CT, ONE), (CT, ONE), "1", "2", "cut off", Status.FLAWED, True),
        ((CT, ONE), (CT, ONE), "", "2", "", Status.FLAWED, True),
        ((CT, ONE), ("", ONE), "1", "2", "", Status.FLAWED, True),
        ((CT, ONE), (CT, "1.2.4"), "1", "2", "", Status.MISMATCH, False),
        ((CT, ONE), ("1.2.840.10008.5.1.4.1.1.4", ONE), "1", "2", "", Status.MISMATCH, False),
        ((CT, ONE), ("", ""), "", "", "no elements", Status.NOT_UNDERSTOOD, True),
        ((CT, ONE), (CT, ""), "1", "2", "", Status.NOT_UNDERSTOOD, True),
    ],
)
def test_what_becomes_of_a_dataset(command, dataset, study, series, flaw, status, keep):
    verdict = judge(command, dataset, study, series, flaw)
    assert (verdict.status, verdict.keep) == (status, keep)
    assert bool(verdict.flaw) == (status is not Status.SUCCESS)


@pytest.mark.parametrize(
    ("error", "status"),
    [(StorageFull("x"), 0xA700), (Malformed("x"), 0xC000), (Broken("x"), 0xC001)],
)
def test_errors_as_statuses(error, status):
    assert status_of(error) == status


def test_urgency_is_the_sooner_of_sender_and_order():
    assert urgency(Priority.ROUTINE, "STAT ") is Priority.STAT
    assert urgency(Priority.ROUTINE, "high") is Priority.URGENT
    assert urgency(Priority.STAT, "HIGH") is Priority.STAT
    assert urgency(Priority.PRIOR, "LOW") is Priority.PRIOR

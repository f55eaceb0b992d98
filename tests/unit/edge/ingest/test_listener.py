import os
import time
from dataclasses import replace

import pytest
from pydicom.uid import UID

from edge.config import Ingest, Sender
from edge.ingest.acse import ACCEPTED, NO_ABSTRACT_SYNTAX, answer, is_storage
from edge.ingest.associate import Answer, Proposed
from gateway import durable
from gateway.dicom import transfer
from gateway.errors import UsageError
from gateway.model import Priority
from tests.doubles.datasets import encode, sample
from tests.doubles.listeners import ExactSender, listening, until

CT = "1.2.840.10008.5.1.4.1.1.2"
LE = transfer.EXPLICIT_LITTLE


def send_one(world, data, *, sop_class=CT, instance="1.2.3.4", syntax=LE, **options):
    sender = ExactSender(world.listener.port, [(sop_class, syntax)], **options)
    assert sender.association.is_established
    status = sender.send(sop_class, instance, syntax, data)
    sender.release()
    return status


PRIVATE_CLASS, FUTURE_CLASS = "1.3.12.2.1107.5.9.1", "1.2.840.10008.5.1.4.1.1.999.77"
SYNTAXES = [
    transfer.IMPLICIT_LITTLE,
    LE,
    transfer.EXPLICIT_BIG,
    "1.2.840.10008.1.2.4.50",
    "1.2.840.10008.1.2.4.70",
    "1.2.840.10008.1.2.4.90",
    "1.2.840.10008.1.2.4.110",
    "1.2.840.10008.1.2.4.201",
    "1.2.840.10008.1.2.5",
    "1.2.840.113619.5.2",
    "1.2.3.4.5.6.7",
]


@pytest.mark.usefixtures("both_ways")
def test_every_class_and_syntax_is_kept_exactly(tmp_path):
    pairs = [(CT, syntax) for syntax in SYNTAXES] + [(PRIVATE_CLASS, LE), (FUTURE_CLASS, LE)]
    sent = {}
    with listening(tmp_path) as world:
        sender = ExactSender(world.listener.port, pairs)
        for number, (sop_class, syntax) in enumerate(pairs):
            dataset = sample(os.urandom(1024), instance=f"1.2.3.4.{number}")
            dataset.SOPClassUID = sop_class
            data = encode(dataset, syntax)
            assert sender.send(sop_class, f"1.2.3.4.{number}", syntax, data) == 0x0000, syntax
            sent[f"1.2.3.4.{number}"] = (syntax, data)
        sender.release()
        found = {
            entry.sop_instance_uid: (entry.transfer_syntax_uid, data) for entry, data in world.instances()
        }
        assert found == sent


@pytest.mark.usefixtures("both_ways")
def test_answered_means_on_the_disk_and_sealed(tmp_path):
    with listening(tmp_path) as world:
        sender = ExactSender(world.listener.port, [(CT, LE)])
        assert sender.send(CT, "1.2.3.4", LE, encode(sample())) == 0
        until(
            lambda: len(list(world.spool.files.bodies())) == 1
        )  # written; the spool may be told a moment later
        sender.release()
        until(lambda: len(list(world.spool.files.bodies())) == 2)  # its end adds a notice
        disk = world.everything_on_disk()
        for secret in (b"Sample^", "王".encode(), b"SAMPLE-77", b"1.2.3.4", b"1.2.840.10008.5.1.4.1.1.2"):
            assert secret not in disk


@pytest.mark.usefixtures("both_ways")
def test_the_end_of_an_association_tells_the_hub_what_to_expect(tmp_path):
    with listening(tmp_path) as world:
        sender = ExactSender(world.listener.port, [(CT, LE)])
        for number in (1, 2, 2):
            data = encode(sample(instance=f"1.2.3.{number}"))
            assert sender.send(CT, f"1.2.3.{number}", LE, data) == 0
        sender.release()
        until(lambda: world.closed)
        (body,) = world.closed
        assert (body["studies"], body["calling_ae"], body["ended"]) == ({"1.2.3": 2}, "CT1", "released")
        last = world.seal_all()[-1]
        assert dict(world.content(last)[0].notices[0].body) == body


@pytest.mark.usefixtures("both_ways")
def test_an_aborted_association_tells_it_too_and_an_echo_does_not(tmp_path):
    with listening(tmp_path) as world:
        ExactSender(world.listener.port, [("1.2.840.10008.1.1", LE)]).release()
        sender = ExactSender(world.listener.port, [(CT, LE)])
        sender.send(CT, "1.2.3.4", LE, encode(sample()))
        sender.close()
        until(lambda: world.closed)
        assert [body["ended"] for body in world.closed] == ["aborted"]


@pytest.mark.usefixtures("both_ways")
@pytest.mark.parametrize(("calling", "called", "reason"), [("CT9", "TELERAD", 3), ("CT1", "PACS", 7)])
def test_strangers_are_rejected_with_the_reason(tmp_path, calling, called, reason):
    config = Ingest(senders=(Sender("CT1", "127.0.0.0/8"),))
    with listening(tmp_path, config) as world:
        sender = ExactSender(world.listener.port, [(CT, LE)], calling=calling, called=called)
        assert sender.association.is_rejected
        answer = sender.association.acceptor.primitive
        assert (answer.result, answer.result_source, answer.diagnostic) == (1, 1, reason)
        sender.close()
        assert send_one(world, encode(sample())) == 0


@pytest.mark.usefixtures("both_ways")
def test_priority_and_charset_come_from_the_sender_and_the_order(tmp_path):
    config = Ingest(senders=(Sender("CT1", None, "urgent", "GB18030"),))
    dataset = sample()
    with listening(tmp_path, config) as world:
        send_one(world, encode(dataset))
        dataset.RequestedProcedurePriority = "STAT"
        send_one(world, encode(dataset))
        until(lambda: len(world.closed) == 2)
        items = world.spool._journal.to_pack(10)
        assert [item.priority for item in items if item.instances] == [Priority.STAT, Priority.URGENT]
        assert {dict(entry.parameters)["charset"] for entry, _ in world.instances()} == {"GB18030"}


def test_a_full_disk_is_told_before_anything_is_kept(tmp_path, monkeypatch):
    with listening(tmp_path) as world:
        monkeypatch.setattr(durable, "free_bytes", lambda folder: 1000)
        world.spool._budget = replace(world.spool._budget, reserve=10**9)
        assert send_one(world, encode(sample())) == 0xA700
        assert list(world.spool.files.bodies()) == []
        monkeypatch.undo()
        world.spool._budget = replace(world.spool._budget, reserve=0)
        assert send_one(world, encode(sample())) == 0


@pytest.mark.usefixtures("both_ways")
@pytest.mark.parametrize(
    ("data", "status", "flaw"),
    [
        (encode(sample())[:-100], 0xB007, "pixel data claims"),
        (b"not a dataset at all, just words", 0xC000, "claims"),
    ],
)
def test_flawed_datasets_are_kept_with_their_flaw(tmp_path, data, status, flaw):
    with listening(tmp_path) as world:
        assert send_one(world, data) == status
        ((entry, kept),) = world.instances()
        assert kept == data
        assert flaw in entry.parameters["flaw"]


@pytest.mark.usefixtures("both_ways")
def test_the_same_hopeless_bytes_are_kept_aside_once(tmp_path):
    with listening(tmp_path) as world:
        sender = ExactSender(world.listener.port, [(CT, LE)])
        assert [sender.send(CT, "1.2.3.4", LE, b"junk") for _ in range(3)] == [0xC000] * 3
        sender.release()
        assert len(world.instances()) == 1


def test_a_dataset_of_another_instance_is_refused(tmp_path):
    with listening(tmp_path) as world:
        assert send_one(world, encode(sample()), instance="1.2.3.5") == 0xA900
        assert world.instances() == []


def test_deflated_is_refused_unless_configured(tmp_path):
    deflated = transfer.DEFLATED_LITTLE
    data = encode(sample(), deflated)
    with listening(tmp_path) as world:
        sender = ExactSender(world.listener.port, [(CT, deflated), (CT, LE)])
        assert sender.send(CT, "1.2.3.4", deflated, data) is None
        sender.release()
    with listening(tmp_path / "2", Ingest(open=True, accept_deflated=True)) as world:
        assert send_one(world, data, syntax=deflated) == 0
        assert world.instances()[0][1] == data


def test_contexts_offered_with_several_syntaxes_get_the_first_that_is_taken():
    several = Proposed(1, CT, (transfer.DEFLATED_LITTLE, LE))
    assert answer(several, frozenset(), deflated=False) == Answer(1, ACCEPTED, LE)
    assert answer(several, frozenset(), deflated=True) == Answer(1, ACCEPTED, transfer.DEFLATED_LITTLE)
    worklist = Proposed(3, "1.2.840.10008.5.1.4.31", (LE,))
    assert answer(worklist, frozenset(), deflated=False) == Answer(3, NO_ABSTRACT_SYNTAX, LE)


@pytest.mark.parametrize(
    ("uid", "storage"),
    [
        (CT, True),
        (PRIVATE_CLASS, True),
        ("1.2.840.10008.5.1.4.38.1", True),
        ("1.2.840.10008.1.20.1", False),
        (FUTURE_CLASS, True),
        ("1.2.840.10008.5.1.4.31", False),
        ("1.2.840.10008.5.1.4.1.2.2.1", False),
        ("1.2.840.10008.1.1", False),
    ],
)
def test_what_is_a_storage_class(uid, storage):
    assert is_storage(UID(uid)) is storage


def test_an_address_in_use_is_told(tmp_path):
    with listening(tmp_path) as world:
        taken = replace(world.listener._config, port=world.listener.port)
        second = type(world.listener)(taken, world.spool, world.clock)
        with pytest.raises(UsageError, match="cannot listen"):
            second.start()


@pytest.mark.usefixtures("both_ways")
def test_stop_lets_a_running_association_end(tmp_path):
    import threading

    with listening(tmp_path) as world:
        sender = ExactSender(world.listener.port, [(CT, LE)])
        stopping = threading.Thread(target=world.listener.stop, args=(5,))
        stopping.start()
        time.sleep(0.3)
        assert sender.send(CT, "1.2.3.4", LE, encode(sample())) == 0
        sender.release()
        stopping.join(5)
        assert not stopping.is_alive()
        assert len(world.instances()) == 1

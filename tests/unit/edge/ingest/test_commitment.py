"""Storage commitment: given when the hub has signed, never before, never lost, and nothing of it in clear."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import struct
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import replace
from io import BytesIO

import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE, dsutils, evt
from pynetdicom.dimse_primitives import N_ACTION

from edge.config import Committed, Ingest, Sender
from edge.ingest import commitment, dimse
from edge.ingest import ledger as ledger_module
from edge.ingest.commitment import COMMITMENT, WELL_KNOWN, Reason, Standing, Status, Transaction, decide
from edge.ingest.ledger import Ledger
from edge.ingest.listener import DicomListener
from edge.ingest.offered import Offered
from edge.ingest.services import Request, dataset_of
from edge.spool.coding import Line
from edge.spool.custodian import Named, Nobody
from gateway.dicom import transfer
from gateway.envelope.taken import Taken
from tests.doubles.datasets import encode, sample
from tests.doubles.listeners import ExactSender, until
from tests.doubles.spools import SpoolWorld

CT, MR = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4"
TRANSACTION = "1.2.826.0.1.9.7391.77"


def instance(number: int) -> str:
    return f"1.2.826.0.1.9.7391.5.{number}"


def wanted(*pairs: tuple[str, str], uid: str = TRANSACTION) -> Dataset:
    data = Dataset()
    data.TransactionUID = uid
    data.ReferencedSOPSequence = [Dataset() for _ in pairs]
    for item, pair in zip(data.ReferencedSOPSequence, pairs, strict=True):
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = pair
    return data


def ct(*numbers: int) -> Dataset:
    return wanted(*((CT, instance(number)) for number in numbers))


class Modality:
    """Asks, and hears the report on the association it asked on and on a port of its own."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, int, list[str], list[tuple[str, int]]]] = []
        self.answer = 0x0000
        self.opened = []
        entity = AE(ae_title="CT1")
        entity.add_supported_context(COMMITMENT, scu_role=False, scp_role=True)
        self.server = entity.start_server(
            ("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_N_EVENT_REPORT, self._hear)]
        )
        self.port = self.server.socket.getsockname()[1]

    def _hear(self, event):
        data = event.event_information
        good = [str(one.ReferencedSOPInstanceUID) for one in data.get("ReferencedSOPSequence", [])]
        bad = [
            (str(one.ReferencedSOPInstanceUID), int(one.FailureReason))
            for one in data.get("FailedSOPSequence", [])
        ]
        if self.answer == 0:
            self.heard.append((str(data.TransactionUID), event.event_type, good, bad))
        return self.answer, None

    def close(self):
        if self.port:
            self.server.shutdown()
            self.server.server_close()
        for one in self.opened:  # when the other end is killed, pynetdicom leaves it to the collector
            one.close()
        self.port = 0

    def associate(self, port):
        entity = AE(ae_title="CT1")
        entity.add_requested_context(COMMITMENT)
        handlers = [
            (evt.EVT_N_EVENT_REPORT, self._hear),
            (evt.EVT_CONN_OPEN, lambda event: self.opened.append(event.assoc.dul.socket.socket)),
        ]
        return entity.associate("127.0.0.1", port, evt_handlers=handlers)

    def ask(self, association, data, action=1, uid=WELL_KNOWN):
        return association.send_n_action(data, action, COMMITMENT, uid)[0].Status


class World(SpoolWorld):
    modality: Modality

    def serve(self, **changes):
        sender = Sender("CT1", report_host="127.0.0.1", report_port=self.modality.port)
        config = Ingest(
            host="127.0.0.1", port=0, senders=(sender,), ae_title="ANY-SCP", secret=self.data.parent / "key"
        )
        self.config = replace(config, **{"processes": 0, **changes})
        self.offered = Offered(self.config, self.data, self.spool, self.clock)
        self.desk = self.offered.commitments
        self.listener = DicomListener(self.config, self.spool, self.clock, services=self.offered.services)
        self.listener.start()
        return self.listener.port

    def stop(self):
        self.listener.stop(5)
        self.offered.close()
        self.spool.close()

    def store(self, *numbers, salt=b""):
        sender = ExactSender(self.listener.port, [(CT, transfer.EXPLICIT_LITTLE)], called="ANY-SCP")
        for number in numbers:
            data = encode(sample(salt or os.urandom(64), instance=instance(number)))
            assert sender.send(CT, instance(number), transfer.EXPLICIT_LITTLE, data) == 0
        sender.release()
        time.sleep(0.1 * bool(self.listener.pids))
        self.offered._ledger.settle()

    def sign_for_all(self):
        """Everything goes to the hub, and its receipts come back."""
        while waiting := self.spool.to_pack(1):
            parcel = self.packer.seal(waiting[0]).parcel_id
            asyncio.run(self.spool.confirm(parcel, self.receipt(parcel)))
        self.offered._ledger.settle()


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path / "data")
    made.modality = Modality()
    yield made
    made.stop()
    made.modality.close()


@contextmanager
def asking(world, data):
    association = world.modality.associate(world.listener.port)
    assert association.is_established
    assert world.modality.ask(association, data) == 0
    yield association
    if association.is_established:
        association.release()


def test_it_is_given_when_the_hub_has_signed_and_not_before(world):
    world.serve()
    world.store(1, 2)
    with asking(world, ct(1, 2)):
        pass  # the modality hangs up: the report comes to its own port
    assert world.desk.round() == 0
    assert world.modality.heard == []
    world.sign_for_all()
    assert world.desk.round() == 1
    assert world.modality.heard == [(TRANSACTION, 1, [instance(1), instance(2)], [])]
    assert world.desk.round() == 0
    assert list((world.data / "services" / "commitment").iterdir()) == []


@pytest.mark.parametrize("taken", Taken)
def test_it_is_given_for_what_travels_sealed_anew(world, taken):
    """The receipt lists the SHA-256 that was taken for the line, whatever was taken while it came."""
    world.spool.intake = replace(world.spool.intake, taken=taken)
    world.serve()
    world.store(1, 2)
    found = [one for one in world.spool.to_pack(9) if one.instances]
    item = world.spool.merger.merge(found, Line(rate=1e5)).item
    assert item.parcel_id not in [one.parcel_id for one in found]
    parcel = world.packer.seal(item).parcel_id
    assert [one.blake3 for one in world.content(parcel)[0].instances] == ["", ""]
    with asking(world, ct(1, 2)):
        assert world.desk.round() == 0
        asyncio.run(world.spool.confirm(parcel, world.receipt(parcel)))
        world.offered._ledger.settle()
        assert world.desk.round() == 1
        assert world.modality.heard == [(TRANSACTION, 1, [instance(1), instance(2)], [])]


def test_it_comes_over_the_same_association_while_that_is_open(world, both_ways):
    world.serve(processes=both_ways)
    world.modality.close()  # nobody listens at report_host
    world.store(1)
    world.sign_for_all()
    with asking(world, ct(1)):
        assert world.desk.round() == 1
        assert world.modality.heard == [(TRANSACTION, 1, [instance(1)], [])]


def test_at_the_spool_if_that_is_chosen(world):
    world.serve(commitment=Committed.SPOOL)
    assert "ingest.commitment: spool" in world.desk.troubles[0]  # the page says so
    world.store(1)
    with asking(world, ct(1)):
        assert world.desk.round() == 1
    assert world.modality.heard == [(TRANSACTION, 1, [instance(1)], [])]


def test_failures_have_their_reasons(world):
    world.serve()
    world.store(1, 2)
    world.sign_for_all()
    world.store(3)
    with asking(world, wanted((CT, instance(1)), (MR, instance(2)), (CT, instance(3)), (CT, instance(4)))):
        pass
    world.clock.advance(world.config.commitment_wait)
    assert world.desk.round() == 0  # one is here, and may yet reach the hub
    world.clock.advance(world.config.commitment_deadline)
    assert world.desk.round() == 1
    bad = [(instance(2), 0x0119), (instance(3), 0x0110), (instance(4), 0x0112)]
    assert world.modality.heard == [(TRANSACTION, 2, [instance(1)], bad)]


def test_two_datasets_of_one_uid_must_both_be_safe(world):
    world.serve()
    world.store(1)
    world.sign_for_all()
    world.store(1)
    with asking(world, ct(1)):
        assert world.desk.round() == 0
        world.sign_for_all()
        assert world.desk.round() == 1


def test_a_receipt_that_the_hub_has_lost_does_not_count(tmp_path, world):
    world.spool.close()
    world.spool = type(world.spool).open(
        world.data, site="H001", recipients=world.keys.publics, reserve=0, clock=world.clock,
        keep_confirmed=1e6,
    )  # fmt: skip
    world.packer = type(world.packer)(world.spool, "H001", lambda: world.device, world.clock)
    world.serve()
    world.store(1)
    (item,) = [one for one in world.spool.to_pack(9) if one.instances]
    world.sign_for_all()
    assert asyncio.run(world.spool.lost(item.parcel_id)) is not None
    world.offered._ledger.settle()
    assert world.desk.standing(CT, instance(1)) is Standing.HERE


def test_the_report_is_tried_for_ever(world):
    world.serve()
    world.store(1)
    world.sign_for_all()
    world.modality.answer = 0x0110
    with asking(world, ct(1)):
        pass
    for _ in range(4):
        assert world.desk.round() == 0
        assert "CT1" in world.desk.troubles[0]
        world.clock.advance(400)
    world.modality.answer = 0
    assert world.desk.round() == 1
    assert world.desk.troubles == []


def test_without_an_address_the_page_says_so(world):
    world.serve(senders=(), open=True)
    world.store(1)
    world.sign_for_all()
    with asking(world, ct(1)):
        pass
    world.desk.round()
    assert "report_host" in world.desk.troubles[0]


def test_what_it_does_not_take(world):
    world.serve()
    association = world.modality.associate(world.listener.port)
    ask = world.modality.ask
    assert ask(association, ct(1), action=2) == Status.NO_SUCH_ACTION
    assert ask(association, ct(1), uid="1.2.3") == Status.NO_SUCH_INSTANCE
    assert ask(association, wanted()) == Status.INVALID_ARGUMENT
    assert ask(association, wanted((CT, ""))) == Status.INVALID_ARGUMENT
    assert ask(association, wanted((CT, "1.2"), uid="")) == Status.INVALID_ARGUMENT
    folder = world.data / "services" / "commitment"
    folder.rmdir()
    assert ask(association, ct(1)) == Status.OUT_OF_RESOURCES  # it cannot be written down
    folder.mkdir()
    assert ask(association, ct(1)) == 0
    association.release()


def test_attack_06_a_request_of_nothing_but_empty_items_costs_no_memory(world):
    world.serve()
    association = world.modality.associate(world.listener.port)
    (context,) = association.accepted_contexts
    explicit = context.transfer_syntax[0] == transfer.EXPLICIT_LITTLE
    items = struct.pack("<HHL", 0xFFFE, 0xE000, 0) * (4_000_000 // 8)
    head = struct.pack("<HH", 0x0008, 0x1199) + (b"SQ\0\0" if explicit else b"")
    request = N_ACTION()
    request.MessageID, request.ActionTypeID = 1, commitment.REQUEST
    request.RequestedSOPClassUID, request.RequestedSOPInstanceUID = COMMITMENT, WELL_KNOWN
    request.ActionInformation = BytesIO(head + struct.pack("<L", len(items)) + items)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    association._reactor_checkpoint.clear()
    until(lambda: association._is_paused)
    association.dimse.send_msg(request, context.context_id)
    _, answer = association.dimse.get_msg(block=True)
    association._reactor_checkpoint.set()
    assert answer.Status == Status.PROCESSING_FAILURE
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000
    assert world.modality.ask(association, ct(1)) == 0
    association.release()


def test_the_longest_request_fits():
    pairs = [(CT.ljust(64, "1"), f"{number:064}") for number in range(commitment.MOST)]
    data = dsutils.encode(wanted(*pairs), False, True)
    assert len(data) < dimse.DATASET_LIMIT
    request = Request(None, "", None, data, transfer.EXPLICIT_LITTLE, None)
    assert len(commitment.asked(dataset_of(request), "CT1", 0.0).instances) == commitment.MOST


def test_over_a_restart_and_nothing_in_clear(world):
    world.serve()
    world.store(1)
    with asking(world, ct(1)):
        pass
    world.stop()
    disk = world.everything_on_disk()
    assert not [word for word in (TRANSACTION, instance(1), CT) if word.encode() in disk]
    world.open()
    world.serve()
    world.sign_for_all()
    assert world.desk.round() == 1
    assert world.modality.heard == [(TRANSACTION, 1, [instance(1)], [])]


def test_after_a_power_cut_the_modality_asks_again(world):
    world.serve()
    world.store(1)
    with asking(world, ct(1)):
        pass
    world.stop()
    (world.data.parent / "key").unlink()
    world.open()
    world.serve()
    world.sign_for_all()
    assert world.desk.round() == 0
    with asking(world, ct(1)):
        assert world.desk.round() == 1
    assert world.modality.heard == [(TRANSACTION, 1, [instance(1)], [])]


def test_a_receipt_that_came_at_the_last_moment_is_read_again(world):
    world.serve()
    world.store(1)
    world.spool.custodian = Nobody()
    while waiting := world.spool.to_pack(1):
        parcel = world.packer.seal(waiting[0]).parcel_id
        asyncio.run(world.spool.confirm(parcel, world.receipt(parcel)))
    assert world.desk.standing(CT, instance(1)) is Standing.HERE
    world.stop()
    world.open()
    world.serve()
    world.offered._ledger.settle()
    assert world.desk.standing(CT, instance(1)) is Standing.COMMITTED


PAIRS = ((CT, "1.1"), (CT, "1.2"))


@pytest.mark.parametrize(
    ("standing", "age", "said"),
    [
        (Standing.COMMITTED, 0, dict.fromkeys(PAIRS)),
        (Standing.HERE, 99, None),
        (Standing.HERE, 100, dict.fromkeys(PAIRS, Reason.PROCESSING_FAILURE)),
        (Standing.UNKNOWN, 9, None),
        (Standing.UNKNOWN, 10, dict.fromkeys(PAIRS, Reason.NO_SUCH_INSTANCE)),
        (Standing.OTHER_CLASS, 9, None),
        (Standing.OTHER_CLASS, 10, dict.fromkeys(PAIRS, Reason.CLASS_CONFLICT)),
    ],
)
def test_when_it_is_decided(standing, age, said):
    transaction = Transaction("1.9", "CT1", 1000.0, PAIRS)
    assert decide(transaction, lambda *_: standing, 1000.0 + age, wait=10, deadline=100) == said
    assert Transaction.from_bytes(transaction.to_bytes()) == transaction


SERVE = """
import sys
from pathlib import Path
from edge.config import Ingest, Sender
from tests.unit.edge.ingest.test_commitment import World

class Known: port = int(sys.argv[2])
world = World(Path(sys.argv[1]))
world.modality = Known
print("port", world.serve(), flush=True)
sys.stdin.read()
"""


def test_killed_after_the_answer_the_request_is_still_there(world):
    with subprocess.Popen(
        [sys.executable, "-c", SERVE, str(world.data.parent / "killed"), str(world.modality.port)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        port = next(int(line.split()[1]) for line in process.stdout if line.startswith("port"))
        sender = ExactSender(port, [(CT, transfer.EXPLICIT_LITTLE)], called="ANY-SCP")
        data = encode(sample(os.urandom(64), instance=instance(1)))
        assert sender.send(CT, instance(1), transfer.EXPLICIT_LITTLE, data) == 0
        sender.release()
        time.sleep(0.1)  # a row of the ledger follows the answer
        association = world.modality.associate(port)
        assert world.modality.ask(association, ct(1)) == 0
        process.send_signal(signal.SIGKILL)
    association.abort()
    world.serve()  # so that the fixture has something to stop
    other = World(world.data.parent / "killed")
    other.modality = world.modality
    other.serve(commitment=Committed.SPOOL)  # the keys of its hub are gone
    try:
        assert other.desk.standing(CT, instance(1)) is Standing.COMMITTED
        assert other.desk.round() == 1
        assert world.modality.heard == [(TRANSACTION, 1, [instance(1)], [])]
    finally:
        other.stop()


def test_the_report_says_what_is_asked():
    event, data = commitment.report(
        Transaction("1.9", "CT1", 0, PAIRS), {PAIRS[0]: None, PAIRS[1]: Reason(0x112)}
    )
    assert event == 2
    assert data.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == "1.1"
    assert data.FailedSOPSequence[0].FailureReason == 0x0112


def test_the_ledger_finds_and_notes_by_key_alone(world):
    """Nothing that an instance asks of it walks its rows."""
    world.serve()
    ledger = world.offered._ledger
    ledger.came((CT, instance(n), f"{n:064x}") for n in range(2000))
    ledger.named([Named(instance(7), f"{7:064x}", "a" * 64)])
    ledger.settle()
    assert [signed for _, signed in ledger.find(instance(7))] == [False]
    asked = []
    ledger._reading.set_trace_callback(asked.append)
    ledger.find(instance(8))
    ledger._reading.set_trace_callback(None)
    (statement,) = asked
    noting = "UPDATE came SET sha256 = x'aa' WHERE instance = x'bb' AND sha256 = x'cc'"
    for one in (statement, noting):
        plan = [line[3] for line in ledger._reading.execute("EXPLAIN QUERY PLAN " + one)]
        assert plan
        assert not [line for line in plan if line.startswith("SCAN") and "CONSTANT" not in line], plan


def test_the_ledger_bounds_what_waits_by_its_rows_and_writes_what_it_took(world, monkeypatch):
    monkeypatch.setattr(ledger_module, "WAITING", 3)
    monkeypatch.setattr(ledger_module, "TOGETHER_SECONDS", 0.3)
    world.serve()
    ledger = world.offered._ledger
    for first in (0, 2, 4):  # the third comes when four rows wait
        ledger.came([(CT, instance(first + n), f"{first + n:064x}") for n in range(2)])
    ledger.settle()
    assert [len(ledger.find(instance(n))) for n in range(6)] == [1, 1, 1, 1, 0, 0]
    ledger.came([(CT, instance(9), f"{9:064x}")])  # there is room again
    ledger.close()  # writes it
    again = Ledger(world.offered.vault)
    assert again.find(instance(9))
    again.close()

"""Acceptor processes: what they share, what becomes of it when they die, and who stands in for them."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from edge.config import Ingest
from edge.ingest.acceptor import processes
from edge.ingest.ledger import Ledger
from edge.ingest.vault import Vault
from edge.spool.states import State
from gateway.dicom import transfer
from gateway.envelope.kem import KemKeys
from gateway.errors import StorageFull
from gateway.model import Priority
from tests.doubles import dying_acceptor
from tests.doubles.datasets import encode, sample
from tests.doubles.listeners import ExactSender, listening, until
from tests.doubles.played_acceptor import playing
from tests.doubles.spools import SpoolWorld

CT = "1.2.840.10008.5.1.4.1.1.2"
LE = transfer.EXPLICIT_LITTLE
TWO = Ingest(open=True, processes=2)
RESIDENT = 75_000
"""Kilobytes of memory of an acceptor that has received something; some 60 MB here, 20 of them shared."""


def send(world, *instances, answered=None):
    """One association; what was answered with success."""
    found = [] if answered is None else answered
    sender = ExactSender(world.listener.port, [(CT, LE)])
    try:
        for instance in instances:
            data = encode(sample(os.urandom(3000), instance=instance))
            if sender.send(CT, instance, LE, data) != 0:
                break
            found.append((instance, data))
        else:
            sender.release()
    finally:
        sender.close()
    return found


def resident(pid):
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


def gone(pid):
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] in "ZX"
    return True


def kept(world):
    return Counter((entry.sop_instance_uid, data) for entry, data in world.instances())


def test_associations_are_spread_and_everything_is_kept_exactly(tmp_path):
    with listening(tmp_path, TWO) as world:
        assert len(world.listener.pids) == 2
        held = [ExactSender(world.listener.port, [(CT, LE)]) for _ in range(4)]
        assert [one.connections for one in world.listener._acceptors._places] == [2, 2]
        for one in held:
            one.release()
        with ThreadPoolExecutor(4) as pool:
            sent = list(pool.map(lambda n: send(world, *(f"1.2.3.{n}.{m}" for m in range(5))), range(4)))
        assert all(resident(pid) < RESIDENT for pid in world.listener.pids)
        until(lambda: len(world.closed) == 4)
        assert kept(world) == Counter(one for found in sent for one in found)


def test_an_acceptor_killed_in_the_middle_loses_nothing_that_was_answered_and_is_replaced(tmp_path):
    answered, stop = [], threading.Event()
    with listening(tmp_path, TWO) as world:

        def modality(number):
            count = 0
            while not stop.is_set():
                count += 1
                with suppress(OSError, RuntimeError):
                    send(world, *(f"1.2.3.{number}.{count}.{m}" for m in range(4)), answered=answered)

        threads = [threading.Thread(target=modality, args=(number,)) for number in range(3)]
        for thread in threads:
            thread.start()
        killed = set()
        for _ in range(3):
            time.sleep(0.7)
            victim = world.listener.pids[0] if world.listener.pids else None
            if victim is not None and victim not in killed:
                os.kill(victim, signal.SIGKILL)
                killed.add(victim)
        stop.set()
        for thread in threads:
            thread.join(30)
        assert len(killed) > 1
        until(lambda: len(world.listener.pids) == 2, 20)
        assert not killed & set(world.listener.pids)
        assert len(send(world, "1.2.3.9")) == 1
        until(lambda: world.listener._server.running() == 0)
        assert not world.listener._acceptors._policy._open
        found = kept(world)
        assert len(answered) > 20
        assert not [one for one, _ in answered if not any(one == name for name, _ in found)]
        assert set(answered) <= set(found)


def test_an_acceptor_killed_right_after_the_answer_has_told_what_it_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(dying_acceptor.__path__[0])), prepend=os.pathsep)
    with listening(tmp_path, TWO) as world:
        vault = Vault.open(world.data, tmp_path / "secret")
        ledger = world.spool.custodian = Ledger(vault)
        pids = set(world.listener.pids)
        answered = []
        with suppress(OSError, RuntimeError):
            send(world, "1.2.3.4", "1.2.3.5", answered=answered)
        until(lambda: any(map(gone, pids)))
        until(lambda: world.listener._server.running() == 0)
        assert [instance for instance, _ in answered] == ["1.2.3.4"]
        assert [study.received for study in world.spool.view.studies()] == [1]
        ledger.settle()
        assert ledger.find("1.2.3.4")
        assert kept(world) == Counter(answered)
        ledger.close()


def test_the_places_of_a_killed_acceptor_are_free_again(tmp_path):
    config = replace(TWO, max_associations=2)
    with listening(tmp_path, config) as world:
        held = [ExactSender(world.listener.port, [(CT, LE)]) for _ in range(2)]
        refused = ExactSender(world.listener.port, [(CT, LE)])
        assert refused.association.is_rejected
        refused.close()
        for pid in world.listener.pids:
            os.kill(pid, signal.SIGKILL)
        until(lambda: world.listener._server.running() == 0, 10)
        assert len(send(world, "1.2.3.4")) == 1  # threads stand in, or the next process
        for one in held:
            one.close()


@pytest.fixture
def played(tmp_path):
    with playing(tmp_path) as made:
        yield made


def test_what_was_written_and_not_told_is_found_when_the_acceptor_dies(played, monkeypatch):
    told = played.receive(1)
    untold = played.receive(2, tell=False)  # it dies before it says so
    with monkeypatch.context() as patch:
        patch.setattr("edge.spool.segment._open_direct", lambda _: -1)
        (segment,) = [one.segment for one in (played.leases._now,)]
        os.pwrite(segment._handle, b"TGSEGRE2" + os.urandom(900), segment._next)  # and another half-written
    played.die()
    world = played.world
    items = {item.parcel_id: item for item in world.spool.to_pack(10)}
    assert set(items) == {told.parcel_id, untold.parcel_id}
    assert items[untold.parcel_id].priority is Priority.URGENT
    found = {world.content(world.packer.seal(item).parcel_id)[1][0] for item in items.values()}
    assert found == {b"dataset 1", b"dataset 2"}
    assert not world.spool.files.segments._leased


def test_what_the_packer_took_meanwhile_is_not_found_again(played):
    item = played.receive(1)
    until(lambda: played.world.spool.to_pack(10))
    played.world.packer.seal(item)
    played.die()
    assert played.world.spool.to_pack(10) == []
    assert played.world.spool._journal.get(item.parcel_id).state is State.SEALED


def test_a_full_segment_goes_back_and_is_used_again(played, monkeypatch):
    monkeypatch.setattr("edge.ingest.acceptor.leases.SIZE", 64 << 10)
    items = [played.receive(n) for n in range(40)]
    until(lambda: len(played.world.spool.to_pack(100)) == 40)
    assert len(played.world.spool.files.segments._leased) <= 2
    for item in items:
        played.world.packer.seal(item)
    played.leases.close()
    until(lambda: not played.world.spool.files.segments._leased or played.leases._next)
    assert played.world.spool.files.segments.ready >= 1


def test_a_place_is_asked_for_before_the_first_instance_once(played):
    leased = played.world.spool.files.segments._leased
    played.leases.expect()
    until(lambda: len(leased) == 1)
    played.leases.expect()
    played.receive(1)
    played.leases.expect()
    assert len(leased) == 1


def test_a_place_that_could_not_be_had_then_is_asked_for_again(played, monkeypatch):
    with monkeypatch.context() as full:
        full.setattr(played.world.spool.files.segments, "lease", refuse)
        played.leases.expect()
        until(lambda: played.leases._next.there)
        with pytest.raises(StorageFull):
            played.receive(1)
    assert played.receive(2).instances == 1


def refuse():
    raise StorageFull("no room to keep what is received")


def test_no_room_is_said_by_the_edge_and_heard_by_the_acceptor(played):
    played.world.spool._budget = replace(played.world.spool._budget, reserve=1 << 60)
    with pytest.raises(StorageFull, match="reserve"):
        played.register.check_lately()
    played.world.spool._budget = replace(played.world.spool._budget, reserve=0)
    played.register.check_lately()


def test_a_disk_below_its_reserve_is_told_to_the_sender(tmp_path):
    with listening(tmp_path, TWO) as world:
        world.spool._budget = replace(world.spool._budget, reserve=1 << 60)
        assert send(world, "1.2.3.4") == []
        world.spool._budget = replace(world.spool._budget, reserve=0)
        assert len(send(world, "1.2.3.4")) == 1


def test_who_waits_for_an_answer_does_not_wait_for_what_is_told_together(tmp_path, monkeypatch):
    monkeypatch.setattr(processes, "TOGETHER_SECONDS", 60.0)
    with listening(tmp_path, TWO) as world:
        for n in range(4):  # each asks to be let in, after an acceptor has told of an instance
            assert len(send(world, f"1.2.3.{n}")) == 1


def test_acceptors_are_spread_over_the_cores_and_stay_there(tmp_path):
    cores = sorted(os.sched_getaffinity(0))
    assert [processes.core_of(place, len(cores)) for place in range(len(cores))] == cores
    assert processes.core_of(len(cores), len(cores) + 1) == cores[0]
    assert processes.core_of(0, 1) == cores[0]
    with listening(tmp_path, TWO) as world:
        found = [os.sched_getaffinity(pid) for pid in world.listener.pids]
        assert found == [{processes.core_of(place, 2)} for place in range(2)]
        assert {os.sched_getscheduler(pid) for pid in world.listener.pids} == {os.SCHED_BATCH}


def test_a_large_instance_gets_its_own_file(tmp_path):
    data = encode(sample(os.urandom(6_000_000), instance="1.2.3.4"))
    with listening(tmp_path, TWO) as world:
        sender = ExactSender(world.listener.port, [(CT, LE)])
        assert sender.send(CT, "1.2.3.4", LE, data) == 0
        sender.release()
        until(lambda: world.closed)
        assert [one for one, _ in world.spool.files.parcels(".tge")]
        assert kept(world) == {("1.2.3.4", data): 1}


def test_the_hubs_new_keys_are_used_at_once(tmp_path):
    with listening(tmp_path, TWO) as world:
        send(world, "1.2.3.1")
        world.keys = KemKeys.generate("hub-2")
        world.spool.recipients = world.keys.publics
        time.sleep(0.3)
        send(world, "1.2.3.2", "1.2.3.3")
        send(world, "1.2.3.4", "1.2.3.5")
        until(lambda: len(world.closed) == 3)
        kids = {}
        for item in world.spool.to_pack(20):
            if item.instances:
                draft = world.spool.draft(item.parcel_id)
                kids[item.received_at] = draft.wraps[0].kid
        used = [kids[at] for at in sorted(kids)]
        assert used[0] == "hub-1"
        assert used[2:] == ["hub-2"] * 3


def test_threads_stand_in_for_processes_that_cannot_be_started(tmp_path, monkeypatch):
    monkeypatch.setattr(processes, "READY_SECONDS", 0.5)
    monkeypatch.setattr(processes.sys, "executable", "/bin/false")
    with listening(tmp_path, TWO) as world:
        assert world.listener.pids == []
        assert len(send(world, "1.2.3.4", "1.2.3.5")) == 2


EDGE = """
import sys, time
from pathlib import Path
from edge.config import Ingest
from tests.doubles.listeners import ListeningWorld
world = ListeningWorld(Path(sys.argv[1]))
world.listen(Ingest(open=True, processes=2))
print("serves", world.listener.port, *world.listener.pids, flush=True)
time.sleep(60)
"""


def test_when_the_edge_is_killed_its_acceptors_end_and_what_was_answered_is_recovered(tmp_path):
    root = Path(__file__).parents[4]
    command = [sys.executable, "-c", EDGE, str(tmp_path / "data")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) as edge:
        try:
            said = next(line for line in edge.stdout if line.startswith("serves"))
            port, *pids = map(int, said.split()[1:])
            sender = ExactSender(port, [(CT, LE)])
            for n in range(6):
                data = encode(sample(os.urandom(3000), instance=f"1.2.3.{n}"))
                assert sender.send(CT, f"1.2.3.{n}", LE, data) == 0
        finally:
            edge.kill()
    until(lambda: all(map(gone, pids)), 10)
    sender.close()
    world = SpoolWorld(tmp_path / "data")  # another key than the dead one's: counted, not opened
    with closing(world.spool):
        assert sum(item.instances for item in world.spool.to_pack(100)) == 6


def test_nobody_recovers_a_segment_that_is_still_written_to(played):
    played.receive(1)
    again = []
    folder = played.world.spool.files.segments.folder

    def recover():
        other = type(played.world.spool.files.segments)(folder)
        again.append(len(other.recover(lambda _: False)))

    thread = threading.Thread(target=recover)
    thread.start()
    time.sleep(0.3)
    assert not again
    played.leases._now.segment.close()  # as the kernel does when the process ends
    thread.join(5)
    assert again == [1]

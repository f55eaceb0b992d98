"""Acceptor processes that stand still: which are put out, which are left alone, and what becomes of the senders."""

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from functools import partial
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pynetdicom.dimse_messages import C_STORE_RQ
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.pdu import P_DATA_TF

from edge.config import Ingest
from edge.console.told import told
from edge.ingest.acceptor import watchdog
from edge.ingest.acceptor.watchdog import SILENT_SECONDS, TURN_SECONDS, DiskWaits, Pulse, asleep
from edge.ingest.acceptor.watching import Watch
from gateway.dicom import transfer
from tests.doubles import failing_disk, listeners
from tests.doubles.datasets import encode, sample
from tests.doubles.listeners import ExactSender, listening

ROOT = Path(__file__).parents[4]
CT = "1.2.840.10008.5.1.4.1.1.2"
LE = transfer.EXPLICIT_LITTLE
TWO = Ingest(open=True, processes=2)
QUICK = 1.5


def state(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return "gone"


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(watchdog, "SILENT_SECONDS", QUICK)
    monkeypatch.setattr(watchdog, "DOUBT_SECONDS", 1.0)


def instance(number, size=3000):
    return encode(sample(os.urandom(size), instance=f"1.2.3.{number}"))


class Halfway:
    """A sender that has been answered once, and is in the middle of its next image."""

    def __init__(self, world):
        self.sender = ExactSender(world.listener.port, [(CT, LE)])
        self.answered = instance(1)
        assert self.sender.send(CT, "1.2.3.1", LE, self.answered) == 0
        (self.served_by,) = (one.pid for one in world.listener._acceptors._there() if one.connections)
        request = C_STORE()
        request.MessageID, request.Priority = 2, 2
        request.AffectedSOPClassUID, request.AffectedSOPInstanceUID = CT, "1.2.3.2"
        request.DataSet = BytesIO(instance(2, 400_000))
        message = C_STORE_RQ()
        message.primitive_to_message(request)
        (context,) = self.sender.association.accepted_contexts
        pdus = []
        for primitive in message.encode_msg(context.context_id, 16_000):
            pdu = P_DATA_TF()
            pdu.from_primitive(primitive)
            pdus.append(pdu.encode())
        for pdu in pdus[: len(pdus) // 2]:
            self.sender.raw.sendall(pdu)

    @property
    def broken(self):
        return not self.sender.association.is_established


def test_one_that_stands_still_in_an_image_is_put_out_and_the_others_go_on(tmp_path, quick):
    with listening(tmp_path, TWO) as world:
        half = Halfway(world)
        pids = set(world.listener.pids)
        os.kill(half.served_by, signal.SIGSTOP)
        answered, number = [half.answered], 10
        while not half.broken and number < 1000:  # whoever comes meanwhile is served, in time
            began = time.monotonic()
            sender = ExactSender(world.listener.port, [(CT, LE)])
            for _ in range(3):
                number += 1
                data = instance(number)
                if sender.association.is_established and sender.send(CT, f"1.2.3.{number}", LE, data) == 0:
                    answered.append(data)
            sender.release()
            assert time.monotonic() - began < 2 * QUICK
        assert half.broken
        assert len(answered) > 3
        until(lambda: len(world.listener.pids) == 2)
        assert half.served_by not in world.listener.pids
        assert pids - {half.served_by} < set(world.listener.pids)
        assert sorted(data for entry, data in world.instances() if entry.sop_instance_uid) == sorted(answered)
        (trouble,) = world.listener.troubles
        assert "stood still and was replaced (1 in the last hour)" in trouble
        assert "一个接收影像的进程停止响应" in told(trouble, "zh")
        half.sender.close()


@pytest.fixture
def hanging(tmp_path, monkeypatch):
    """The disk of all acceptors: a FIFO to open for writing when it is to go on."""
    monkeypatch.setattr(watchdog, "DISK_SECONDS", 2.0)
    monkeypatch.setattr(watchdog, "LOOK_SECONDS", 0.5)
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    monkeypatch.setenv("TELERAD_TEST_HANG", str(fifo))
    monkeypatch.setenv("PYTHONPATH", str(Path(failing_disk.__path__[0])), prepend=os.pathsep)
    return fifo


def test_one_that_waits_for_its_disk_is_left_alone_told_of_and_goes_on(tmp_path, quick, hanging):
    with listening(tmp_path, TWO) as world:
        pids = world.listener.pids
        sender = ExactSender(world.listener.port, [(CT, LE)])
        (served_by,) = (one.pid for one in world.listener._acceptors._there() if one.connections)
        data, statuses = instance(1), []
        thread = threading.Thread(target=lambda: statuses.append(sender.send(CT, "1.2.3.1", LE, data)))
        thread.start()
        until(lambda: asleep(served_by))
        until(lambda: world.listener.troubles)
        (trouble,) = world.listener.troubles
        assert trouble.startswith("the disk of this machine has not answered for ")
        assert "本机磁盘已" in told(trouble, "zh")
        time.sleep(2 * QUICK)
        assert world.listener.pids == pids
        assert asleep(served_by)
        hanging.write_bytes(b"")
        thread.join(10)
        assert statuses == [0]
        until(lambda: not world.listener.troubles)
        sender.release()
        assert [one for entry, one in world.instances() if entry.sop_instance_uid] == [data]


EDGE = """
import sys, time
from pathlib import Path
from edge.config import Ingest
from edge.ingest.acceptor import watchdog
from tests.doubles.listeners import ListeningWorld
watchdog.SILENT_SECONDS = 2.5
world = ListeningWorld(Path(sys.argv[1]))
world.listen(Ingest(open=True, processes=2))
print("serves", world.listener.port, *world.listener.pids, flush=True)
while True:
    time.sleep(0.1)
    print("pids", *world.listener.pids, flush=True)
"""
until = partial(listeners.until, seconds=10)


@contextmanager
def edge(folder):
    command = [sys.executable, "-c", EDGE, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        try:
            said = next(line for line in process.stdout if line.startswith("serves"))
            yield process, list(map(int, said.split()[2:]))
        finally:
            process.kill()


def test_a_machine_that_was_suspended_kills_nobody(tmp_path):
    with edge(tmp_path / "data") as (process, pids):
        for pid in (*pids, process.pid):
            os.kill(pid, signal.SIGSTOP)
        time.sleep(3.5)
        os.kill(process.pid, signal.SIGCONT)
        time.sleep(0.7)  # the others wake later
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
        told = [next(process.stdout).split()[1:] for _ in range(20)]
        assert [list(map(int, line)) for line in told] == [pids] * 20


def test_one_that_stands_still_dies_with_the_edge_and_holds_nothing_against_its_next_start(tmp_path):
    with edge(tmp_path / "data") as (process, pids):
        os.kill(pids[0], signal.SIGSTOP)
        process.kill()
        until(lambda: all(state(pid) in ("Z", "X", "gone") for pid in pids))


def test_an_edge_that_is_stopped_does_not_wait_for_one_that_stands_still(tmp_path, monkeypatch):
    monkeypatch.setattr("edge.ingest.acceptor.processes.STOP_SECONDS", 1.0)
    with listening(tmp_path, TWO) as world:
        pids = world.listener.pids
        os.kill(pids[0], signal.SIGSTOP)
        began = time.monotonic()
        world.listener.stop(0)
        assert time.monotonic() - began < 6
        assert all(state(pid) == "gone" for pid in pids)


class Process:
    """What the watch sees of one."""

    def __init__(self, pid):
        self.pid, self.pulse, self.ready, self.kills = pid, Pulse(), threading.Event(), 0
        self.ready.set()
        self.pulse.listen()

    def kill(self):
        self.kills += 1


def test_one_that_does_not_die_of_it_is_killed_once(monkeypatch):
    monkeypatch.setattr("edge.ingest.acceptor.watching.asleep", lambda pid: {})
    one, clock = Process(os.getpid()), [0.0]
    watch = Watch(lambda: [one], lambda: clock[0])
    for _ in range(100):
        clock[0] += 1
        watch.turn()
    assert one.kills == 1
    assert len(watch.troubles) == 1
    clock[0] += watchdog.TOLD_SECONDS
    assert watch.troubles == []


def test_one_whose_disk_has_just_answered_has_its_whole_time_again(monkeypatch):
    waits = [True]
    monkeypatch.setattr("edge.ingest.acceptor.watching.asleep", lambda pid: {1: 1} if waits[0] else {})
    one, clock = Process(os.getpid()), [0.0]
    watch = Watch(lambda: [one], lambda: clock[0])
    for _ in range(int(3 * SILENT_SECONDS)):
        clock[0] += 1
        watch.turn()
    waits[0] = False
    for _ in range(int(SILENT_SECONDS) // 2):
        clock[0] += 1
        watch.turn()
    assert one.kills == 0
    for _ in range(int(SILENT_SECONDS)):
        clock[0] += 1
        watch.turn()
    assert one.kills == 1


def test_one_that_has_not_begun_has_more_time():
    one, clock = Process(os.getpid()), [0.0]
    one.ready.clear()
    watch = Watch(lambda: [one], lambda: clock[0])
    while not one.kills:
        clock[0] += 1
        watch.turn()
    assert watchdog.START_SECONDS <= clock[0] <= watchdog.START_SECONDS + 2


turns = st.lists(
    st.tuples(st.sampled_from(["heard", "busy", "nothing"]), st.floats(0.1, 1e6, allow_nan=False)),
    max_size=60,
)


@given(turns)
def test_silence_is_only_what_the_edge_listened_to_in_vain(steps):
    pulse, vain = Pulse(), 0
    for what, seconds in steps:
        if what == "heard":
            pulse.listen()
            pulse.hear()
            pulse.listen()
        elif what == "busy":
            pulse.listen()
            pulse.hear()
        else:
            pulse.listen()
        vain = vain + 1 if what == "nothing" else 0
        assert pulse.turn(seconds) <= vain * 2 * TURN_SECONDS
        if vain * 2 * TURN_SECONDS < SILENT_SECONDS:
            assert pulse.silence < SILENT_SECONDS


def test_a_thread_in_one_sleep_is_told_from_one_in_many():
    waits = DiskWaits(os.getpid())
    sleeps = iter([{1: 5, 2: 9}, {1: 5, 2: 10}, {1: 5}, {}])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(watchdog, "asleep", lambda pid: next(sleeps))
        assert [waits.turn(now) for now in (0.0, 10.0, 20.0, 30.0)] == [0.0, 10.0, 20.0, 0.0]


def test_who_sleeps_is_read_of_a_process_that_is_gone():
    with subprocess.Popen(["/bin/true"]) as process:
        process.wait()
    assert asleep(process.pid) == {}

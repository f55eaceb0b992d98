"""The attacks again while acceptor processes serve, and what they cost in memory, files and patience."""

import os
import resource
import signal
import socket
import struct
import time
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from edge.config import Ingest
from gateway.dicom import transfer
from tests.doubles import listeners
from tests.doubles.datasets import encode, sample
from tests.doubles.listeners import ExactSender, listening
from tests.unit.edge.ingest.test_attacks import (
    CT,
    bomb,
    closed_within,
    connect,
    nested,
    peak,
    send_one,
    serves,
)
from tests.unit.edge.ingest.test_attacks_names import HOSTILE, WORDS

LE, DEFLATED = transfer.EXPLICIT_LITTLE, transfer.DEFLATED_LITTLE
TWO = Ingest(open=True, processes=2, accept_deflated=True, max_associations=20)
PIXELS = b"\xe0\x7f\x10\x00"
ROOM = 128 << 20
"""Bytes of address space that an acceptor has beside what it uses when it is idle."""
until = partial(listeners.until, seconds=10)


def files_of(pid):
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def address_space(pid):
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmSize"))


def lying(length):
    head = encode(sample())
    return head[: head.rindex(PIXELS)] + PIXELS + b"OW\0\0" + struct.pack("<L", length) + b"abc"


def overflowing():
    dataset = sample()
    dataset.Rows = dataset.Columns = 65535
    dataset.NumberOfFrames = 100_000
    return encode(dataset)


def junk():
    """What is sent, in which syntax, and what may be answered."""
    yield bomb(), DEFLATED, (0x0000, 0xB007)
    for depth in (198, 199, 20_000):
        yield nested(depth), LE, (0xB007, 0xC000)
    for length in (0xFFFFFFFE, 0x7FFFFFFF, 1 << 20):
        yield lying(length), LE, (0xB007,)
    yield overflowing(), LE, (0x0000,)


def test_attack_04_06_07_08_bombs_cost_no_acceptor_its_life_nor_memory_beyond_its_limit(tmp_path):
    with listening(tmp_path, TWO) as world:
        assert all(serves(world) for _ in range(4))
        pids = world.listener.pids
        for pid in pids:
            limit = address_space(pid) + ROOM
            resource.prlimit(pid, resource.RLIMIT_AS, (limit, limit))
        before, sent = peak(world), []
        for data, syntax, allowed in junk():
            for _ in pids:  # whichever of them it comes to
                assert send_one(world, data, syntax=syntax) in allowed
                sent.append(data)
        assert peak(world) - before < 100_000
        assert world.listener.pids == pids
        found = [data for _, data in world.instances()]
        assert {data for data in sent if data not in found} == set()


def test_attack_09_hostile_names_reach_no_file_by_way_of_an_acceptor(tmp_path):
    around = set(tmp_path.parent.iterdir())
    with listening(tmp_path, TWO) as world:
        for uid in HOSTILE:
            assert send_one(world, encode(sample(instance=uid)), instance=uid) == 0
        for title in WORDS:
            sender = ExactSender(world.listener.port, [(CT, LE)], calling=title)
            assert sender.send(CT, "1.2.3.4", LE, encode(sample())) == 0
            sender.release()
        names = [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")]
        assert all(name.split("/")[0] == "data" for name in names)
        assert not [uid for uid in HOSTILE if len(uid) > 4 and any(uid.strip("./") in name for name in names)]
        assert set(tmp_path.parent.iterdir()) == around
        assert serves(world)


def test_attack_02_a_flood_holds_no_more_files_than_there_are_places_and_gives_them_back(tmp_path):
    with listening(tmp_path, TWO) as world:
        assert serves(world)
        until(lambda: world.listener._server.running() == 0)
        everybody = [os.getpid(), *world.listener.pids]
        before = [files_of(pid) for pid in everybody]
        flood = [
            socket.create_connection(("127.0.0.1", world.listener.port), source_address=(f"127.0.0.{n}", 0))
            for n in range(2, 12)
            for _ in range(15)
        ]
        ours = len(flood)
        time.sleep(0.5)
        held = sum(files_of(pid) for pid in everybody) - sum(before) - ours
        assert held > 20  # it does count
        assert held <= 20 + 32 + 2 * len(everybody)  # places, and the lobby
        for client in flood:
            client.close()
        until(lambda: world.listener._server.running() == 0)
        until(
            lambda: all(now <= then + 2 for now, then in zip(map(files_of, everybody), before, strict=True))
        )
        assert serves(world)


@contextmanager
def no_more_files(pid, spare):
    soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    highest = max(int(one.name) for one in Path(f"/proc/{pid}/fd").iterdir())
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (highest + 1 + spare, hard))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))


def test_attack_02_an_acceptor_without_files_turns_away_and_serves_again_when_it_has_some(tmp_path):
    with listening(tmp_path, TWO) as world:
        assert all(serves(world) for _ in range(4))
        pids = world.listener.pids
        with no_more_files(pids[0], 0), no_more_files(pids[1], 0):
            flood = [connect(world.listener.port) for _ in range(10)]
            assert any(closed_within(client, 8) for client in flood)
            for client in flood:
                client.close()
        until(lambda: serves(world))
        assert world.listener.pids == pids


def test_attack_02_an_acceptor_that_hangs_keeps_nobody_else_from_being_served(tmp_path):
    with listening(tmp_path, TWO) as world:
        hanging, _ = world.listener.pids
        os.kill(hanging, signal.SIGSTOP)
        try:
            waiting = connect(world.listener.port)  # may be its own; the next ones are the other's
            time.sleep(0.2)
            began = time.monotonic()
            assert sum(serves(world) for _ in range(3)) >= 2
            assert time.monotonic() - began < 8
            waiting.close()
        finally:
            os.kill(hanging, signal.SIGCONT)
        until(lambda: serves(world))


@pytest.mark.parametrize("piece", [1, 7])
def test_attack_02_a_slow_sender_takes_one_place_and_loses_nothing(tmp_path, piece):
    """As over a bad line in the house: bytes by ones and sevens, an instance all the same."""
    with listening(tmp_path, TWO) as world:
        sender = ExactSender(world.listener.port, [(CT, LE)])
        whole, drops = sender.raw, []

        class Drip:
            def __getattr__(self, name):
                return getattr(whole, name)

            def send(self, data):
                drops.append(whole.send(data[:piece]))
                return drops[-1]

        sender.association.dul.socket.socket = Drip()
        assert sender.send(CT, "1.2.3.4", LE, encode(sample())) == 0
        assert serves(world)
        sender.release()
        assert sum(drops) > len(encode(sample())) > len(drops) * (piece - 1)
        assert max(drops) == piece
        assert len(world.instances()) == 2

"""The acceptor processes of a listener: started, handed connections, replaced when they die."""

from __future__ import annotations

import json
import logging
import os
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any

from edge.ingest.acceptor.house import House, RemotePeer
from edge.ingest.acceptor.line import Line, Message
from edge.ingest.acceptor.remote import RING
from edge.ingest.acceptor.watchdog import TURN_SECONDS, Pulse
from edge.ingest.acceptor.watching import Watch
from edge.ingest.policy import Policy
from edge.ingest.threads import Threads
from edge.spool.spool import Spool
from gateway.log import logger

READY_SECONDS = 20.0
"""A process that has not begun to serve by then is given up."""
STOP_SECONDS = 10.0
TOGETHER_SECONDS = 0.05
"""What an acceptor tells in so long is read together; when somebody there waits for an answer, at once."""
AGAIN_FIRST, AGAIN_MOST = 0.5, 60.0
"""Seconds until one that died is replaced; twice as many each time, unless it lived long."""
SLOW = 16
"""A-ASSOCIATE and DIMSE-N requests answered at the same time."""

log = logger("edge.ingest")
Gone = Callable[[], object]


class Acceptors:
    """Several processes; threads of this one stand in for them. Thread-safe.

    Args:
        spool: into which they write.
        policy: for their associations.
        tls: files of certificate, key and client CA; None: no TLS.
        own: threads of this process.
        most: processes.
    """

    def __init__(
        self, spool: Spool, policy: Policy, tls: list[str | None] | None, own: Threads, most: int
    ) -> None:
        self._spool, self._policy, self._tls, self._own = spool, policy, tls, own
        self._slow = ThreadPoolExecutor(SLOW, "dicom-n")
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._places: list[_Acceptor | None] = [None] * most
        self._keepers = [
            threading.Thread(target=self._keep, args=(place,), name="dicom-acceptor", daemon=True)
            for place in range(most)
        ]
        self._watch = Watch(self._there)

    def start(self) -> None:
        """Start them, and wait until they serve. Blocks for half a second or so."""
        for keeper in self._keepers:
            keeper.start()
        threading.Thread(target=self._look, name="dicom-watch", daemon=True).start()
        until = time.monotonic() + READY_SECONDS
        while time.monotonic() < until and not all(one and one.ready.is_set() for one in self._places):
            time.sleep(0.01)

    @property
    def pids(self) -> list[int]:
        """Of those that serve."""
        return [one.pid for one in self._places if one is not None and one.ready.is_set()]

    @property
    def troubles(self) -> list[str]:
        """For the page: what stands still, or did lately."""
        return self._watch.troubles

    def take(self, connection: socket.socket, address: str, gone: Gone) -> None:
        """As `Hands`."""
        with self._lock:
            serving = [one for one in self._there() if one.ready.is_set() and not one.pulse.doubtful]
            serving.sort(key=lambda one: one.connections)
            if any(one.take(connection, address, gone) for one in serving):
                return
        self._own.take(connection, address, gone)

    def stop(self) -> None:
        """As `Hands`."""
        self._stopping.set()
        with self._lock:
            for one in self._places:
                if one is not None:
                    one.stop()
        self._own.stop()
        until = time.monotonic() + STOP_SECONDS
        for keeper in self._keepers:
            if keeper.ident is not None:
                keeper.join(max(0.0, until - time.monotonic()))
        for one in self._there():  # it stands still
            one.kill()
        for keeper in self._keepers:
            if keeper.ident is not None:
                keeper.join(5)
        self._slow.shutdown()

    def _there(self) -> list[_Acceptor]:
        return [one for one in self._places if one is not None]

    def _settle(self) -> None:
        for one in self._there():
            one.settle()

    def _look(self) -> None:
        while not self._stopping.wait(TURN_SECONDS):
            self._watch.turn()

    def _keep(self, place: int) -> None:
        """One process after another, for ever."""
        core = core_of(place, len(self._places))
        pause = AGAIN_FIRST
        while not self._stopping.is_set():
            began = time.monotonic()
            try:
                one = _Acceptor(self._spool, self._policy, self._slow, self._tls, core, self._settle)
            except OSError as error:  # no more memory or processes
                log.warning("no acceptor", reason=str(error))
            else:
                with self._lock:
                    self._places[place] = one
                    if self._stopping.is_set():
                        one.stop()
                try:
                    one.read()
                    one.settle()  # while it can still be found
                finally:
                    with self._lock:
                        self._places[place] = None
                    one.bury()
                if not self._stopping.is_set():
                    log.warning("an acceptor died", pid=one.pid, code=one.code)
            pause = AGAIN_FIRST if time.monotonic() - began > AGAIN_MOST else min(2 * pause, AGAIN_MOST)
            self._stopping.wait(pause)


class _Acceptor:
    """One process, and the thread that reads what it says. Raises OSError: it cannot be started."""

    def __init__(
        self,
        spool: Spool,
        policy: Policy,
        slow: ThreadPoolExecutor,
        tls: list[str | None] | None,
        core: int,
        settle_all: Callable[[], object],
    ) -> None:
        ours, theirs = socket.socketpair()
        self._door, door = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._rings = select.poll()
        self._rings.register(self._door, select.POLLIN)
        level = logging.getLevelName(log.get_effective_level()).lower()
        handles = (theirs.fileno(), door.fileno())
        command = [sys.executable, "-P", "-m", "edge.ingest.acceptor", *map(str, handles), level, str(core)]
        try:
            self._process = subprocess.Popen(  # our own program
                command, pass_fds=handles, stdin=subprocess.DEVNULL, env=_environment()
            )
        except OSError:
            ours.close()
            self._door.close()
            raise
        finally:
            theirs.close()
            door.close()
        self._line = Line(ours)
        self._house = House(self._line, spool, policy, slow, settle_all)
        self.settle = self._house.settle
        self._setup: list[Any] = [
            str(spool.files.spool),
            str(spool.files.segments.folder),
            spool.site,
            spool.intake.taken.value,
            self._house.setup(),
            tls,
        ]
        self._numbers = count()
        self.ready = threading.Event()
        self.pulse = Pulse()
        self.pid, self.code = self._process.pid, 0

    @property
    def connections(self) -> int:
        """Connections it serves."""
        return len(self._house.peers)

    def take(self, connection: socket.socket, address: str, gone: Gone) -> bool:
        """Hand it a connection. False: it is gone; the connection is as it was."""
        number = next(self._numbers)
        self._house.peers[number] = RemotePeer(self._line, number, address, gone)
        try:
            socket.send_fds(self._door, [json.dumps([number, address]).encode()], [connection.fileno()])
        except OSError:
            self._house.peers.pop(number, None)
            return False
        connection.close()
        return True

    def read(self) -> None:
        """Take what it says until it is gone. Blocks."""
        try:
            self._line.send(*self._setup)
            while messages := self._receive():
                if messages[0] == ["ready"]:
                    self.ready.set()
                    del messages[0]
                self._house.take(messages)
                self._rest()
        except OSError as error:
            log.warning("an acceptor does not listen", pid=self.pid, reason=str(error))

    def _receive(self) -> list[Message]:
        self._house.wait()
        self.pulse.listen()
        try:
            return self._line.receive()
        finally:
            self.pulse.hear()

    def _rest(self) -> None:
        """For a while, unless somebody waits. A question is in the line before its ring is at the door."""
        if self._rings.poll(TOGETHER_SECONDS * 1000):
            self._door.recv(len(RING))

    def kill(self) -> None:
        """Whatever it does. Who reads its line sees the end of it, and buries it."""
        self.ready.clear()
        self._process.kill()

    def stop(self) -> None:
        """Tell it to abort what runs and to end."""
        self.ready.clear()
        try:
            self._line.send("stop")
        except OSError:
            return  # it is gone already

    def bury(self) -> None:
        """It is gone, or must go: take over what it leaves. Blocks."""
        self.ready.clear()
        self._line.end()
        self._door.close()
        try:
            self.code = self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self.code = self._process.wait()
        self._line.close()
        self._house.bury()


def core_of(place: int, most: int) -> int:
    """The core on which the process at `place` of `most` is to run: spread over those that may be used."""
    cores = sorted(os.sched_getaffinity(0))
    return cores[place * len(cores) // most if most < len(cores) else place % len(cores)]


def _environment() -> dict[str, str]:
    """As ours; libraries for numbers need no threads there."""
    return {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}

"""An acceptor process: ``python -m edge.ingest.acceptor LINE DOOR LEVEL CORE``, started by the edge.

LINE and DOOR are sockets to it, LEVEL is that of the log, CORE the core to run on. It imports little, so that
it starts quickly and costs little memory, and ends when the edge's process does.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import signal
import socket
import sys
import threading
import time
from contextlib import suppress
from functools import partial
from pathlib import Path

from edge.config import DicomTls
from edge.ingest.acceptor.leases import Leases
from edge.ingest.acceptor.line import Line, Message, unpacked
from edge.ingest.acceptor.remote import Questions, Recipients, RemotePolicy, RemoteRegister
from edge.ingest.acceptor.watchdog import TURN_SECONDS as BEAT_SECONDS
from edge.ingest.association import Association, Terms
from edge.ingest.store import Reception
from edge.ingest.threads import Threads
from edge.spool.ahead import KeysAhead
from edge.spool.intake import Intake
from edge.tls import tls_context
from gateway import log
from gateway.clock import SystemClock
from gateway.envelope.taken import Taken
from gateway.model import SiteId

KEYS_FIRST, KEYS = 512, 2048
"""Made ahead by each process before it serves, and in quiet moments: a long series, and twelve megabytes of
memory. One made while its image comes costs that 0.1 ms."""
LOOK_SECONDS = 0.5
"""Between looks whether keys are to be made."""
TURN_SECONDS = 0.0005
GARBAGE = 20_000
"""As the edge's own process has them (`edge/app`)."""


class Acceptor:
    """Serves the connections it is handed, until it is told to stop.

    Args:
        line: to the edge's process.
        door: by which that hands over connections, and is told that somebody waits.
        setup: what that said at first.
    """

    def __init__(self, line: Line, door: socket.socket, setup: Message) -> None:
        folder, segments, site, taken, keys, tls = setup
        self._line, self._door, self._questions = line, door, Questions(line, door)
        self._recipients = Recipients(keys)
        self._leases = Leases(
            Path(folder),
            Path(segments),
            partial(self._questions.ask, "lease"),
            partial(self._questions.tell, "done"),
        )
        self._keys = KeysAhead(lambda: self._recipients.now, KEYS)
        register = RemoteRegister(self._questions, self._leases, self._recipients)
        clock = SystemClock()
        intake = Intake(self._leases, register, SiteId(site), self._keys, clock, Taken(taken))
        self._reception = Reception(intake, clock)
        self._policy = RemotePolicy(self._questions)
        files = None if tls is None else DicomTls(*(one and Path(one) for one in tls))
        context = None if files is None else tls_context(files, "ingest.tls")
        self._threads = Threads(Terms(self._reception, self._policy, context))
        self._peers: dict[int, Association] = {}

    def run(self) -> None:
        """Until the edge's process is gone, or says so."""
        self._keys.fill(KEYS_FIRST)
        self._line.send("ready")
        threading.Thread(target=self._doors, daemon=True).start()
        threading.Thread(target=self._ahead, daemon=True).start()
        threading.Thread(target=self._beat, daemon=True).start()
        while messages := self._line.receive():
            for kind, *words in messages:
                if kind == "answer":
                    self._questions.answered(words)
                elif kind == "say":
                    threading.Thread(target=self._say, args=words, daemon=True).start()
                elif kind == "stop":
                    threading.Thread(target=self._stop, daemon=True).start()
        os._exit(0)

    def _doors(self) -> None:
        while True:
            data, handles, _, _ = socket.recv_fds(self._door, 4096, 1)
            if not data:
                return
            number, address = json.loads(data)
            if not handles:  # this process has no more files
                self._gone(number)
                continue
            connection = socket.socket(fileno=handles[0])
            try:
                self._threads.take(
                    connection, address, partial(self._gone, number), partial(self._begun, number)
                )
            except RuntimeError:  # the system has no more threads
                connection.close()
                self._gone(number)

    def _begun(self, number: int, association: Association) -> None:
        self._peers[number] = association
        self._policy.numbers[association] = number

    def _gone(self, number: int) -> None:
        association = self._peers.pop(number, None)
        if association is not None:
            self._policy.numbers.pop(association, None)
        self._questions.tell("gone", number)

    def _say(self, number: int, pdus: str) -> None:
        association = self._peers.get(number)
        if association is not None:
            association.say(unpacked(pdus))

    def _ahead(self) -> None:
        while True:
            time.sleep(LOOK_SECONDS)
            if self._keys.few and not self._reception.busy:
                self._keys.fill(stop=lambda: self._reception.busy)

    def _beat(self) -> None:
        with suppress(OSError):  # the line has ended, and so will this process
            while True:
                time.sleep(BEAT_SECONDS)
                self._questions.tell("alive")

    def _stop(self) -> None:
        self._threads.stop()
        self._leases.close()
        self._line.end()


def _die_with_the_edge() -> None:
    """The kernel kills this process when the thread that started it ends (PR_SET_PDEATHSIG in prctl(2)).

    To read the end of its line is the usual way. One that stands still does not read, and would hold its
    segments against the next start of the edge.
    """
    death_signal = 1
    ctypes.CDLL(None).prctl(death_signal, int(signal.SIGKILL), 0, 0, 0)


def _stay_on(core: int) -> None:
    """Run on one core, and push nobody aside (SCHED_BATCH in sched(7)).

    Of one Python process one thread runs at a time, and on one core it finds the caches as the other left
    them. And who has just been sent something lets the sender go on, and reads more at once.
    """
    with suppress(OSError):  # it was taken from the machine, or a sandbox forbids it: it runs all the same
        os.sched_setaffinity(0, {core})
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def main() -> None:
    """Run. Signals are for the edge's process, which says what to do."""
    _die_with_the_edge()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    line, door = (socket.socket(fileno=int(word)) for word in sys.argv[1:3])
    log.configure(level=sys.argv[3])
    _stay_on(int(sys.argv[4]))
    sys.setswitchinterval(TURN_SECONDS)
    told = Line(line)
    (setup, *_) = told.receive()
    acceptor = Acceptor(told, door, setup)
    gc.freeze()
    gc.set_threshold(GARBAGE)
    acceptor.run()


if __name__ == "__main__":
    main()

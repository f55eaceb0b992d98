"""An acceptor that is played by the test, so that it can die between any two steps."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from edge.config import Ingest
from edge.ingest.acceptor.house import House
from edge.ingest.acceptor.leases import Leases
from edge.ingest.acceptor.line import Line
from edge.ingest.acceptor.remote import Questions, Recipients, RemoteRegister
from edge.ingest.desk import Desk
from edge.spool.ahead import KeysAhead
from edge.spool.intake import Intake
from edge.spool.item import SpoolItem
from gateway.model import Priority
from tests.doubles.spools import SITE, SpoolWorld


class Played:
    """Writes into a spool as an acceptor process does, from within the test's own."""

    def __init__(self, world: SpoolWorld, timer: Callable[[], float] = time.monotonic) -> None:
        ours, theirs = socket.socketpair()
        self.world, self.line = world, Line(theirs)
        self.slow = ThreadPoolExecutor(2)
        desk = self.desk = Desk(Ingest(open=True), world.spool, lambda _: None, {})
        self.house = House(Line(ours), world.spool, desk, self.slow, self._settle, timer)
        self.ours = ours
        self.serving = threading.Thread(target=self._serve)
        self.serving.start()
        self.doors = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        questions = self.questions = Questions(self.line, self.doors[0])
        self.hearing = threading.Thread(target=self._hear)
        self.hearing.start()
        spool = world.spool.files
        self.leases = Leases(
            spool.spool,
            spool.segments.folder,
            partial(questions.ask, "lease"),
            partial(questions.tell, "done"),
        )
        recipients = Recipients(self.house.setup())
        self.register = RemoteRegister(questions, self.leases, recipients)
        keys = KeysAhead(lambda: recipients.now)
        self.intake = Intake(self.leases, self.register, SITE, keys, world.clock)

    def _settle(self) -> None:
        self.house.settle()

    def _serve(self) -> None:
        while messages := self.house._line.receive():
            self.house.take(messages)
            self.house.wait()
        self.house.bury()

    def _hear(self) -> None:
        while messages := self.line.receive():
            for _, *words in messages:
                self.questions.answered(words)

    def receive(self, number: int, *, tell: bool = True, priority: Priority = Priority.URGENT) -> SpoolItem:
        one = self.intake.begin()
        one.write(b"dataset %d" % number)
        item = one.keep(self.world.facts(number), priority=priority, study=self.world.study())
        if tell:
            one.tell()
        return item

    def die(self) -> None:
        self.line.end()
        self.hearing.join(5)
        self.serving.join(5)
        self.slow.shutdown()
        for one in (self.line, self.ours, *self.doors):
            one.close()


@contextmanager
def playing(folder: Path, timer: Callable[[], float] = time.monotonic) -> Iterator[Played]:
    """One with a spool of its own; it may die in the meantime."""
    world = SpoolWorld(folder / "data")
    made = Played(world, timer)
    yield made
    if made.serving.is_alive():
        made.die()
    world.spool.close()

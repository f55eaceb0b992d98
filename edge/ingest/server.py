"""Accepts connections: nothing a connection does or leaves undone keeps the next one waiting.

A place is taken by an association that was let in; connections that have not said who they are have
places of their own, for a few seconds. One address gets only its share of either.

One process serves all. With four senders on the same two cores a listener alone (no packer) took 461 to 566
instances a second; two in processes of their own, with two senders each, 347 to 428 each, though their rounds
were not in step, and a fifth less of a processor an instance: threads of one process hand the interpreter to
each other 17 times an instance. So processes are probably worth a third more; they are not built.
"""

from __future__ import annotations

import contextlib
import select
import socket
import threading
import time
from collections import Counter

from edge.ingest.association import Association, Terms
from gateway.log import logger

LOBBY = 32
"""Connections that may be open beside the associations, while they negotiate."""

PAUSE = 0.2
"""Seconds to wait when the system has no more files or memory for another connection."""

log = logger("edge.ingest")


class Server:
    """Listens on one address.

    Args:
        host: address to listen on.
        port: 0: of the system's choice.
        terms: for every association.
        most: associations at once.
        per_address: connections of one address at once.

    Raises:
        OSError: the address cannot be had.
    """

    def __init__(self, host: str, port: int, terms: Terms, most: int, per_address: int) -> None:
        self._terms, self._most, self._per_address = terms, most, per_address
        self._socket = _listening(host, port)
        self._lock = threading.Lock()
        self._running: dict[Association, threading.Thread] = {}
        self._of: Counter[str] = Counter()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._accept, name="dicom-listener", daemon=True)

    @property
    def port(self) -> int:
        """The port it listens on."""
        port: int = self._socket.getsockname()[1]
        return port

    def start(self) -> None:
        """Accept, in a thread of its own."""
        self._thread.start()

    def stop(self, drain: float) -> None:
        """Accept no more, let what runs end for `drain` seconds, then abort it. Blocks."""
        self._stopping.set()
        self._thread.join()
        self._socket.close()
        deadline = time.monotonic() + drain
        while self.running() and time.monotonic() < deadline:
            time.sleep(0.02)
        self._terms.reception.draining = True
        with self._lock:
            left = dict(self._running)
        for association in left:
            association.stop()
        for thread in left.values():
            thread.join(5)
        self._terms.reception.draining = False

    def running(self) -> int:
        """Connections that are open."""
        with self._lock:
            return len(self._running)

    def _accept(self) -> None:
        self._socket.settimeout(0)
        while not self._stopping.is_set():
            if not select.select([self._socket], [], [], 0.2)[0]:
                continue
            try:
                connection, address = self._socket.accept()
            except BlockingIOError:
                continue
            except OSError as error:  # no more files or memory: the next may end first
                log.warning("cannot accept", reason=str(error))
                self._stopping.wait(PAUSE)
                continue
            self._admit(connection, str(address[0]))

    def _admit(self, connection: socket.socket, address: str) -> None:
        connection.settimeout(5)
        association = Association(connection, address, self._terms, self._full)
        thread = threading.Thread(
            target=self._run, args=(association, address), name="dicom-association", daemon=True
        )
        with self._lock:
            if self._of[address] >= self._per_address or len(self._running) >= self._most + LOBBY:
                connection.close()
                return
            self._of[address] += 1
            self._running[association] = thread
        try:
            thread.start()
        except RuntimeError as error:  # the system has no more threads
            log.warning("cannot serve", reason=str(error))
            self._gone(association, address)
            connection.close()

    def _run(self, association: Association, address: str) -> None:
        try:
            association.run()
        finally:
            self._gone(association, address)

    def _gone(self, association: Association, address: str) -> None:
        with self._lock:
            self._running.pop(association, None)
            self._of[address] -= 1
            if self._of[address] <= 0:
                del self._of[address]

    def _full(self) -> bool:
        with self._lock:
            return sum(one.established for one in self._running) >= self._most


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            with contextlib.suppress(OSError):
                made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        made.bind((host, port))
        made.listen(128)
    except OSError:
        made.close()
        raise
    return made

"""Accepts connections: nothing a connection does or leaves undone keeps the next one waiting.

A place is taken by an association that was let in; connections that have not said who they are have
places of their own, for a few seconds. One address gets only its share of either.

Connections are accepted and counted here, in one process, and each is handed to whoever serves it: a
thread (`threads`), or a process of several (`acceptor`).
"""

from __future__ import annotations

import contextlib
import select
import socket
import threading
import time
from collections import Counter
from functools import partial

from edge.ingest.threads import Hands
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
        hands: serve the connections.
        most: associations at once.
        per_address: connections of one address at once.

    Raises:
        OSError: the address cannot be had.
    """

    def __init__(self, host: str, port: int, hands: Hands, most: int, per_address: int) -> None:
        self._hands, self._most, self._per_address = hands, most, per_address
        self._socket = _listening(host, port)
        self._lock = threading.Lock()
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
        self._hands.stop()

    def running(self) -> int:
        """Connections that are open."""
        with self._lock:
            return self._of.total()

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
        with self._lock:
            if self._of[address] >= self._per_address or self._of.total() >= self._most + LOBBY:
                connection.close()
                return
            self._of[address] += 1
        try:
            self._hands.take(connection, address, partial(self._gone, address))
        except (OSError, RuntimeError) as error:  # the system has no more threads
            log.warning("cannot serve", reason=str(error))
            self._gone(address)
            connection.close()

    def _gone(self, address: str) -> None:
        with self._lock:
            self._of[address] -= 1
            if self._of[address] <= 0:
                del self._of[address]


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

"""Associations in threads of this process, one each."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from typing import Protocol

from edge.ingest.association import Association, Terms

JOIN_SECONDS = 5.0


class Hands(Protocol):
    """Whoever serves connections."""

    def take(self, connection: socket.socket, address: str, gone: Callable[[], object]) -> object:
        """Serve a connection, and return at once; `gone` is called when it is over.

        Raises:
            OSError: it cannot be served; the connection is as it was.
            RuntimeError: likewise, the system has no more threads.
        """

    def stop(self) -> object:
        """Abort what runs. Blocks until it has ended."""


class Threads:
    """Serves in threads. Thread-safe.

    Args:
        terms: for every association.
    """

    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        self._lock = threading.Lock()
        self._running: dict[Association, threading.Thread] = {}

    def take(
        self,
        connection: socket.socket,
        address: str,
        gone: Callable[[], object],
        begun: Callable[[Association], object] = lambda _: None,
    ) -> None:
        """As `Hands`; `begun` is called before anything is read."""
        association = Association(connection, address, self._terms)
        thread = threading.Thread(
            target=self._run, args=(association, gone), name="dicom-association", daemon=True
        )
        with self._lock:
            self._running[association] = thread
        begun(association)
        try:
            thread.start()
        except RuntimeError:
            self._over(association)
            raise

    def stop(self) -> None:
        """As `Hands`."""
        self._terms.reception.draining = True
        with self._lock:
            left = dict(self._running)
        for association in left:
            association.stop()
        for thread in left.values():
            thread.join(JOIN_SECONDS)
        self._terms.reception.draining = False

    def _run(self, association: Association, gone: Callable[[], object]) -> None:
        try:
            association.run()
        finally:
            self._over(association)
            gone()

    def _over(self, association: Association) -> None:
        with self._lock:
            self._running.pop(association, None)

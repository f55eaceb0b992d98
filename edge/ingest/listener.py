"""The DICOM listener: built from its configuration, started, and drained."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

from edge.config import Ingest
from edge.ingest.acceptor.processes import Acceptors
from edge.ingest.association import Terms
from edge.ingest.desk import Desk
from edge.ingest.server import Server
from edge.ingest.services import Handler
from edge.ingest.store import Reception
from edge.ingest.threads import Threads
from edge.spool.spool import Spool
from edge.tls import files_of, tls_context
from gateway.clock import Clock
from gateway.errors import UsageError
from gateway.log import logger

DRAIN_SECONDS = 10.0
MOST_PROCESSES = 8
"""Unless the configuration says more: by then the disk is the wall."""

log = logger("edge.ingest")


class DicomListener:
    """C-ECHO and C-STORE SCP, and whatever DIMSE-N services it is given.

    Args:
        config: the listener's section of the configuration.
        spool: where instances are kept; called in the associations' threads.
        clock: the time.
        on_association_closed: told the notice's body after an association that sent something has ended;
            called from any thread.
        services: handlers of DIMSE-N requests by SOP class UID (`services`); called from any thread.

    Raises:
        ConfigError: a sender cannot be read.
        UsageError: the TLS files cannot be used.
    """

    def __init__(
        self,
        config: Ingest,
        spool: Spool,
        clock: Clock,
        on_association_closed: Callable[[dict[str, Any]], object] = lambda _: None,
        services: Mapping[str, Handler] = MappingProxyType({}),
    ) -> None:
        self._config = config
        desk = Desk(config, spool, on_association_closed, services)
        tls = None if config.tls is None else tls_context(config.tls, "ingest.tls")
        self._threads = Threads(Terms(Reception(spool.intake, clock), desk, tls))
        self._acceptors: Acceptors | None = None
        self._make_acceptors = partial(Acceptors, spool, desk, files_of(config.tls), self._threads)
        self._server: Server | None = None

    @property
    def port(self) -> int:
        """The port it listens on (of use when the configuration says 0)."""
        if self._server is None:
            raise UsageError("the DICOM listener is not running")
        return self._server.port

    def start(self) -> None:
        """Listen, in a thread of its own. Raises UsageError if the address cannot be had."""
        config, most = self._config, processes(self._config)
        self._acceptors = self._make_acceptors(most) if most else None
        try:
            self._server = Server(
                config.host,
                config.port,
                self._acceptors or self._threads,
                config.max_associations,
                per_address(config),
            )
        except OSError as error:
            place = f"{config.host}:{config.port}"
            raise UsageError(f"cannot listen for DICOM at {place}: {error}") from error
        if self._acceptors is not None:
            self._acceptors.start()
        self._server.start()
        log.info("listening", host=config.host, port=self.port, ae_title=config.ae_title, processes=self.pids)

    @property
    def pids(self) -> list[int]:
        """Of the acceptor processes that serve."""
        return [] if self._acceptors is None else self._acceptors.pids

    @property
    def troubles(self) -> list[str]:
        """For the page: acceptor processes that stand still, or did lately."""
        return [] if self._acceptors is None else self._acceptors.troubles

    def stop(self, drain: float = DRAIN_SECONDS) -> None:
        """Take no new association, let running ones end for `drain` seconds, then abort them. Blocks.

        Whatever was answered with success is durable; the rest the senders still have.
        """
        server, self._server = self._server, None
        if server is not None:
            server.stop(drain)


def processes(config: Ingest) -> int:
    """Acceptor processes; 0: this process serves."""
    if config.processes is None:
        cores = len(os.sched_getaffinity(0))
        return min(cores, MOST_PROCESSES) if cores > 1 else 0
    return config.processes if config.processes > 1 else 0


def per_address(config: Ingest) -> int:
    """Connections one address may have open."""
    return max(4, config.max_associations * 3 // 5)

"""The DICOM listener: built from its configuration, started, and drained."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from edge.config import DicomTls, Ingest
from edge.ingest.admission import Doorkeeper
from edge.ingest.association import Terms
from edge.ingest.server import Server
from edge.ingest.services import Handler
from edge.ingest.store import Reception
from edge.spool.spool import Spool
from gateway.clock import Clock
from gateway.errors import UsageError
from gateway.log import logger

DRAIN_SECONDS = 10.0
log = logger("edge.ingest")


class DicomListener:
    """C-ECHO and C-STORE SCP, and whatever DIMSE-N services it is given.

    Args:
        config: the listener's section of the configuration.
        spool: where instances are kept; called in the associations' threads.
        clock: the time.
        on_association_closed: told the notice's body after an association that sent something has ended;
            called in that association's thread.
        services: handlers of DIMSE-N requests by SOP class UID (`services`); called in the associations'
            threads.

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
        self._terms = Terms(
            Reception(spool, Doorkeeper(config), clock, on_association_closed),
            config.accept_deflated,
            None if config.tls is None else tls_context(config.tls),
            services,
        )
        self._server: Server | None = None

    @property
    def port(self) -> int:
        """The port it listens on (of use when the configuration says 0)."""
        if self._server is None:
            raise UsageError("the DICOM listener is not running")
        return self._server.port

    def start(self) -> None:
        """Listen, in a thread of its own. Raises UsageError if the address cannot be had."""
        config = self._config
        try:
            self._server = Server(
                config.host,
                config.port,
                self._terms,
                config.max_associations,
                per_address(config),
            )
        except OSError as error:
            place = f"{config.host}:{config.port}"
            raise UsageError(f"cannot listen for DICOM at {place}: {error}") from error
        self._server.start()
        log.info("listening", host=config.host, port=self.port, ae_title=config.ae_title)

    def stop(self, drain: float = DRAIN_SECONDS) -> None:
        """Take no new association, let running ones end for `drain` seconds, then abort them. Blocks.

        Whatever was answered with success is durable; the rest the senders still have.
        """
        server, self._server = self._server, None
        if server is not None:
            server.stop(drain)


def per_address(config: Ingest) -> int:
    """Connections one address may have open."""
    return max(4, config.max_associations * 3 // 5)


def tls_profile() -> ssl.SSLContext:
    """TLS for DICOM, PS3.15 B.12 (BCP 195): TLS 1.2 with ECDHE and AES-GCM, or 1.3. Without keys."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ECDHE+AESGCM")
    return context


def tls_context(config: DicomTls) -> ssl.SSLContext:
    """The same with keys.

    Raises:
        UsageError: the files cannot be used.
    """
    context = tls_profile()
    try:
        context.load_cert_chain(config.certificate, config.key)
        if config.client_ca is not None:
            context.load_verify_locations(config.client_ca)
            context.verify_mode = ssl.CERT_REQUIRED
    except (OSError, ssl.SSLError) as error:
        raise UsageError(f"ingest.tls: {error}") from error
    return context

"""The DICOM listener: built from its configuration, started, and drained."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable
from typing import Any

from pydicom._uid_dict import UID_dictionary
from pynetdicom import AE, evt
from pynetdicom.presentation import PresentationContext, build_context
from pynetdicom.service_class import NonPatientObjectStorageServiceClass, ServiceClass, StorageServiceClass
from pynetdicom.sop_class import uid_to_service_class

from edge.config import DicomTls, Ingest
from edge.ingest.admission import Doorkeeper
from edge.ingest.guard import MAX_PDU, StoreServer
from edge.ingest.store import Reception
from edge.spool.spool import Spool
from gateway.clock import Clock
from gateway.dicom import transfer
from gateway.dicom.part10 import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from gateway.errors import UsageError
from gateway.log import logger

VERIFICATION = "1.2.840.10008.1.1"
ACSE_SECONDS = 5.0
IDLE_SECONDS = 300.0
"""An association in which nothing comes for so long is aborted."""

DRAIN_SECONDS = 10.0
log = logger("edge.ingest")


class DicomListener:
    """C-ECHO and C-STORE SCP.

    Args:
        config: the listener's section of the configuration.
        spool: where instances are kept; its `receive` is called in the associations' threads.
        clock: the time.
        on_association_closed: told the notice's body after an association that sent something has ended;
            called in that association's thread.

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
    ) -> None:
        self._config = config
        self._reception = Reception(spool, Doorkeeper(config), clock, on_association_closed)
        self._tls = None if config.tls is None else tls_context(config.tls)
        self._server: StoreServer | None = None
        self._thread: threading.Thread | None = None
        entity = AE(ae_title=config.ae_title)
        entity.maximum_pdu_size = MAX_PDU
        entity.maximum_associations = config.max_associations
        entity.acse_timeout, entity.dimse_timeout, entity.network_timeout = ACSE_SECONDS, 30.0, IDLE_SECONDS
        entity.implementation_class_uid = IMPLEMENTATION_CLASS_UID
        entity.implementation_version_name = IMPLEMENTATION_VERSION_NAME
        self._entity = entity

    @property
    def port(self) -> int:
        """The port it listens on (of use when the configuration says 0)."""
        if self._server is None:
            raise UsageError("the DICOM listener is not running")
        port: int = self._server.server_address[1]
        return port

    def start(self) -> None:
        """Listen, in a thread of its own. Raises UsageError if the address cannot be had."""
        handlers = [
            (evt.EVT_REQUESTED, self._requested),
            (evt.EVT_C_ECHO, self._reception.echo),
            (evt.EVT_C_STORE, self._reception.store),
        ]
        try:
            self._server = StoreServer(
                self._entity,
                (self._config.host, self._config.port),
                ae_title=self._config.ae_title,
                contexts=[build_context(VERIFICATION)],
                handlers=handlers,
                ssl_context=self._tls,
                per_address=max(4, self._config.max_associations * 3 // 5),
                on_end=self._reception.ended,
            )
        except OSError as error:
            place = f"{self._config.host}:{self._config.port}"
            raise UsageError(f"cannot listen for DICOM at {place}: {error}") from error
        self._entity._servers.append(self._server)  # noqa: SLF001  # its shutdown looks for it there
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.2,), name="dicom-listener", daemon=True
        )
        self._thread.start()
        log.info("listening", host=self._config.host, port=self.port, ae_title=self._config.ae_title)

    def stop(self, drain: float = DRAIN_SECONDS) -> None:
        """Take no new association, let running ones end for `drain` seconds, then abort them. Blocks.

        Whatever was answered with success is durable; the rest the senders still have.
        """
        server, self._server = self._server, None
        if server is None or self._thread is None:
            return
        server.shutdown()
        self._thread.join()
        deadline = time.monotonic() + drain
        while server.active_associations and time.monotonic() < deadline:
            time.sleep(0.02)
        self._reception.draining = True
        for association in server.active_associations:
            association.abort()
        for association in server.active_associations:
            association.join(ACSE_SECONDS)
        self._reception.draining = False

    def _requested(self, event: Any) -> None:
        """Admission, then exactly the contexts that were asked for and can be taken."""
        if not self._reception.requested(event):
            return
        asked = event.assoc.requestor.primitive.presentation_context_definition_list
        event.assoc.acceptor.supported_contexts = supported(asked, deflated=self._config.accept_deflated)


def supported(asked: list[PresentationContext], *, deflated: bool) -> list[PresentationContext]:
    """What is taken of the contexts `asked` for: verification, and every storage class in every syntax.

    A class is a storage class if the standard says so, or if the standard does not know it: private
    classes and those younger than this program are stored like the others.

    Args:
        asked: as proposed in the A-ASSOCIATE-RQ.
        deflated: whether syntaxes that deflate the whole dataset are taken.
    """
    wanted: dict[str, list[str]] = {}
    for context in asked:
        if is_storage(context.abstract_syntax):
            syntaxes = wanted.setdefault(str(context.abstract_syntax), [])
            syntaxes += [
                str(uid)
                for uid in context.transfer_syntax
                if uid not in syntaxes and (deflated or not transfer.encoding(uid).deflated)
            ]
    contexts = [build_context(VERIFICATION)]
    contexts += [build_context(uid, syntaxes) for uid, syntaxes in wanted.items() if syntaxes]
    return contexts


def is_storage(abstract_syntax: Any) -> bool:
    """Whether instances of this class are to be stored."""
    service = uid_to_service_class(abstract_syntax)
    if service in (StorageServiceClass, NonPatientObjectStorageServiceClass):
        return True
    if service is not ServiceClass:
        return False
    return abstract_syntax not in UID_dictionary or "Storage" in abstract_syntax.name


def tls_context(config: DicomTls) -> ssl.SSLContext:
    """TLS for DICOM, PS3.15 B.12 (BCP 195): TLS 1.2 with ECDHE and AES-GCM, or 1.3.

    Raises:
        UsageError: the files cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ECDHE+AESGCM")
    try:
        context.load_cert_chain(config.certificate, config.key)
        if config.client_ca is not None:
            context.load_verify_locations(config.client_ca)
            context.verify_mode = ssl.CERT_REQUIRED
    except (OSError, ssl.SSLError) as error:
        raise UsageError(f"ingest.tls: {error}") from error
    return context

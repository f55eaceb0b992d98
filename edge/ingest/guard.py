"""pynetdicom's server, hardened, and waiting instead of polling.

Against the stock server (all reproduced): a PDU length of 4 GiB is refused before it is read; a silent
client neither holds the accept loop during its TLS handshake nor a place for long; one address gets
only its share of the places. Instead of sleeping a millisecond per turn, the upper layer waits on
the socket and on its queues at once.

Internals used (re-check at each pynetdicom release, held by tests/unit/edge/ingest/test_guard.py):
`AssociationSocket.recv/ready`, `RequestHandler._create_association`, `AssociationServer.get_request`,
`verify_request`, `DULServiceProvider.to_provider_queue/to_user_queue`, `DIMSEServiceProvider.msg_queue`,
`Association._serve_request`.
"""

from __future__ import annotations

import contextlib
import os
import queue
import select
import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable
from copy import deepcopy
from datetime import UTC, datetime
from typing import Any

from pynetdicom import _handlers, evt
from pynetdicom._globals import MODE_ACCEPTOR
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.service_class import StorageServiceClass
from pynetdicom.transport import AssociationSocket, RequestHandler, ThreadedAssociationServer

from gateway.log import logger

log = logger("edge.ingest")

TLS_WORDS = {
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "it showed no certificate",
    "CERTIFICATE_VERIFY_FAILED": "its certificate is not by the CA in ingest.tls.client_ca, or out of date",
    "WRONG_VERSION_NUMBER": "it does not speak TLS: switch TLS on there",
    "NO_SHARED_CIPHER": "it offers only ciphers that are no longer safe",
    "UNSUPPORTED_PROTOCOL": "it offers only TLS versions that are no longer safe",
}
"""What OpenSSL's reasons mean for who sets up the sender."""

FIRST_PDU = 128 << 10
"""Bytes of an A-ASSOCIATE-RQ: 128 contexts with every transfer syntax fit many times."""

MAX_PDU = 131072
"""What we offer as maximum length (PS3.8 D.1)."""

SLACK = 4096
PDU_SECONDS = 30.0
"""A PDU that has begun must be whole after so long."""

HANDSHAKE_SECONDS = 5.0
STOCK_LOGS = (
    (evt.EVT_DIMSE_RECV, _handlers.standard_dimse_recv_handler),
    (evt.EVT_DIMSE_SENT, _handlers.standard_dimse_sent_handler),
    (evt.EVT_PDU_RECV, _handlers.standard_pdu_recv_handler),
    (evt.EVT_PDU_SENT, _handlers.standard_pdu_sent_handler),
)
"""They put every PDU into words for a debug log that nobody reads."""

TURN = 0.05
"""Seconds after which a waiting loop looks around, if nothing wakes it."""


class Wakeup:
    """Wakes a thread that waits in `select`, from any thread."""

    def __init__(self) -> None:
        self._handle = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._lock = threading.Lock()

    def fileno(self) -> int:
        return self._handle

    def ring(self) -> None:
        with self._lock:
            if self._handle >= 0:
                os.eventfd_write(self._handle, 1)

    def clear(self) -> None:
        with contextlib.suppress(BlockingIOError), self._lock:
            if self._handle >= 0:
                os.eventfd_read(self._handle)

    def close(self) -> None:
        with self._lock:
            if self._handle >= 0:
                os.close(self._handle)
                self._handle = -1


class RingingQueue(queue.Queue[Any]):
    """A queue that rings when something is put."""

    def __init__(self, ring: Callable[[], object]) -> None:
        super().__init__()
        self._ring = ring

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        super().put(item, block, timeout)
        self._ring()


class MessageQueue(RingingQueue):
    """Messages for the association's loop, which asks without blocking and then sleeps: make asking wait."""

    def __init__(self, woken: threading.Event) -> None:
        super().__init__(woken.set)
        self._woken = woken

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        if not block and self.empty():
            self._woken.wait(TURN)
            self._woken.clear()
        return super().get(block, timeout)


class GuardedSocket(AssociationSocket):  # type: ignore[misc]  # pynetdicom ships no types
    """Refuses PDUs longer than agreed and PDUs that do not end; waits for socket and queue at once."""

    def __init__(self, association: Any, client: socket.socket) -> None:
        super().__init__(association, client_socket=client)
        self.wakeup = Wakeup()
        self._limit = FIRST_PDU
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    @property
    def ready(self) -> bool:
        """Whether a PDU may be read; waits a moment for one, or for something to send."""
        connection = self.socket
        if connection is None or not self._is_connected:
            time.sleep(0.001)
            return False
        if isinstance(connection, ssl.SSLSocket) and connection.pending():
            return True
        dul = self.assoc.dul
        if dul.state_machine.current_state == "Sta13":  # all is said; the answer false closes the connection
            self._drain(connection)
            return False
        idle = dul.event_queue.empty()
        try:
            readable, _, _ = select.select([connection, self.wakeup], [], [], TURN if idle else 0)
        except (OSError, ValueError):
            self.event_queue.put("Evt17")  # transport connection closed
            return False
        if self.wakeup in readable:
            self.wakeup.clear()
        return connection in readable

    def _drain(self, connection: socket.socket) -> None:
        """Drop what came after the end, or closing would reset the connection and lose our last word."""
        connection.settimeout(0)
        with contextlib.suppress(OSError):
            for _ in range(16):
                if not connection.recv(1 << 16):
                    break
        connection.settimeout(PDU_SECONDS)

    def _shutdown_socket(self) -> None:
        """Close, even if the other end has closed already (the stock method then leaves it open)."""
        connection = self.socket
        if connection is not None:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()

    def recv(self, nr_bytes: int) -> bytearray:
        """Exactly so many bytes, or fewer if the connection ended. Raises OSError beyond limit or time."""
        if nr_bytes > self._limit:
            raise OSError(f"a PDU of {nr_bytes} bytes, at most {self._limit} were agreed")
        if nr_bytes > 6:
            self._limit = MAX_PDU + SLACK
        data = bytearray(nr_bytes)
        view, filled = memoryview(data), 0
        deadline = time.monotonic() + PDU_SECONDS
        while filled < nr_bytes:
            self.socket.settimeout(max(deadline - time.monotonic(), 0.001))
            count = self.socket.recv_into(view[filled:])
            if not count:
                view.release()
                del data[filled:]
                return data
            filled += count
        return data


class StoreAssociation(Association):  # type: ignore[misc]  # pynetdicom ships no types
    """An acceptor that shakes hands in its own thread and takes C-STORE for any class it agreed to."""

    def __init__(
        self, entity: Any, client: socket.socket, ended: Callable[[StoreAssociation], object]
    ) -> None:
        super().__init__(entity, MODE_ACCEPTOR)
        self._client, self._ended = client, ended
        self.facts: Any = None  # of the handlers
        guarded = GuardedSocket(self, client)
        self._wakeup = guarded.wakeup
        self.set_socket(guarded)
        woken = threading.Event()
        self.dul.to_provider_queue = RingingQueue(guarded.wakeup.ring)
        self.dul.to_user_queue = RingingQueue(woken.set)
        self.dimse.msg_queue = MessageQueue(woken)
        self.dul._run_loop_delay = 0  # noqa: SLF001  # no public way; GuardedSocket.ready waits instead

    def run_reactor(self) -> None:
        """The life of the association, in its own thread."""
        try:
            if self._shaken():
                super().run_reactor()
        finally:
            self._ended(self)
            if self._started_dul:
                self.dul.join(1)
            self._wakeup.close()
            self._client.close()

    def _shaken(self) -> bool:
        if not isinstance(self._client, ssl.SSLSocket):
            return True
        self._client.settimeout(HANDSHAKE_SECONDS)
        try:
            self._client.do_handshake()
        except OSError as error:  # ssl.SSLError and timeouts are such
            reason = str(getattr(error, "reason", None) or error)
            why = TLS_WORDS.get(reason, reason)
            log.warning("no TLS with a sender", address=self.requestor.address_info.address, why=why)
            self._client.close()
            return False
        return True

    def _serve_request(self, msg: Any, context_id: int) -> None:
        """Private and unknown classes have no service class of pynetdicom's own."""
        context = self._accepted_cx.get(context_id)
        if isinstance(msg, C_STORE) and context is not None and msg.is_valid_request:
            StorageServiceClass(self).SCP(msg, context)
        else:
            super()._serve_request(msg, context_id)


class StoreHandler(RequestHandler):  # type: ignore[misc]  # pynetdicom ships no types
    """Makes our association instead of the stock one (`RequestHandler._create_association`)."""

    def _create_association(self) -> StoreAssociation:
        server: StoreServer = self.server
        association = StoreAssociation(self.ae, self.request, server.ended)
        association._server = server  # noqa: SLF001  # as the stock handler does
        # pynetdicom finds its acceptors by this name
        association.name = f"AcceptorThread@{datetime.now(UTC):%Y%m%d%H%M%S}"
        association.acceptor.maximum_length = self.ae.maximum_pdu_size
        association.acceptor.ae_title = server.ae_title
        association.acceptor.address_info = self.local
        association.acceptor.implementation_class_uid = self.ae.implementation_class_uid
        association.acceptor.implementation_version_name = self.ae.implementation_version_name
        association.acceptor.supported_contexts = deepcopy(server.contexts)
        association.requestor.address_info = self.remote
        for event, stock in STOCK_LOGS:
            association.unbind(event, stock)
        for event, bound in server.handlers:
            association.bind(event, bound)
        return association


class StoreServer(ThreadedAssociationServer):  # type: ignore[misc]  # pynetdicom ships no types
    """Accepts connections; each address gets at most `per_address` of them."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(
        self,
        entity: Any,
        address: tuple[str, int],
        *,
        ae_title: str,
        contexts: list[Any],
        handlers: list[tuple[Any, Callable[..., Any]]],
        ssl_context: ssl.SSLContext | None,
        per_address: int,
        on_end: Callable[[StoreAssociation], object],
    ) -> None:
        self.handlers = handlers
        self._per_address, self._on_end = per_address, on_end
        self._open: Counter[str] = Counter()
        self._count_lock = threading.Lock()
        super().__init__(entity, address, ae_title, contexts, ssl_context, request_handler=StoreHandler)

    def _bind_defaults(self) -> None:
        """None: the stock handlers format every PDU for a debug log. Ours are bound per association."""

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept; the TLS handshake waits for the association's own thread."""
        client, address = self.socket.accept()
        client.settimeout(PDU_SECONDS)
        if self.ssl_context is not None:
            client = self.ssl_context.wrap_socket(client, server_side=True, do_handshake_on_connect=False)
        return client, address

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """One address must not take every place."""
        with self._count_lock:
            if self._open[client_address[0]] >= self._per_address:
                return False
            self._open[client_address[0]] += 1
            return True

    def ended(self, association: StoreAssociation) -> None:
        """An association's thread is about to end."""
        address = association.requestor.address_info.address
        with self._count_lock:
            self._open[address] -= 1
            if self._open[address] <= 0:
                del self._open[address]
        self._on_end(association)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that could not even begin; `StoreHandler` raised."""
        with self._count_lock:
            self._open[client_address[0]] -= 1

"""One association from its TLS handshake to its end, in a thread of its own.

The loop reads P-DATA from the socket and puts long fragments where they are to be sealed: nothing polls,
nothing sleeps, and no dataset is ever whole in memory in clear. A C-STORE is answered when it is durable;
what the sender has sent meanwhile waits in the socket and is answered in order.
"""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge.ingest import dimse
from edge.ingest.dimse import Command, Field, Messages, Sink
from edge.ingest.pdu import LAST, RELEASE_RP, AbortReason, Pdu, abort, p_data, pdvs
from edge.ingest.policy import Accepted, Policy
from edge.ingest.wire import Ended, Wire
from gateway.errors import Malformed
from gateway.log import logger

if TYPE_CHECKING:
    from edge.ingest.store import Reception, Visit

ACSE_SECONDS = 5.0
"""A connection whose whole A-ASSOCIATE-RQ is not there by then is closed (ARTIM, PS3.8 §9.1.5)."""

HANDSHAKE_SECONDS = 5.0
"""A TLS handshake must be over by then, however its bytes come."""

IDLE_SECONDS = 300.0
"""An association in which nothing comes for so long is aborted."""

TLS_WORDS = {
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "it showed no certificate",
    "CERTIFICATE_VERIFY_FAILED": "its certificate is not by the CA in ingest.tls.client_ca, or out of date",
    "WRONG_VERSION_NUMBER": "it does not speak TLS: switch TLS on there",
    "NO_SHARED_CIPHER": "it offers only ciphers that are no longer safe",
    "UNSUPPORTED_PROTOCOL": "it offers only TLS versions that are no longer safe",
}
"""What OpenSSL's reasons mean for who sets up the sender."""

log = logger("edge.ingest")


@dataclass(frozen=True, slots=True)
class Terms:
    """What every association of a listener is under.

    Attributes:
        reception: what becomes of instances.
        policy: who comes in, and what else is answered.
        tls: set where senders must speak TLS.
    """

    reception: Reception
    policy: Policy
    tls: ssl.SSLContext | None


class Association:
    """One connection. `run` is its life; `stop` may be called from any thread.

    Args:
        connection: just accepted.
        address: IP address of the sender.
        terms: of the listener.
    """

    def __init__(self, connection: socket.socket, address: str, terms: Terms) -> None:
        self._connection, self._address, self._terms = connection, address, terms
        self._wire: Wire | None = None
        self._agreed: Accepted | None = None
        self._visit: Visit | None = None
        self._stopped = False

    @property
    def established(self) -> bool:
        """Whether the sender has been let in."""
        return self._visit is not None

    def run(self) -> None:
        """Handshake, negotiate, serve, and close whatever happens."""
        released = False
        messages = Messages(self)
        try:
            wire = self._wire = Wire(self._shaken(), self._terms.reception.alone)
            if self._negotiated(wire):
                released = self._serve(wire, messages)
        except Malformed as error:
            self._give_up(AbortReason.INVALID_PARAMETER, str(error))
        except OSError as error:
            self._give_up(None, str(error))
        finally:
            messages.close()
            if self._visit is not None:
                self._leave(self._visit, released=released)
            if self._wire is not None:
                self._wire.close()
            self._connection.close()

    def stop(self) -> None:
        """Abort it."""
        self._stopped = True
        if self._wire is not None:
            self._give_up(None, "the gateway is being stopped")
            self._wire.hang_up()
        else:
            self._connection.close()

    # -- before it is established --------------------------------------------------------------------

    def _shaken(self) -> socket.socket:
        self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._terms.tls is None:
            return self._connection
        self._connection.settimeout(HANDSHAKE_SECONDS)
        try:
            self._connection = self._terms.tls.wrap_socket(self._connection, server_side=True)
        except OSError as error:  # ssl.SSLError and timeouts are such
            reason = str(getattr(error, "reason", None) or error)
            raise Ended(f"no TLS: {TLS_WORDS.get(reason, reason)}") from error
        return self._connection

    def _negotiated(self, wire: Wire) -> bool:
        kind, length = wire.next(ACSE_SECONDS, whole=True)
        if kind != Pdu.ASSOCIATE_RQ:
            raise Ended("it sent something else than an A-ASSOCIATE-RQ")
        found = self._terms.policy.decide(self, bytes(wire.take(length)))
        if isinstance(found, bytes):
            wire.send(found)
            return False
        self._agreed = found
        self._visit = self._terms.reception.visit(found.sender, found.called, self._address)
        wire.agreed()
        wire.send(found.reply)
        return True

    # -- established ---------------------------------------------------------------------------------

    def _serve(self, wire: Wire, messages: Messages) -> bool:
        """Until its end. Returns whether it was released."""
        while True:
            kind, length = wire.next(IDLE_SECONDS)
            if kind == Pdu.DATA:
                for context, control, size in pdvs(length, wire.take):
                    sink = messages.begun(context, control)
                    if sink is None:
                        messages.command(wire.take(size))
                    else:
                        wire.pour(size, sink, more=not control & LAST)
                    messages.ended(control)
                wire.progress(busy=messages.open)
            elif kind == Pdu.RELEASE_RQ:
                wire.send(RELEASE_RP)
                return True
            elif kind == Pdu.ABORT:
                return False
            else:
                known = Pdu.ASSOCIATE_RQ <= kind <= Pdu.ABORT
                self._give_up(
                    AbortReason.UNEXPECTED_PDU if known else AbortReason.UNRECOGNIZED_PDU,
                    f"a PDU of type {kind} in an association",
                )
                return False

    def _leave(self, visit: Visit, *, released: bool) -> None:
        ending = self._terms.reception.ended(visit, released=released)
        self._terms.policy.left(self)
        if ending is not None:
            self._terms.policy.ended(ending)

    def begin(self, context: int, command: Command) -> Sink:
        """A message begins (`dimse.Server`). Raises Malformed if it was not negotiated."""
        if self._agreed is None or self._visit is None or context not in self._agreed.contexts:
            raise Malformed(f"a message on presentation context {context}, which was not accepted")
        abstract, syntax = self._agreed.contexts[context]
        if command.field == Field.C_STORE_RQ and abstract not in self._agreed.services:
            if not command.valid_uids() or not command.has_dataset:
                return Answered(self, context, command, dimse.INVALID_INSTANCE)
            return Stored(self, context, command, self._visit, self._terms.reception, syntax)
        if command.field == Field.C_ECHO_RQ:
            return Answered(self, context, command, 0)
        if command.field in dimse.N_REQUESTS and abstract in self._agreed.services:
            return Handled(self, context, command, self._terms.policy)
        if command.field == Field.N_EVENT_REPORT_RSP:
            self._terms.policy.replied(self, context, command)
        if command.field & 0x8000 or command.field == Field.C_CANCEL_RQ:
            return Ignored()
        return Answered(self, context, command, dimse.UNRECOGNIZED_OPERATION)

    def answer(self, context: int, command: Command, status: int) -> None:
        """Send a response without dataset. Raises OSError."""
        self.say(b"".join(p_data(context, command.answer(status), self.peer_limit, command=True)))

    def say(self, pdus: bytes) -> None:
        """Send PDUs, from any thread. Raises OSError."""
        if self._wire is not None:
            self._wire.send(pdus)

    @property
    def peer_limit(self) -> int:
        """The sender's maximum length."""
        return self._agreed.peer_limit if self._agreed else 0

    @property
    def address(self) -> str:
        """IP address of the sender."""
        return self._address

    def _give_up(self, reason: AbortReason | None, why: str) -> None:
        log.warning("connection given up", address=self._address, established=self.established, why=why)
        if self._wire is not None and self._agreed is not None:
            try:
                self._wire.send(abort(reason))
            except OSError:
                return  # it is gone already


class Ignored:
    """A message that is no request: nothing is said."""

    landing = None

    def write(self, data: memoryview) -> None:
        """Drop it."""

    def finish(self) -> None:
        """Say nothing."""

    def abandon(self) -> None:
        """Nothing to give up."""


class Answered(Ignored):
    """A request whose answer does not depend on its dataset."""

    def __init__(self, association: Association, context: int, command: Command, status: int) -> None:
        self._association, self._context, self._command, self._status = association, context, command, status

    def finish(self) -> None:
        """Answer."""
        self._association.answer(self._context, self._command, self._status)


class Stored:
    """A C-STORE request."""

    def __init__(
        self,
        association: Association,
        context: int,
        command: Command,
        visit: Visit,
        reception: Reception,
        syntax: str,
    ) -> None:
        self._association, self._context, self._command = association, context, command
        self._reception = reception
        self._incoming = reception.begin(visit, (command.sop_class, command.sop_instance), syntax)
        self.landing = self._incoming
        self.write, self.abandon = self._incoming.write, self._incoming.abandon

    def finish(self) -> None:
        """Answer when it is durable."""
        status = int(self._incoming.finish())
        try:
            self._association.answer(self._context, self._command, status)
        finally:  # it is kept, whether the sender hears of it or not
            self._incoming.answered()


class Handled:
    """A DIMSE-N request."""

    landing = None

    def __init__(self, association: Association, context: int, command: Command, policy: Policy) -> None:
        self._association, self._context, self._command = association, context, command
        self._policy = policy
        self._data = bytearray()
        self._too_large = False

    def write(self, data: memoryview) -> None:
        """Gather it, within bounds."""
        self._too_large |= len(self._data) + len(data) > dimse.DATASET_LIMIT
        if not self._too_large:
            self._data += data

    def finish(self) -> None:
        """Have it answered, and send that."""
        if self._too_large:
            self._association.answer(self._context, self._command, dimse.OUT_OF_RESOURCES)
            return
        found = self._policy.request(self._association, self._context, self._command, bytes(self._data))
        self._association.say(found)

    def abandon(self) -> None:
        """Forget it."""
        self._data.clear()

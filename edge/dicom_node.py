"""Calls a DICOM node of the hospital (RIS, PACS), with TLS where it is wanted, and says why that fails.

pynetdicom tells only that there is no association; then the way to the node is tried once more, step by step.
"""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass
from pathlib import Path

from pynetdicom import AE
from pynetdicom.association import Association

from edge.config import NodeTls
from edge.tls import node_context
from gateway.errors import Unavailable
from gateway.tls import unverified_client_context
from gateway.unreached import why_of

STEP_SECONDS = 5.0
ALERT_SECONDS = 1.0
"""With TLS 1.3 a server refuses our certificate after the handshake: so long we wait to hear it."""

ISSUER = {18, 19, 20, 21}
NAME = {62, 64}
TIME = {9, 10}
"""Verify codes of OpenSSL (x509_vfy.h): nobody we trust has signed it; it names another host; its time."""

ALERTS = {
    "WRONG_VERSION_NUMBER": "no TLS is spoken on that port (is it another one?)",
    "RECORD_LAYER_FAILURE": "no TLS is spoken on that port (is it another one?)",
    "UNEXPECTED_EOF_WHILE_READING": "it closed the connection (is TLS spoken on that port?)",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "it asks for our certificate: set tls.certificate and tls.key",
    "TLSV1_ALERT_UNKNOWN_CA": "it does not know the CA of our certificate",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": "it does not accept our certificate",
    "SSLV3_ALERT_BAD_CERTIFICATE": "it does not accept our certificate",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "our certificate has expired",
    "SSLV3_ALERT_HANDSHAKE_FAILURE": "it offers no TLS that is still safe, or asks for our certificate",
    "TLSV1_ALERT_PROTOCOL_VERSION": "it offers only TLS versions that are no longer safe",
    "NO_PROTOCOLS_AVAILABLE": "it offers only TLS versions that are no longer safe",
}
"""What OpenSSL's reasons mean for who sets it up."""


@dataclass(frozen=True, slots=True)
class Node:
    """Whom to call.

    Attributes:
        host: name or address.
        port: of it.
        ae_title: its.
        tls: None: without.
    """

    host: str
    port: int
    ae_title: str
    tls: NodeTls | None = None

    @property
    def place(self) -> str:
        """For messages."""
        return f"{self.ae_title} at {self.host}:{self.port}"


def associate(entity: AE, node: Node) -> Association:
    """An established association. Blocks.

    Args:
        entity: with its contexts and time limits.
        node: whom to call.

    Raises:
        Unavailable: there is none, and why.
    """
    try:
        context = None if node.tls is None else node_context(node.tls)
    except OSError as error:
        raise Unavailable(f"{node.place}: {_unusable(node.tls, error)}") from error
    try:
        association = entity.associate(
            node.host,
            node.port,
            ae_title=node.ae_title,
            tls_args=None if context is None else (context, node.host),
        )
    except OSError as error:  # a name that cannot be resolved
        raise Unavailable(f"{node.place} cannot be reached: {why_of(error, node.host, node.port)}") from error
    if association.is_established:
        return association
    if association.is_rejected:
        primitive = association.acceptor.primitive
        reason = getattr(primitive, "reason_str", "") if primitive is not None else ""
        raise Unavailable(f"{node.place} rejects the association{': ' if reason else ''}{reason}")
    why = found_on_the_way(node, context)
    raise Unavailable(f"{node.place} cannot be reached: {why}" if why else f"{node.place} cannot be reached")


def found_on_the_way(node: Node, context: ssl.SSLContext | None) -> str:
    """What is wrong with the way to a node that gave no association; empty if the way is good. Blocks."""
    try:
        with socket.create_connection((node.host, node.port), STEP_SECONDS) as connection:
            if context is None:
                return "it speaks TLS there: set tls" if _speaks_tls(connection) else ""
            with context.wrap_socket(connection, server_hostname=node.host) as wrapped:
                wrapped.settimeout(ALERT_SECONDS)
                wrapped.recv(1)
    except ssl.SSLCertVerificationError as error:
        return f"it does not prove who it is: {_unproven(error)}"
    except ssl.SSLError as error:
        reason = str(error.reason or error)
        return f"no TLS connection: {ALERTS.get(reason, reason)}"
    except TimeoutError:
        return ""
    except OSError as error:
        return why_of(error, node.host, node.port)
    return ""


def _speaks_tls(connection: socket.socket) -> bool:
    try:
        with unverified_client_context().wrap_socket(connection):
            return True
    except ssl.SSLError as error:
        return "ALERT" in str(error.reason)  # so speaks who knows TLS
    except OSError:
        return False


def _unproven(error: ssl.SSLCertVerificationError) -> str:
    if error.verify_code in ISSUER:
        return "its certificate is not by tls.ca"
    if error.verify_code in NAME:
        return "its certificate names another host (tls.check_name: false takes any by tls.ca)"
    words = error.verify_message
    return f"{words} (is this machine's clock right?)" if error.verify_code in TIME else words


def _unusable(tls: NodeTls | None, error: OSError) -> str:
    """Which file of ours, and what about it."""
    for file in () if tls is None else (tls.ca, tls.certificate, tls.key):
        if file is not None and not _readable(file):
            return f"{file} of tls cannot be read"
    return f"certificate and key of tls cannot be used: {getattr(error, 'reason', None) or error}"


def _readable(file: Path) -> bool:
    try:
        return bool(file.read_bytes())
    except OSError:
        return False

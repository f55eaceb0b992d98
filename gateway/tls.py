"""TLS contexts, and who the other end is. No other file of this program makes a context for our own lines.

The line between edge and hub speaks TLS 1.3 alone, with certificates on both ends. It gives out no
session tickets: a resumed session skips the certificate check, so a revoked edge would get in
(RFC 8446 §4.6.1). Under TLS 1.3 a client learns of a refused certificate only as a connection
that closes; `edge.hub_client` asks the hub's web address for the reason.
"""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from cryptography import x509

from gateway.certificate import pem, read_der
from gateway.errors import Unverified, UsageError
from gateway.trust import Identity, Purpose, Trust

HANDSHAKE_SECONDS = 5.0
"""For `loop.create_server(ssl_handshake_timeout=…)`; asyncio's own 60 s let silent clients pile up."""

_WEB_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""For TLS 1.2, RFC 9325 §4.2; TLS 1.3 has only good ones."""


def line_server_context(
    certificate: Path, key: Path, authorities: Sequence[x509.Certificate], *, proxied: bool = False
) -> ssl.SSLContext:
    """For the hub's line: TLS 1.3, a client certificate required, no tickets.

    Args:
        certificate: PEM chain of the server, leaf first.
        key: its key, PEM.
        authorities: the root, and the authority that issues device certificates (the only ones
            from which `peer_identity` builds a chain).
        proxied: a client may show none, since a proxy forwards that of the edge; whoever answers requests
            must then refuse a caller without one.

    Raises:
        UsageError: the files cannot be read or do not belong together.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_OPTIONAL if proxied else ssl.CERT_REQUIRED
    context.num_tickets = 0
    context.options |= ssl.OP_NO_TICKET
    context.load_verify_locations(cadata=pem(authorities).decode())
    context.set_alpn_protocols(["http/1.1"])
    load_certificate(context, certificate, key)
    return context


def web_server_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """For browsers: TLS 1.2 or later, no client certificate. Raises as `line_server_context`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_WEB_CIPHERS)
    context.set_alpn_protocols(["http/1.1"])
    load_certificate(context, certificate, key)
    return context


def line_client_context(certificate: Path, key: Path, roots: Sequence[x509.Certificate]) -> ssl.SSLContext:
    """For an edge: TLS 1.3, its own certificate, the hub's name checked. Raises as `line_server_context`."""
    context = web_client_context(roots)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    load_certificate(context, certificate, key)
    return context


_NO_CHECK_TIME = 0x200000
"""X509_V_FLAG_NO_CHECK_TIME of OpenSSL (X509_VERIFY_PARAM_set_flags(3))."""


def any_time_client_context(roots: Sequence[x509.Certificate]) -> ssl.SSLContext:
    """Only to ask the hub for its time: chain and name are checked, but not when certificates are valid."""
    context = web_client_context(roots)
    context.verify_flags |= ssl.VerifyFlags(_NO_CHECK_TIME)
    return context


def web_client_context(roots: Sequence[x509.Certificate]) -> ssl.SSLContext:
    """For enrolment and diagnosis: no certificate of our own, the hub's chain and name checked."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(cadata=pem(roots).decode())
    context.set_alpn_protocols(["http/1.1"])
    return context


def unverified_client_context() -> ssl.SSLContext:
    """Only to fetch the root that is then compared with its pin; nothing may be sent over it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def load_certificate(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    """Give a context its certificate; on a context in use, every later handshake shows the new one."""
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise UsageError(f"cannot use the certificate {certificate} with the key {key}: {error}") from error


def peer_identity(
    ssl_object: ssl.SSLObject | ssl.SSLSocket,
    trust: Trust,
    at: datetime,
    forwarded: x509.Certificate | None = None,
) -> Identity:
    """Which device is at the other end of a connection to our line.

    Args:
        ssl_object: of the server's side: ``transport.get_extra_info("ssl_object")``.
        trust: the roots.
        at: now.
        forwarded: the certificate a trusted proxy saw at its own other end; it counts instead.

    Raises:
        Unverified: the other end showed no certificate, or one that is not a device's.
        Malformed: its certificate cannot be read.
    """
    if forwarded is None:
        der = ssl_object.getpeercert(binary_form=True)
        if not der:
            raise Unverified("the other end of the connection showed no certificate")
        forwarded = read_der(der)
    chain = [forwarded]
    known = [read_der(one) for one in ssl_object.context.get_ca_certs(binary_form=True)]
    while (issuer := _next(chain[-1], known)) is not None and issuer not in chain:
        chain.append(issuer)
    return trust.identify(chain, Purpose.DEVICE, at)


def _next(certificate: x509.Certificate, known: Sequence[x509.Certificate]) -> x509.Certificate | None:
    return next((one for one in known if one.subject == certificate.issuer), None)

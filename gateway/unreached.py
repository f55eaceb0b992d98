"""Why a connection could not be made or not be trusted, in words for who can do something about it. Pure."""

from __future__ import annotations

import errno
import socket
import ssl
from datetime import datetime, timedelta

from aiohttp import ClientConnectorCertificateError, ClientConnectorError

_WORDS = {
    errno.ECONNREFUSED: "the machine at {place} answers, but nothing listens on that port"
    " (is the program running there? is the port right?)",
    errno.ECONNRESET: "{place} closed the connection at once",
    errno.EHOSTUNREACH: "there is no way to {place} (is the network cable in? is the router on?)",
    errno.ENETUNREACH: "this machine has no network that leads to {place} (is the network cable in?)",
    errno.ETIMEDOUT: "{place} does not answer (is it on? does a firewall stand between?)",
}


_NO_TLS = "no TLS is spoken there (is it another port? does a proxy answer in its place?)"
_OTHER_TLS = "it speaks no TLS 1.3 (does a firewall look into TLS on the way?)"
_TLS = {
    "WRONG_VERSION_NUMBER": _NO_TLS,
    "RECORD_LAYER_FAILURE": _NO_TLS,
    "HTTP_REQUEST": _NO_TLS,
    "TLSV1_ALERT_PROTOCOL_VERSION": _OTHER_TLS,
    "UNSUPPORTED_PROTOCOL": _OTHER_TLS,
    "NO_PROTOCOLS_AVAILABLE": _OTHER_TLS,
}
"""What OpenSSL's reasons mean."""

_NOT_YET, _NO_LONGER = 9, 10
"""X509_V_ERR_CERT_NOT_YET_VALID and X509_V_ERR_CERT_HAS_EXPIRED of OpenSSL."""
_ISSUERS = frozenset((18, 19, 20, 21))
"""Of those with which nobody whom we trust has signed it."""
_STRANGER = (
    "its certificate is not by the authority of this hub"
    " (is it another machine? does a firewall look into TLS on the way?)"
)


CLOCKS_AGREE = timedelta(minutes=5)
"""Clocks that are no further apart are not what makes a certificate's time wrong."""


def wrong_time(error: ClientConnectorCertificateError) -> bool:
    """Whether the certificate is good but for its time, as this machine's clock has it."""
    return getattr(error.certificate_error, "verify_code", None) in (_NOT_YET, _NO_LONGER)


def why_not_trusted(
    error: ClientConnectorCertificateError, now: datetime, hub_now: datetime | None = None
) -> str:
    """What is wrong with the certificate that was shown.

    Args:
        error: of aiohttp.
        now: by this machine's clock, which is the first suspect when a certificate's time is wrong.
        hub_now: by the hub's; None: it is not known.
    """
    cause = error.certificate_error
    if getattr(cause, "verify_code", None) in _ISSUERS:
        return _STRANGER
    words = str(getattr(cause, "verify_message", "") or cause)
    if not wrong_time(error):
        return words
    if hub_now is None:
        return f"{words} (is this machine's clock right? it says {now:%Y-%m-%d %H:%M} UTC)"
    if abs(hub_now - now) <= CLOCKS_AGREE:
        return f"{words} (the clocks agree: it is the hub's certificate; tell the hub's administrator)"
    return f"{words} ({clocks_apart(hub_now, now)}; set it, best by NTP)"


def clocks_apart(hub_now: datetime, now: datetime) -> str:
    """By how much this machine's clock is off, if the hub's is right."""
    way = "behind" if now < hub_now else "ahead of"
    return (
        f"this machine's clock is {off(hub_now - now)} {way} the hub's:"
        f" it says {now:%Y-%m-%d %H:%M} UTC, the hub's {hub_now:%Y-%m-%d %H:%M}"
    )


def off(span: timedelta) -> str:
    """How long it is, whichever way: ``2 d 3 h``, ``3 h 5 min``, ``7 min``."""
    minutes = max(1, round(abs(span) / timedelta(minutes=1)))
    days, hours = minutes // 1440, minutes // 60 % 24
    counts = ((days, "d"), (hours, "h"), (minutes % 60, "min"))
    return " ".join([f"{count} {unit}" for count, unit in counts if count][:2])


def why(error: ClientConnectorError) -> str:
    """Why `error` happened, naming the address.

    Args:
        error: of aiohttp, whose own text shows Python objects.
    """
    return why_of(error.os_error, error.host, error.port)


def why_of(cause: OSError, host: str, port: int | None) -> str:
    """The same of an error of the system.

    Args:
        cause: of a name's look-up, a connection or a TLS handshake.
        host: that was called.
        port: of it.
    """
    place = f"{host}:{port}"
    if isinstance(cause, socket.gaierror):
        return f"the name {host} is not known (is it written right? does this machine have a name server?)"
    if isinstance(cause, ssl.SSLError):
        reason = str(getattr(cause, "reason", None) or cause)
        return f"no TLS connection with {place}: {_TLS.get(reason, reason)}"
    known = _WORDS.get(errno.ETIMEDOUT if isinstance(cause, TimeoutError) else cause.errno or 0)
    if known is not None:
        return known.format(place=place)
    return f"no connection with {place}: {cause.strerror or cause}"

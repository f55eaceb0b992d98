"""Why the hub cannot be reached, in words without Python in them."""

from __future__ import annotations

import errno
import socket
import ssl
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import ClientConnectorCertificateError, ClientConnectorError, ClientSession, ClientTimeout
from aiohttp.client_reqrep import ConnectionKey

from gateway.unreached import why, why_not_trusted
from tests.doubles.relay import mute

KEY = ConnectionKey("hub.example.org", 8443, True, True, None, None, None)


@pytest.mark.parametrize(
    ("cause", "words"),
    [
        (
            OSError(errno.ECONNREFUSED, "Connect call failed ('10.0.0.1', 8443)"),
            "nothing listens on that port",
        ),
        (OSError(errno.EHOSTUNREACH, "x"), "there is no way to hub.example.org:8443"),
        (OSError(errno.ENETUNREACH, "x"), "no network"),
        (OSError(errno.ETIMEDOUT, "x"), "does not answer"),
        (socket.gaierror(-2, "Name or service not known"), "the name hub.example.org is not known"),
        (ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number"), "no TLS connection with"),
        (OSError(errno.EPERM, "Operation not permitted"), "8443: Operation not permitted"),
        (OSError("Multiple exceptions: a, b"), "Multiple exceptions"),
    ],
)
def test_every_cause_is_told_with_its_place(cause: OSError, words: str) -> None:
    told = why(ClientConnectorError(KEY, cause))
    assert words in told
    assert "hub.example.org" in told
    assert not any(word in told for word in ("ssl:", "object at", "[Errno", "Connect call"))


async def test_a_real_refusal_is_understood() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    async with ClientSession(timeout=ClientTimeout(total=5)) as session:
        with pytest.raises(ClientConnectorError) as raised:
            await session.get(f"http://127.0.0.1:{port}/")
    assert why(raised.value).startswith(f"the machine at 127.0.0.1:{port} answers, but nothing listens")


@pytest.mark.parametrize(("code", "suspect"), [(9, True), (10, True), (23, False)])
def test_a_wrong_time_of_a_certificate_makes_the_clock_the_suspect(code: int, suspect: bool) -> None:
    cause = ssl.SSLCertVerificationError(1, "[SSL: CERTIFICATE_VERIFY_FAILED] …")
    cause.verify_code, cause.verify_message = code, "certificate is as it is"
    error = ClientConnectorCertificateError(KEY, cause)
    told = why_not_trusted(error, datetime(1970, 1, 1, 3, 4, tzinfo=UTC))
    assert told.startswith("certificate is as it is")
    assert ("is this machine's clock right? it says 1970-01-01 03:04 UTC" in told) == suspect


@pytest.mark.parametrize("code", [18, 19, 20, 21])
def test_a_certificate_of_another_authority_is_told_without_jargon(code: int) -> None:
    cause = ssl.SSLCertVerificationError(1, "[SSL: CERTIFICATE_VERIFY_FAILED] …")
    cause.verify_code, cause.verify_message = code, "unable to get local issuer certificate"
    told = why_not_trusted(ClientConnectorCertificateError(KEY, cause), HALF)
    assert told.startswith("its certificate is not by the authority of this hub")
    assert "local issuer" not in told


async def test_what_speaks_no_tls_is_told_so() -> None:
    async with mute(b"HTTP/1.1 400 Bad Request\r\n\r\n") as there, ClientSession() as session:
        with pytest.raises(ClientConnectorError) as raised:
            await session.get(f"https://127.0.0.1:{there.port}/", timeout=ClientTimeout(total=5))
    assert "no TLS is spoken there (is it another port?" in why(raised.value)


HALF = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("hub_now", "words"),
    [
        (HALF + timedelta(days=400, hours=3, minutes=7), "is 400 d 3 h behind the hub's"),
        (HALF - timedelta(hours=5, minutes=2), "is 5 h 2 min ahead of the hub's"),
        (HALF + timedelta(minutes=9), "is 9 min behind the hub's"),
        (HALF + timedelta(minutes=4), "the clocks agree: it is the hub's certificate"),
    ],
)
def test_by_how_much_the_clock_is_off(hub_now: datetime, words: str) -> None:
    cause = ssl.SSLCertVerificationError(1, "[SSL: CERTIFICATE_VERIFY_FAILED] …")
    cause.verify_code, cause.verify_message = 9, "certificate is not yet valid"
    told = why_not_trusted(ClientConnectorCertificateError(KEY, cause), HALF, hub_now)
    assert told.startswith("certificate is not yet valid (")
    assert words in told
    if "agree" not in words:
        assert f"it says {HALF:%Y-%m-%d %H:%M} UTC, the hub's {hub_now:%Y-%m-%d %H:%M}" in told

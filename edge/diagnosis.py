"""What the hub's web port says of this edge: why the line refuses it, and what time it is there.

TLS 1.3 shows a client whose certificate is refused only a connection that closes.
"""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import aiohttp
from cryptography import x509

from edge.proxy import Proxy, through
from gateway import tls
from gateway.clock import parse_rfc3339
from gateway.log import logger

SECONDS = 5.0
NOBODY = "0" * 64
"""A fingerprint that no certificate has: who only wants to know the time."""

log = logger("edge.hub")


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What it says.

    Attributes:
        words: why the certificate is refused; empty if it is not.
        now: the time there; None: it did not say.
    """

    words: str
    now: datetime | None


async def ask(
    web: str, fingerprint: str, context: ssl.SSLContext, proxy: Proxy | None = None
) -> Diagnosis | None:
    """Ask ``/whoami``.

    Args:
        web: the hub's web address.
        fingerprint: of our certificate.
        context: for TLS.
        proxy: to go through.

    Returns:
        Its answer; None if nobody answers in this way.
    """
    timeout = aiohttp.ClientTimeout(total=SECONDS)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(
                web.rstrip("/") + "/whoami",
                params={"fingerprint": fingerprint},
                ssl=context,
                **through(proxy),
            ) as response,
        ):
            answer = await response.json()
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        log.info("no diagnosis", why=repr(error))
        return None
    if not isinstance(answer, dict) or answer.get("verdict") is None:
        return None
    words = "" if answer["verdict"] == "good" else str(answer.get("words", answer["verdict"]))
    return Diagnosis(words, _time(answer.get("now")))


async def hub_time(
    web: str, roots: Sequence[x509.Certificate], proxy: Proxy | None = None
) -> datetime | None:
    """What time it is at the hub, for a machine whose own clock may be years off; None if nobody says it.

    Whoever answers has proved to be the hub, but for the time of its certificate: for words, and no more.
    """
    found = await ask(web, NOBODY, tls.any_time_client_context(roots), proxy)
    return None if found is None else found.now


def _time(told: Any) -> datetime | None:
    try:
        return parse_rfc3339(told)
    except (TypeError, ValueError):
        return None

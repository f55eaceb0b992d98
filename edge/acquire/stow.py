"""STOW-RS (PS3.18 §10.5): ``POST /studies`` and ``/studies/{study}``, part by part into the spool.

======  ======================================================================================
status  when
======  ======================================================================================
200     every instance is durable here
202     some are, or some with a warning; the response says which
400     no readable multipart, or it ended early; what came whole before is kept, as the response says
401     no token, or one that is not known
403     the address is not on the list
409     none was stored; the response says why
413     an instance is larger than is taken here; what came before is kept, as the response says
415     the media type is not ``application/dicom``, alone or in ``multipart/related``, or the body has a
        content coding: a few kilobytes could unfold to gigabytes
503     the disk is below its reserve, or too many requests run: try again later
======  ======================================================================================
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import json
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from aiohttp import web

from edge.acquire.files import opening_of
from edge.acquire.related import TooLarge, media_type, parts
from edge.acquire.visit import Source, Taken, Visit
from edge.config import DicomTls, Ingest, Sender, Stow
from edge.spool.spool import Spool
from edge.tls import tls_context
from edge.verdict import Status
from gateway.clock import Clock
from gateway.dicom.part10 import split
from gateway.errors import ConfigError, Malformed, UsageError
from gateway.log import logger
from gateway.model import Priority, uid

DICOM = "application/dicom"
ANSWER = "application/dicom+json"
RESOURCES = ("/studies", "/studies/{study}")
RETRY_AFTER = {"Retry-After": "60"}
PLAIN = "identity"
"""The only content coding taken (RFC 9110 §12.5.3 and §15.5.16)."""
log = logger("edge.acquire")


@dataclass(frozen=True, slots=True)
class _Known:
    source: Source
    token: bytes | None  # SHA-256 of it
    network: ipaddress.IPv4Network | ipaddress.IPv6Network | None


class Senders:
    """Who may send by STOW-RS: the senders of ``ingest.senders`` that have a token or an address.

    Args:
        ingest: with the senders.
        open_to_all: admit anyone (demonstrations only).

    Raises:
        ConfigError: a sender cannot be read.
        UsageError: a token's file cannot be read.
    """

    def __init__(self, ingest: Ingest, *, open_to_all: bool) -> None:
        self._open = open_to_all
        self._known = [_known(sender) for sender in ingest.senders if sender.token or sender.address]
        self._asks = any(one.token for one in self._known)

    def identify(self, authorization: str, address: str) -> Source:
        """Who sends.

        Args:
            authorization: the header field; a bearer token (RFC 6750 §2.1) or nothing.
            address: IP address of the peer.

        Raises:
            HTTPUnauthorized: a token is missing or unknown.
            HTTPForbidden: nobody at this address may send.
        """
        scheme, _, given = authorization.partition(" ")
        digest = sha256(given.strip().encode()).digest() if scheme.lower() == "bearer" else b""
        for one in self._known:
            if one.network is not None and not _at(address, one.network):
                continue
            if one.token is None or hmac.compare_digest(one.token, digest):
                return one.source
        if self._open:
            return Source("STOW-RS", "stow")
        if self._asks:
            raise web.HTTPUnauthorized(headers={"WWW-Authenticate": "Bearer"}, text="a token is needed\n")
        raise web.HTTPForbidden(text="this address is not in ingest.senders\n")


def _at(address: str, network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> bool:
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return (mapped or found) in network


def _known(sender: Sender) -> _Known:
    key = f"ingest.senders ({sender.ae_title})"
    try:
        priority = Priority.parse(sender.priority)
        network = None if sender.address is None else ipaddress.ip_network(sender.address, strict=False)
        token = None if sender.token is None else sender.token.read_bytes().strip()
    except OSError as error:
        raise UsageError(f"{key}: {error}") from error
    except (Malformed, ValueError) as error:
        raise ConfigError(str(error), key=key) from error
    if token is not None and len(token) < 16:
        raise ConfigError("a token needs at least 16 characters", key=key)
    source = Source(sender.ae_title.strip(), "stow", priority, sender.remarks)
    return _Known(source, None if token is None else sha256(token).digest(), network)


def stow_app(spool: Spool, clock: Clock, config: Stow, ingest: Ingest) -> web.Application:
    """The web application. Raises ConfigError or UsageError if a sender cannot be read."""
    store = _Store(spool, clock, config, Senders(ingest, open_to_all=config.open))
    app = web.Application()
    app.add_routes([web.post(path, store.post) for path in RESOURCES])
    return app


def web_tls(config: DicomTls | None) -> ssl.SSLContext | None:
    """TLS for the web application, 1.2 or newer (BCP 195). Raises UsageError if the files cannot be used."""
    return None if config is None else tls_context(config, "acquire.stow.tls")


class _Store:
    def __init__(self, spool: Spool, clock: Clock, config: Stow, senders: Senders) -> None:
        self._spool, self._clock, self._config, self._senders = spool, clock, config, senders
        self._running = 0

    async def post(self, request: web.Request) -> web.Response:
        source = self._senders.identify(request.headers.get("Authorization", ""), request.remote or "")
        study = request.match_info.get("study", "")
        if study:
            try:
                uid(study)
            except Malformed as error:
                raise web.HTTPBadRequest(text=f"{error}\n") from error
        kind = media_type(request.headers.get("Content-Type", ""))
        inner = kind.parameters.get("type", DICOM).lower()
        if kind.essence not in (DICOM, "multipart/related") or inner != DICOM:
            raise web.HTTPUnsupportedMediaType(text="send application/dicom (PS3.18 §8.7.3.1)\n")
        if any(one.strip().lower() != PLAIN for one in request.headers.getall("Content-Encoding", [])):
            raise web.HTTPUnsupportedMediaType(
                headers={"Accept-Encoding": PLAIN}, text="send the body as it is, without Content-Encoding\n"
            )
        if self._running >= self._config.max_requests:
            raise web.HTTPServiceUnavailable(headers=RETRY_AFTER, text="too many requests run\n")
        self._running += 1
        visit = Visit(self._spool, self._clock, source)
        try:
            return await self._store(request, kind.essence, kind.parameters.get("boundary", ""), visit, study)
        finally:
            self._running -= 1

    async def _store(
        self, request: web.Request, essence: str, boundary: str, visit: Visit, study: str
    ) -> web.Response:
        taken: list[Taken] = []
        fault, ended = 0, "aborted"

        async def read() -> bytes:
            async with asyncio.timeout(self._config.idle_timeout):
                return await request.content.readany()

        try:
            if essence == DICOM:
                body = await _whole(read, self._config.max_instance)
                taken.append(await _take(visit, body, study))
            else:
                async for part in parts(read, boundary, limit=self._config.max_instance):
                    if media_type(part.headers.get("content-type", DICOM)).essence != DICOM:
                        taken.append(
                            Taken(Status.NOT_UNDERSTOOD, "", "", "", "a part is no application/dicom")
                        )
                        continue
                    taken.append(await _take(visit, part.body, study))
            ended = "released"
        except TooLarge as error:
            fault = _told(413, error, visit)
        except (Malformed, web.RequestPayloadError) as error:
            fault = _told(400, error, visit)
        except TimeoutError as error:
            fault = _told(408, error, visit)
        finally:
            await asyncio.shield(asyncio.to_thread(visit.close, ended))
        return _answer(taken, fault)


def _told(status: int, error: Exception, visit: Visit) -> int:
    log.warning("request broken off", association=visit.ident, status=status, reason=str(error))
    return status


async def _whole(read: Any, limit: int) -> bytearray:
    body = bytearray()
    while found := await read():
        body += found
        if len(body) > limit:
            raise TooLarge(f"more than {limit} bytes")
    return body


async def _take(visit: Visit, body: bytearray, study: str) -> Taken:
    def work() -> Taken:
        file = split(body)
        told = (file.sop_class_uid, file.sop_instance_uid)
        return visit.take(file.dataset, file.transfer_syntax_uid, told, study=study, opening=opening_of(file))

    return await asyncio.to_thread(work)


def _answer(taken: Sequence[Taken], fault: int) -> web.Response:
    stored = [one for one in taken if one.kept]
    failed = [one for one in taken if not one.kept]
    full = bool(failed) and all(one.status is Status.OUT_OF_RESOURCES for one in failed)
    if fault:
        status = fault
    elif not stored:
        status = 503 if full else 409
    else:
        status = 202 if failed or any(one.status is not Status.SUCCESS for one in stored) else 200
    body = json.dumps(response_module(stored, failed)).encode()
    headers = {"Content-Type": ANSWER} | (RETRY_AFTER if status == 503 else {})
    return web.Response(status=status, body=body, headers=headers)


def response_module(stored: Sequence[Taken], failed: Sequence[Taken]) -> dict[str, Any]:
    """The Store Instances Response Module as DICOM JSON (PS3.18 Table I.1-1; PS3.3 C.35)."""
    module: dict[str, Any] = {}
    if stored:
        module["00081199"] = _sequence(  # Referenced SOP Sequence
            _reference(one)
            | ({} if one.status is Status.SUCCESS else {"00081196": _number(one.status)})  # Warning Reason
            for one in stored
        )
    named = [one for one in failed if one.sop_class_uid and one.sop_instance_uid]
    nameless = [one for one in failed if not (one.sop_class_uid and one.sop_instance_uid)]
    if named:  # Failed SOP Sequence, Failure Reason
        module["00081198"] = _sequence(_reference(one) | {"00081197": _number(one.status)} for one in named)
    if nameless:  # Other Failures Sequence
        module["0008119A"] = _sequence({"00081197": _number(one.status)} for one in nameless)
    return module


def _sequence(items: Any) -> dict[str, Any]:
    return {"vr": "SQ", "Value": list(items)}


def _reference(one: Taken) -> dict[str, Any]:
    return {
        "00081150": {"vr": "UI", "Value": [one.sop_class_uid]},
        "00081155": {"vr": "UI", "Value": [one.sop_instance_uid]},
    }


def _number(status: Status) -> dict[str, Any]:
    return {"vr": "US", "Value": [int(status)]}
